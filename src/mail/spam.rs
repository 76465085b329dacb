//! Spam marks of our own MTA.
//!
//! Takes the header and the configured marks; returns the field that is such a mark. Anyone can write these
//! fields, and a forger could use them to have forwarded mail of others dropped. So only fields above our
//! MTA's own Received field count.

use super::Evidence;
use super::header::{Field, Section};
use super::trace::above_our_received;

/// A field that marks spam, such as `X-Spam-Flag: YES`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpamMark {
    name: String,
    /// Beginning of the value; ASCII case folded, white space as one space.
    value: String,
}

impl SpamMark {
    /// Parses `NAME: VALUE`.
    ///
    /// # Errors
    /// There is no field name, or no value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let (name, value) = (name.trim(), normalize(value));
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_name || value.is_empty() || value.chars().any(char::is_control) {
            return Err(format!(
                "{text:?} is not a field with a value; write it like \"X-Spam-Flag: YES\""
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }

    /// True if the field has this name and its value begins with this one, up to a blank, a comma, a
    /// semicolon or a parenthesis: `Yes` matches `Yes, score=8.7` and not `Yesterday`.
    fn is(&self, field: &Field) -> bool {
        field.is(&self.name)
            && normalize(&field.text())
                .strip_prefix(&self.value)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ',', ';', '(']))
    }
}

fn normalize(value: &str) -> String {
    let words: Vec<_> = value.split_whitespace().collect();
    words.join(" ").to_ascii_lowercase()
}

/// The first mark, if any.
pub(super) fn mark(section: &Section, marks: &[SpamMark]) -> Option<Evidence> {
    if marks.is_empty() {
        return None;
    }
    above_our_received(section.fields())
        .find(|field| marks.iter().any(|mark| mark.is(field)))
        .map(Evidence::of)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED: &str = "Received: from a (a [203.0.113.9]) by mx.corp.example\r\n";

    fn find(marks: &[&str], raw: &str) -> Option<String> {
        let marks: Vec<_> = marks
            .iter()
            .map(|mark| SpamMark::parse(mark).expect("a mark"))
            .collect();
        mark(&Section::of(raw.as_bytes()), &marks).map(|evidence| evidence.to_string())
    }

    #[test]
    fn a_mark_matches_a_name_and_a_prefix_of_the_value() {
        for (mark, field, is_mark) in [
            ("X-Spam-Flag: YES", "X-Spam-Flag: YES", true),
            ("X-Spam-Flag:YES", "x-spam-flag :\tyes ", true),
            ("X-Spam-Flag: YES", "X-Spam-Flag: NO", false),
            ("X-Spam-Flag: YES", "X-Spam-Flag: YESTERDAY", false),
            ("X-Spam-Flag: YES", "X-Spam: YES", false),
            ("X-Spam-Status: Yes", "X-Spam-Status: Yes, score=8.70", true),
            (
                "X-Spam-Status: yes, score",
                "X-Spam-Status: Yes,\r\n\tscore=8.70",
                false,
            ),
            ("X-Spam: spam (high)", "X-Spam:\r\n SPAM\r\n\t(high)", true),
            ("X-Spam: a:b", "X-Spam: a:b", true),
            ("X-Spam: yes", "X-Spam: =?utf-8?q?yes?=", false),
        ] {
            let raw = format!("{field}\r\n{RECEIVED}");
            assert_eq!(find(&[mark], &raw).is_some(), is_mark, "{mark} / {field}");
        }
        for text in [
            "",
            "X-Spam-Flag",
            "X-Spam-Flag:",
            ": YES",
            "X Spam: YES",
            "X-Spam: a\rb\0",
        ] {
            assert!(SpamMark::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn only_the_mark_of_our_own_mta_counts() {
        let marks = ["X-Spam-Flag: YES", "X-Spam: yes"];
        let back = "Received: from localhost (localhost [127.0.0.1]) by mx.corp.example\r\n";
        let field = "X-Spam: Yes\r\n";
        for (raw, counts) in [
            (format!("{field}{RECEIVED}"), true),
            (format!("{back}{field}{RECEIVED}"), true),
            (format!("{RECEIVED}{field}"), false),
            (format!("{RECEIVED}{back}{field}"), false),
            (format!("Subject: x\r{field}{RECEIVED}"), false),
            (field.to_owned(), true),
        ] {
            assert_eq!(
                find(&marks, &raw).as_deref(),
                counts.then_some("X-Spam: Yes"),
                "{raw}"
            );
        }
        assert_eq!(find(&[], field), None);
    }
}
