//! Language preferences of people and programs: tags (RFC 5646) and priority lists of tags (RFC 4647 2.3)
//! from `Content-Language`, `Accept-Language` and the configuration.
//!
//! Takes text from anybody; returns at most [`MAX_LIST`] well-formed tags in canonical case, in order of
//! preference. Malformed parts are left out and are never an error.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Octets of the longest tag (RFC 5646 4.4.1).
const MAX_TAG: usize = 35;

/// Maximum number of tags in a list.
const MAX_LIST: usize = 8;

/// Maximum number of octets of a field that are read; no honest field comes near.
const MAX_FIELD: usize = 1024;

/// The languages of the texts that come with the program; `templates/texts.rs` has their files.
pub const BUILT_IN_LANGUAGES: [&str; 13] = [
    "ar", "cs", "de", "en", "es", "fr", "it", "ja", "nl", "pl", "pt-BR", "sv", "zh-Hans",
];

/// A well-formed language tag in the case that RFC 5646 2.1.1 recommends: `pt-BR`, `zh-Hans`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LanguageTag(Arc<str>);

/// Text that is not a language tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a language tag; write one such as en, pt-BR or zh-Hans")]
pub struct LanguageTagError(String);

impl LanguageTag {
    /// Reads a tag: a language of two to eight letters, then subtags of one to eight letters or digits.
    ///
    /// # Errors
    /// Anything else, `*` and private use (`x-…`) included.
    pub fn parse(text: &str) -> Result<Self, LanguageTagError> {
        let wrong = || LanguageTagError(text.chars().take(MAX_TAG).collect());
        if text.len() > MAX_TAG {
            return Err(wrong());
        }
        let mut tag = String::with_capacity(text.len());
        let mut after_singleton = false;
        for (place, subtag) in text.split('-').enumerate() {
            let is_language = place == 0;
            let good = (1..=8).contains(&subtag.len())
                && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
                && (!is_language
                    || (subtag.len() >= 2 && subtag.bytes().all(|b| b.is_ascii_alphabetic())));
            if !good {
                return Err(wrong());
            }
            if !is_language {
                tag.push('-');
            }
            let start = tag.len();
            tag.push_str(&subtag.to_ascii_lowercase());
            match subtag.len() {
                2 if !is_language && !after_singleton => tag[start..].make_ascii_uppercase(),
                4 if !is_language && !after_singleton => {
                    tag[start..=start].make_ascii_uppercase();
                }
                _ => {}
            }
            after_singleton |= subtag.len() == 1;
        }
        Ok(Self(tag.into()))
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The subtag of the language alone: `pt` of `pt-BR`.
    #[must_use]
    pub fn primary(&self) -> &str {
        self.0.split('-').next().unwrap_or_default()
    }
}

impl Default for LanguageTag {
    /// English, the language in which every text exists.
    fn default() -> Self {
        Self("en".into())
    }
}

impl fmt::Display for LanguageTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Languages in order of preference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LanguagePriority(Vec<LanguageTag>);

impl LanguagePriority {
    /// Parses the value of `Accept-Language` (RFC 9110 12.5.4, RFC 3282 3) or `Content-Language` (RFC 3282
    /// 2): tags with weights, comments in parentheses. Tags of equal weight keep their order; `*` and tags
    /// with a weight of 0 are left out.
    #[must_use]
    pub fn parse(field: &str) -> Self {
        let field = without_comments(&field[..field.floor_char_boundary(MAX_FIELD)]);
        let mut weighted: Vec<(u16, LanguageTag)> = field
            .split(',')
            .filter_map(|item| {
                let mut parts = item.split(';');
                let tag = LanguageTag::parse(parts.next()?.trim()).ok()?;
                let weight = match parts.next() {
                    None => 1000,
                    Some(parameter) => weight(parameter)?,
                };
                (weight > 0).then_some((weight, tag))
            })
            .collect();
        weighted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
        Self::default().followed_by(weighted.into_iter().map(|(_, tag)| tag))
    }

    /// Appends more languages to the list; a repeated tag keeps its first place.
    #[must_use]
    pub fn followed_by(mut self, others: impl IntoIterator<Item = LanguageTag>) -> Self {
        for tag in others {
            if self.0.len() == MAX_LIST {
                break;
            }
            if !self.0.contains(&tag) {
                self.0.push(tag);
            }
        }
        self
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &LanguageTag> {
        self.0.iter()
    }
}

impl From<LanguageTag> for LanguagePriority {
    fn from(tag: LanguageTag) -> Self {
        Self(vec![tag])
    }
}

impl IntoIterator for LanguagePriority {
    type Item = LanguageTag;
    type IntoIter = std::vec::IntoIter<LanguageTag>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// In the form that [`LanguagePriority::parse`] reads.
impl fmt::Display for LanguagePriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, tag) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(", ")?;
            }
            f.write_str(tag.as_str())?;
        }
        Ok(())
    }
}

impl Serialize for LanguagePriority {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LanguagePriority {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::parse(&text))
    }
}

/// A weight of 0 to 1 with up to three decimals, in thousandths.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value = value.trim();
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// Removes comments (RFC 5322 3.2.2): they nest, and a backslash quotes. An unclosed comment extends to the
/// end.
fn without_comments(field: &str) -> String {
    let mut depth = 0_usize;
    let mut quoted = false;
    field
        .chars()
        .filter(|&c| {
            if depth > 0 && std::mem::take(&mut quoted) {
                return false;
            }
            match c {
                '\\' if depth > 0 => quoted = true,
                '(' => depth += 1,
                ')' if depth > 0 => {
                    depth -= 1;
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tag_is_well_formed_and_in_canonical_case() {
        for (written, expected) in [
            ("en", Some("en")),
            ("DE-at", Some("de-AT")),
            ("ZH-HANS-cn", Some("zh-Hans-CN")),
            ("es-419", Some("es-419")),
            ("en-u-ca-GREGORY", Some("en-u-ca-gregory")),
            ("sl-rozaj-biske", Some("sl-rozaj-biske")),
            ("", None),
            ("*", None),
            ("x-private", None),
            ("e", None),
            ("e1", None),
            ("en_US", None),
            ("en-", None),
            ("-en", None),
            ("en--us", None),
            ("abcdefghi", None),
            ("en-abcdefghi", None),
            ("é", None),
            ("en\r\nBcc: a@b", None),
            ("de-aaaaaaaa-bbbbbbbb-cccccccc-ddddddd", None),
        ] {
            let read = LanguageTag::parse(written).ok();
            assert_eq!(
                read.as_ref().map(LanguageTag::as_str),
                expected,
                "{written:?}"
            );
        }
    }

    #[test]
    fn a_list_is_in_the_order_of_its_weights() {
        let many = "de, ".repeat(100_000);
        let different: String = ('a'..='z').flat_map(|c| [c, c, ',']).collect();
        for (written, expected) in [
            ("", ""),
            ("de", "de"),
            ("de-AT, en;q=0.9", "de-AT, en"),
            ("fr;q=0.5, de;q=0.8, en;q=0.9", "en, de, fr"),
            ("de;q=0.5, en;q=0.5", "de, en"),
            ("en;q=0, de;q=0.001", "de"),
            ("*, de;q=0.3", "de"),
            ("de;q=7, en;q=0.1", "en"),
            ("de;q=1.001, en;q=0.1", "en"),
            ("de;q=65.999, en;q=0.1", "en"),
            ("de;q=x, en;q=0.1", "en"),
            ("de ; Q = 0.7 , en ; q=0.8", "en, de"),
            ("de (Deutsch, \\) (oder so)), en", "de, en"),
            ("de (never ends, en", "de"),
            ("de) , en", "en"),
            ("de, de-AT, de", "de, de-AT"),
            (";;;,,,=q;é", ""),
            (many.as_str(), "de"),
            (different.as_str(), "aa, bb, cc, dd, ee, ff, gg, hh"),
        ] {
            assert_eq!(
                LanguagePriority::parse(written).to_string(),
                expected,
                "{written:.60}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_field_parses_and_the_stored_form_parses_back(field in any::<String>()) {
            let read = LanguagePriority::parse(&field);
            prop_assert!(read.0.len() <= MAX_LIST);
            let stored = read.to_string();
            prop_assert!(stored.bytes().all(|b| b.is_ascii_alphanumeric() || b"-, ".contains(&b)));
            prop_assert_eq!(LanguagePriority::parse(&stored), read);
        }
    }
}
