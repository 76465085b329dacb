//! Other addresses that some programs find in a field with addresses.
//!
//! Takes the value of the field and the addresses that our parsers find in it.

use super::SenderFault;
use super::decoded_first::decode_first;
use super::header::Field;
use super::lenient_structure::{MAX_LINE, is_read_differently, with_nesting};
use super::lenient_words::{MAX_WORDS, lenient_words};
use super::mailbox::{AddrSpec, is_atext};
use super::raw_characters::depends_on_charset;

/// The fault of a field for which [`has_other_address`] is true.
pub(super) fn other_address() -> SenderFault {
    SenderFault::Ambiguous("some programs may find another address in it".to_owned())
}

/// True if some programs do not parse this field as the grammar wants, and could find other addresses in it than
/// these. `value` is the unfolded value.
pub(super) fn has_other_address(field: &Field, value: &[u8], found: &[AddrSpec]) -> bool {
    // What is left of a truncated address is another one.
    if field.value.len() > MAX_LINE {
        return true;
    }
    let is_searched = is_read_differently(field.value)
        || depends_on_charset(value, found)
        // Some programs take the comment or the blanks for a part of the address.
        || found.iter().any(AddrSpec::is_split);
    let text = String::from_utf8_lossy(value);
    (is_searched && (names_others(&text, 0, found) || encoded_words_hide_an_at(value)))
        || delimits_others(value, found)
}

/// True if some programs could take a part of a name or comment for an address: those that search for angle brackets
/// even in quotes and comments, and those that decode encoded-words before they look for the structure.
fn delimits_others(value: &[u8], found: &[AddrSpec]) -> bool {
    let Some(readings) = decode_first(value) else {
        return true;
    };
    let is_bracket = |byte| matches!(byte, b'<' | b'>');
    let has_brackets =
        with_nesting(value).any(|(_, byte, is_nested)| is_nested && is_bracket(byte));
    let text = String::from_utf8_lossy(value);
    (has_brackets && names_others(&text, 0, found))
        || readings.iter().any(|decoded| {
            (decoded.has_delimiters || has_brackets)
                && names_others(&decoded.text, decoded.enclosed_ats, found)
        })
}

/// True if there are more `@` signs than these addresses have, and one of them is part of another address. `enclosed`
/// is the number of those in encoded-words, which may be missing from the text.
fn names_others(text: &str, enclosed: usize, found: &[AddrSpec]) -> bool {
    let is_own = |(at, c): (usize, char)| {
        let is_within = |address| is_within(text.as_bytes(), at, address);
        c == '@' && found.iter().any(is_within)
    };
    holds_an_at(text, found.len().saturating_sub(enclosed)) && !ats(text).all(is_own)
}

/// The `@` signs that may be part of an address, with their positions.
fn ats(text: &str) -> impl Iterator<Item = (usize, char)> {
    let chars = text.char_indices();
    chars.filter(move |&(at, c)| {
        let (before, after) = (&text[..at], &text[at + c.len_utf8()..]);
        is_at(c) && (has_local_part(before) || (has_special(before) && begins_with_domain(after)))
    })
}

/// False if an `@` after this text is not part of an address, as in `<style>@import`, `Lee, @IT` and `Ann (@ann)`.
fn has_local_part(before: &str) -> bool {
    let before = before.trim_end();
    if let Some(rest) = before.strip_suffix(['(', '[']) {
        return !rest.is_empty() && !rest.ends_with(char::is_whitespace);
    }
    let last = before.chars().next_back();
    last.is_some_and(|c| !"<>,;:".contains(c))
}

/// True if a special character stands before an `@`, which some programs take for a local part within quotes.
fn has_special(before: &str) -> bool {
    before.ends_with([',', ';', ':'])
}

/// True if a name of two labels follows.
fn begins_with_domain(after: &str) -> bool {
    let end = after.find(|c: char| !c.is_alphanumeric() && !matches!(c, '-' | '.'));
    let name = &after[..end.unwrap_or(after.len())];
    name.trim_matches('.').contains('.')
}

/// True if the `@` at this position is that of the address, with nothing before or after it that would make it another
/// address.
fn is_within(text: &[u8], at: usize, address: &AddrSpec) -> bool {
    // No usable address is longer, and the comparison takes time at each `@`.
    const MAX_ADDRESS: usize = 320;
    let (local, domain) = (address.local.as_bytes(), address.domain.as_bytes());
    if local.len() + domain.len() > MAX_ADDRESS || local.len() > at {
        return false;
    }
    let (before, here) = text[..at].split_at(at - local.len());
    let after = &text[at + 1..];
    // Some programs drop quotes, and blanks after the address, and join the text around them.
    let is_text = |byte: &&u8| **byte != b'"' && !byte.is_ascii_whitespace();
    let continues = |byte: Option<&u8>| byte.is_some_and(|&byte| byte == b'.' || is_atext(byte));
    here.eq_ignore_ascii_case(local)
        && after
            .get(..domain.len())
            .is_some_and(|after| after.eq_ignore_ascii_case(domain))
        && !continues(before.iter().rfind(|byte| **byte != b'"'))
        && !continues(after[domain.len()..].iter().find(is_text))
        // Some programs accept blanks around the dots of an address (RFC 5322 4.4).
        && !before.trim_ascii_end().ends_with(b".")
}

/// True if a reader could find more addresses than this number in an unfolded value: it decodes encoded-words first,
/// normalizes characters, or takes a NUL or a bare CR for an end.
pub(super) fn may_hold_others(value: &[u8], addresses: usize) -> bool {
    value.contains(&0)
        || value.contains(&b'\r')
        || holds_an_at(&String::from_utf8_lossy(value), addresses)
        || encoded_words_hide_an_at(value)
}

/// True if an encoded-word has an `@`, or readers disagree about its end or its text. True also if there are too many
/// to read them all.
fn encoded_words_hide_an_at(value: &[u8]) -> bool {
    lenient_words(value).enumerate().any(|(number, word)| {
        number == MAX_WORDS
            || !word.is_closed()
            || word.is_read_otherwise()
            || word
                .decode_strictly()
                .is_none_or(|text| holds_an_at(&text, 0))
    })
}

/// True if there are more than `most` `@` signs.
fn holds_an_at(text: &str, most: usize) -> bool {
    text.chars().filter(|c| is_at(*c)).count() > most
}

/// True for an `@`, and for a small or fullwidth one.
pub(super) fn is_at(c: char) -> bool {
    matches!(c, '@' | '\u{FE6B}' | '\u{FF20}')
}

#[cfg(test)]
mod tests {
    use super::super::header::Section;
    use super::super::mailbox::mailboxes;
    use super::*;

    fn hides_another(value: &[u8]) -> bool {
        let raw = [&b"From: "[..], value, b"\r\n\r\n"].concat();
        let field = Section::of(&raw).first("From").expect("a field");
        let value = field.unfold();
        let found = mailboxes(&value, 1).unwrap_or_else(|fault| panic!("{value:?} {fault}"));
        has_other_address(&field, &value, &found)
    }

    #[test]
    fn names_that_some_programs_read_as_addresses_are_ambiguous() {
        for value in [
            // Brackets, for a program that searches for them.
            "\"Ann <ann@corp.example>\" <x@evil.example>",
            "x@evil.example (<ann@corp.example>)",
            "x@evil.example (Ann <ann@corp.example)",
            "\"<\" \"ann@corp.example\" <x@evil.example>",
            "\"<ann\u{FF20}corp.example>\" <x@evil.example>",
            // Encoded-words, for a program that decodes them first.
            "=?utf-8?q?=3Cann=40corp.example=3E?= <x@evil.example>",
            "=?utf-8?q?ann=40corp.example=2C?= <x@evil.example>",
            "=?utf-8?q?ann=40corp.example=0A?= <x@evil.example>",
            "=?utf-8?q?ann=40corp.example=00?= <x@evil.example>",
            "=?utf-8?q?ann=40corp.example_=28?= <x@evil.example> (=?utf-8?q?=29?=)",
            "=?utf-8?q?=22?= =?utf-8?q?ann=40corp.example?= <x@evil.example>",
            "\"ann@corp.example\" =?utf-8?q?=2C?= <x@evil.example>",
            "\"=?utf-8?b?PGFubkBjb3JwLmV4YW1wbGU+?=\" <x@evil.example>",
            "x@evil.example (=?utf-8?q?=3Cann=40corp.example=3E?=)",
            "=?utf-8?q?=3Cann=40corp.example=3E <x@evil.example>",
            "=?utf-8?b?PGFu=?utf-8?q?bkBjb3Jw?= <x@evil.example>",
            "=?utf-8?q?a=?x=3Cann=40corp.example=3E?= <x@evil.example>",
            "=?utf-8=?q?b?PGFubkBjb3JwLmV4YW1wbGU+?= <x@evil.example>",
            "=?utf-8*=?q?b?PGFubkBjb3JwLmV4YW1wbGU+?= <x@evil.example>",
            "=?utf-8?q?a b?=?utf-8?q?_=3Cann=40corp.example=3E?= <x@evil.example>",
            "=?utf-8?q?a=?iso-2022-jp?q?_=1B$B=3Cann=40corp.example=3E=1B=28B?= <x@evil.example>",
            "=?utf-7?q?+ADw-ann+AEA-corp.example+AD4-?= <x@evil.example>",
            "=?utf-7?q?+ADw-ann+AE?= =?utf-7?q?A-corp.example+AD4-?= <x@evil.example>",
            "\"ann@corp.example\" =?utf-7?q?+ACw-?= <x@evil.example>",
            "=?utf-16?b?PABhAG4AbgBAAGMAbwByAHAALgBlAHgAYQBtAHAAbABlAD4A?= <x@evil.example>",
            "=?utf-16le?b?ADwAYQBuAG4AQABjAG8AcgBwAC4AZQB4AGEAbQBwAGwAZQA+?= <x@evil.example>",
            "=?hz-gb-2312?q?=3Cann=40corp.example=3E?= <x@evil.example>",
            "=?ibm273?b?TIGVlbWDlpmXS4WngZSXk4Vu?= <x@evil.example>",
            "=?ibm297?b?TIGVlUSDlpmXS4WngZSXk4Vu?= <x@evil.example>",
            "\"=?ibm297?q?L?=ann=?ibm297?q?D?=corp.example=?ibm297?q?n?=\" <x@evil.example>",
            "\"=?ibm500?q?L?=ann@corp.example=?ibm500?q?n?=\" <x@evil.example>",
            "=?utf-8?q?ann_=40corp.example=2C?= <x@evil.example>",
            "=?utf-8?q?=3Cann=28=40corp.example=29=3E?= <x@evil.example>",
            // Encoded-words that contain an `@` of the structure.
            "\"<ann@corp.example>\" <x(=?utf-8?b?YQ)@evil.example> (?=)",
            "=?utf-8?q?=3Cann=40corp.example=3E?= <x(=?utf-8?b?YQ)@evil.example> (?=)",
            "=?utf-8?q?=3Cann=40corp.example=3E?= <x(=?utf-8?b?IChAam9l)@evil.example> (?=)",
            "\"=?utf-8?b?YQ <ann@corp.example> ?=\" <x@evil.example>",
            "=?sjis-win?b?PGFuboNAY29ycC5leGFtcGxlPg==?= <x@evil.example>",
            "=?base64?q?PGFubkBjb3JwLmV4YW1wbGU+?= <x@evil.example>",
            "=?unicode_escape?q?=5Cx3cann=5Cx40corp.example=5Cx3e?= <x@evil.example>",
            // Line ends, for a program that writes the field again.
            "\"Ann ann@corp.example\u{C}\" <x@evil.example>",
            "\"ann@corp.example\u{B}\" <x@evil.example>",
            "\"ann@corp.example\u{1E}\" <x@evil.example>",
            "\"ann@corp.example\u{85}\" <x@evil.example>",
            "\"ann@corp.example\" A\u{2028}B <x@evil.example>",
            "x@evil.example (ann@corp.example \u{2029})",
            // Comments within the address, for a program that knows none.
            "x(ann@corp.example)@evil.example",
            "x@(ann@corp.example)evil.example",
            "x(ann@corp.example)@evil.example (x@evil.example)",
            "x@(ann@corp.example)evil.example (x@evil.example)",
            "<(ann@corp.example)x@evil.example>",
            "Ann <x@evil.example(ann@corp.example)>",
            // Comments within comments and escaped parentheses, for a program that ends the comment at the first `)`.
            "(a (b) ann@corp.example) x@evil.example",
            "(a (b (c)) ann@corp.example) x@evil.example",
            "(\\) ann@corp.example) x@evil.example",
            "x@evil.example (\\),ann@corp.example)",
            "x@evil.example (\"ann@corp.example)",
            "\"q\\\"\" <x@evil.example> (\\_\"ann@corp.example)",
            // A local part that is a special character.
            "\"x:@corp.example\" [a] <x@evil.example>",
            "x@evil.example(<:@corp.example>)",
            // An escaped quote, for a program that ends the quoted string there.
            "\"a\\\", ann@corp.example, \\\"b\" <x@evil.example>",
            // An address that is its own name, for a program that splits what it cannot parse at commas.
            "(a, ann@corp.example, )x@evil.example <x@evil.example>",
            // Words without a blank, for a program that does not take them for a name.
            "\"ann@corp.example\"(a) \"b\" <x@evil.example>",
            "(ann@corp.example)(a) \"b\" <x@evil.example>",
            "\"ann@corp.example a\"b\"\" <x@evil.example>",
            "\"a\" (ann@corp.example). <x@evil.example>",
            "\"ann@corp.example\" (a) \"b\" <x@evil.example>",
            "\"a\" (ann@corp.example) .b <x@evil.example>",
            // A line of blanks, for a program that ends the header there.
            "\"ann@corp.example\"\r\n \r\n <x@evil.example>",
            "\"ann@corp.example\"\n\t\n <x@evil.example>",
            // A group, for a program that takes its name for an address.
            "\"ann@corp.example\" Group: x@evil.example;",
            "Group (ann@corp.example): x@evil.example;",
            // Another charset, in which a backslash or the `@` of the address is part of a character.
            "\"\u{df}\\\", ann@corp.example, (\" <x@evil.example>",
            "\"ann@corp.example\" <x\u{df}@evil.example>",
            "x\u{df}@evil.example (ann@corp.example)",
            // More than the sender's own address.
            "\"<x@evil.example> <ann@corp.example>\" <x@evil.example>",
            "\"<annx@evil.example>\" <x@evil.example>",
            "\"<x@evil.example.org>\" <x@evil.example>",
            "\"x@evil.example\".org: x@evil.example;",
            "\"x@evil.example\"s: x@evil.example;",
            "\"Ann\r\n x@evil.example s\" <x@evil.example>",
            "=?utf-8?q?x=40evil.example_s=2C?= <x@evil.example>",
            "ann\"x@evil.example\": x@evil.example;",
            "\"<x@evil.example .corp.example>\" <x@evil.example>",
            "\"<ann. x@evil.example>\" <x@evil.example>",
            "=?utf-8?q?=3Cx=40evil.example_=2Ecorp.example=3E?= <x@evil.example>",
        ] {
            assert!(hides_another(value.as_bytes()), "{value:?}");
        }
        // Johab, in which an angle bracket is part of a character.
        assert!(hides_another(b"\"ann@corp.example\" \xd8<x@evil.example>"));
    }

    #[test]
    fn names_that_every_program_reads_as_names_are_not_ambiguous() {
        for value in [
            "\"ann@corp.example via Docs\" <x@partner.example>",
            "=?utf-8?q?J=C3=B6rg_-_ann=40corp.example_via_Docs?= <x@partner.example>",
            "x@partner.example (ann@corp.example)",
            "\"Ann\" (ann@corp.example) <x@partner.example>",
            "Ann Q. Lee (ann@corp.example) <x@partner.example> (IT)",
            "\"Ann \\\"Lee\\\"\" <x@partner.example> (IT, x@partner.example)",
            "Ann (IT (x)) <x@partner.example>",
            "\"Lee, Ann (ann@corp.example)\" <x@partner.example>",
            // The sender's own address.
            "\"x@partner.example\" <x@partner.example>",
            "\"<X@Partner.example>\" <x@partner.example>",
            "\"<x@partner.example>\"\r\n [IT] <x@partner.example>",
            "x@partner.example (Ann <x@partner.example>)",
            "=?utf-8?q?Lee=2C_J=C3=B6rg_=3Cx=40part?= =?utf-8?q?ner.example=3E?=\r\n <x@partner.example>",
            "\"\u{41C}\u{438}\u{445}\u{430}\u{438}\u{43B} x@partner.example\" <x@partner.example>",
            "\"x\u{df}@partner.example\" <x\u{df}@partner.example>",
            "\"J\u{f6}rg ann@corp.example\" <x@partner.example>",
            "(c) x(c)@(c)partner.example(c)",
            "<x@partner.example(IT)>",
            "\"ann@corp.example\"\r\n <x@partner.example>",
            // Delimiters without an address.
            "\"Ann <IT>\" <x@partner.example>",
            "\"<style>@import</style>\" <x@partner.example>",
            "=?utf-8?q?Lee=2C_Ann_=28IT=29?= <x@partner.example>",
            "=?UTF-8?Q?J=C3=B6rg_=28=40joerg=29?= <x@partner.example>",
            "=?UTF-8?B?SsO2cmcgKEBqb2VyZyk=?= <x@partner.example>",
            "=?UTF-8?Q?=40IT=2C_J=C3=B6rg?= <x@partner.example>",
            "=?UTF-8?Q?J=C3=B6rg=2C_IT=3A=40joerg?= <x@partner.example>",
            "=?UTF-8?Q?J=C3=B6rg_=28=40joerg.m=29?= <x@partner.example>",
            "=?UTF-8?Q?J=C3=B6rg_M=2C_=40IT?= <x@partner.example>",
            "=?UTF-8?Q?=5B=40IT=5D_J=C3=B6rg?= <x@partner.example>",
            "\u{41C}\u{438}\u{445}\u{430}\u{438}\u{43B} <x@partner.example>",
            "Group: Ann <x@partner.example>;",
            // Odd encoded-words.
            "=?X-IAS-German?B?bXlHb3Y=?=<x@partner.example>",
            "=?x-ias-german?q?J=F6rg?= <x@partner.example>",
            "=?utf-7?Q?M+APw-ller?= <x@partner.example>",
            "=?utf-7?Q?M+APw-ller=2C?= =?utf-7?Q?J+APY-rg?= <x@partner.example>",
            "=?utf-16?B?//5BAG4AbgA=?= <x@partner.example>",
            "=?hz-gb-2312?Q?=7E=7B=44=7E=7D?= <x@partner.example>",
            "=?utf-8?q?J=C3=B6rg <x@partner.example>",
            "=?UTF-8?Q?=?UTF-8?Q?J=C3=B6rg?=?= <x@partner.example>",
            "=?cp932?B?/w==?= <x@partner.example>",
        ] {
            assert!(!hides_another(value.as_bytes()), "{value:?}");
        }
        assert!(!hides_another(b"\"M\xfcller \x85\" <x@partner.example>"));
        assert!(!hides_another(b"Andr\xe9<x@partner.example>"));
        assert!(!hides_another(b"\"\x83@\x83C\" <x@partner.example>"));
    }

    #[test]
    fn a_field_longer_than_a_line_is_ambiguous() {
        // A program that truncates it at the right place finds ann@corp.example.
        let end = "<ann@corp.example.evil.example>";
        for (length, expected) in [(MAX_LINE, false), (MAX_LINE + 1, true)] {
            // The blank after the colon is part of the value.
            let name = "a".repeat(length - 1 - end.len());
            let value = format!("{name}{end}");
            assert_eq!(hides_another(value.as_bytes()), expected, "{length}");
        }
    }

    #[test]
    fn a_field_of_many_ats_takes_linear_time() {
        let begin = std::time::Instant::now();
        for pattern in ["x@", "x@evil.example ", "=?utf-8?q?x=40?= ", "<"] {
            let long = pattern.repeat(200_000);
            let value = format!("\"<{long}\" <x@evil.example>");
            let found = mailboxes(value.as_bytes(), 1).expect("an address");
            let _ = delimits_others(value.as_bytes(), &found);
        }
        // Quadratic work would take hours.
        let limit = std::time::Duration::from_mins(5);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }

    #[test]
    fn encoded_words_without_an_end_take_linear_time() {
        let begin = std::time::Instant::now();
        for (pattern, end) in [
            ("=?utf-8?q?a ", ""),
            ("=?utf-8?q?a ", "?="),
            ("=?utf-8?b?YQ ", "?="),
            ("=?utf-8?x?a ", "?="),
            ("=?", "?q?a?="),
        ] {
            let value = format!("<ann@corp.example> ({}{end})", pattern.repeat(200_000));
            let _ = may_hold_others(value.as_bytes(), 1);
        }
        // Quadratic work would take hours.
        let limit = std::time::Duration::from_mins(5);
        assert!(begin.elapsed() < limit, "{:?}", begin.elapsed());
    }

    #[test]
    fn an_encoded_word_whose_end_is_uncertain_may_hide_an_address() {
        for (value, expected) in [
            ("=?utf-8?q?Ann?= <a@corp.example>", false),
            ("=?utf-8?q?Ann?=\t=?utf-8?q?Lee?= <a@corp.example>", false),
            ("<a@corp.example> (=?utf-8?q?Ann)", true),
            ("=?utf-8?q?e=40x=?utf-8?q?Ann?= <a@corp.example>", true),
            ("=?utf-8?q?e=40x.example?= <a@corp.example>", true),
            ("=?utf-8=?q?b?ZUB4?= <a@corp.example>", true),
            ("=?utf-8?q?a b?=?utf-8?q?e=40x?= <a@corp.example>", true),
        ] {
            assert_eq!(may_hold_others(value.as_bytes(), 1), expected, "{value}");
        }
    }

    #[test]
    fn encoded_words_are_read_in_every_charset_that_contains_ascii() {
        for (word, expected) in [
            ("=?cp932?B?jlKTYw==?=", false),
            ("=?windows-31j?B?h0COUg==?=", false),
            ("=?ks_c_5601-1987?B?yKux5rW/?=", false),
            ("=?gb18030?B?1cXOsA==?=", false),
            ("=?iso-2022-jp?B?GyRCOzNFRBsoQg==?=", false),
            ("=?koi8-r*ru?B?6dfBzg==?=", false),
            ("=?utf-8?q?M=C3?= =?utf-8?q?=BCller?=", false),
            // An @, a fullwidth @ and invalid octets.
            ("=?cp932?q?ceo=40corp.example?=", true),
            ("=?cp932?B?gZc=?=", true),
            ("=?cp932?B?/w==?=", true),
            // ASCII is not ASCII in these, whatever their name.
            ("=?cp65000?q?ceo+AEA-corp.example?=", true),
            ("=?x-utf-7?q?Ann?=", true),
            ("=?hz-gb-2312?q?Ann?=", true),
            ("=?utf-16?B?AEE=?=", true),
            ("=?ucs-2?B?AEE=?=", true),
            ("=?utf-32?B?AAAAQQ==?=", true),
            ("=?cp932?B?/v8AQQ==?=", true),
            ("=?no-such-charset?q?Ann?=", true),
        ] {
            let value = format!("Lee, {word} <a@corp.example>");
            assert_eq!(may_hold_others(value.as_bytes(), 1), expected, "{word}");
        }
        let long = format!("=?{}?q?Ann?= <a@corp.example>", "x".repeat(100_000));
        assert!(may_hold_others(long.as_bytes(), 1));
        for (words, expected) in [(1000, false), (1001, true)] {
            let value = format!("{}<a@corp.example>", "=?cp932?q?a?= ".repeat(words));
            assert_eq!(may_hold_others(value.as_bytes(), 1), expected, "{words}");
        }
    }
}
