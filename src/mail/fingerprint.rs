//! Fingerprint: identifies a message that an MTA sends again.
//!
//! Takes the message; returns a [`Fingerprint`] over the body and the fields that the author's program wrote.
//! Trace fields, and fields that filters, lists and forwarders add (`Resent-*`), do not count. A field that is missing
//! adds nothing, so one more name changes only the fingerprints of messages that have this field.

use sha2::{Digest, Sha256};

use super::Fingerprint;
use super::header::Section;

const AUTHORS_FIELDS: [&str; 15] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Auto-Submitted",
];

pub(super) fn fingerprint(message: &Section) -> Fingerprint {
    let mut hash = Sha256::new();
    for field in message.fields() {
        let Some(name) = AUTHORS_FIELDS.iter().find(|name| field.is(name)) else {
            continue;
        };
        hash.update(name);
        // Relays refold at will, so white space only separates.
        for word in field.value.split(u8::is_ascii_whitespace) {
            if !word.is_empty() {
                hash.update(b" ");
                hash.update(word);
            }
        }
        hash.update(b"\n");
    }
    hash.update(b"\n");
    hash.update(message.body);
    Fingerprint(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(raw: &str) -> Fingerprint {
        fingerprint(&Section::of(raw.as_bytes()))
    }

    #[test]
    fn a_message_over_another_path_is_the_same() {
        let one = print("From: a@corp.example\r\nSubject: one two\r\n\r\nbody\r\n");
        let again = print(
            "Received: from x\r\nResent-From: l@corp.example\r\nFROM: a@corp.example\r\nX-Spam: no\r\n\
             Subject:  one\r\n\ttwo\r\n\r\nbody\r\n",
        );
        assert_eq!(one, again);
    }

    #[test]
    fn a_message_with_one_changed_word_is_different() {
        let one = print("From: a@corp.example\r\nSubject: s\r\n\r\nbody\r\n");
        for other in [
            "From: b@corp.example\r\nSubject: s\r\n\r\nbody\r\n",
            "From: a@corp.example\r\nSubject: t\r\n\r\nbody\r\n",
            "From: a@corp.example\r\nSubject: s\r\n\r\nBody\r\n",
            "From: a@corp.example\r\n\r\nSubject: s\r\nbody\r\n",
            "From: a@corp.example\r\nSubject: s\r\nContent-Disposition: attachment\r\n\r\nbody\r\n",
        ] {
            assert_ne!(one, print(other), "{other}");
        }
    }
}
