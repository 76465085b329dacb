//! The value of one key, read as the type that the reader requires.
//!
//! Each method returns the value, or reports a mistake and returns nothing.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeArray, DeTable, DeValue};

use super::document::{Document, KeyPlace, join};
use super::units::{parse_size, parse_time};

/// A key with its value.
pub(super) struct TomlEntry<'d> {
    document: &'d Document<'d>,
    pub place: KeyPlace,
    value: &'d DeValue<'d>,
}

impl<'d> TomlEntry<'d> {
    pub fn new(document: &'d Document<'d>, place: KeyPlace, value: &'d DeValue<'d>) -> Self {
        Self {
            document,
            place,
            value,
        }
    }

    pub fn refuse(&self, what: impl Display) {
        self.document.refuse(&self.place, what);
    }

    fn wrong_type<T>(&self, wanted: &str) -> Option<T> {
        self.refuse(format_args!(
            "is {}; write {wanted}",
            with_article(self.value.type_str())
        ));
        None
    }

    pub fn array(&self) -> Option<&'d DeArray<'d>> {
        self.value.as_array()
    }

    pub fn table(&self) -> Option<&'d DeTable<'d>> {
        match self.value {
            DeValue::Table(table) => Some(table),
            _ => self.wrong_type(&format!("[{}] and its keys below it", self.place.label)),
        }
    }

    pub fn text(&self) -> Option<&'d str> {
        match self.value {
            DeValue::String(text) => Some(text),
            DeValue::Integer(number) => self.wrong_type(&format!("\"{number}\"")),
            DeValue::Array(_) => self.wrong_type("one text in quotes"),
            _ => self.wrong_type("a text in quotes"),
        }
    }

    /// A text that must not be empty.
    pub fn some_text(&self) -> Option<&'d str> {
        let text = self.text()?;
        if text.trim().is_empty() {
            self.refuse("is empty");
            return None;
        }
        Some(text)
    }

    pub fn parse<T, E: Display>(&self, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        read(self.text()?).map_err(|cause| self.refuse(cause)).ok()
    }

    /// Parses a text; an empty one counts as an absent key.
    pub fn parse_unless_empty<T, E: Display>(
        &self,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        match self.text()? {
            "" => None,
            text => read(text).map_err(|cause| self.refuse(cause)).ok(),
        }
    }

    pub fn path(&self) -> Option<PathBuf> {
        self.some_text().map(|path| self.document.resolve(path))
    }

    pub fn switch(&self) -> Option<bool> {
        match self.value {
            DeValue::Boolean(on) => Some(*on),
            DeValue::String(text) if *text == "true" || *text == "false" => {
                self.wrong_type(&format!("{text} without quotes"))
            }
            _ => self.wrong_type("true or false"),
        }
    }

    pub fn number<N>(&self, range: RangeInclusive<N>) -> Option<N>
    where
        N: TryFrom<u64> + PartialOrd + Display,
    {
        let DeValue::Integer(number) = self.value else {
            return self.wrong_type("a whole number without quotes");
        };
        let value = u64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|value| N::try_from(value).ok())
            .filter(|value| range.contains(value));
        if value.is_none() {
            self.refuse(format_args!(
                "{number} is not between {} and {}",
                range.start(),
                range.end()
            ));
        }
        value
    }

    /// A size in octets, as `"25MiB"` or a plain number; at least one.
    pub fn size(&self) -> Option<u64> {
        let size = match self.value {
            DeValue::String(text) => parse_size(text).map_err(|cause| self.refuse(cause)).ok()?,
            DeValue::Integer(number) => parse_size(&number.to_string())
                .map_err(|cause| self.refuse(cause))
                .ok()?,
            _ => return self.wrong_type("a size, such as \"25MiB\""),
        };
        if size == 0 {
            self.refuse("must be greater than zero");
            return None;
        }
        Some(size)
    }

    /// A duration above zero.
    pub fn time(&self) -> Option<Duration> {
        let DeValue::String(text) = self.value else {
            return self.wrong_type("a time in quotes with its unit, such as \"5m\"");
        };
        let time = parse_time(text).map_err(|cause| self.refuse(cause)).ok()?;
        if time.is_zero() {
            self.refuse("must be greater than zero");
            return None;
        }
        Some(time)
    }

    /// One of a fixed set of words.
    pub fn choice<T: Clone>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.refuse(format_args!("{text:?} is not one of {}", known.join(", ")));
        }
        found.map(|(_, value)| value.clone())
    }

    /// The items of a list of texts that `read` accepts, with a mistake for each one that it does not.
    pub fn list<T, E: Display>(
        &self,
        mut read: impl FnMut(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let DeValue::Array(items) = self.value else {
            return match self.value {
                DeValue::String(text) => self.wrong_type(&format!("a list, [{text:?}]")),
                _ => self.wrong_type("a list of texts, [\"…\"]"),
            };
        };
        let mut good = Vec::new();
        for item in items {
            let place = KeyPlace {
                label: self.place.label.clone(),
                at: item.span().start,
            };
            good.extend(Self::new(self.document, place, item.get_ref()).parse(&mut read));
        }
        Some(good)
    }

    /// A table of texts by names that the operator chose.
    pub fn texts(&self) -> Option<BTreeMap<String, String>> {
        let DeValue::Table(table) = self.value else {
            return self.wrong_type("a table of texts, { NAME = \"…\" }");
        };
        let mut texts = BTreeMap::new();
        for (name, value) in table {
            let place = KeyPlace {
                label: join(&self.place.label, name.get_ref()),
                at: name.span().start,
            };
            if let Some(text) = Self::new(self.document, place, value.get_ref()).text() {
                texts.insert(name.get_ref().to_string(), text.to_owned());
            }
        }
        Some(texts)
    }
}

fn with_article(kind: &str) -> String {
    match kind {
        "integer" | "array" => format!("an {kind}"),
        _ => format!("a {kind}"),
    }
}
