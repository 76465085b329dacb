//! Encoded-words (RFC 2047) as different readers may see them.
//!
//! Takes the value of a field; returns the texts that some reader may take for encoded-words. A word whose end is
//! uncertain, because there is none or another word begins before it, ends where the next one begins; for another
//! reader, it ends at the next `?=`. So each octet is decoded once at most for each of the two.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use memchr::memmem;

use super::charset::{self, Label};
use super::charset_label::Charset;
use super::other_addresses::is_at;
use super::rare_charsets::{harmless_octets, is_rarely_known};
use super::{encoded_words, transfer_encoding};

/// Maximum number of words that are read. Looking up a charset takes time.
pub(super) const MAX_WORDS: usize = 1000;

/// The text of an encoded-word.
pub(super) struct WordText {
    pub(super) text: String,
    /// False if readers may see other characters, but no `@`: the charset is unknown, or some of them do not know it.
    pub(super) is_certain: bool,
}

/// A possible encoded-word.
pub(super) struct LenientWord<'a> {
    charset: &'a [u8],
    is_base64: bool,
    text: &'a [u8],
    /// Position in the value.
    pub(super) start: usize,
    pub(super) end: usize,
    ending: WordEnding,
    /// True if another word may begin at the last octet of the charset or of this word.
    overlaps_another: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WordEnding {
    Closed,
    /// Another word begins before the end.
    NextWord,
    Missing,
}

/// Finds all possible words.
pub(super) fn lenient_words(value: &[u8]) -> impl Iterator<Item = LenientWord<'_>> {
    find_words(value, true)
}

/// Finds the words of a reader that searches for `?=` alone, even if another word begins before it.
pub(super) fn words_up_to_close(value: &[u8]) -> impl Iterator<Item = LenientWord<'_>> {
    find_words(value, false)
}

fn find_words(value: &[u8], ends_at_next: bool) -> impl Iterator<Item = LenientWord<'_>> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let start = from + memmem::find(&value[from..], b"=?")?;
            if let Some(word) = word_at(value, start, ends_at_next) {
                from = word.end;
                return Some(word);
            }
            from = start + 2;
        }
    })
}

fn word_at(value: &[u8], start: usize, ends_at_next: bool) -> Option<LenientWord<'_>> {
    let (charset, is_base64, rest) = beginning(&value[start..])?;
    let next = if ends_at_next {
        memmem::find(rest, b"=?")
    } else {
        None
    };
    // In `==?=`, no word begins at the second `=`.
    let before_next = next.map_or(rest, |next| &rest[..rest.len().min(next + 3)]);
    let close = memmem::find(before_next, b"?=");
    let (length, ending) = match (close, next) {
        (Some(close), _) => (close, WordEnding::Closed),
        (None, Some(next)) => (next, WordEnding::NextWord),
        (None, None) => (rest.len(), WordEnding::Missing),
    };
    let text_end = value.len() - rest.len() + length;
    let end = text_end + if close.is_some() { 2 } else { 0 };
    Some(LenientWord {
        charset,
        is_base64,
        text: &rest[..length],
        start,
        end,
        ending,
        overlaps_another: charset.ends_with(b"=")
            || (close.is_some() && beginning(&value[end - 1..]).is_some()),
    })
}

/// Splits a text that begins with a word: charset, true for the B encoding, and the text after them.
fn beginning(text: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let mut parts = text.strip_prefix(b"=?")?.splitn(3, |&byte| byte == b'?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    match encoding {
        [b'b' | b'B'] => Some((charset, true, rest)),
        [b'q' | b'Q'] => Some((charset, false, rest)),
        _ => None,
    }
}

impl LenientWord<'_> {
    pub(super) fn is_closed(&self) -> bool {
        self.ending == WordEnding::Closed
    }

    /// True if some reader would decode other text: one that skips the beginning of the next word, or one that does
    /// not take this for a word and finds another that begins within it.
    pub(super) fn is_read_otherwise(&self) -> bool {
        self.overlaps_another || (self.is_base64 && self.ending == WordEnding::NextWord)
    }

    /// Decodes the text. Returns None if any octet is invalid or if its meaning to a reader is unknown.
    pub(super) fn decode_strictly(&self) -> Option<String> {
        let (label, octets) = (self.label()?, self.octets());
        if is_utf8_or_ascii(label) {
            // A character may continue in the next encoded-word.
            return Some(String::from_utf8_lossy(&octets).into_owned());
        }
        if has_other_mark(&octets) {
            return None;
        }
        let is_safe = !is_rarely_known(self.charset) || !octets.contains(&b'@');
        charset::decode_strictly(&octets, &label).filter(|_| is_safe)
    }

    /// Decodes the text, with replacement characters for invalid octets. Returns None if it may be or contain an `@`
    /// to a reader that knows another charset by the name, or none.
    pub(super) fn decode(&self) -> Option<WordText> {
        let octets = self.octets();
        let lossy = || String::from_utf8_lossy(&octets).into_owned();
        let uncertain = |text| WordText {
            text,
            is_certain: false,
        };
        let Some(label) = self.any_label() else {
            let is_harmless = harmless_octets(self.charset);
            return octets
                .iter()
                .all(|octet| is_harmless(*octet))
                .then(|| uncertain(lossy()));
        };
        if !contains_ascii(label) {
            let text = charset::decode(&octets, Some(&label));
            let is_safe = self.is_closed()
                && !may_end_within_character(&octets, label)
                && !has_at_in_any_reading(&octets, &text);
            return is_safe.then(|| uncertain(text));
        }
        let certain = |text| WordText {
            text,
            is_certain: true,
        };
        if is_utf8_or_ascii(label) {
            return Some(certain(lossy()));
        }
        if has_other_mark(&octets) {
            return None;
        }
        let text = charset::decode(&octets, Some(&label));
        if !is_rarely_known(self.charset) {
            return Some(certain(text));
        }
        // The octet of an `@` may be a part of a character only to readers that know the name.
        (!octets.contains(&b'@')).then(|| uncertain(text))
    }

    /// Returns None for an unknown charset, or one in which ASCII is not ASCII.
    fn label(&self) -> Option<Label> {
        self.any_label().filter(|label| contains_ascii(*label))
    }

    fn any_label(&self) -> Option<Label> {
        // No known name is longer.
        const MAX_CHARSET: usize = 80;
        if self.charset.len() > MAX_CHARSET {
            return None;
        }
        Label::parse(self.charset)
    }

    fn octets(&self) -> Vec<u8> {
        if self.is_base64 {
            decode_b(self.text)
        } else {
            encoded_words::q_decode(self.text)
        }
    }
}

fn is_utf8_or_ascii(label: Label) -> bool {
    let is = |name: &[u8]| Label::parse(name) == Some(label);
    is(b"utf-8") || is(b"us-ascii")
}

/// True for a byte order mark of UTF-16: a reader may give it precedence over the label.
fn has_other_mark(octets: &[u8]) -> bool {
    Encoding::for_bom(octets).is_some_and(|(encoding, _)| encoding != UTF_8)
}

/// True if printable ASCII is the same in this charset, without shifts as in UTF-7 and HZ.
fn is_ascii_compatible(label: &Label) -> bool {
    let mut octets: Vec<u8> = (b' '..=b'~').collect();
    octets.extend_from_slice(b"+AEA-~{@@~}");
    charset::decode(&octets, Some(label)).as_bytes() == octets
}

/// True if ASCII is a part of the charset.
fn contains_ascii(label: Label) -> bool {
    is_utf8_or_ascii(label) || is_ascii_compatible(&label)
}

/// True if a reader that joins the octets of adjacent words may decode a character from this word and the next one:
/// text of UTF-7 ends within base64, or text of UTF-16 or UTF-32 within a unit. An `@` in HZ has the octet of an `@`.
fn may_end_within_character(octets: &[u8], label: Label) -> bool {
    match label.0 {
        Charset::Utf7 => {
            let is_base64 = |octet: &u8| octet.is_ascii_alphanumeric() || *octet == b'/';
            let plus = memchr::memrchr(b'+', octets);
            plus.is_some_and(|plus| octets[plus + 1..].iter().all(is_base64))
        }
        Charset::Utf32 { .. } => !octets.len().is_multiple_of(4),
        Charset::Whatwg(_) => !octets.len().is_multiple_of(2),
        _ => false,
    }
}

/// True if there is an `@` in the text, in its octets, or in UTF-16 of either order. `@` in UTF-32 is one in UTF-16.
fn has_at_in_any_reading(octets: &[u8], text: &str) -> bool {
    let has_at = |text: &str| text.contains(is_at);
    has_at(text)
        || has_at(&String::from_utf8_lossy(octets))
        || has_at(&UTF_16LE.decode_without_bom_handling(octets).0)
        || has_at(&UTF_16BE.decode_without_bom_handling(octets).0)
}

/// Decodes the B encoding (RFC 2047 4.1). Skips characters outside of base64.
fn decode_b(text: &[u8]) -> Vec<u8> {
    text.split(|&byte| byte == b'=')
        .flat_map(transfer_encoding::base64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_at_their_end_or_at_the_next_word() {
        let read = |value: &str| -> Vec<(String, bool)> {
            let words = lenient_words(value.as_bytes());
            words
                .map(|word| {
                    let text = word.decode().map(|decoded| decoded.text);
                    (text.unwrap_or_default(), word.is_closed())
                })
                .collect()
        };
        for (value, expected) in [
            ("Ann =?", &[][..]),
            ("=?utf-8?x?Ann?=", &[]),
            (
                "=?utf-8?q?=C3=BC?= x =?utf-8?B?w7w?=",
                &[("\u{fc}", true), ("\u{fc}", true)],
            ),
            (
                "=?utf-8?b?YQ==?==?utf-8?b?Yg==?=",
                &[("a", true), ("b", true)],
            ),
            ("=?utf-8?q?a =?utf-8?q?b?=", &[("a ", false), ("b", true)]),
            ("=?utf-8?q?a", &[("a", false)]),
            ("=?utf-8?q??=", &[("", true)]),
        ] {
            let expected = expected
                .iter()
                .map(|&(text, is_closed)| (text.to_owned(), is_closed));
            assert_eq!(read(value), expected.collect::<Vec<_>>(), "{value}");
        }
    }

    #[test]
    fn a_word_may_contain_the_beginning_of_another() {
        let read = |value: &str| -> Vec<(String, bool)> {
            let words = words_up_to_close(value.as_bytes());
            words
                .map(|word| {
                    let text = String::from_utf8_lossy(word.text).into_owned();
                    (text, word.is_closed())
                })
                .collect()
        };
        for (value, expected) in [
            ("=?utf-8?q?a=?x=3C?= b", &[("a=?x=3C", true)][..]),
            (
                "=?utf-8?q?a =?utf-8?q?b?= =?utf-8?b?Yg==?=",
                &[("a =?utf-8?q?b", true), ("Yg==", true)],
            ),
            ("=?utf-8?q?a=?utf-8?q?b", &[("a=?utf-8?q?b", false)]),
        ] {
            let expected = expected
                .iter()
                .map(|&(text, is_closed)| (text.to_owned(), is_closed));
            assert_eq!(read(value), expected.collect::<Vec<_>>(), "{value}");
        }
    }

    #[test]
    fn a_text_of_unknown_meaning_is_not_decoded() {
        let decode = |value: &str| {
            let word = lenient_words(value.as_bytes()).next()?;
            word.decode().map(|decoded| decoded.text)
        };
        for (value, expected) in [
            ("=?utf-8?q?J=C3=B6rg?=", Some("J\u{f6}rg")),
            ("=?us-ascii?q?=1B$B@A=1B(B?=", Some("\u{1b}$B@A\u{1b}(B")),
            ("=?iso-8859-1?q?J=F6rg?=", Some("J\u{f6}rg")),
            ("=?unknown-8bit?q?J=F6rg?=", Some("J\u{fffd}rg")),
            ("=?cp932?q?a=FF@b?=", Some("a\u{fffd}@b")),
            ("=?x-ias-german?b?bXlHb3Y=?=", Some("myGov")),
            ("=?x-ias-german?q?J=F6rg?=", Some("J\u{fffd}rg")),
            ("=?x-ias-german?q?J@rg?=", None),
            ("=?utf-7?q?Ann?=", Some("Ann")),
            ("=?utf-7?q?M+APw-ller?=", Some("M\u{fc}ller")),
            ("=?utf-7?q?M+APw?=", None),
            ("=?utf-7?q?M+APw-ller", None),
            ("=?utf-7?q?+AEA-?=", None),
            ("=?utf-7?q?+/yA-?=", None),
            ("=?utf-7?q?Ann+?=", None),
            ("=?utf-7?q?a@b?=", None),
            ("=?utf-16?b?//5BAG4AbgA=?=", Some("Ann")),
            ("=?utf-16?b?/v8AQQBuAG4=?=", Some("Ann")),
            ("=?utf-16le?b?QQBuAG4A?=", Some("Ann")),
            ("=?utf-16le?b?QQBuAG4?=", None),
            // An `@` and a fullwidth one, in both orders.
            ("=?utf-16le?b?QAA=?=", None),
            ("=?utf-16le?b?AEA=?=", None),
            ("=?utf-16le?b?IP8=?=", None),
            ("=?utf-16le?b?/yA=?=", None),
            ("=?utf-32?b?AAAAQQ==?=", Some("A")),
            ("=?utf-32?b?AAAAQQA=?=", None),
            ("=?utf-32?b?AAD/IA==?=", None),
            ("=?utf-32?b?IP8AAA==?=", None),
            ("=?hz-gb-2312?q?Ann?=", Some("Ann")),
            ("=?hz-gb-2312?q?=7E{#=40=7E}?=", None),
            ("=?unicode_escape?q?=5Cx40?=", None),
            ("=?base64?q?YUBi?=", None),
            ("=?cp037?q?=7C?=", None),
            ("=?ibm297?q?D?=", None),
            ("=?ebcdic-cp-fr?q?D?=", None),
            ("=?ibm273?q?=B5?=", None),
            ("=?ibm278?q?=EC?=", None),
            ("=?ibm297?q?n?=", Some("n")),
            ("=?iso-8859-12?q?Ann?=", Some("Ann")),
            // Names that only some programs know, and octets that are an `@` to the others.
            ("=?sjis-win?b?g0GDQw==?=", Some("\u{30a2}\u{30a4}")),
            ("=?sjis-win?b?g0A=?=", None),
            ("=?cp932?b?g0A=?=", Some("\u{30a1}")),
            ("=?x-sjis?b?g0A=?=", Some("\u{30a1}")),
            ("=?eucjp-win?b?pKI=?=", Some("\u{3042}")),
            ("=?cp50220?b?GyRCJCIbKEI=?=", Some("\u{3042}")),
            ("=?cp50220?b?GyRCJUAbKEI=?=", None),
            ("=?jis*ja?b?GyRCJUAbKEI=?=", None),
            ("=?zh_CN.GBK?b?xOM=?=", Some("\u{4f60}")),
            ("=?zh_CN.GBK?b?gUA=?=", None),
            ("=?gbk//ignore?b?gUA=?=", None),
            ("=?charset=gbk?b?gUA=?=", None),
            ("=?de_DE.ISO-8859-1?q?J=F6rg?=", Some("J\u{f6}rg")),
            ("=?en_US.UTF-8?q?J=C3=B6rg_a@b?=", Some("J\u{f6}rg a@b")),
            ("=?charset=utf-7?q?+AEA-?=", None),
            ("=?{charset}?q?J=C3=B6rg?=", Some("J\u{f6}rg")),
            ("=?%s?q?J=C3=B6rg?=", Some("J\u{f6}rg")),
            ("=?x-mac-turkish?q?Ay=DEe?=", Some("Ay\u{fffd}e")),
            ("=?X-MAC-CENTRALROMAN?q?=89?=", Some("\u{fffd}")),
            ("=?x-mac-ce?q?=89=40?=", None),
            ("=?x-mac-ce?q?=8B?=", Some("\u{10d}")),
            ("=?ptcp154?q?=80D?=", Some("\u{496}D")),
            ("=?kz-1048?q?a@b?=", None),
            ("=?x-mac-greek?b?/v8=?=", None),
            ("=?x-mac-japanese?b?gZc=?=", None),
            ("=?armscii-8?q?=B2?=", Some("\u{fffd}")),
            // Numbers of other code pages than those in EBCDIC.
            ("=?iso-8859-12?q?J=F6rg?=", Some("J\u{fffd}rg")),
            ("=?Windows-1252Q?q?J=F6rg?=", Some("J\u{fffd}rg")),
            ("=?windows-28591?q?D=F6?=", Some("D\u{fffd}")),
            ("=?ansi_x3.110-1983?q?D=F6?=", Some("D\u{fffd}")),
            ("=?windows-20297?q?D?=", None),
            ("=?windows-285?q?D?=", None),
            ("=?iso-10646-utf-1?q?=F7dm?=", None),
            ("=?sjis-open?b?gZc=?=", None),
            ("=?eucjp-open?b?ofc=?=", None),
            ("=?x-johab?b?2lA=?=", None),
            ("=?x-unheard-of?b?77yg?=", None),
            ("=?us-ascii?b?/v8AQA==?=", Some("\u{fffd}\u{fffd}\0@")),
            ("=?cp932?b?/v8AQA==?=", None),
        ] {
            assert_eq!(decode(value).as_deref(), expected, "{value}");
        }
    }
}
