//! The answer in a reply to a verification mail: the word that confirms, or something else.

use std::collections::BTreeMap;
use std::sync::Arc;

use icu_normalizer::DecomposingNormalizer;

use crate::domain::{LanguageTag, is_bidi_control};
use crate::mail;
use crate::store::ReplyAnswer;
use crate::templates::Templates;

/// Confirms in every language.
const YES: &str = "yes";

/// The words that confirm, without accents, each with the languages whose mail asks for it.
#[derive(Debug, Clone, Default)]
pub struct ConfirmingWords(Arc<BTreeMap<String, Arc<[LanguageTag]>>>);

impl ConfirmingWords {
    /// `yes`, and the word that the mail of each language asks for.
    #[must_use]
    pub fn of(templates: &Templates) -> Self {
        let mut words: BTreeMap<String, Vec<LanguageTag>> = BTreeMap::new();
        for language in templates.languages() {
            if let Some(word) = templates.text(language, super::compose::REPLY_WORD) {
                words
                    .entry(bare(word))
                    .or_default()
                    .push(language.tag().clone());
            }
        }
        let words = words.into_iter();
        Self(Arc::new(
            words
                .map(|(word, languages)| (word, languages.into()))
                .collect(),
        ))
    }

    /// Reads the answer on the first line of a message, regardless of case, accents and punctuation at its end.
    #[must_use]
    pub fn answer(&self, raw: &[u8]) -> ReplyAnswer {
        let Some(line) = mail::first_line(raw).map(|line| bare(&line)) else {
            return ReplyAnswer::Other;
        };
        if line == YES {
            return ReplyAnswer::Confirms;
        }
        match self.0.get(&line) {
            Some(languages) => ReplyAnswer::ConfirmsIn(Arc::clone(languages)),
            None => ReplyAnswer::Other,
        }
    }
}

fn bare(word: &str) -> String {
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '.' | '!' | ',' | '。' | '！' | '،' | '、');
    // Bidirectional controls are invisible; programs put them around right-to-left text.
    let word: String = word.chars().filter(|c| !is_bidi_control(*c)).collect();
    let word = word.trim().trim_end_matches(ends).to_lowercase();
    DecomposingNormalizer::new_nfd()
        .normalize(&word)
        .chars()
        .filter(|c| !matches!(c, '\u{300}'..='\u{36f}'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_confirms_and_nothing_else() {
        let words = ConfirmingWords::of(&crate::templates::built_in());
        for (line, confirms) in [
            ("yes", "all"),
            (" YES! ", "all"),
            ("Yes ,", "all"),
            ("Ja.", "de nl sv"),
            ("ja,", "de nl sv"),
            ("OUI", "fr"),
            ("Sí", "es it"),
            ("si\u{300}!", "es it"),
            ("si", "es it"),
            ("sim", "pt-BR"),
            ("Tak", "pl"),
            ("ano", "cs"),
            ("はい。", "ja"),
            ("是！", "zh-Hans"),
            ("\u{200f}نعم\u{200f}.", "ar"),
            ("\u{2068}نعم\u{2069}", "ar"),
            ("\u{61c}نعم", "ar"),
            ("yes please", ""),
            ("no", ""),
            ("\"yes\"", ""),
            ("yes?", ""),
            ("I am out of office.", ""),
            ("> yes", ""),
            ("On Monday you wrote:", ""),
        ] {
            let raw = format!(
                "Subject: yes\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\r\n{line}\r\n\r\nAnn\r\n"
            );
            let found = match words.answer(raw.as_bytes()) {
                ReplyAnswer::Confirms => "all".to_owned(),
                ReplyAnswer::ConfirmsIn(languages) => {
                    let tags: Vec<_> = languages.iter().map(LanguageTag::as_str).collect();
                    tags.join(" ")
                }
                _ => String::new(),
            };
            assert_eq!(found, confirms, "{line}");
        }
        assert_eq!(words.answer(b"Subject: yes\r\n\r\n"), ReplyAnswer::Other);
    }
}
