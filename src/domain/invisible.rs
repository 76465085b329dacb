//! Unicode properties of characters that people cannot see or tell apart.
//!
//! Takes a text and reports whether it is what it looks like. The properties are those of the Unicode version
//! that `idna` uses, so that domains and local parts follow the same version.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Letters, marks and symbols without ink: a Braille cell without dots, the place of an object, an empty notehead,
/// blank hieroglyphs and the Khitan filler. No property of Unicode names them.
const BLANK: [char; 6] = [
    '\u{2800}',
    '\u{fffc}',
    '\u{1d159}',
    '\u{13441}',
    '\u{13442}',
    '\u{16fe4}',
];

/// True if every character is a visible letter, mark, number, punctuation or symbol. Format and control
/// characters, separators, default-ignorable characters, private use, surrogates, unassigned code points and the
/// blank ones are not.
#[must_use]
pub fn is_visible(text: &str) -> bool {
    use GeneralCategory as Category;
    text.is_ascii() && !text.bytes().any(|byte| byte <= b' ' || byte == 0x7F)
        || text.chars().all(|c| {
            !BLANK.contains(&c)
                && !CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_without_ink_are_invisible() {
        for visible in ["ann", "dörte", "用户", "a\u{2801}b", "a\u{fffd}b", "𝄞"] {
            assert!(is_visible(visible), "{visible:?}");
        }
        let ignorable = ['\u{ad}', '\u{200b}', '\u{3164}', '\u{fe0f}'];
        let without_meaning = [
            '\0', '\t', ' ', '\u{7f}', '\u{85}', '\u{a0}', '\u{378}', '\u{600}', '\u{2028}',
            '\u{2029}', '\u{e000}',
        ];
        let invisible = ignorable.iter().chain(&without_meaning).chain(&BLANK);
        for invisible in invisible {
            assert!(!is_visible(&format!("a{invisible}b")), "{invisible:?}");
            assert!(!is_visible(&format!("ä{invisible}b")), "{invisible:?}");
        }
    }

    /// The characters with the property `Bidi_Control`.
    #[test]
    fn there_are_twelve_bidirectional_controls() {
        let controls = ('\0'..=char::MAX).filter(|c| is_bidi_control(*c));
        assert_eq!(
            controls.map(u32::from).collect::<Vec<_>>(),
            [
                0x61c, 0x200e, 0x200f, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067,
                0x2068, 0x2069
            ]
        );
    }
}
