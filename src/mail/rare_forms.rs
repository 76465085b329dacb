//! Forms of From that some programs cannot parse, while all others find the same address, and domains that some
//! programs cannot look up.
//!
//! Takes the unfolded value of the field and its address. A filter of our MTA that finds no address adds no DMARC
//! result, or one without a domain, so a forger could choose such a form to have no result. People's mail programs
//! hardly write them. A comparison with `OpenDMARC` 1.4 and rspamd 3.4 found no others. A filter that finds the address
//! may not find the record of a domain in U-labels: `OpenDMARC` 1.4 asks DNS for their octets.

use super::lenient_structure::{Place, with_places};
use super::mailbox::AddrSpec;

/// True if some programs cannot parse the value: it has a group, a quoted local part, a comment within the address or
/// its angle brackets, a blank within the address, a quote in a comment, nothing between a comment and another one or a
/// quoted string, or a square bracket that the display name does not close; or some programs split it at a comma. Also
/// true if some cannot look up the domain: it has U-labels.
pub(super) fn is_rare_form(value: &[u8], address: &AddrSpec) -> bool {
    address.local.starts_with('"')
        || !address.domain.is_ascii()
        || address.is_split()
        || has_rare_structure(value)
        || is_split_at_comma(value)
}

fn has_rare_structure(value: &[u8]) -> bool {
    let (mut is_in_address, mut is_open) = (false, false);
    let mut last = Place::Outside;
    for (_, byte, place) in with_places(value) {
        let is_after_comment = std::mem::replace(&mut last, place) == Place::Comment;
        match (place, byte) {
            (Place::Comment, b'"') | (Place::Outside, b':') => return true,
            (Place::Outside, b'(') if is_in_address || is_open || is_after_comment => return true,
            (Place::Outside, b'"') if is_open || is_after_comment => return true,
            (Place::Outside, b'<' | b'>') if is_open => return true,
            (Place::Outside, b'<' | b'>') => is_in_address = byte == b'<',
            (Place::Outside, b'[' | b']') => is_open = byte == b'[',
            _ => {}
        }
    }
    is_open
}

/// True if a comma separates two entries for a program that counts all quotes and parentheses, also those in comments
/// and quoted strings, as `OpenDMARC` does.
fn is_split_at_comma(value: &[u8]) -> bool {
    let (mut is_escaped, mut is_quoted, mut depth) = (false, false, 0_i32);
    value.iter().any(|&byte| {
        match byte {
            _ if std::mem::take(&mut is_escaped) => {}
            b'\\' => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' => return depth == 0 && !is_quoted,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::mailboxes;
    use super::*;

    #[test]
    fn forms_that_a_filter_may_not_parse_are_rare() {
        for (value, expected) in [
            ("ann@corp.example", false),
            ("Ann Q. Lee <ann@corp.example>", false),
            ("\"Lee, Ann (IT) :-)\" <ann@corp.example>", false),
            ("\"[Lee\" <ann@corp.example> ([Ann)", false),
            ("ann@corp.example (Lee, Ann)", false),
            ("Ann (IT (x)) <ann@corp.example> (y)", false),
            ("[IT] Ann [x] <ann@corp.example>", false),
            ("IT] <ann@corp.example>", false),
            ("ann@corp.example <ann@corp.example>", false),
            ("d\u{f6}rte <d\u{f6}rte@xn--bcher-kva.example>", false),
            ("ann@b\u{fc}cher.example", true),
            ("\"ann\"@corp.example", true),
            ("ann@corp.example (\"x\")", true),
            ("ann@corp.example (\\\"x\\\")", false),
            ("ann@corp.example (a)(b)", true),
            ("(a)\"b\" <ann@corp.example>", true),
            ("[IT <ann@corp.example>", true),
            ("[ <ann@corp.example> (])", true),
            ("[ (]) Ann <ann@corp.example>", true),
            ("[\"]\" Ann <ann@corp.example>", true),
            ("\")\" (,) <ann@corp.example>", true),
            ("Desk: ann@corp.example;", true),
            ("ann(x)@corp.example", true),
            ("ann(x)@corp.example (ann@corp.example)", true),
            ("\"ann@corp.example\" <ann @corp.example>", true),
            ("<(x)ann@corp.example>", true),
            ("<ann@corp.example(x)>", true),
        ] {
            let found = mailboxes(value.as_bytes(), 1);
            let found = found.unwrap_or_else(|fault| panic!("{value} {fault}"));
            let [address] = &found[..] else {
                panic!("{value} has one address");
            };
            assert_eq!(is_rare_form(value.as_bytes(), address), expected, "{value}");
        }
    }
}
