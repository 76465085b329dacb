//! Characters by Unicode property: those that people cannot see or tell apart.
//!
//! In: a text. Out: whether it is what it looks like. The properties are those of the Unicode version
//! that `idna` uses, so domains and local parts are judged by one version.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Whether every character is a letter, mark, number, punctuation or symbol that is drawn. Format and
/// control characters, separators, default-ignorable characters, private use, surrogates and code
/// points that are not assigned are not.
pub(super) fn is_visible(text: &str) -> bool {
    use GeneralCategory as Category;
    text.is_ascii() && !text.bytes().any(|byte| byte <= b' ' || byte == 0x7F)
        || text.chars().all(|c| {
            !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
                && !matches!(
                    CodePointMapData::<GeneralCategory>::new().get(c),
                    Category::Control
                        | Category::Format
                        | Category::Surrogate
                        | Category::PrivateUse
                        | Category::Unassigned
                        | Category::SpaceSeparator
                        | Category::LineSeparator
                        | Category::ParagraphSeparator
                )
        })
}

/// Whether NFKC (UAX 15) leaves the text as it is.
pub(super) fn is_nfkc(text: &str) -> bool {
    text.is_ascii() || ComposingNormalizerBorrowed::new_nfkc().is_normalized(text)
}
