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
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_its_placeholders() {
        use TextPiece::{Placeholder, Plain};
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

    /// Every language has every text of English, in each of its plural forms, and uses the same placeholders;
    /// only `one`, `two` and `zero` may omit the number.
    #[test]
    fn every_language_is_complete() {
        let texts = Texts::load(None).expect("the built-in texts");
        let mut wrong = Vec::new();
        for (language, table) in &texts.languages {
            let mut expected = BTreeMap::new();
            for (name, english) in &texts.english {
                let placeholders = placeholders(english);
                match name.rsplit_once('.') {
                    Some((text, "one")) if texts.english.contains_key(&format!("{text}.other")) => {
                    }
                    Some((text, "other")) => {
                        for form in language.plurals() {
                            expected.insert(format!("{text}.{form}"), placeholders.clone());
                        }
                    }
                    _ => {
                        expected.insert(name.clone(), placeholders);
                    }
                }
            }
            for (name, placeholders) in &expected {
                let Some(text) = table.get(name) else {
                    wrong.push(format!("{}: {name} is missing", language.as_str()));
                    continue;
                };
                let mut missing: BTreeSet<_> = placeholders - &super::placeholders(text);
                if [".one", ".two", ".zero"]
                    .iter()
                    .any(|form| name.ends_with(form))
                {
                    missing.remove("count");
                }
                let is_trimmed = text.trim() == text || name == "language.space";
                if !missing.is_empty() || !is_trimmed {
                    wrong.push(format!("{}: {name} lacks {missing:?}", language.as_str()));
                }
            }
            let unknown = table.keys().filter(|name| !expected.contains_key(*name));
            wrong.extend(unknown.map(|name| format!("{}: {name} is unknown", language.as_str())));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_built_in_languages_are_those_that_the_configuration_knows() {
        let tags: Vec<_> = BUILT_IN.iter().map(|(tag, _, _)| *tag).collect();
        assert_eq!(tags, crate::domain::BUILT_IN_LANGUAGES);
    }

    #[test]
    fn an_operator_changes_texts_and_adds_a_language() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("a writable folder");
        };
        write("texts.en.toml", "[action]\nconfirm = \"Go\"");
        write(
            "texts.sl.toml",
            "[action]\nconfirm = \"Da\"\n[verify.hint]\ntwo = \"Dve\"\nother = \"Druge\"",
        );
        let texts = Texts::load(Some(folder.path())).expect("good texts");
        let slovene = language("sl", "").expect("a tag");
        assert_eq!(
            texts.get(&Language::default(), "action.confirm"),
            Some("Go")
        );
        assert_eq!(texts.get(&slovene, "action.confirm"), Some("Da"));
        assert_eq!(
            texts.get(&slovene, "date.month.1"),
            Some("January"),
            "English where a text is missing"
        );
        for (name, count, expected) in [
            ("verify.hint", 102, "Dve"),
            ("verify.hint", 3, "Druge"),
            (
                "verify.waiting",
                1,
                "One message from this address is waiting",
            ),
            (
                "verify.waiting",
                101,
                "{count} messages from this address are waiting",
            ),
        ] {
            let text = texts.get_plural(&slovene, name, count);
            assert_eq!(text, Some(expected), "{name} {count}");
        }
        assert_eq!(texts.name(&slovene), "sl");
        assert_eq!(texts.direction(&slovene), "ltr");
    }

    #[test]
    fn a_mistake_is_named_with_its_file() {
        for (source, expected) in [
            ("[action]\nconfrm = \"x\"", "action.confrm"),
            ("[action]\nconfirm = 7", "action.confirm"),
            ("[action]\nconfirm = \"{who}\"", "{who}"),
            ("[action", "TOML"),
            ("[verify.waiting]\nfew = \"{whose}\"", "{whose}"),
            ("[verify.waiting]\nfewer = \"x\"", "verify.waiting.fewer"),
            ("[verify]\ntitle.few = \"x\"", "verify.title.few"),
            ("[language]\ndirection = \"left\"", "ltr"),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("texts.fr.toml"), source).expect("writable");
            let said = Texts::load(Some(folder.path()))
                .expect_err(source)
                .to_string();
            assert!(said.starts_with("texts.fr.toml: "), "{said}");
            assert!(said.contains(expected), "{said}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("texts.pt_BR.toml"), "").expect("writable");
        let said = Texts::load(Some(folder.path()))
            .expect_err("no tag")
            .to_string();
        assert!(
            said.starts_with("texts.pt_BR.toml: ") && said.contains("pt-BR"),
            "{said}"
        );
    }
}
