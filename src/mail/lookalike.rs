//! Domains that look like others.
//!
//! Takes a domain; returns a warning for people if a label mixes scripts that no language mixes, or if
//! letters of another script spell something that reads as Latin. No decision depends on it.

use crate::domain::Domain;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    /// Han, Kana, Hangul and Bopomofo, which are written together and mixed with Latin.
    EastAsian,
    Other,
}

/// Unicode blocks of each script.
const BLOCKS: [(u32, u32, Script); 14] = [
    (0x0041, 0x005A, Script::Latin),
    (0x0061, 0x007A, Script::Latin),
    (0x00C0, 0x02AF, Script::Latin),
    (0x0370, 0x03FF, Script::Greek),
    (0x0400, 0x052F, Script::Cyrillic),
    (0x1100, 0x11FF, Script::EastAsian),
    (0x1C80, 0x1C8F, Script::Cyrillic),
    (0x1E00, 0x1EFF, Script::Latin),
    (0x1F00, 0x1FFF, Script::Greek),
    (0x2C60, 0x2C7F, Script::Latin),
    (0x2DE0, 0x2DFF, Script::Cyrillic),
    (0x3005, 0x9FFF, Script::EastAsian),
    (0xAC00, 0xD7AF, Script::EastAsian),
    (0x20000, 0x323AF, Script::EastAsian),
];

/// Lower-case letters that look like a Latin one, and below them the Latin ones.
const TWINS: (&str, &str) = (
    "авсԁеһіјкӏмпорԛѕтѵԝхуɑαεικνορτυχı",
    "abcdehijklmnopqstvwxyaaeikvoptuxi",
);

/// A warning about a domain, if there is one.
pub(super) fn lookalike(domain: &Domain) -> Option<String> {
    if !domain.labels().any(|label| label.starts_with("xn--")) {
        return None;
    }
    let shown = domain.to_unicode();
    let read: String = shown.chars().map(as_latin).collect();
    if read != shown && read.is_ascii() {
        return Some(format!(
            "{shown} ({domain}) looks like {read} but is a different domain"
        ));
    }
    shown
        .split('.')
        .any(mixes_scripts)
        .then(|| format!("{shown} ({domain}) mixes scripts"))
}

fn as_latin(letter: char) -> char {
    let mut twins = TWINS.0.chars().zip(TWINS.1.chars());
    twins
        .find(|(twin, _)| *twin == letter)
        .map_or(letter, |(_, latin)| latin)
}

fn mixes_scripts(label: &str) -> bool {
    let mut seen = None;
    for script in label.chars().filter(|c| c.is_alphabetic()).map(script) {
        match (seen, script) {
            (None, _) => seen = Some(script),
            (Some(Script::EastAsian), Script::Latin) => {}
            (Some(Script::Latin), Script::EastAsian) => seen = Some(Script::EastAsian),
            (Some(before), _) if before == script => {}
            _ => return true,
        }
    }
    false
}

fn script(letter: char) -> Script {
    let code = u32::from(letter);
    BLOCKS
        .iter()
        .find(|(first, last, _)| (*first..=*last).contains(&code))
        .map_or(Script::Other, |(_, _, script)| *script)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_twin_has_its_letter() {
        assert_eq!(TWINS.0.chars().count(), TWINS.1.len());
        assert!(TWINS.1.bytes().all(|letter| letter.is_ascii_lowercase()));
    }

    #[test]
    fn lookalike_letters_and_mixed_scripts_are_reported() {
        for (name, told) in [
            ("corp.example", None),
            ("bücher.example", None),
            ("例子.广告", None),
            ("東京tokyo.example", None),
            ("почта.example", None),
            ("соrр.example", Some("looks like corp.example")),
            ("ѕсоре.example", Some("looks like scope.example")),
            ("жорp.example", Some("mixes scripts")),
        ] {
            let domain = Domain::parse(name).expect(name);
            let warning = lookalike(&domain);
            match told {
                None => assert_eq!(warning, None, "{name}"),
                Some(text) => {
                    assert!(
                        warning.as_deref().is_some_and(|w| w.contains(text)),
                        "{name} {warning:?}"
                    );
                }
            }
        }
    }
}
