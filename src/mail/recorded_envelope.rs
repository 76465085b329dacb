//! The envelope of a message in a file, as far as its fields record it.
//!
//! Takes the raw message; returns the reverse-path that the last MTA recorded (RFC 5321 4.4), and all addresses
//! to which it may have been sent, the most reliable first. Parsing is tolerant, because the addresses are only
//! compared with our own.

use super::header::Section;
use crate::domain::ReversePath;

/// Fields that name a recipient, those added by an MTA before those of the author.
const RECIPIENTS: &[&str] = &["Delivered-To", "X-Original-To", "To", "Cc"];

/// The recorded envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEnvelope {
    pub reverse_path: ReversePath,
    /// Everything that looks like an address in those fields, in order.
    pub recipients: Vec<String>,
}

/// Reads the trace and recipient fields of a message.
#[must_use]
pub fn read_recorded(raw: &[u8]) -> RecordedEnvelope {
    let mut reverse_path = ReversePath::Unknown;
    let mut found: Vec<(usize, String)> = Vec::new();
    for field in Section::of(raw).fields() {
        if field.is("Return-Path") && reverse_path == ReversePath::Unknown {
            reverse_path = match field.text().trim_matches(['<', '>', ' ', '\t']) {
                "" => ReversePath::Null,
                path => ReversePath::Mailbox(path.to_owned()),
            };
        }
        if let Some(rank) = RECIPIENTS.iter().position(|name| field.is(name)) {
            let text = field.text();
            found.extend(addresses(&text).map(|address| (rank, address.to_owned())));
        }
    }
    found.sort_by_key(|(rank, _)| *rank);
    RecordedEnvelope {
        reverse_path,
        recipients: found.into_iter().map(|(_, address)| address).collect(),
    }
}

/// Everything that looks like an address.
pub(super) fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "<>()[],;:\"".contains(c))
        .filter(|word| word.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_mta_come_before_those_of_the_author() {
        let raw = b"Return-Path: <ann@corp.example>\r\n\
            To: Desk <desk@corp.example>, \"x, y\" <y@corp.example>\r\n\
            Cc: z@corp.example\r\n\
            X-Original-To: old@corp.example\r\n\
            Delivered-To: it@corp.example\r\n\r\nTo: body@corp.example\r\n";
        let RecordedEnvelope {
            reverse_path,
            recipients,
        } = read_recorded(raw);
        assert_eq!(
            reverse_path,
            ReversePath::Mailbox("ann@corp.example".to_owned())
        );
        let expected = ["it", "old", "desk", "y", "z"].map(|name| format!("{name}@corp.example"));
        assert_eq!(recipients, expected);
    }

    #[test]
    fn a_null_path_is_not_a_missing_one() {
        assert_eq!(
            read_recorded(b"Return-Path: <>\n\n").reverse_path,
            ReversePath::Null
        );
        assert_eq!(read_recorded(b"\n").reverse_path, ReversePath::Unknown);
    }
}
