//! Live links of ours in a message that will be stored.
//!
//! In: the raw message. Out: the same number of octets, with the token of each verification link and
//! of each reply address overwritten with `x`; nothing where there is none. A verification mail
//! that comes back to a portal, or an answer with a copy to it, would otherwise show an operator a
//! link with which anyone confirms in the person's place.
//!
//! Links are searched for as the octets stand, and in what quoted-printable, base64 and
//! encoded-words (RFC 2045 6.7 and 6.8, RFC 2047) stand for. Parts are found by their
//! `Content-Transfer-Encoding` field alone, whatever the structure around them, so that a
//! nested message needs no rule of its own. The work is linear in the size of the message and takes
//! a bounded amount of memory.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

/// Encoded octets that are decoded at once, and how many of them are looked at a second time for a
/// link across the border.
const WINDOW: usize = 128 * 1024;
const OVERLAP: usize = 2 * 1024;

/// Larger base64 parts are decoded only if they are text or messages.
const LARGE: usize = 256 * 1024;

/// Messages in base64 within messages in base64.
const MOST_LEVELS: u8 = 3;

/// Octets that are overwritten at most.
const MOST_EDITS: usize = 256 * 1024;

/// How far in front of a link's token its host may stand.
const HOST_WITHIN: usize = 300;

/// Characters of the tokens: in links and reply addresses, and in both as of version 0.1.
const LINK: usize = 52;
const REPLY: usize = 26;
const BASE64URL: usize = 43;

const SLASHES: [&str; 9] = [
    "/", "%2f", "%252f", "=2f", "-2f", "&#47;", "&#x2f;", "\\/", "_",
];
const PLUSES: [&str; 7] = ["+", "%2b", "%252b", "=2b", "-2b", "&#43;", "&#x2b;"];

/// What the links of this installation look like.
#[derive(Debug, Clone)]
pub struct OwnLinks {
    /// Of `http.public_url`.
    pub host: String,
    /// The local part of the reply address.
    pub reply: Option<String>,
}

/// A message whose links of ours are masked.
#[derive(Debug)]
pub struct Masked {
    pub raw: Vec<u8>,
    pub links: u32,
}

/// Masks the links of ours in a message; None where there is none.
#[must_use]
pub fn mask(raw: &[u8], own: &OwnLinks) -> Option<Masked> {
    let mut edits = Edits::default();
    Search { own }.message(raw, 0, &mut edits);
    if edits.octets.is_empty() {
        return None;
    }
    let mut copy = raw.to_vec();
    for (at, octet) in &edits.octets {
        copy[*at] = *octet;
    }
    Some(Masked {
        raw: copy,
        links: u32::try_from(edits.links.len()).unwrap_or(u32::MAX),
    })
}

/// What is to be overwritten, and where each link's token begins.
#[derive(Default)]
struct Edits {
    octets: BTreeMap<usize, u8>,
    links: BTreeSet<usize>,
}

impl Edits {
    fn octet(&self, raw: &[u8], at: usize) -> u8 {
        self.octets.get(&at).copied().unwrap_or(raw[at])
    }
}

/// Where an octet of decoded text stands in what it was decoded from.
#[derive(Clone, Copy)]
enum Place {
    Literal(usize),
    /// `=XX`, from the `=` on.
    Hex(usize),
    /// One of the three octets of the base64 group whose first character has this index.
    Group(usize, u8),
}

/// Decoded text with the place of each octet.
#[derive(Default)]
struct View {
    text: Vec<u8>,
    places: Vec<Place>,
    /// The places of base64 characters.
    characters: Vec<usize>,
}

impl View {
    fn push(&mut self, octet: u8, place: Place) {
        self.text.push(octet);
        self.places.push(place);
    }

    /// Overwrites the octet at an index of the decoded text.
    fn overwrite(&self, index: usize, octet: u8, raw: &[u8], edits: &mut Edits) {
        match self.places[index] {
            Place::Literal(at) => {
                edits.octets.insert(at, octet);
            }
            Place::Hex(at) => {
                for (offset, digit) in format!("={octet:02X}").bytes().enumerate() {
                    edits.octets.insert(at + offset, digit);
                }
            }
            Place::Group(first, offset) => {
                let at: Vec<usize> = self.characters[first..].iter().copied().take(4).collect();
                let mut group = at
                    .iter()
                    .map(|at| base64_value(edits.octet(raw, *at)).unwrap_or(0))
                    .fold(0_u32, |group, value| group << 6 | u32::from(value));
                group <<= 6 * (4 - at.len());
                let shift = 8 * (2 - u32::from(offset));
                group = group & !(0xff << shift) | u32::from(octet) << shift;
                for (number, at) in at.iter().enumerate() {
                    if edits.octet(raw, *at) != b'=' {
                        let value = group >> (6 * (3 - number)) & 0x3f;
                        edits.octets.insert(*at, BASE64[value as usize]);
                    }
                }
            }
        }
    }

    fn place(&self, index: usize) -> usize {
        match self.places[index] {
            Place::Literal(at) | Place::Hex(at) => at,
            Place::Group(first, _) => self.characters[first],
        }
    }

    /// Takes quoted-printable text; true where more than the last octet of it was looked at.
    fn quoted_printable(&mut self, raw: &[u8], from: usize, to: usize, is_word: bool) {
        let mut at = from;
        while at < to {
            let octet = raw[at];
            if octet != b'=' {
                self.push(octet, Place::Literal(at));
                at += 1;
                continue;
            }
            let rest = &raw[at + 1..to];
            if let Some(value) = rest.get(..2).and_then(hex) {
                self.push(value, Place::Hex(at));
                at += 3;
            } else if let Some(end) = soft_break(rest).filter(|_| !is_word) {
                at += 1 + end;
            } else {
                self.push(octet, Place::Literal(at));
                at += 1;
            }
        }
    }

    /// Takes base64 up to the first character that can be neither of it nor between.
    fn base64(&mut self, raw: &[u8], from: usize, to: usize) -> usize {
        let mut first = self.characters.len();
        let mut at = from;
        let mut group = Vec::with_capacity(4);
        let mut end = from;
        while at < to {
            let octet = raw[at];
            match base64_value(octet) {
                Some(_) => {
                    self.characters.push(at);
                    group.push(octet);
                }
                None if octet == b'=' && !group.is_empty() => {
                    self.characters.push(at);
                    group.push(octet);
                }
                None if octet.is_ascii_whitespace() || octet == b'=' => {}
                None => break,
            }
            at += 1;
            if group.len() == 4 {
                self.group(&group, first);
                group.clear();
                first = self.characters.len();
                end = at;
            }
        }
        // A last group without its padding.
        if group.len() > 1 && at >= to {
            self.group(&group, first);
            end = at;
        }
        end.max(if group.is_empty() { at } else { end })
    }

    fn group(&mut self, group: &[u8], first: usize) {
        let known: Vec<u8> = group
            .iter()
            .map_while(|octet| base64_value(*octet))
            .collect();
        let value = known
            .iter()
            .fold(0_u32, |value, six| value << 6 | u32::from(*six))
            << (6 * (4 - known.len()));
        let [_, octets @ ..] = value.to_be_bytes();
        let wanted = known.len().saturating_sub(1);
        for (offset, octet) in (0..).zip(octets).take(wanted) {
            self.push(octet, Place::Group(first, offset));
        }
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64_value(octet: u8) -> Option<u8> {
    Some(match octet {
        b'A'..=b'Z' => octet - b'A',
        b'a'..=b'z' => octet - b'a' + 26,
        b'0'..=b'9' => octet - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16);
    u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()
}

/// The length of the rest of a soft line break behind its `=`.
fn soft_break(rest: &[u8]) -> Option<usize> {
    let blanks = rest
        .iter()
        .take_while(|octet| matches!(octet, b' ' | b'\t'))
        .count();
    match &rest[blanks..] {
        [b'\r', b'\n', ..] => Some(blanks + 2),
        [b'\n', ..] => Some(blanks + 1),
        _ => None,
    }
}

struct Search<'a> {
    own: &'a OwnLinks,
}

impl Search<'_> {
    fn message(&self, raw: &[u8], level: u8, edits: &mut Edits) {
        for token in self.tokens(raw) {
            note(
                edits,
                &token,
                |at| at,
                |edits, at| {
                    edits.octets.insert(at, b'x');
                },
            );
        }
        self.encoded_words(raw, edits);
        let mut parts = encoded_parts(raw).peekable();
        while let Some(part) = parts.next() {
            let end = parts.peek().map_or(raw.len(), |next| next.field);
            if part.body < end {
                self.part(raw, &part, end, level, edits);
            }
        }
    }

    fn part(&self, raw: &[u8], part: &Part, end: usize, level: u8, edits: &mut Edits) {
        let is_large = end - part.body > LARGE;
        if !part.is_quoted_printable && is_large && !part.is_text {
            return;
        }
        let mut from = part.body;
        while from < end && edits.octets.len() < MOST_EDITS {
            let to = end.min(from + WINDOW);
            let mut view = View::default();
            let stopped = if part.is_quoted_printable {
                view.quoted_printable(raw, from, to, false);
                to
            } else {
                view.base64(raw, from, to)
            };
            self.view(&view, raw, edits);
            if !part.is_quoted_printable && level < MOST_LEVELS {
                self.nested(&view, raw, level, edits);
            }
            if to == end || stopped + OVERLAP < to {
                return;
            }
            from = if part.is_quoted_printable {
                to - OVERLAP
            } else {
                // Groups begin at the place of every fourth character.
                let back = view.characters.len().saturating_sub(OVERLAP) / 4 * 4;
                match view.characters.get(back) {
                    Some(at) if *at > from => *at,
                    _ => return,
                }
            };
        }
    }

    /// A message in base64 has encoded parts of its own.
    fn nested(&self, view: &View, raw: &[u8], level: u8, edits: &mut Edits) {
        if encoded_parts(&view.text).next().is_none() && memmem::find(&view.text, b"=?").is_none() {
            return;
        }
        let mut inner = Edits::default();
        self.message(&view.text, level + 1, &mut inner);
        for at in inner.links {
            edits.links.insert(view.place(at));
        }
        for (at, octet) in inner.octets {
            view.overwrite(at, octet, raw, edits);
        }
    }

    fn view(&self, view: &View, raw: &[u8], edits: &mut Edits) {
        for token in self.tokens(&view.text) {
            note(
                edits,
                &token,
                |index| view.place(index),
                |edits, index| view.overwrite(index, b'x', raw, edits),
            );
        }
    }

    /// Runs of encoded-words, which readers join: a link is longer than one of them may be.
    fn encoded_words(&self, raw: &[u8], edits: &mut Edits) {
        let mut view = View::default();
        let mut last_end = None;
        let mut from = 0;
        while let Some(at) = memmem::find(&raw[from..], b"=?").map(|at| at + from) {
            let Some(word) = EncodedWord::at(raw, at) else {
                from = at + 2;
                continue;
            };
            let joins =
                last_end.is_some_and(|end: usize| raw[end..at].iter().all(u8::is_ascii_whitespace));
            if !joins || view.text.len() > WINDOW {
                self.view(&view, raw, edits);
                view = View::default();
            }
            if word.is_base64 {
                view.base64(raw, word.from, word.to);
            } else {
                view.quoted_printable(raw, word.from, word.to, true);
            }
            last_end = Some(word.to + 2);
            from = word.to + 2;
        }
        self.view(&view, raw, edits);
    }

    /// The indices of the characters of each token.
    fn tokens(&self, text: &[u8]) -> Vec<Vec<usize>> {
        let mut found = Vec::new();
        let mut octets = 0;
        for end in ends_of("verify", text) {
            let Some(start) = behind_any(text, end, &SLASHES) else {
                continue;
            };
            let run = characters(text, start, LINK);
            if run.len() == LINK && run.iter().all(|at| is_base32(text[*at])) {
                found.push(run);
            } else if run.len() >= BASE64URL && self.names_host(text, end) {
                found.push(run[..BASE64URL].to_vec());
            }
        }
        for end in self.own.reply.iter().flat_map(|local| ends_of(local, text)) {
            let Some(start) = behind_any(text, end, &PLUSES) else {
                continue;
            };
            let run = characters(text, start, BASE64URL);
            if run.len() == BASE64URL {
                found.push(run);
            } else if run.len() >= REPLY && run[..REPLY].iter().all(|at| is_base32(text[*at])) {
                found.push(run[..REPLY].to_vec());
            }
        }
        found.retain(|run| {
            octets += run.len();
            octets < MOST_EDITS && run.iter().any(|at| text[*at] != b'x')
        });
        found
    }

    fn names_host(&self, text: &[u8], end: usize) -> bool {
        let host = self.own.host.as_bytes();
        !host.is_empty()
            && text[end.saturating_sub(HOST_WITHIN)..end]
                .windows(host.len())
                .any(|part| part.eq_ignore_ascii_case(host))
    }
}

fn note(
    edits: &mut Edits,
    token: &[usize],
    place: impl Fn(usize) -> usize,
    mut overwrite: impl FnMut(&mut Edits, usize),
) {
    if edits.octets.len() >= MOST_EDITS {
        return;
    }
    edits.links.extend(token.first().map(|at| place(*at)));
    for at in token {
        overwrite(edits, *at);
    }
}

/// Where a word ends, in the spellings that programs give it: as it is, lower case, upper case and
/// capitalized.
fn ends_of(word: &str, text: &[u8]) -> Vec<usize> {
    let mut capitalized = word.to_ascii_lowercase();
    if let Some(first) = capitalized.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let spellings = BTreeSet::from([
        word.to_owned(),
        word.to_ascii_lowercase(),
        word.to_ascii_uppercase(),
        capitalized,
    ]);
    let mut ends: Vec<usize> = spellings
        .iter()
        .flat_map(|spelling| {
            memmem::find_iter(text, spelling.as_bytes()).map(|at| at + spelling.len())
        })
        .take(MOST_EDITS)
        .collect();
    ends.sort_unstable();
    ends
}

fn behind_any(text: &[u8], at: usize, marks: &[&str]) -> Option<usize> {
    marks
        .iter()
        .find(|mark| {
            text.get(at..at + mark.len())
                .is_some_and(|part| part.eq_ignore_ascii_case(mark.as_bytes()))
        })
        .map(|mark| at + mark.len())
}

/// The indices of up to `most` characters of a token, also across the end of a line: programs wrap
/// and quote long lines, and fields are folded.
fn characters(text: &[u8], start: usize, most: usize) -> Vec<usize> {
    let mut run = Vec::new();
    let mut at = start;
    while run.len() < most {
        match text.get(at) {
            Some(b'\r' | b'\n') => {
                at += if text[at..].starts_with(b"\r\n") {
                    2
                } else {
                    1
                };
                while matches!(text.get(at), Some(b' ' | b'\t' | b'>' | b'|')) {
                    at += 1;
                }
                if matches!(text.get(at), Some(b'\r' | b'\n')) {
                    break;
                }
            }
            Some(octet) if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_') => {
                run.push(at);
                at += 1;
            }
            _ => break,
        }
    }
    run
}

fn is_base32(octet: u8) -> bool {
    octet.is_ascii_alphabetic() || (b'2'..=b'7').contains(&octet)
}

/// `=?charset?B?text?=` or with `Q`; the place of its text.
struct EncodedWord {
    is_base64: bool,
    from: usize,
    to: usize,
}

impl EncodedWord {
    fn at(raw: &[u8], at: usize) -> Option<Self> {
        /// RFC 2047 2 has 75 characters; readers take more.
        const LONGEST: usize = 1000;
        let word = &raw[at + 2..raw.len().min(at + LONGEST)];
        let charset = memchr::memchr(b'?', word)?;
        let (kind, rest) = word[charset + 1..].split_first()?;
        let text = rest.strip_prefix(b"?")?;
        let length = memmem::find(text, b"?=")?;
        if charset > 40 || text[..length].iter().any(u8::is_ascii_whitespace) {
            return None;
        }
        let from = at + 2 + charset + 3;
        Some(Self {
            is_base64: match kind.to_ascii_lowercase() {
                b'b' => true,
                b'q' => false,
                _ => return None,
            },
            from,
            to: from + length,
        })
    }
}

/// The body that a `Content-Transfer-Encoding` field is about.
struct Part {
    /// Where the field begins.
    field: usize,
    body: usize,
    is_quoted_printable: bool,
    /// The header around the field names a type of text or of a message.
    is_text: bool,
}

fn encoded_parts(raw: &[u8]) -> impl Iterator<Item = Part> {
    const FIELD: &[u8] = b"content-transfer-encoding";
    let mut ends = ends_of("ncoding", raw).into_iter();
    std::iter::from_fn(move || {
        loop {
            let end = ends.next()?;
            let Some(start) = end.checked_sub(FIELD.len()) else {
                continue;
            };
            let is_field = raw[start..end].eq_ignore_ascii_case(FIELD)
                && (start == 0 || raw[start - 1] == b'\n');
            if is_field && let Some(part) = Part::of(raw, start, end) {
                return Some(part);
            }
        }
    })
}

impl Part {
    fn of(raw: &[u8], field: usize, name_end: usize) -> Option<Self> {
        /// A field that names an encoding is one short line; a header is not much longer.
        const LONGEST_FIELD: usize = 400;
        const NEAR: usize = 4 * 1024;
        let value = &raw[name_end..raw.len().min(name_end + LONGEST_FIELD)];
        let mut length = 0;
        loop {
            length +=
                memchr::memchr(b'\n', &value[length..]).map_or(value.len() - length, |at| at + 1);
            if !matches!(value.get(length), Some(b' ' | b'\t')) {
                break;
            }
        }
        let value = value[..length].to_ascii_lowercase();
        let is_quoted_printable = memmem::find(&value, b"quoted-printable").is_some();
        if !is_quoted_printable && memmem::find(&value, b"base64").is_none() {
            return None;
        }
        let rest = &raw[field..];
        let crlf = memmem::find(rest, b"\n\r\n").map(|at| at + 3);
        let before = &rest[..crlf.unwrap_or(rest.len())];
        let body = field + memmem::find(before, b"\n\n").map(|at| at + 2).or(crlf)?;
        let header = raw[field.saturating_sub(NEAR)..body.min(field + NEAR)].to_ascii_lowercase();
        let is_text = memmem::find_iter(&header, b"content-type:").any(|at| {
            let kind = header[at + b"content-type:".len()..].trim_ascii_start();
            kind.starts_with(b"text/") || kind.starts_with(b"message/")
        });
        Some(Self {
            field,
            body,
            is_quoted_printable,
            is_text,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const TOKEN: &str = "mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgq2a";
    const ANSWER: &str = "mfrggzdfmztwq2lknnwg23tpoa";
    const OLD: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

    fn own() -> OwnLinks {
        OwnLinks {
            host: "gate.corp.example".to_owned(),
            reply: Some("confirm".to_owned()),
        }
    }

    fn link(token: &str) -> String {
        format!("https://gate.corp.example/verify/{token}")
    }

    fn quoted_printable(text: &str) -> String {
        let mut out = String::new();
        for (number, c) in text.chars().enumerate() {
            if number > 0 && number % 70 == 0 {
                out.push_str("=\r\n");
            }
            if c == '=' || number % 7 == 3 {
                let _ = write!(out, "={:02X}", u32::from(c));
            } else {
                out.push(c);
            }
        }
        out
    }

    fn in_lines(text: &str) -> String {
        let encoded = STANDARD.encode(text);
        let lines: Vec<&str> = (0..encoded.len())
            .step_by(76)
            .map(|at| &encoded[at..encoded.len().min(at + 76)])
            .collect();
        lines.join("\r\n")
    }

    fn words(kind: char, text: &str) -> String {
        let words: Vec<String> = text
            .as_bytes()
            .chunks(40)
            .map(|part| {
                let part = std::str::from_utf8(part).expect("ASCII");
                let coded = match kind {
                    'b' => STANDARD.encode(part),
                    _ => part.replace('/', "=2F").replace('+', "=2B"),
                };
                format!("=?utf-8?{kind}?{coded}?=")
            })
            .collect();
        words.join("\r\n ")
    }

    /// Everything that a reader could decode of the message, one after the other.
    fn readable(raw: &[u8]) -> String {
        fn collect(message: &mail_parser::Message, all: &mut String) {
            for header in message.headers() {
                let _ = write!(all, "\n{:?}", header.value);
            }
            for part in &message.parts {
                all.push('\n');
                match &part.body {
                    mail_parser::PartType::Message(inner) => collect(inner, all),
                    _ => all.push_str(&String::from_utf8_lossy(part.contents())),
                }
            }
        }
        let mut all = String::from_utf8_lossy(raw).into_owned();
        if let Some(message) = mail_parser::MessageParser::default().parse(raw) {
            collect(&message, &mut all);
        }
        all
    }

    /// In the middle of the token.
    fn cut(text: &str) -> usize {
        let lower = text.to_lowercase();
        [TOKEN, ANSWER, OLD]
            .iter()
            .find_map(|token| {
                lower
                    .find(&token.to_lowercase())
                    .map(|at| at + token.len() / 2)
            })
            .expect("a token")
    }

    fn squeezed(text: &str) -> String {
        text.chars()
            .filter(|c| !c.is_whitespace() && *c != '>')
            .collect()
    }

    #[test]
    fn a_live_link_is_masked_wherever_it_stands() {
        let part = |encoding: &str, body: &str| {
            format!(
                "Content-Type: text/plain\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n"
            )
        };
        for text in [
            link(TOKEN),
            link(&TOKEN.to_uppercase()),
            link(TOKEN).to_uppercase(),
            link(OLD),
            format!("mailto:confirm+{ANSWER}@corp.example"),
            format!("CONFIRM+{}@CORP.EXAMPLE", ANSWER.to_uppercase()),
            format!("confirm+{OLD}@corp.example"),
            format!("mailto:confirm%2B{ANSWER}%40corp.example"),
            format!(
                "https://safe.example/?url=https%3A%2F%2Fgate.corp.example%2Fverify%2F{TOKEN}&data=1"
            ),
            format!("https:&#x2F;&#x2F;gate.corp.example&#x2F;verify&#x2F;{TOKEN}"),
            format!("https://v2.example/url?u=https-3A__gate.corp.example_verify_{TOKEN}&d=x"),
        ] {
            let sentence = format!("Please see {text} and so on.");
            // Where the token is: programs wrap before the last character that fits.
            let (start, end) = text.split_at(cut(&text));
            let mixed = format!(
                "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{}--b\r\n{}--b--\r\n",
                part("base64", &in_lines("Nothing here.")),
                part("Quoted-Printable", &quoted_printable(&sentence)),
            );
            for (form, raw) in [
                ("plain", part("7bit", &sentence)),
                (
                    "wrapped and quoted",
                    part("7bit", &format!("> {start}\r\n> {end} x")),
                ),
                (
                    "quoted-printable",
                    part("quoted-printable", &quoted_printable(&sentence)),
                ),
                ("base64", part("base64", &in_lines(&sentence))),
                (
                    "base64, folded field",
                    part("\r\n base64", &in_lines(&sentence)),
                ),
                ("multipart", mixed.clone()),
                (
                    "a message inside",
                    format!("Content-Type: message/rfc822\r\n\r\n{mixed}"),
                ),
                ("a message in base64", part("base64", &in_lines(&mixed))),
                ("a field", format!("X-Link: {sentence}\r\n\r\nx\r\n")),
                (
                    "a folded field",
                    format!("X-Link: {start}\r\n {end}\r\n\r\nx\r\n"),
                ),
                (
                    "words in q",
                    format!("Subject: {}\r\n\r\nx\r\n", words('q', &text)),
                ),
                (
                    "words in base64",
                    format!("Subject: {}\r\n\r\nx\r\n", words('b', &text)),
                ),
            ] {
                let masked = mask(raw.as_bytes(), &own())
                    .unwrap_or_else(|| panic!("{form}: nothing found in {raw}"));
                assert_eq!(masked.raw.len(), raw.len(), "{form}");
                assert_eq!(masked.links, 1, "{form}: {text}");
                let left = squeezed(&readable(&masked.raw)).to_lowercase();
                for token in [TOKEN, ANSWER, OLD] {
                    // Half of it would still be half of the secret.
                    for half in [&token[..20], &token[token.len() - 6..]] {
                        assert!(
                            !left.contains(&half.to_lowercase()),
                            "{form}: {text}: {left}"
                        );
                    }
                }
                assert!(
                    mask(&masked.raw, &own()).is_none(),
                    "{form}: nothing is left"
                );
            }
        }
    }

    #[test]
    fn what_is_no_link_of_ours_stays() {
        for text in [
            "https://gate.corp.example/verify/",
            "https://gate.corp.example/verify/short",
            "https://other.example/verify/eyJhbGciOiJIUzI1NiJ9eyJhbGciOiJIUzI1NiJ9eyJ",
            "confirm@corp.example",
            "confirm+newsletter@corp.example",
            "Please verify\r\nit.",
        ] {
            assert!(
                mask(format!("A: b\r\n\r\n{text}\r\n").as_bytes(), &own()).is_none(),
                "{text}"
            );
        }
    }

    #[test]
    fn a_link_anywhere_in_a_long_part_is_found() {
        for at in [
            0,
            60_000,
            WINDOW - 40,
            WINDOW * 3 / 4 - 30,
            WINDOW + 5,
            300_000,
        ] {
            let text = format!(
                "{}{}{}",
                "Some words. ".repeat(at / 12),
                link(TOKEN),
                " more".repeat(40_000)
            );
            for raw in [
                format!(
                    "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
                    in_lines(&text)
                ),
                format!(
                    "Content-Transfer-Encoding: quoted-printable\r\n\r\n{}",
                    quoted_printable(&text)
                ),
            ] {
                let masked = mask(raw.as_bytes(), &own()).unwrap_or_else(|| panic!("at {at}"));
                assert_eq!((masked.links, masked.raw.len()), (1, raw.len()), "at {at}");
                assert!(!readable(&masked.raw).contains(TOKEN), "at {at}");
            }
        }
    }
}
