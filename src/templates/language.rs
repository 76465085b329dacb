//! The supported languages, and the choice among them.

use icu_locale_core::LanguageIdentifier;
use icu_plurals::{PluralCategory, PluralRules};

use crate::domain::{LanguagePriority, LanguageTag};

/// A supported language, which has texts, such as `en`, `pt-BR` or `zh-Hans`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Language(LanguageTag);

impl Language {
    pub(super) fn of(tag: LanguageTag) -> Self {
        Self(tag)
    }

    /// For the `lang` attribute, `Content-Language` and the name of the file of texts.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The tag, for storage.
    #[must_use]
    pub fn tag(&self) -> &LanguageTag {
        &self.0
    }

    /// The name of the plural form of a count (CLDR, cardinal): `zero`, `one`, `two`, `few`, `many` or
    /// `other`. A language that CLDR does not know has `other` alone.
    pub(super) fn plural(&self, count: u64) -> &'static str {
        self.rules()
            .map_or("other", |rules| name(rules.category_for(count)))
    }

    /// Every plural form that the language has.
    #[cfg(test)]
    pub(super) fn plurals(&self) -> Vec<&'static str> {
        self.rules()
            .map(|rules| rules.categories().map(name).collect())
            .unwrap_or_default()
    }

    fn rules(&self) -> Option<PluralRules> {
        let identifier: LanguageIdentifier = self.as_str().parse().ok()?;
        PluralRules::try_new_cardinal((&identifier).into()).ok()
    }
}

impl Default for Language {
    /// English, the language that every text exists in.
    fn default() -> Self {
        Self(LanguageTag::default())
    }
}

fn name(category: PluralCategory) -> &'static str {
    match category {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    }
}

/// The first of the wanted languages that is supported.
pub(super) fn choose<'a>(
    wanted: &LanguagePriority,
    available: &(impl Iterator<Item = &'a Language> + Clone),
) -> Option<&'a Language> {
    wanted.iter().find_map(|tag| lookup(tag, available))
}

/// Looks a tag up (RFC 4647 3.4): it is shortened subtag by subtag from its end until it is supported; failing
/// that, the same language of another region is taken. Traditional Chinese is not answered in simplified.
fn lookup<'a>(
    tag: &LanguageTag,
    available: &(impl Iterator<Item = &'a Language> + Clone),
) -> Option<&'a Language> {
    let chinese = script_of_chinese(tag);
    let mut range = chinese.unwrap_or(tag.as_str());
    loop {
        let same = |language: &&Language| language.as_str().eq_ignore_ascii_case(range);
        if let Some(found) = available.clone().find(same) {
            return Some(found);
        }
        let Some((shorter, _)) = range.rsplit_once('-') else {
            break;
        };
        // A single letter only introduces the removed subtag.
        range = match shorter.rsplit_once('-') {
            Some((before, last)) if last.len() == 1 => before,
            _ => shorter,
        };
    }
    if chinese.is_some() {
        return None;
    }
    available
        .clone()
        .find(|language| language.0.primary() == tag.primary())
}

/// Chinese is distinguished by its script, which tags with a region omit.
fn script_of_chinese(tag: &LanguageTag) -> Option<&'static str> {
    let mut subtags = tag.as_str().split('-');
    if !matches!(subtags.next(), Some("zh" | "cmn")) {
        return None;
    }
    let rest: Vec<_> = subtags.collect();
    let has = |names: &[&str]| names.iter().any(|name| rest.contains(name));
    if !has(&["Hans"]) && has(&["Hant", "TW", "HK", "MO"]) {
        Some("zh-Hant")
    } else {
        Some("zh-Hans")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn languages(tags: &[&str]) -> Vec<Language> {
        tags.iter()
            .map(|tag| Language::of(LanguageTag::parse(tag).expect("a tag")))
            .collect()
    }

    #[test]
    fn the_first_available_language_of_the_preferred_ones() {
        let built_in = languages(&["ar", "de", "en", "es", "pt-BR", "zh-Hans"]);
        for (field, expected) in [
            ("", None),
            ("de", Some("de")),
            ("de-AT", Some("de")),
            ("DE-at, en;q=0.9", Some("de")),
            ("eo, de;q=0.8, en;q=0.9", Some("en")),
            ("de;q=0", None),
            ("*", None),
            ("eo", None),
            ("es-419", Some("es")),
            ("en-u-ca-gregory-x-a", Some("en")),
            ("pt", Some("pt-BR")),
            ("pt-PT, de", Some("pt-BR")),
            ("zh", Some("zh-Hans")),
            ("zh-CN", Some("zh-Hans")),
            ("zh-SG", Some("zh-Hans")),
            ("zh-Hans-HK", Some("zh-Hans")),
            ("cmn-Hans-CN", Some("zh-Hans")),
            ("zh-TW, zh;q=0.9", Some("zh-Hans")),
            ("zh-TW, en;q=0.8", Some("en")),
            ("zh-Hant, zh-HK, zh-MO", None),
            ("ar-EG", Some("ar")),
            ("den", None),
        ] {
            let wanted = LanguagePriority::parse(field);
            let found = choose(&wanted, &built_in.iter()).map(Language::as_str);
            assert_eq!(found, expected, "{field:?}");
        }
        let own = languages(&["en", "pt-BR", "pt-PT", "zh-Hans", "zh-Hant"]);
        for (field, expected) in [("pt-PT", "pt-PT"), ("zh-TW", "zh-Hant"), ("zh", "zh-Hans")] {
            let wanted = LanguagePriority::parse(field);
            let found = choose(&wanted, &own.iter()).map(Language::as_str);
            assert_eq!(found, Some(expected), "{field:?}");
        }
    }

    #[test]
    fn plural_forms_follow_cldr() {
        for (tag, forms) in [
            ("en", vec![(0, "other"), (1, "one"), (2, "other")]),
            (
                "fr",
                vec![(0, "one"), (1, "one"), (2, "other"), (1_000_000, "many")],
            ),
            ("pt-BR", vec![(0, "one"), (1, "one"), (2, "other")]),
            (
                "pl",
                vec![
                    (1, "one"),
                    (2, "few"),
                    (5, "many"),
                    (12, "many"),
                    (22, "few"),
                    (21, "many"),
                ],
            ),
            ("cs", vec![(1, "one"), (2, "few"), (4, "few"), (5, "other")]),
            (
                "ar",
                vec![
                    (0, "zero"),
                    (1, "one"),
                    (2, "two"),
                    (3, "few"),
                    (11, "many"),
                    (100, "other"),
                ],
            ),
            ("ja", vec![(1, "other"), (2, "other")]),
            ("qqq", vec![(1, "other")]),
        ] {
            let language = &languages(&[tag])[0];
            for (count, form) in forms {
                assert_eq!(language.plural(count), form, "{tag} {count}");
            }
        }
    }
}
