//! Which language somebody is answered in.

use std::sync::Arc;

/// The primary subtag of a language there are texts in (RFC 5646): `en`, `de`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language(Arc<str>);

impl Language {
    pub(super) fn named(tag: &str) -> Self {
        Self(tag.into())
    }

    /// For the `lang` attribute and the name of the file of texts.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Language {
    /// English, the language that every text exists in.
    fn default() -> Self {
        Self("en".into())
    }
}

/// The available language with the highest weight (RFC 9110 12.5.4); regions are not told apart, a
/// weight of 0 excludes, and between equal weights the earlier one counts.
pub(super) fn choose(accept_language: Option<&str>, available: &[&Language]) -> Language {
    let mut best: Option<(u16, &Language)> = None;
    for range in accept_language.unwrap_or_default().split(',').take(32) {
        let mut parts = range.split(';');
        let tag = parts.next().unwrap_or_default().trim();
        let weight = parts
            .find_map(|part| part.trim().strip_prefix("q="))
            .map_or(Some(1000), thousandths)
            .unwrap_or(0);
        let primary = tag.split('-').next().unwrap_or_default();
        let found = available
            .iter()
            .find(|language| language.as_str().eq_ignore_ascii_case(primary));
        if let Some(language) = found
            && weight > best.map_or(0, |(weight, _)| weight)
        {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language.clone())
        .unwrap_or_default()
}

/// A weight of 0 to 1 with up to three decimals, in thousandths.
fn thousandths(weight: &str) -> Option<u16> {
    let (whole, decimals) = weight.trim().split_once('.').unwrap_or((weight.trim(), ""));
    if decimals.len() > 3 || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value = whole.parse::<u16>().ok()?.checked_mul(1000)?
        + format!("{decimals:0<3}").parse::<u16>().ok()?;
    (value <= 1000).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_weight_among_those_there_are() {
        let (german, english) = (Language::named("de"), Language::named("en"));
        for (field, expected) in [
            (None, "en"),
            (Some(""), "en"),
            (Some("de"), "de"),
            (Some("de-AT"), "de"),
            (Some("DE-at, en;q=0.9"), "de"),
            (Some("fr, de;q=0.8, en;q=0.9"), "en"),
            (Some("fr;q=1.0, de;q=0.001"), "de"),
            (Some("de;q=0"), "en"),
            (Some("de;q=0.5, en;q=0.5"), "de"),
            (Some("de;q=7, en;q=0.1"), "en"),
            (Some("de;q=x, en;q=0.1"), "en"),
            (Some("*"), "en"),
            (Some("fr"), "en"),
            (Some(";;;,,,=q;é"), "en"),
        ] {
            assert_eq!(
                choose(field, &[&german, &english]).as_str(),
                expected,
                "{field:?}"
            );
        }
    }
}
