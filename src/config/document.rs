//! The TOML text as sections and entries, with their positions.
//!
//! A reader asks a [`TomlSection`] for its keys. A value of the wrong type, or an impossible one, is reported and
//! taken as absent, so that reading goes on and all mistakes are found in one pass. When a section goes out of
//! scope, it reports the keys that were not read: a key is known if a reader reads it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::entry::TomlEntry;
use super::mistake::Mistake;
use super::secret::Secrets;
use super::unknown_name::describe_unknown_key;

/// Maximum mistakes that are recorded. A file with more is of another kind, and each mistake takes time and memory.
const MAX_MISTAKES: usize = 100;

/// Maximum octets of a name in a label. Labels repeat the names of the sections around a key.
const MAX_NAME: usize = 100;

/// One file and its mistakes so far.
pub(super) struct Document<'d> {
    text: &'d str,
    file: &'d Path,
    pub secrets: Secrets,
    mistakes: RefCell<Vec<Mistake>>,
    /// Files that secrets were read from.
    pub secret_files: RefCell<Vec<PathBuf>>,
    /// Keys by kind of section: those that readers know, and those in the file.
    #[cfg(test)]
    pub known: RefCell<std::collections::BTreeSet<String>>,
    #[cfg(test)]
    pub given: RefCell<std::collections::BTreeSet<String>>,
}

/// Position of a mistake.
#[derive(Debug, Clone)]
pub(super) struct KeyPlace {
    /// The whole key, as in `smtp.tls.key`.
    pub label: String,
    /// Octets from the start of the text.
    pub at: usize,
}

/// A table of the file, or an absent one.
pub(super) struct TomlSection<'d> {
    document: &'d Document<'d>,
    pub place: KeyPlace,
    /// The label without the names that an operator chose. For a section with a type: its name and the type,
    /// separated by a space.
    kind: String,
    table: Option<&'d DeTable<'d>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'d> Document<'d> {
    pub fn new(text: &'d str, file: &'d Path, secrets: Secrets) -> Self {
        Self {
            text,
            file,
            secrets,
            mistakes: RefCell::default(),
            secret_files: RefCell::default(),
            #[cfg(test)]
            known: RefCell::default(),
            #[cfg(test)]
            given: RefCell::default(),
        }
    }

    pub fn root(&'d self, table: &'d DeTable<'d>) -> TomlSection<'d> {
        let place = KeyPlace {
            label: String::new(),
            at: 0,
        };
        TomlSection::new(self, place, String::new(), Some(table))
    }

    /// Records a mistake, unless the maximum is reached.
    pub fn refuse(&self, place: &KeyPlace, what: impl Display) {
        if self.has_enough_mistakes() {
            return;
        }
        self.mistakes.borrow_mut().push(Mistake {
            file: self.file.to_owned(),
            line: Some(self.line(place.at)),
            key: place.label.clone(),
            what: what.to_string(),
        });
    }

    /// Reports text that is not TOML. It has a position but no key.
    pub fn refuse_text(&self, at: usize, what: &str) {
        let place = KeyPlace {
            label: String::new(),
            at,
        };
        self.refuse(&place, what);
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }

    /// Resolves a path against the folder of the configuration file. The result is absolute, so it always has
    /// a parent and a name.
    pub fn resolve(&self, path: &str) -> PathBuf {
        let path = self.file.parent().unwrap_or(Path::new("")).join(path);
        std::path::absolute(&path).unwrap_or(path)
    }

    pub fn text(&self) -> &'d str {
        self.text
    }

    pub fn has_mistakes(&self) -> bool {
        !self.mistakes.borrow().is_empty()
    }

    fn has_enough_mistakes(&self) -> bool {
        self.mistakes.borrow().len() >= MAX_MISTAKES
    }

    pub fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes.into_inner()
    }
}

impl<'d> TomlSection<'d> {
    fn new(
        document: &'d Document<'d>,
        place: KeyPlace,
        kind: String,
        table: Option<&'d DeTable<'d>>,
    ) -> Self {
        Self {
            document,
            place,
            kind,
            table,
            asked: RefCell::default(),
        }
    }

    pub fn is_there(&self) -> bool {
        self.table.is_some()
    }

    pub fn refuse(&self, what: impl Display) {
        self.document.refuse(&self.place, what);
    }

    pub fn document(&self) -> &'d Document<'d> {
        self.document
    }

    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Gives up on this section: its valid keys are not known, so none is reported as unknown.
    pub fn give_up(&mut self) {
        self.table = None;
    }

    /// Sets the kind, which distinguishes sections with different keys under the same name.
    pub fn set_kind(&mut self, kind: &str) {
        kind.clone_into(&mut self.kind);
    }

    fn label(&self, key: &str) -> String {
        join(&self.place.label, key)
    }

    pub fn entry(&self, key: &'static str) -> Option<TomlEntry<'d>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        drop(asked);
        let (key, value) = self.table?.get_key_value(key)?;
        let place = KeyPlace {
            label: self.label(key.get_ref()),
            at: key.span().start,
        };
        Some(TomlEntry::new(self.document, place, value.get_ref()))
    }

    /// A required entry; `example` is shown if it is absent.
    pub fn require(&self, key: &'static str, example: &str) -> Option<TomlEntry<'d>> {
        let entry = self.entry(key);
        if entry.is_none() {
            self.refuse_key(key, format_args!("is missing; write {key} = {example}"));
        }
        entry
    }

    /// Reports a mistake in the value of a key or, if the key is absent, in its default.
    pub fn refuse_key(&self, key: &'static str, what: impl Display) {
        let at = self
            .table
            .and_then(|table| table.get_key_value(key))
            .map_or(self.place.at, |(key, _)| key.span().start);
        let place = KeyPlace {
            label: self.label(key),
            at,
        };
        self.document.refuse(&place, what);
    }

    /// Refuses inline secrets: a secret belongs in its own file, which can have other permissions and no
    /// history.
    pub fn never_inline(&self, key: &'static str, instead: &str) {
        if self.has(key) {
            self.asked.borrow_mut().push(key);
            self.refuse_key(
                key,
                format_args!(
                    "a secret is never written here; put it into a file and write {instead}"
                ),
            );
        }
    }

    /// The table with this key; an absent one reads as an empty one.
    pub fn section(&self, key: &'static str) -> TomlSection<'d> {
        let entry = self.entry(key);
        let place = entry.as_ref().map_or_else(
            || KeyPlace {
                label: self.label(key),
                at: self.place.at,
            },
            |entry| entry.place.clone(),
        );
        let table = entry.and_then(|entry| entry.table());
        TomlSection::new(self.document, place, join(&self.kind, key), table)
    }

    /// The tables of `[[key]]`.
    pub fn sections(&self, key: &'static str) -> Vec<TomlSection<'d>> {
        let Some(entry) = self.entry(key) else {
            return Vec::new();
        };
        let Some(items) = entry.array() else {
            entry.refuse(format_args!("is a list of tables; write [[{key}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items {
            let place = KeyPlace {
                label: entry.place.label.clone(),
                at: item.span().start,
            };
            match item.get_ref() {
                DeValue::Table(table) => sections.push(TomlSection::new(
                    self.document,
                    place,
                    join(&self.kind, key),
                    Some(table),
                )),
                _ => self
                    .document
                    .refuse(&place, format_args!("is a list of tables; write [[{key}]]")),
            }
        }
        sections
    }

    /// The tables below this one, by the names that the operator chose, in the file's order.
    pub fn subsections(mut self, example: &str) -> Vec<(&'d str, TomlSection<'d>)> {
        let mut sections = Vec::new();
        // The table is taken, because names are not keys that could be unknown.
        for (name, value) in self.table.take().into_iter().flatten() {
            let name = name.get_ref().as_ref();
            let place = KeyPlace {
                label: self.label(&as_key(&shorten(name))),
                at: value.span().start,
            };
            match value.get_ref() {
                DeValue::Table(table) => sections.push((
                    name,
                    TomlSection::new(self.document, place, self.kind.clone(), Some(table)),
                )),
                _ => self
                    .document
                    .refuse(&place, format_args!("is a table; write {example}")),
            }
        }
        sections.sort_by_key(|(_, section)| section.place.at);
        sections
    }

    /// The items of a list; an absent one is empty.
    pub fn list<T, E: Display>(
        &self,
        key: &'static str,
        parse: impl FnMut(&str) -> Result<T, E>,
    ) -> Vec<T> {
        self.entry(key)
            .and_then(|entry| entry.list(parse))
            .unwrap_or_default()
    }

    pub fn size(&self, key: &'static str, default: u64) -> u64 {
        self.entry(key)
            .and_then(|entry| entry.size())
            .unwrap_or(default)
    }

    pub fn time(&self, key: &'static str, default: Duration) -> Duration {
        self.entry(key)
            .and_then(|entry| entry.time())
            .unwrap_or(default)
    }

    pub fn switch(&self, key: &'static str, default: bool) -> bool {
        self.entry(key)
            .and_then(|entry| entry.switch())
            .unwrap_or(default)
    }

    pub fn number<N>(&self, key: &'static str, default: N, range: RangeInclusive<N>) -> N
    where
        N: TryFrom<u64> + PartialOrd + Display,
    {
        self.entry(key)
            .and_then(|entry| entry.number(range))
            .unwrap_or(default)
    }
}

impl Drop for TomlSection<'_> {
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        #[cfg(test)]
        self.document
            .known
            .borrow_mut()
            .extend(asked.iter().map(|key| join(&self.kind, key)));
        for (key, _) in self.table.into_iter().flatten() {
            let name = key.get_ref().as_ref();
            if asked.contains(&name) {
                #[cfg(test)]
                self.document
                    .given
                    .borrow_mut()
                    .insert(join(&self.kind, name));
                continue;
            }
            if self.document.has_enough_mistakes() {
                break;
            }
            let place = KeyPlace {
                label: self.label(&shorten(name)),
                at: key.span().start,
            };
            let named = self.kind.split_once(' ').map(|(_, word)| word);
            self.document
                .refuse(&place, describe_unknown_key(name, &asked, named));
        }
    }
}

/// Cuts a name that is too long for a label.
fn shorten(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_NAME {
        Cow::Borrowed(name)
    } else {
        let start = &name[..name.floor_char_boundary(MAX_NAME)];
        Cow::Owned(format!("{start}…"))
    }
}

/// Quotes a name that the operator chose if a TOML key requires that.
fn as_key(name: &str) -> Cow<'_, str> {
    let bare = |octet: u8| octet.is_ascii_alphanumeric() || b"-_".contains(&octet);
    if !name.is_empty() && name.bytes().all(bare) {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(format!("{name:?}"))
    }
}

pub(super) fn join(before: &str, key: &str) -> String {
    if before.is_empty() {
        key.to_owned()
    } else {
        format!("{before}.{key}")
    }
}
