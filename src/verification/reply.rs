//! What an answer to a verification mail says: the one word that confirms, or something else.

use std::sync::Arc;

use crate::mail;
use crate::wording::{Language, Wording};

/// Confirms in every language.
const YES: &str = "yes";

/// The words that confirm.
#[derive(Debug, Clone)]
pub struct ConfirmingWords(Arc<[String]>);

impl Default for ConfirmingWords {
    fn default() -> Self {
        Self(Arc::new([YES.to_owned()]))
    }
}

impl ConfirmingWords {
    /// `yes` and the word that mail in this language asks for.
    #[must_use]
    pub fn of(wording: &Wording, language: &Language) -> Self {
        let asked_for = wording.text(language, super::letter::REPLY_WORD);
        let words = [Some(YES), asked_for];
        Self(words.into_iter().flatten().map(bare).collect())
    }

    /// The first line of a message is one of the words, whatever their case and what they end with.
    #[must_use]
    pub fn begin(&self, raw: &[u8]) -> bool {
        mail::first_line(raw).is_some_and(|line| self.0.contains(&bare(&line)))
    }
}

fn bare(word: &str) -> String {
    let ends = |c: char| c.is_whitespace() || matches!(c, '.' | '!' | ',');
    word.trim().trim_end_matches(ends).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_confirms_and_nothing_else() {
        let wording = Wording::load(None).expect("the built-in texts");
        let german = ConfirmingWords::of(&wording, &wording.language(Some("de")));
        for (line, confirms) in [
            ("yes", true),
            (" YES! ", true),
            ("Ja.", true),
            ("ja,", true),
            ("Yes ,", true),
            ("yes please", false),
            ("no", false),
            ("\"yes\"", false),
            ("yes?", false),
            ("I am out of office.", false),
            ("> yes", false),
            ("On Monday you wrote:", false),
        ] {
            let raw = format!("Subject: yes\r\n\r\n\r\n{line}\r\n\r\nAnn\r\n");
            assert_eq!(german.begin(raw.as_bytes()), confirms, "{line}");
        }
        let english = ConfirmingWords::of(&wording, &Language::default());
        assert!(!english.begin(b"A: b\r\n\r\nja\r\n"));
        assert!(!english.begin(b"Subject: yes\r\n\r\n"));
    }
}
