//! The fields of a form or a query as names and values, in their order. An empty value is the same as a
//! missing one, since a browser sends every field of a form.

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use minijinja::{Value, context};
use url::form_urlencoded;

use super::error::Error;
use super::period::Period;
use crate::store::{ListOrder, Page};

/// Rows on one page.
const ROWS: usize = 50;

/// Name of the field that holds the cursors of the pages before this one, oldest first.
const BACK: &str = "back";

/// Maximum pages that "Newer" steps back through; beyond that it leads to the first page.
const MAX_BACK: usize = 40;

/// Fields that belong to one page of a list or to one visit, and not to its filter.
const PAGE_FIELDS: &[&str] = &["after", BACK, "select", "done", "count", "failed"];

#[derive(Debug, Clone, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub fn one(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(own, _)| own == name);
        found
            .find(|(_, value)| !value.trim().is_empty())
            .map(|(_, value)| value.trim())
    }

    /// All names and values, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The fields with these names that have a value.
    pub fn pick<'a>(&'a self, names: &'a [&'a str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        names
            .iter()
            .filter_map(|name| Some((*name, self.one(name)?)))
    }

    /// The same as hidden fields of a form.
    pub fn keep(&self, names: &[&str]) -> Vec<Value> {
        self.pick(names)
            .map(|(name, value)| context! { name, value })
            .collect()
    }

    /// The value of a field in which white space counts.
    pub fn exactly(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(own, _)| own == name);
        found.next().map(|(_, value)| value.as_str())
    }

    /// Renames the field `from` to `to`.
    pub fn rename(&mut self, from: &str, to: &str) {
        self.0.retain(|(name, _)| name != to);
        for (name, _) in self.0.iter_mut().filter(|(name, _)| name == from) {
            to.clone_into(name);
        }
    }

    /// All values of the name, trimmed.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(own, value)| own == name && !value.trim().is_empty())
            .map(|(_, value)| value.trim())
    }

    /// Parses an optional value.
    ///
    /// # Errors
    /// `Malformed` for a value that cannot be parsed.
    pub fn read<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.one(name)
            .map(|text| {
                parse(text).ok_or_else(|| {
                    Error::Malformed(format!("{text:?} is not a valid value for {name}."))
                })
            })
            .transpose()
    }

    /// Parses a value that a form must have.
    ///
    /// # Errors
    /// `Malformed` if it is missing or cannot be parsed.
    pub fn require<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
        self.read(name, parse)?
            .ok_or_else(|| Error::Malformed(format!("The form has no {name}.")))
    }

    /// True if a field of the filter has a value.
    fn is_filtered(&self) -> bool {
        let mut filled = self.0.iter().filter(|(_, value)| !value.is_empty());
        filled.any(|(name, _)| {
            !PAGE_FIELDS.contains(&name.as_str()) && !["sort", "refresh"].contains(&name.as_str())
        })
    }

    /// Values that every list shows: the links to its pages and its file, the outcome of an action, the period, and
    /// the other fields of the filter as they were typed.
    pub fn list(&self, path: &str, next: Option<&str>, period: &Period, typed: &[&str]) -> Value {
        let typed = typed.iter().map(|name| (*name, self.one(name)));
        context! {
            next_page => self.older(path, next),
            newer_page => self.newer(path),
            csv => self.whole(&format!("{path}.csv")),
            filtered => self.is_filtered(),
            done => self.one("done"),
            count => self.one("count"),
            failed => self.one("failed"),
            since => period.since_date.as_deref(),
            until => period.until_date.as_deref(),
            ..Value::from_pairs(typed)
        }
    }

    /// The requested page of a list.
    pub fn page(&self) -> Page {
        Page {
            limit: ROWS,
            after: self.one("after").map(ToOwned::to_owned),
        }
    }

    /// The URL of the page of older rows: the same query with another cursor, and with the cursors of the pages
    /// before it.
    pub fn older(&self, path: &str, cursor: Option<&str>) -> Option<String> {
        let cursor = cursor?;
        let mut back: Vec<_> = self.all(BACK).collect();
        back.extend(self.one("after"));
        let kept = back.len().saturating_sub(MAX_BACK);
        Some(self.address(path, &back[kept..], Some(cursor)))
    }

    /// The address of the page of newer rows; None on the first page.
    pub fn newer(&self, path: &str) -> Option<String> {
        self.one("after")?;
        let back: Vec<_> = self.all(BACK).collect();
        Some(match back.split_last() {
            Some((cursor, back)) => self.address(path, back, Some(cursor)),
            None => self.address(path, &[], None),
        })
    }

    /// The address of this page with its rows selected, or not.
    pub fn with_selection(&self, path: &str, is_selected: bool) -> String {
        let back: Vec<_> = self.all(BACK).collect();
        let address = self.address(path, &back, self.one("after"));
        match (is_selected, address.contains('?')) {
            (false, _) => address,
            (true, true) => format!("{address}&select=page"),
            (true, false) => format!("{address}?select=page"),
        }
    }

    /// The address of the same list from its beginning with another value of one field; without a value, the
    /// field is left out.
    pub fn with(&self, path: &str, name: &str, value: Option<&str>) -> String {
        let mut other = self.clone();
        other.0.retain(|(own, _)| own != name);
        if let Some(value) = value {
            other.0.push((name.to_owned(), value.to_owned()));
        }
        other.address(path, &[], None)
    }

    /// The order of a list by time, as the field `sort` says, with a link to the opposite order.
    pub fn order(&self, path: &str) -> Result<Sorting, Error> {
        let is_oldest_first = self
            .read("sort", |word| {
                ["newest", "oldest"]
                    .contains(&word)
                    .then_some(word == "oldest")
            })?
            .unwrap_or(false);
        Ok(if is_oldest_first {
            Sorting {
                order: ListOrder::OldestFirst,
                other: self.with(path, "sort", None),
            }
        } else {
            Sorting {
                order: ListOrder::NewestFirst,
                other: self.with(path, "sort", Some("oldest")),
            }
        })
    }

    /// The address of the same list from its beginning, at another path.
    pub fn whole(&self, path: &str) -> String {
        self.address(path, &[], None)
    }

    fn address(&self, path: &str, back: &[&str], after: Option<&str>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            if !PAGE_FIELDS.contains(&name.as_str()) && !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        for cursor in back {
            query.append_pair(BACK, cursor);
        }
        if let Some(cursor) = after {
            query.append_pair("after", cursor);
        }
        let query = query.finish();
        if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        }
    }
}

/// The order of a list by time.
pub(super) struct Sorting {
    pub order: ListOrder,
    /// The address of the same list in the other order.
    other: String,
}

impl Sorting {
    /// Values for the heading of the column of times.
    pub fn context(&self) -> Value {
        context! {
            oldest => self.order == ListOrder::OldestFirst,
            other => self.other.as_str(),
        }
    }
}

/// Fields of the query.
pub(super) struct QueryFields(pub Fields);

impl<S: Send + Sync> FromRequestParts<S> for QueryFields {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let Query(pairs) = Query::from_request_parts(parts, state)
            .await
            .map_err(|error| Error::Malformed(error.body_text()))?;
        Ok(Self(Fields(pairs)))
    }
}

/// Fields of a form.
pub(super) struct FormFields(pub Fields);

impl<S: Send + Sync> FromRequest<S> for FormFields {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let Form(pairs) = Form::from_request(request, state)
            .await
            .map_err(|error| match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge,
                _ => Error::Malformed(error.body_text()),
            })?;
        Ok(Self(Fields(pairs)))
    }
}
