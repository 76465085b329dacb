//! 7-bit charsets with escape sequences: ISO-2022-JP (RFC 1468), its variants (RFC 1554, RFC 2237),
//! ISO-2022-KR (RFC 1557), ISO-2022-CN (RFC 1922) and HZ (RFC 1843).
//!
//! Takes octets; returns text. Each run of one character set is converted to an EUC charset that
//! `encoding_rs` supports.

use encoding_rs::{EUC_JP, EUC_KR, Encoding, GBK, ISO_8859_7, WINDOWS_1252};
use memchr::{memchr, memmem};

/// Begins an escape sequence.
pub(super) const ESCAPE: u8 = 0x1b;
const SHIFT_OUT: u8 = 0x0e;
const SHIFT_IN: u8 = 0x0f;

/// A character set, with the EUC charset that contains it in its upper half.
#[derive(Clone, Copy)]
enum Set {
    Ascii,
    /// Two octets each.
    Double(&'static Encoding),
    /// JIS X 0212: three octets in EUC, the first of them fixed.
    Supplement,
    /// JIS X 0201 katakana: one octet after a fixed one.
    Katakana,
}

/// Escape sequences and the sets that they select, the longer ones first.
const ESCAPES: [(&[u8], Set); 14] = [
    (b"$(D", Set::Supplement),
    (b"$(C", Set::Double(EUC_KR)),
    (b"$(A", Set::Double(GBK)),
    (b"$(B", Set::Double(EUC_JP)),
    (b"$(@", Set::Double(EUC_JP)),
    (b"$(O", Set::Double(EUC_JP)),
    (b"$(Q", Set::Double(EUC_JP)),
    (b"$B", Set::Double(EUC_JP)),
    (b"$@", Set::Double(EUC_JP)),
    (b"$A", Set::Double(GBK)),
    (b"(B", Set::Ascii),
    (b"(J", Set::Ascii),
    (b"(H", Set::Ascii),
    (b"(I", Set::Katakana),
];

/// Escape sequences and the sets that they assign to SHIFT OUT.
const DESIGNATIONS: [(&[u8], Set); 2] = [(b"$)C", Set::Double(EUC_KR)), (b"$)A", Set::Double(GBK))];

/// True for pure ASCII with an escape to a two-octet set or to katakana.
pub(super) fn is_likely(octets: &[u8]) -> bool {
    memchr(ESCAPE, octets).is_some() && octets.is_ascii() && has_escape(octets)
}

/// True if there is an escape to a two-octet set or to katakana.
pub(super) fn has_escape(octets: &[u8]) -> bool {
    let double = ESCAPES.iter().chain(&DESIGNATIONS);
    memmem::find_iter(octets, b"\x1b$").any(|at| {
        double
            .clone()
            .any(|(escape, _)| octets[at + 1..].starts_with(escape))
    }) || memmem::find(octets, b"\x1b(I").is_some()
}

/// True for the text after an escape character if it selects ASCII or the Latin letters of JIS X 0201.
pub(super) fn selects_ascii(after_escape: &[u8]) -> bool {
    after_escape.starts_with(b"(B") || after_escape.starts_with(b"(J")
}

/// Decodes any of these charsets except HZ.
pub(super) fn decode(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let (mut set, mut shifted) = (Set::Ascii, Set::Double(EUC_KR));
    let mut high = None;
    let mut rest = octets;
    while let Some(&first) = rest.first() {
        match first {
            ESCAPE => {
                let after = &rest[1..];
                let starts = |(escape, _): &&(&[u8], Set)| after.starts_with(escape);
                if let Some((escape, chosen)) = ESCAPES.iter().find(starts) {
                    set = *chosen;
                    rest = &after[escape.len()..];
                } else if let Some((escape, chosen)) = DESIGNATIONS.iter().find(starts) {
                    shifted = *chosen;
                    rest = &after[escape.len()..];
                } else if let [b'.', which @ (b'A' | b'F'), tail @ ..] = after {
                    high = Some(if *which == b'A' {
                        WINDOWS_1252
                    } else {
                        ISO_8859_7
                    });
                    rest = tail;
                } else if let ([b'N', octet, tail @ ..], Some(encoding)) = (after, high) {
                    run(&[*octet], Set::Double(encoding), &mut text);
                    rest = tail;
                } else {
                    text.push(char::from(ESCAPE));
                    rest = after;
                }
            }
            SHIFT_OUT => {
                set = shifted;
                rest = &rest[1..];
            }
            SHIFT_IN => {
                set = Set::Ascii;
                rest = &rest[1..];
            }
            // A line end resets to ASCII (RFC 1468: a line begins and ends in ASCII).
            b'\n' => {
                set = Set::Ascii;
                text.push('\n');
                rest = &rest[1..];
            }
            _ => {
                let end = rest
                    .iter()
                    .position(|b| matches!(*b, ESCAPE | SHIFT_OUT | SHIFT_IN | b'\n'))
                    .unwrap_or(rest.len());
                run(&rest[..end], set, &mut text);
                rest = &rest[end..];
            }
        }
    }
    text
}

/// RFC 1843: `~{` and `~}` around Chinese, `~~` for a tilde, `~` at the end of a line joins lines.
pub(super) fn decode_hz(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len());
    let mut set = Set::Ascii;
    let mut rest = octets;
    while !rest.is_empty() {
        let end = memchr(b'~', rest).unwrap_or(rest.len());
        run(&rest[..end], set, &mut text);
        rest = &rest[end..];
        match rest {
            [b'~', b'{', tail @ ..] => (set, rest) = (Set::Double(GBK), tail),
            [b'~', b'}', tail @ ..] => (set, rest) = (Set::Ascii, tail),
            [b'~', b'\n', tail @ ..] | [b'~', b'\r', b'\n', tail @ ..] => rest = tail,
            [b'~', b'~', tail @ ..] | [b'~', tail @ ..] => {
                text.push('~');
                rest = tail;
            }
            _ => {}
        }
    }
    text
}

/// Decodes octets of one set by setting their upper bits.
fn run(octets: &[u8], set: Set, text: &mut String) {
    let upper = |octet: &u8| {
        if octet.is_ascii_graphic() {
            octet | 0x80
        } else {
            *octet
        }
    };
    let (encoding, moved): (_, Vec<u8>) = match set {
        Set::Ascii => (WINDOWS_1252, octets.to_vec()),
        Set::Double(encoding) => (encoding, octets.iter().map(upper).collect()),
        Set::Katakana => (
            EUC_JP,
            octets
                .iter()
                .flat_map(|octet| [0x8e, upper(octet)])
                .collect(),
        ),
        Set::Supplement => {
            let double = |pair: &[u8]| [&[0x8f], pair].concat();
            let moved: Vec<u8> = octets.iter().map(upper).collect();
            (EUC_JP, moved.chunks(2).flat_map(double).collect())
        }
    };
    text.push_str(&encoding.decode_without_bom_handling(&moved).0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_switch_the_set() {
        for (octets, expected) in [
            (&b"a\x1b$B$\"\x1b(Bb"[..], "aあb"),
            (b"\x1b$@4A;z\x1b(J", "漢字"),
            (b"\x1b(I1\x1b(B", "ｱ"),
            (b"\x1b$(D0!\x1b(B", "丂"),
            (b"\x1b$A4s\x1b$(C0!\x1b(B", "大가"),
            (b"\x1b.AD\x1bN|ben", "Düben"),
            (b"\x1b$B$\"\r\nplain", "あ\r\nplain"),
            (b"\x1b$)C\x0e0!\x0fb", "가b"),
            (b"\x1b$)A\x0eDc\x0fb", "你b"),
            (b"\x1b[31m", "\x1b[31m"),
        ] {
            assert_eq!(decode(octets), expected, "{octets:?}");
        }
        assert!(is_likely(b"\x1b$B$\"\x1b(B") && is_likely(b"\x1b$)C\x0e0!\x0f"));
        assert!(!is_likely(b"\x1b[31mred") && !is_likely(b"\x1b$B\xe4"));
        assert_eq!(decode_hz(b"a~{Dc:C~}~~~\nb"), "a你好~b");
    }
}
