//! The header of a message as an operator sees it.
//!
//! Takes a raw message; returns the fields that people know, decoded, and all fields as received. Nothing in
//! the result moves a cursor or changes the direction of text, and its size is bounded.

use super::content::truncate;
use super::fields::MessageFields;

/// Maximum number of fields that are shown, and of octets of one.
const MAX_FIELDS: usize = 200;
const MAX_VALUE: usize = 4096;

/// A field as received, unfolded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    pub name: String,
    pub value: String,
}

/// The header of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderView {
    /// The first field of each name, with encoded words decoded.
    pub from: Option<String>,
    pub to: Option<String>,
    pub cc: Option<String>,
    pub reply_to: Option<String>,
    pub date: Option<String>,
    pub lines: Vec<HeaderLine>,
    /// Number of fields beyond those in `lines`.
    pub more: usize,
}

impl HeaderView {
    #[must_use]
    pub fn of(raw: &[u8]) -> Self {
        let fields = MessageFields::of(raw);
        let decoded = |name| decode_first(&fields, name);
        let section = &fields.section;
        let lines = section.fields().take(MAX_FIELDS).map(|field| HeaderLine {
            name: truncate(field.name, MAX_VALUE),
            value: truncate(&field.text(), MAX_VALUE),
        });
        Self {
            from: decoded("From"),
            to: decoded("To"),
            cc: decoded("Cc"),
            reply_to: decoded("Reply-To"),
            date: decoded("Date"),
            lines: lines.collect(),
            more: section.fields().skip(MAX_FIELDS).count(),
        }
    }

    /// The display name in From: the text before the last `<`, without quotes. None if there is none.
    #[must_use]
    pub fn display_name(&self) -> Option<&str> {
        name_in(self.from.as_deref()?)
    }
}

/// The [display name](HeaderView::display_name) of a message, of which no other field is decoded.
#[must_use]
pub fn display_name(raw: &[u8]) -> Option<String> {
    let from = decode_first(&MessageFields::of(raw), "From")?;
    name_in(&from).map(ToOwned::to_owned)
}

/// The first field of a name, with encoded words decoded. None if it is empty.
fn decode_first(fields: &MessageFields, name: &str) -> Option<String> {
    let text = fields.text(name)?;
    Some(truncate(&text, MAX_VALUE)).filter(|text| !text.is_empty())
}

fn name_in(from: &str) -> Option<&str> {
    let (name, _) = from.rsplit_once('<')?;
    let name = name.trim().trim_matches('"').trim();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_fields_are_decoded_and_all_are_listed_as_they_came() {
        let raw =
            b"Received: from mx\r\n by gate\r\nFrom: =?utf-8?q?J=C3=BCrgen?= <j@x.example>\r\n\
            To: it@corp.example\r\nSubject: a\x1b[2Jb\xe2\x80\xaec\r\n\r\nbody";
        let view = HeaderView::of(raw);
        assert_eq!(view.display_name(), Some("J\u{fc}rgen"));
        assert_eq!(view.to.as_deref(), Some("it@corp.example"));
        assert_eq!((view.cc.as_deref(), view.more), (None, 0));
        let names: Vec<_> = view.lines.iter().map(|line| line.name.as_str()).collect();
        assert_eq!(names, ["Received", "From", "To", "Subject"]);
        assert_eq!(view.lines[0].value, "from mx by gate");
        assert_eq!(view.lines[3].value, "a[2Jbc");
    }

    #[test]
    fn raw_octets_are_in_the_charset_of_the_body() {
        let raw =
            b"From: \xb4\xf2\xd3\xa1\xbb\xfa <a@x.example>\r\nTo: M\xc3\xbcller <b@x.example>\r\n\
            Content-Type: text/plain; charset=gbk\r\n\r\nbody";
        let view = HeaderView::of(raw);
        assert_eq!(view.display_name(), Some("\u{6253}\u{5370}\u{673a}"));
        assert_eq!(display_name(raw).as_deref(), view.display_name());
        assert_eq!(view.to.as_deref(), Some("M\u{fc}ller <b@x.example>"));
    }

    #[test]
    fn the_view_is_bounded() {
        let raw = "X: y\r\n".repeat(500) + "From: " + &"z".repeat(100_000) + "\r\n\r\n";
        let view = HeaderView::of(raw.as_bytes());
        assert_eq!((view.lines.len(), view.more), (MAX_FIELDS, 301));
        assert!(view.from.is_some_and(|from| from.len() <= MAX_VALUE));
    }

    #[test]
    fn a_display_name_ends_at_the_last_bracket() {
        for (from, name) in [
            (
                "boss@corp.example <x@evil.example>",
                Some("boss@corp.example"),
            ),
            ("\"Ann\" <ann@x.example>", Some("Ann")),
            ("=?utf-8?q?J=C3=BCrgen?= <j@x.example>", Some("J\u{fc}rgen")),
            ("", None),
            ("<ann@x.example>", None),
            ("ann@x.example", None),
        ] {
            let raw =
                format!("To: it@corp.example\r\nFrom: {from}\r\n\r\nFrom: c <c@x.example>\r\n");
            let view = HeaderView::of(raw.as_bytes());
            assert_eq!(view.display_name(), name, "{from}");
            assert_eq!(display_name(raw.as_bytes()).as_deref(), name, "{from}");
        }
    }
}
