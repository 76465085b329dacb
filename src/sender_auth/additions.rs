//! Additions to a signed message that leave its signatures valid (RFC 6376 8.15).
//!
//! A signature covers as many fields of a name as it lists, from the bottom up (RFC 6376 5.4.2), while we and many
//! other programs read the topmost. So anyone who has a signed message could add another subject, or a Content-Type
//! that shows other parts of the body. RFC 5322 3.6 and RFC 2045 allow each of these fields once.

use mail_auth::AuthenticatedMessage;

use super::message::has_name;

/// Fields that determine what is read, and where the answer goes.
const NAMES: [&str; 4] = [
    "Content-Transfer-Encoding",
    "Content-Type",
    "Reply-To",
    "Subject",
];

/// Number of the fields of one name.
#[derive(Debug, Clone, Copy, Default)]
struct FieldCount {
    all: usize,
    /// Without those that have white space before the colon, which `mail-auth` does not find.
    found: usize,
}

/// Numbers of the fields of each of [`NAMES`].
pub(super) struct FieldCounts([FieldCount; NAMES.len()]);

impl FieldCounts {
    pub(super) fn of(message: &AuthenticatedMessage<'_>) -> Self {
        let mut counts = [FieldCount::default(); NAMES.len()];
        for (name, _) in &message.headers {
            for (count, wanted) in counts.iter_mut().zip(NAMES) {
                if has_name(name, wanted.as_bytes()) {
                    count.all += 1;
                    count.found += usize::from(name.len() == wanted.len());
                }
            }
        }
        Self(counts)
    }

    /// True if a signature over fields of these names covers one of [`NAMES`], but not each field of that name.
    pub(super) fn exceed(&self, signed: &[String]) -> bool {
        self.0.iter().zip(NAMES).any(|(count, name)| {
            let is_same = |other: &&String| other.trim().eq_ignore_ascii_case(name);
            let times = signed.iter().filter(is_same).count();
            times > 0 && count.all > times.min(count.found)
        })
    }
}

/// True if an empty line ends the header, or the message ends with a whole field. DKIM also ends the header at a line
/// without a colon, which is not signed, while other programs take that line for the first of the body, or go on with
/// the header. The same holds for a line whose name has a blank, which DKIM takes for a field.
pub(super) fn is_header_complete(message: &AuthenticatedMessage<'_>) -> bool {
    let header = message.raw_message.get(..message.body_offset());
    let is_ended = header.is_some_and(|header| {
        header.ends_with(b"\n\r\n") || header.ends_with(b"\n\n") || is_all_fields(message)
    });
    is_ended && message.headers.iter().all(|(name, _)| is_name(name))
}

/// True for the name of a field (RFC 5322 2.2), with or without white space after it (RFC 5322 4.5). A line without a
/// colon counts as a name that includes the line end.
fn is_name(name: &[u8]) -> bool {
    let trimmed = name.trim_ascii_end();
    !name.ends_with(b"\n") && !trimmed.is_empty() && trimmed.iter().all(u8::is_ascii_graphic)
}

/// True if the last octet of the message belongs to a field. A line without a colon is no field, or one whose value
/// lies outside the message.
fn is_all_fields(message: &AuthenticatedMessage<'_>) -> bool {
    let end = message.raw_message.as_ptr_range().end;
    let last = message.headers.last();
    last.is_some_and(|(_, value)| std::ptr::eq(value.as_ptr_range().end, end))
}

#[cfg(test)]
mod tests {
    use super::super::message::Signed;
    use super::*;

    /// True if a signature over `names` covers each field that has to be covered.
    fn is_covered(header: &str, names: &[&str]) -> bool {
        let raw = format!("{header}From: ann@corp.example\r\n\r\n");
        let signed = Signed::read(raw.as_bytes(), None);
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        !FieldCounts::of(&signed.message).exceed(&names)
    }

    #[test]
    fn a_signature_covers_each_field_of_a_name_or_none() {
        const ONE: &str = "Subject: one\r\n";
        for (header, names, expected) in [
            (ONE.to_owned(), &["from", "subject"][..], true),
            (
                format!("{ONE}subject: two\r\n"),
                &["from", "Subject"],
                false,
            ),
            (
                format!("{ONE}SUBJECT: two\r\n"),
                &["subject", "subject"],
                true,
            ),
            (format!("{ONE}{ONE}"), &["from"], true),
            (format!("Subject : two\r\n{ONE}"), &["subject"], false),
            ("Subject\t: two\r\n".to_owned(), &["subject"], false),
            (String::new(), &["subject", "content-type"], true),
            (
                "Content-Type: text/plain\r\ncontent-type: text/html\r\n".to_owned(),
                &["content-type"],
                false,
            ),
            ("X: 1\r\nX: 2\r\n".to_owned(), &["x"], true),
        ] {
            assert_eq!(is_covered(&header, names), expected, "{header} {names:?}");
        }
    }

    #[test]
    fn an_empty_line_or_the_end_of_the_message_completes_a_header() {
        for (raw, expected) in [
            ("From: a@corp.example\r\n\r\nbody\r\n", true),
            ("From: a@corp.example\r\n\r\n", true),
            ("From: a@corp.example\n\nbody\n", true),
            ("From: a@corp.example\r\nCall me\r\nbody\r\n", false),
            ("From: a@corp.example\r\nSubject\r\n : x\r\n\r\n", false),
            ("From: a@corp.example\r\nCall me: now\r\n\r\n", false),
            ("From: a@corp.example\nCall me\n\nbody\n", false),
            ("From: a@corp.example\nThanks\n\nbody\n", false),
            ("Call me: now\r\nFrom: a@corp.example\r\n\r\n", false),
            ("From: a@corp.example\r\n: x\r\n\r\n", false),
            ("From : a@corp.example\r\n\r\nbody", true),
            ("From: a@corp.example\r\n", true),
            ("From: a@corp.example\r\nSubject: x\r\n y\r\n", true),
            ("From: a@corp.example\nSubject:\n", true),
            ("From: a@corp.example\r\nCall me\r\n", false),
            ("From: a@corp.example\r\nCall me", false),
            ("From: a@corp.example\nCall me\n", false),
            ("From: a@corp.example\r\nSubject: x", false),
            ("", false),
        ] {
            let signed = Signed::read(raw.as_bytes(), None);
            assert_eq!(is_header_complete(&signed.message), expected, "{raw:?}");
        }
    }
}
