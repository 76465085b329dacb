//! The words of a message that `find` searches, and the parts of a search text.
//!
//! A word is a run of characters without white space, folded: in lower case, without accents, with compatibility
//! characters decomposed (NFKD). The local part of an address is a word with its `@` at the end, and the domain is
//! one with its `@` at the beginning, so that a part of an address may contain the `@`.

use icu_normalizer::DecomposingNormalizer;

use crate::domain::EmailAddress;

/// Maximum characters of a suffix of a word, and of a part of a search text.
const MAX_WORD: usize = 40;

/// Maximum characters of all words of a message, and of all parts of a search text. The sender chooses the words of a
/// message, and each costs a row for each of its characters.
pub(crate) const MAX_WORDS: usize = 400;

/// The same for a dropped message of a sender without an account: room for the address and the beginning of the
/// subject.
pub(crate) const MAX_OF_STRANGER: usize = 120;

/// Folds a text to lower case, without accents, with compatibility characters decomposed: `Müller` becomes
/// `muller`.
pub(crate) fn fold(text: &str) -> String {
    DecomposingNormalizer::new_nfkd()
        .normalize(&text.to_lowercase())
        .chars()
        .filter(|c| !matches!(c, '\u{300}'..='\u{36f}'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Distinct words of a message, in no particular order, with at most `most` characters in total.
pub(crate) fn words_of(
    sender: Option<&EmailAddress>,
    name: Option<&str>,
    subject: Option<&str>,
    most: usize,
) -> Vec<String> {
    let mut words = Vec::new();
    if let Some(sender) = sender {
        let (local, domain) = (sender.local(), sender.domain().as_str());
        words.push(format!("{}@", fold(local)));
        words.push(format!("@{}", fold(domain)));
    }
    for text in name.into_iter().chain(subject) {
        words.extend(split(text));
    }
    let mut left = most;
    let mut short = Vec::new();
    for mut word in words {
        if left == 0 {
            break;
        }
        cut(&mut word, left);
        left -= word.chars().count();
        short.push(word);
    }
    short.sort_unstable();
    short.dedup();
    short
}

/// Splits a search text into parts. A message matches if each part is in one of its words.
pub(crate) fn parts_of(search_text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for word in split(search_text) {
        match word.split_once('@') {
            Some((local, domain)) => {
                parts.extend((!local.is_empty()).then(|| format!("{local}@")));
                parts.extend((!domain.is_empty()).then(|| format!("@{domain}")));
            }
            None => parts.push(word),
        }
    }
    for part in &mut parts {
        cut(part, MAX_WORD);
    }
    parts.sort_unstable();
    parts.dedup();
    parts.truncate(MAX_WORDS / MAX_WORD);
    parts
}

/// Suffixes of a word with at least two characters, from each letter, digit and `@`; of a longer suffix, the first
/// [`MAX_WORD`] characters. Several may be equal.
pub(crate) fn endings(word: &str) -> impl Iterator<Item = &str> {
    word.char_indices()
        .filter(|(place, c)| *place == 0 || is_of_word(*c))
        .map(|(place, _)| &word[place..])
        .filter(move |ending| ending.len() == word.len() || ending.chars().nth(1).is_some())
        .map(|ending| match ending.char_indices().nth(MAX_WORD) {
            Some((end, _)) => &ending[..end],
            None => ending,
        })
}

/// Runs without white space, folded, without punctuation around them.
fn split(text: &str) -> impl Iterator<Item = String> {
    text.split_whitespace()
        .map(|run| fold(run).trim_matches(|c| !is_of_word(c)).to_owned())
        .filter(|run| run.chars().any(char::is_alphanumeric))
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '@'
}

/// Shortens a text to its first characters.
fn cut(text: &mut String, most: usize) {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_words_of_its_sender_and_subject() {
        let sender = EmailAddress::parse("Anna.Miller@corp.example").expect("an address");
        for (name, subject, expected) in [
            (None, None, vec!["@corp.example", "anna.miller@"]),
            (
                Some("Anna Müller"),
                Some("Re: VPN-Zugang (2.14) geht nicht! VPN"),
                vec![
                    "2.14",
                    "@corp.example",
                    "anna",
                    "anna.miller@",
                    "geht",
                    "muller",
                    "nicht",
                    "re",
                    "vpn",
                    "vpn-zugang",
                ],
            ),
            (
                None,
                Some("ＦＵＬＬ width ﬁne ß — … 打印机坏了"),
                vec![
                    "@corp.example",
                    "anna.miller@",
                    "fine",
                    "full",
                    "width",
                    "ß",
                    "打印机坏了",
                ],
            ),
        ] {
            assert_eq!(words_of(Some(&sender), name, subject, MAX_WORDS), expected);
        }
        assert_eq!(
            words_of(None, None, Some(" \u{301} -- @ "), MAX_WORDS),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_search_text_is_folded_in_the_same_way() {
        for (search_text, expected) in [
            ("MÜLL vpn", vec!["mull", "vpn"]),
            ("Miller@corp", vec!["@corp", "miller@"]),
            ("@corp.example", vec!["@corp.example"]),
            ("anna@", vec!["anna@"]),
            ("\"2.14\"", vec!["2.14"]),
            ("  ", vec![]),
            ("%_*'", vec![]),
        ] {
            assert_eq!(parts_of(search_text), expected, "{search_text}");
        }
        assert!(parts_of(&"word ".repeat(1000)).len() == 1);
        assert!(
            parts_of(
                &(0..1000)
                    .map(|n| format!("w{n} "))
                    .collect::<Vec<_>>()
                    .concat()
            )
            .len()
                <= 10
        );
    }

    #[test]
    fn a_sender_cannot_make_many_rows() {
        let subject = (0..10_000).fold(String::new(), |text, n| text + &format!("w{n:06} "));
        for subject in [subject, "x".repeat(100_000), "打".repeat(50_000)] {
            for most in [MAX_WORDS, MAX_OF_STRANGER] {
                let words = words_of(None, None, Some(&subject), most);
                let rows: usize = words.iter().map(|word| endings(word).count()).sum();
                assert!(rows <= most, "{rows}");
                assert!(!words.is_empty());
            }
        }
    }

    #[test]
    fn each_part_of_a_word_begins_a_suffix() {
        let all = |word| endings(word).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(all("vpn-1"), ["vpn-1", "pn-1", "n-1"]);
        assert_eq!(all("a@"), ["a@"]);
        assert_eq!(all("x"), ["x"]);
        assert_eq!(all("打印机"), ["打印机", "印机"]);
        let long: String = (0..30)
            .map(|n| format!("{n:02}x"))
            .collect::<Vec<_>>()
            .concat();
        for length in 1..=MAX_WORD {
            for begin in 0..=long.len() - length {
                let part = &long[begin..begin + length];
                let begins = |ending: &str| ending.starts_with(part);
                // The last character alone is not a suffix, but is in other suffixes.
                assert!(length == 1 || endings(&long).any(begins), "{part}");
            }
        }
        assert!(endings(&long).all(|ending| ending.chars().count() <= MAX_WORD));
    }
}
