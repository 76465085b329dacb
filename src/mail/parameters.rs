//! Parameters of a MIME field (RFC 2045 5.1, RFC 2231).
//!
//! Takes the text after the token of the field, unfolded; returns values as octets or as text, with continuations
//! and percent-encoding of RFC 2231 resolved. Tolerates what mail programs write: a missing semicolon, blanks in an
//! unquoted value, and encoded-words in a quoted one (which RFC 2047 5 forbids). mail-parser decodes each section of
//! a parameter by itself, which breaks characters that two sections share, so it is not used for these fields.

use super::charset::{self, Label};
use super::encoded_words;

/// Maximum number of parameters that are read, counting each section, comments and faulty ones. Without a semicolon,
/// each is searched for up to the end of the field.
const MAX_PARAMETERS: usize = 200;

/// Parameters with a file name, in whose quoted values programs write a path with unescaped backslashes.
const FILE_NAMES: [&str; 2] = ["filename", "name"];

/// One `name=value` as written.
#[derive(Debug, Clone)]
struct Parameter {
    /// In lower case, without the asterisks of RFC 2231.
    name: String,
    /// Section number of a continuation (RFC 2231 3).
    section: Option<u32>,
    /// Percent-encoded (RFC 2231 4).
    is_extended: bool,
    value: Vec<u8>,
}

/// The parameters of a field, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct MediaParameters(Vec<Parameter>);

impl MediaParameters {
    pub(super) fn parse(mut rest: &[u8]) -> Self {
        let mut found = Vec::new();
        for _ in 0..MAX_PARAMETERS {
            if rest.is_empty() {
                break;
            }
            let (parameter, after) = next_parameter(rest);
            found.extend(parameter);
            rest = after;
        }
        Self(found)
    }

    /// The value and its charset. An extended form takes precedence over a plain one, which programs add for
    /// readers without RFC 2231.
    pub(super) fn octets(&self, name: &str) -> Option<(Vec<u8>, Option<Label>)> {
        let all = || self.0.iter().filter(|one| one.name == name);
        if let Some(one) = all().find(|one| one.is_extended && one.section.is_none()) {
            let (label, text) = split_charset(&one.value);
            return Some((percent_decode(text), label));
        }
        let mut sections: Vec<_> = all().filter(|one| one.section.is_some()).collect();
        if sections.is_empty() {
            return all().next().map(|one| (one.value.clone(), None));
        }
        sections.sort_by_key(|one| one.section);
        sections.dedup_by_key(|one| one.section);
        let mut octets = Vec::new();
        let mut label = None;
        for (place, one) in sections.iter().enumerate() {
            let mut text = one.value.as_slice();
            if one.is_extended {
                if place == 0 {
                    (label, text) = split_charset(text);
                }
                octets.extend(percent_decode(text));
            } else {
                octets.extend_from_slice(text);
            }
        }
        Some((octets, label))
    }

    /// The value in its charset or with its encoded-words decoded, with a blank for a tab (as in a fold) and without
    /// other control characters. `body` is the charset of the message's text, for raw octets.
    pub(super) fn text(&self, name: &str, body: Option<&Label>) -> Option<String> {
        let (octets, label) = self.octets(name)?;
        let text = match label {
            Some(label) => charset::decode(&octets, Some(&label)),
            None => encoded_words::decode(&octets, body),
        };
        let text: String = text
            .replace('\t', " ")
            .chars()
            .filter(|c| !c.is_control())
            .collect();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }
}

/// `charset'language'text` (RFC 2231 4).
fn split_charset(value: &[u8]) -> (Option<Label>, &[u8]) {
    let mut quotes = memchr::memchr_iter(b'\'', value);
    match (quotes.next(), quotes.next()) {
        (Some(first), Some(second)) => (Label::parse(&value[..first]), &value[second + 1..]),
        _ => (None, value),
    }
}

fn percent_decode(text: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let value = (first == b'%')
            .then(|| super::transfer_encoding::hex_octet(after))
            .flatten();
        octets.push(value.unwrap_or(first));
        rest = if value.is_some() { &after[2..] } else { after };
    }
    octets
}

/// Position after the comment that begins at `at`; comments nest (RFC 5322 3.2.2).
pub(super) fn comment_end(line: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut skip = false;
    for (offset, &byte) in line[at..].iter().enumerate() {
        match byte {
            _ if skip => skip = false,
            b'\\' => skip = true,
            b'(' => depth += 1,
            b')' => {
                depth -= 1;
                if depth == 0 {
                    return at + offset + 1;
                }
            }
            _ => {}
        }
    }
    line.len()
}

/// True for a line that begins with the name of a parameter and an equals sign (RFC 2045 5.1).
pub(super) fn is_parameter(line: &[u8]) -> bool {
    let is_in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.*".contains(byte);
    let length = line.iter().take_while(|&byte| is_in_name(byte)).count();
    length > 0 && line[length..].trim_ascii_start().starts_with(b"=")
}

/// The first parameter, and the text after its semicolon.
fn next_parameter(line: &[u8]) -> (Option<Parameter>, &[u8]) {
    let line = line.trim_ascii_start();
    if line.first() == Some(&b'(') {
        return (None, &line[comment_end(line, 0)..]);
    }
    let Some(end) = memchr::memchr2(b';', b'=', line) else {
        return (None, b"");
    };
    if line[end] == b';' {
        return (None, &line[end + 1..]);
    }
    let name = String::from_utf8_lossy(line[..end].trim_ascii()).to_ascii_lowercase();
    let rest = line[end + 1..].trim_ascii_start();
    let (value, after) = if rest.first() == Some(&b'"') {
        let is_path = FILE_NAMES.contains(&name.split('*').next().unwrap_or_default());
        parse_quoted(&rest[1..], is_path)
    } else {
        let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
        (
            without_stray_quote(&rest[..end]).to_vec(),
            rest.get(end + 1..).unwrap_or_default(),
        )
    };
    let (name, is_extended) = match name.strip_suffix('*') {
        Some(name) => (name.to_owned(), true),
        None => (name, false),
    };
    let (name, section) = match name.split_once('*') {
        Some((name, number)) => match number.parse() {
            Ok(section) => (name.to_owned(), Some(section)),
            Err(_) => return (None, after),
        },
        None => (name, None),
    };
    let parameter = Parameter {
        name,
        section,
        is_extended,
        value,
    };
    (Some(parameter), after)
}

/// Parses the value after an opening quote. Resolves its escapes (RFC 5322 3.2.4); in a path only those of a quote and
/// of a backslash.
fn parse_quoted(text: &[u8], is_path: bool) -> (Vec<u8>, &[u8]) {
    let mut value = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, text.get(at + 1)) {
            (b'"', _) => {
                let rest = &text[at + 1..];
                let end = memchr::memchr(b';', rest).map_or(rest.len(), |end| end + 1);
                // Without a semicolon, the next parameter begins after a blank.
                let next = rest[..end].trim_ascii();
                let is_missing = next.contains(&b'=');
                return (value, if is_missing { rest } else { &rest[end..] });
            }
            (b'\\', Some(&next)) if !is_path || matches!(next, b'"' | b'\\') => {
                value.push(next);
                at += 1;
            }
            _ => value.push(byte),
        }
        at += 1;
    }
    (value, b"")
}

/// An unquoted value without the comment at its end, and without a quote there whose opening one is missing.
fn without_stray_quote(value: &[u8]) -> &[u8] {
    let value = without_comment(value);
    match value.strip_suffix(b"\"") {
        Some(text) if !text.contains(&b'"') => text,
        _ => value,
    }
}

/// An unquoted value without the comment at its end.
fn without_comment(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    if value.ends_with(b")")
        && let Some(start) = memchr::memmem::find(value, b" (")
    {
        return value[..start].trim_ascii_end();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faulty_parameters_count() {
        for faulty in ["a*x=\"\" ", "a*x=1;", ";", "(a) "] {
            for (count, is_found) in [
                (0, true),
                (MAX_PARAMETERS - 1, true),
                (MAX_PARAMETERS, false),
            ] {
                let field = format!("{}name=b", faulty.repeat(count));
                let name = MediaParameters::parse(field.as_bytes()).text("name", None);
                assert_eq!(name.is_some(), is_found, "{count} times {faulty}");
            }
        }
    }
}
