//! The texts of one language as a TOML file: tables become the parts of a name, `[verify] title`
//! is `verify.title`. A `{name}` in a text is filled by the template.
//!
//! English is complete; another language falls back to it text by text. A text may use no
//! placeholder that the English one lacks, so that a translation cannot fail where English works.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Language, WordingError, own_file};

/// The languages that come with the program, each with the name of its file.
pub(super) const BUILT_IN: &[(&str, &str, &str)] = &[
    ("en", "texts.en.toml", include_str!("texts.en.toml")),
    ("de", "texts.de.toml", include_str!("texts.de.toml")),
];

/// Placeholders that any text of a letter may use, whatever the English one does; `address` was in
/// those of version 0.1, and stands for an address without its local part.
const IN_EVERY_LETTER: [&str; 3] = ["address", "domain", "word"];

/// What is wrong with a file of texts.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    #[error("{0} is not a text in quotes")]
    NotAText(String),
    #[error("there is no text {0}; see the English file for the names")]
    Unknown(String),
    #[error("{text} cannot use {{{placeholder}}}; the English text has {known}")]
    Placeholder {
        text: String,
        placeholder: String,
        known: String,
    },
}

type Table = BTreeMap<String, String>;

/// All texts of all languages.
#[derive(Debug)]
pub(super) struct Texts {
    english: Table,
    languages: BTreeMap<Language, Table>,
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Plain(&'a str),
    Placeholder(&'a str),
}

impl Texts {
    /// The built-in texts, changed by and added to by `texts.LANGUAGE.toml` of the folder.
    pub(super) fn load(folder: Option<&Path>) -> Result<Self, WordingError> {
        let mut files: BTreeMap<String, Vec<Cow<'static, str>>> = BUILT_IN
            .iter()
            .map(|(language, _, text)| ((*language).to_owned(), vec![Cow::Borrowed(*text)]))
            .collect();
        if let Some(folder) = folder {
            for language in own_languages(folder)? {
                let own = own_file(Some(folder), &file_name(&language))?;
                files
                    .entry(language)
                    .or_default()
                    .extend(own.map(Cow::Owned));
            }
        }
        let mut languages = BTreeMap::new();
        for (language, sources) in files {
            let mut table = Table::new();
            for source in sources {
                read(&source, &mut table).map_err(|fault| WordingError::Texts {
                    file: file_name(&language),
                    fault,
                })?;
            }
            languages.insert(Language::named(&language), table);
        }
        let english = languages
            .get(&Language::default())
            .cloned()
            .unwrap_or_default();
        for (language, table) in &languages {
            check(table, &english).map_err(|fault| WordingError::Texts {
                file: file_name(language.as_str()),
                fault,
            })?;
        }
        Ok(Self { english, languages })
    }

    pub(super) fn languages(&self) -> impl Iterator<Item = &Language> {
        self.languages.keys()
    }

    pub(super) fn get(&self, language: &Language, name: &str) -> Option<&str> {
        self.languages
            .get(language)
            .and_then(|table| table.get(name))
            .or_else(|| self.english.get(name))
            .map(String::as_str)
    }
}

fn file_name(language: &str) -> String {
    format!("texts.{language}.toml")
}

/// The languages of the files in an operator's folder.
fn own_languages(folder: &Path) -> Result<BTreeSet<String>, WordingError> {
    let unreadable = |cause| WordingError::Unreadable {
        path: folder.to_owned(),
        cause,
    };
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let language = name
            .to_str()
            .and_then(|name| name.strip_prefix("texts."))
            .and_then(|rest| rest.strip_suffix(".toml"))
            .filter(|tag| !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_lowercase()));
        found.extend(language.map(ToOwned::to_owned));
    }
    Ok(found)
}

/// Reads a file into `into`; what is there already is replaced.
fn read(source: &str, into: &mut Table) -> Result<(), Fault> {
    let root: toml::Table = toml::from_str(source)?;
    let mut open: Vec<(String, toml::Value)> = root.into_iter().collect();
    while let Some((name, value)) = open.pop() {
        match value {
            toml::Value::String(text) => {
                into.insert(name, text);
            }
            toml::Value::Table(inner) => open.extend(
                inner
                    .into_iter()
                    .map(|(key, value)| (format!("{name}.{key}"), value)),
            ),
            _ => return Err(Fault::NotAText(name)),
        }
    }
    Ok(())
}

fn check(table: &Table, english: &Table) -> Result<(), Fault> {
    for (name, text) in table {
        let pattern = english
            .get(name)
            .ok_or_else(|| Fault::Unknown(name.clone()))?;
        let mut known = placeholders(pattern);
        if name.starts_with("letter.") {
            known.extend(IN_EVERY_LETTER);
        }
        if let Some(other) = placeholders(text).difference(&known).next() {
            return Err(Fault::Placeholder {
                text: name.clone(),
                placeholder: (*other).to_owned(),
                known: known.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
    }
    Ok(())
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    pieces(text)
        .filter_map(|piece| match piece {
            Piece::Placeholder(name) => Some(name),
            Piece::Plain(_) => None,
        })
        .collect()
}

/// A text, cut at its placeholders. A `{` without its `}` is an ordinary character.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('{')
            && let Some((name, after)) = inner.split_once('}')
        {
            rest = after;
            return Some(Piece::Placeholder(name));
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find('{').map_or(rest.len(), |at| at + first);
        let (plain, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Plain(plain))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_placeholders() {
        use Piece::{Placeholder, Plain};
        for (text, expected) in [
            ("", vec![]),
            ("a {b} c", vec![Plain("a "), Placeholder("b"), Plain(" c")]),
            ("{b}{c}", vec![Placeholder("b"), Placeholder("c")]),
            ("a { b", vec![Plain("a "), Plain("{ b")]),
            ("„{b}“", vec![Plain("„"), Placeholder("b"), Plain("“")]),
        ] {
            assert_eq!(pieces(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn german_has_every_text_that_english_has() {
        let texts = Texts::load(None).expect("the built-in texts");
        let german = &texts.languages[&Language::named("de")];
        let missing: Vec<_> = texts
            .english
            .keys()
            .filter(|name| !german.contains_key(*name))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn an_operator_changes_texts_and_adds_a_language() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a writable folder");
        };
        write("texts.en.toml", "[action]\nconfirm = \"Go\"");
        write("texts.fr.toml", "[action]\nconfirm = \"Oui\"");
        let texts = Texts::load(Some(folder.path())).expect("good texts");
        let french = Language::named("fr");
        assert_eq!(
            texts.get(&Language::default(), "action.confirm"),
            Some("Go")
        );
        assert_eq!(texts.get(&french, "action.confirm"), Some("Oui"));
        assert_eq!(
            texts.get(&french, "date.month.1"),
            Some("January"),
            "English where a text is missing"
        );
    }

    #[test]
    fn a_mistake_is_named_with_its_file() {
        for (source, expected) in [
            ("[action]\nconfrm = \"x\"", "action.confrm"),
            ("[action]\nconfirm = 7", "action.confirm"),
            ("[action]\nconfirm = \"{who}\"", "{who}"),
            ("[action", "TOML"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("texts.fr.toml"), source).expect("writable");
            let said = Texts::load(Some(folder.path()))
                .expect_err(source)
                .to_string();
            assert!(said.starts_with("texts.fr.toml: "), "{said}");
            assert!(said.contains(expected), "{said}");
        }
    }
}
