//! Unicode properties of characters that people cannot see or tell apart.
//!
//! Takes a text and reports whether it is what it looks like. The properties are those of the Unicode version
//! that `idna` uses, so that domains and local parts follow the same version.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// True if every character is a visible letter, mark, number, punctuation or symbol. Format and control
/// characters, separators, default-ignorable characters, private use, surrogates and unassigned code points
/// are not.
#[must_use]
pub fn is_visible(text: &str) -> bool {
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

/// True for the bidirectional controls of UAX 9, which change the direction of the text around them.
#[must_use]
pub fn is_bidi_control(c: char) -> bool {
    matches!(
        c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// True if NFKC (UAX 15) leaves the text unchanged.
pub(super) fn is_nfkc(text: &str) -> bool {
    text.is_ascii() || ComposingNormalizerBorrowed::new_nfkc().is_normalized(text)
}
