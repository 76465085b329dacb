//! The texts of one language as a TOML file: tables become the parts of a name, `[verify] title`
//! is `verify.title`. A `{name}` in a text is filled by the template. A text about a number has one
//! form for each of the language's plural forms (CLDR): `waiting.one`, `waiting.few`, `waiting.other`.
//!
//! English is complete; another language falls back to it text by text. A text may use no placeholder that
//! the English one lacks, so that a translation cannot fail where English works.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{Language, TemplatesError, own_file};
use crate::domain::{LanguageTag, join};

/// Languages, each with the name and the content of its file.
macro_rules! languages {
    ($($tag:literal)+) => {
        &[$((
            $tag,
            concat!("texts.", $tag, ".toml"),
            include_str!(concat!("texts.", $tag, ".toml")),
        )),+]
    };
}

/// The built-in languages.
pub(super) const BUILT_IN: &[(&str, &str, &str)] =
    languages!("ar" "cs" "de" "en" "es" "fr" "it" "ja" "nl" "pl" "pt-BR" "sv" "zh-Hans");

/// Placeholders that any text of a mail may use, even if the English one does not. `address` is from version
/// 0.1 and stands for an address without its local part.
const IN_EVERY_MAIL: [&str; 3] = ["address", "domain", "word"];

/// Mistakes of a file of texts.
#[derive(Debug, thiserror::Error)]
pub enum TextsFault {
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    #[error("{0} is not a text in quotes")]
    NotAText(String),
    #[error(
        "the file must be named texts.LANGUAGE.toml, and {0:?} is not a language tag; use one such as fr, pt-BR or zh-Hant"
    )]
    Language(String),
    #[error(
        "{0:?} is not a direction; write ltr, or rtl for a language that is written from right to left"
    )]
    Direction(String),
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

/// Plural forms that a language may have where English has `other`.
const FORMS: [&str; 4] = ["zero", "two", "few", "many"];

/// Name of the text with a language's direction: `ltr`, or `rtl` for right to left.
const DIRECTION: &str = "language.direction";

/// All texts of all languages.
#[derive(Debug)]
pub(super) struct Texts {
    english: Table,
    languages: BTreeMap<Language, Table>,
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TextPiece<'a> {
    Plain(&'a str),
    Placeholder(&'a str),
}

impl Texts {
    /// Loads the built-in texts, changed and extended by `texts.LANGUAGE.toml` of the folder.
    pub(super) fn load(folder: Option<&Path>) -> Result<Self, TemplatesError> {
        let mut files: BTreeMap<Language, Vec<(String, Cow<'static, str>)>> = BTreeMap::new();
        for (tag, file, text) in BUILT_IN {
            let language = language(tag, file)?;
            files.insert(language, vec![((*file).to_owned(), Cow::Borrowed(*text))]);
        }
        if let Some(folder) = folder {
            for (tag, file) in own_languages(folder)? {
                let own =
                    own_file(Some(folder), &file)?.map(|text| (file.clone(), Cow::Owned(text)));
                files.entry(language(&tag, &file)?).or_default().extend(own);
            }
        }
        let mut languages = BTreeMap::new();
        for (language, sources) in files {
            let mut table = Table::new();
            for (file, source) in sources {
                let mut own = Table::new();
                read(&source, &mut own).map_err(|fault| TemplatesError::Texts { file, fault })?;
                keep_own_subject(&mut own);
                table.extend(own);
            }
            languages.insert(language, table);
        }
        let english = languages
            .get(&Language::default())
            .cloned()
            .unwrap_or_default();
        for (language, table) in &languages {
            check(table, &english).map_err(|fault| TemplatesError::Texts {
                file: file_name(language.as_str()),
                fault,
            })?;
        }
        Ok(Self { english, languages })
    }

    pub(super) fn languages(&self) -> impl Iterator<Item = &Language> + Clone {
        self.languages.keys()
    }

    pub(super) fn get(&self, language: &Language, name: &str) -> Option<&str> {
        self.languages
            .get(language)
            .and_then(|table| table.get(name))
            .or_else(|| self.english.get(name))
            .map(String::as_str)
    }

    /// The form of a text for a number; the English one if the language lacks the text.
    pub(super) fn get_plural(&self, language: &Language, name: &str, count: u64) -> Option<&str> {
        self.languages
            .get(language)
            .and_then(|table| plural(table, language, name, count))
            .or_else(|| plural(&self.english, &Language::default(), name, count))
    }

    /// `ltr` or `rtl`.
    pub(super) fn direction(&self, language: &Language) -> &str {
        self.get(language, DIRECTION).unwrap_or("ltr")
    }

    /// The language's name for itself; its tag if its file does not have it.
    pub(super) fn name<'a>(&'a self, language: &'a Language) -> &'a str {
        self.languages
            .get(language)
            .and_then(|table| table.get("language.name"))
            .map_or(language.as_str(), String::as_str)
    }
}

fn plural<'a>(table: &'a Table, language: &Language, name: &str, count: u64) -> Option<&'a str> {
    let form = |form: &str| table.get(&format!("{name}.{form}"));
    form(language.plural(count))
        .or_else(|| form("other"))
        .map(String::as_str)
}

fn file_name(language: &str) -> String {
    format!("texts.{language}.toml")
}

fn language(tag: &str, file: &str) -> Result<Language, TemplatesError> {
    LanguageTag::parse(tag)
        .map(Language::of)
        .map_err(|_| TemplatesError::Texts {
            file: file.to_owned(),
            fault: TextsFault::Language(tag.to_owned()),
        })
}

/// The tags of the files of texts in an operator's folder, and the names of these files.
fn own_languages(folder: &Path) -> Result<BTreeMap<String, String>, TemplatesError> {
    let unreadable = |cause| TemplatesError::Unreadable {
        path: folder.to_owned(),
        cause,
    };
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name();
        let Some(name) = name.to_str() else { continue };
        let tag = name
            .strip_prefix("texts.")
            .and_then(|rest| rest.strip_suffix(".toml"));
        if let Some(tag) = tag {
            found.insert(tag.to_owned(), name.to_owned());
        }
    }
    Ok(found)
}

/// Keeps the subject of a file of version 0.1, which has one subject for all verification mail.
fn keep_own_subject(own: &mut Table) {
    const MESSAGE: &str = "letter.subject.message";
    if !own.contains_key(MESSAGE)
        && let Some(subject) = own.get("letter.subject.verification").cloned()
    {
        own.insert(MESSAGE.to_owned(), subject);
    }
}

/// Reads a file into `into` and replaces existing texts.
fn read(source: &str, into: &mut Table) -> Result<(), TextsFault> {
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
            _ => return Err(TextsFault::NotAText(name)),
        }
    }
    Ok(())
}

fn check(table: &Table, english: &Table) -> Result<(), TextsFault> {
    for (name, text) in table {
        let pattern = english
            .get(name)
            .or_else(|| english.get(&english_form(name)?))
            .ok_or_else(|| TextsFault::Unknown(name.clone()))?;
        let mut known = placeholders(pattern);
        if name.starts_with("letter.") {
            known.extend(IN_EVERY_MAIL);
        }
        if let Some(other) = placeholders(text).difference(&known).next() {
            return Err(TextsFault::Placeholder {
                text: name.clone(),
                placeholder: (*other).to_owned(),
                known: join(known, ", "),
            });
        }
    }
    match table.get(DIRECTION).map(String::as_str) {
        None | Some("ltr" | "rtl") => Ok(()),
        Some(other) => Err(TextsFault::Direction(other.to_owned())),
    }
}

/// The name of the English text for a plural form that English lacks.
fn english_form(name: &str) -> Option<String> {
    let (text, form) = name.rsplit_once('.')?;
    FORMS.contains(&form).then(|| format!("{text}.other"))
}

fn placeholders(text: &str) -> BTreeSet<&str> {
    pieces(text)
        .filter_map(|piece| match piece {
            TextPiece::Placeholder(name) => Some(name),
            TextPiece::Plain(_) => None,
        })
        .collect()
}

/// Splits a text at its placeholders. A `{` without its `}` is an ordinary character.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = TextPiece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(inner) = rest.strip_prefix('{')
            && let Some((name, after)) = inner.split_once('}')
        {
            rest = after;
            return Some(TextPiece::Placeholder(name));
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find('{').map_or(rest.len(), |at| at + first);
        let (plain, after) = rest.split_at(end);
        rest = after;
        Some(TextPiece::Plain(plain))
    })
}

#[cfg(test)]
mod tests;
