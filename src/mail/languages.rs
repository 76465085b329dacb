//! Languages in which the sender writes and reads: `Content-Language` (RFC 3282 2), then `Accept-Language`
//! (RFC 3282 3), the first field of each name.

use super::header::{Field, Section};
use crate::domain::LanguagePriority;

/// Maximum number of octets of a field that are read; no honest field comes near.
const MAX_LENGTH: usize = 1024;

pub(super) fn languages(section: &Section) -> LanguagePriority {
    let (mut content, mut accept) = (None, None);
    for field in section.fields() {
        if content.is_none() && field.is("Content-Language") {
            content = Some(read(&field));
        } else if accept.is_none() && field.is("Accept-Language") {
            accept = Some(read(&field));
        }
    }
    content
        .unwrap_or_default()
        .followed_by(accept.unwrap_or_default())
}

fn read(field: &Field) -> LanguagePriority {
    let value = &field.value[..field.value.len().min(MAX_LENGTH)];
    LanguagePriority::parse(&String::from_utf8_lossy(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_language_precedes_accept_language() {
        let long = format!("Accept-Language: {}de\r\n", "x, ".repeat(90_000));
        for (header, expected) in [
            ("Subject: de\r\n", ""),
            ("Content-Language: de\r\n", "de"),
            ("content-language : DE-at\r\n", "de-AT"),
            (
                "Accept-Language: en;q=0.5, fr (Fran\u{e7}ais),\r\n\tde;q=0.8\r\nContent-Language: pl\r\n",
                "pl, fr, de, en",
            ),
            ("Content-Language: de\r\nContent-Language: fr\r\n", "de"),
            ("Accept-Language: \r\nAccept-Language: fr\r\n", ""),
            ("Content-Language: \"de\"\r\nAccept-Language: es\r\n", "es"),
            (long.as_str(), ""),
        ] {
            let raw = format!("{header}\r\nbody");
            let found = languages(&Section::of(raw.as_bytes())).to_string();
            assert_eq!(found, expected, "{header:.80}");
        }
    }
}
