//! Character references of HTML (HTML standard, 13.2.5.72) in the octets of a text.
//!
//! References to invisible characters must end with their semicolon. Otherwise a letter within one reference could be
//! the last octet before the next one: a search that continues at each such letter would take quadratic time.

/// Maximum number of digits; programs write leading zeros.
const MAX_DIGITS: usize = 16;

/// Names of invisible characters, in lower case.
const INVISIBLE_NAMES: [&[u8]; 5] = [b"shy;", b"zwnj;", b"zwj;", b"nobreak;", b"zerowidthspace;"];

/// Code point and length of the reference by number that the text begins with. Its semicolon may be missing, as in
/// browsers.
pub(super) fn numeric_reference(text: &[u8]) -> Option<(u32, usize)> {
    let digits = text.strip_prefix(b"&#")?;
    let (radix, digits) = match digits {
        [b'x' | b'X', digits @ ..] => (16, digits),
        _ => (10, digits),
    };
    let is_digit = |octet: &&u8| char::from(**octet).is_digit(radix);
    let count = digits.iter().take(MAX_DIGITS).take_while(is_digit).count();
    let (number, rest) = digits.split_at(count);
    if rest.first().is_some_and(|octet| is_digit(&octet)) {
        return None;
    }
    let number = u32::from_str_radix(std::str::from_utf8(number).ok()?, radix).ok()?;
    let length = text.len() - rest.len() + usize::from(rest.first() == Some(&b';'));
    Some((number, length))
}

/// Length of the reference to an invisible character that the text begins with. Ignores the case of names.
pub(super) fn invisible_reference(text: &[u8]) -> Option<usize> {
    if let Some((number, length)) = numeric_reference(text) {
        let is_ended = text[..length].ends_with(b";");
        return (is_ended && is_invisible(number)).then_some(length);
    }
    let name = text.strip_prefix(b"&")?;
    let is_here = |known: &&&[u8]| {
        let name = name.get(..known.len());
        name.is_some_and(|name| name.eq_ignore_ascii_case(known))
    };
    let known = INVISIBLE_NAMES.iter().find(is_here)?;
    Some(1 + known.len())
}

/// True for the soft hyphen, the zero-width space, non-joiner and joiner, the word joiner and the zero-width no-break
/// space.
fn is_invisible(code_point: u32) -> bool {
    matches!(code_point, 0xad | 0x200b..=0x200d | 0x2060 | 0xfeff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_by_number_are_read() {
        for (text, expected) in [
            ("&#47;x", Some((47, 5))),
            ("&#00047;", Some((47, 8))),
            ("&#x2f;", Some((47, 6))),
            ("&#X002F;", Some((47, 8))),
            ("&#0000000000000047;", Some((47, 19))),
            ("&#00000000000000047;", None),
            ("&#47", Some((47, 4))),
            ("&#47x", Some((47, 4))),
            ("&#x2fm", Some((47, 5))),
            ("&#x2fa", Some((0x2fa, 6))),
            ("&#0000000000000047x", Some((47, 18))),
            ("&#;", None),
            ("&#x;", None),
            ("&#2f;", Some((2, 3))),
            ("&#4294967296;", None),
            ("#47;", None),
            ("", None),
        ] {
            assert_eq!(numeric_reference(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn references_to_invisible_characters_are_found() {
        for text in [
            "&shy;",
            "&SHY;",
            "&#173;",
            "&#xAD;",
            "&#x200b;",
            "&#8203;",
            "&#8204;",
            "&#8205;",
            "&#8288;",
            "&#65279;",
            "&zwnj;",
            "&zwj;",
            "&NoBreak;",
            "&ZeroWidthSpace;",
        ] {
            let found = invisible_reference(format!("{text};").as_bytes());
            assert_eq!(found, Some(text.len()), "{text}");
        }
        for text in [
            "&shy",
            "&#173",
            "&#xadm",
            "&nbsp;",
            "&#160;",
            "&amp;shy;",
            "shy;",
        ] {
            assert_eq!(invisible_reference(text.as_bytes()), None, "{text}");
        }
    }
}
