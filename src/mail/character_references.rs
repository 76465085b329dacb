//! Character references of HTML, such as `&eacute;`, `&eacute` and `&#233;` (HTML standard, 13.2.5.72).

use html5ever::data::{C1_REPLACEMENTS, NAMED_ENTITIES};
use memchr::memchr;

/// Passes on the characters of a text. An `&` that begins no reference stays.
pub(super) fn decode_references(text: &str, mut push: impl FnMut(char)) {
    let mut rest = text;
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        rest[..at].chars().for_each(&mut push);
        rest = &rest[at..];
        let reference = decode_number(rest).or_else(|| decode_name(rest));
        let (characters, length) = reference.unwrap_or(([Some('&'), None], 1));
        characters.into_iter().flatten().for_each(&mut push);
        rest = &rest[length..];
    }
    rest.chars().for_each(push);
}

/// One or two characters, and the length of the reference.
type Reference = ([Option<char>; 2], usize);

fn decode_number(text: &str) -> Option<Reference> {
    let digits = text.strip_prefix("&#")?;
    let (digits, radix) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
    let count = digits.bytes().take_while(is_digit).count();
    if count == 0 {
        return None;
    }
    let (digits, rest) = digits.split_at(count);
    let number = u32::from_str_radix(digits, radix).unwrap_or(u32::MAX);
    let length = text.len() - rest.len() + usize::from(rest.starts_with(';'));
    Some(([Some(character(number)), None], length))
}

/// The numbers of C1 controls stand for the characters that windows-1252 has there.
fn character(number: u32) -> char {
    let c1 = number.checked_sub(0x80).and_then(|at| {
        let at = usize::try_from(at).ok()?;
        *C1_REPLACEMENTS.get(at)?
    });
    c1.or_else(|| char::from_u32(number))
        .filter(|c| *c != '\0')
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The longest name counts: `&notin;` is one character, `&notit;` is that of `&not` with text after it.
fn decode_name(text: &str) -> Option<Reference> {
    let mut found = None;
    for end in 2..=text.len() {
        // The table also has all beginnings of names, with a zero.
        let Some(&(first, second)) = text.get(1..end).and_then(|name| NAMED_ENTITIES.get(name))
        else {
            break;
        };
        if first != 0 {
            let second = char::from_u32(second).filter(|c| *c != '\0');
            found = Some(([char::from_u32(first), second], end));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_decoded() {
        for (text, expected) in [
            ("caf&eacute; &amp; bar", "café & bar"),
            ("caf&eacute &ampx", "café &x"),
            ("&notin; &notit; &not", "∉ ¬it; ¬"),
            ("&nGt;", "≫\u{20d2}"),
            ("R&D; A&B &; & &", "R&D; A&B &; & &"),
            ("&#233;&#xE9;&#Xe9 &#233x", "ééé éx"),
            ("&#150;&#x80;&#129;", "–€\u{81}"),
            ("&#; &#x; &#xg &#", "&#; &#x; &#xg &#"),
            (
                "&#0;&#xd800;&#x110000;&#99999999999999999999;",
                "\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
            ),
            ("&é", "&é"),
        ] {
            let mut decoded = String::new();
            decode_references(text, |c| decoded.push(c));
            assert_eq!(decoded, expected, "{text}");
        }
    }
}
