//! Attribute paths and filters (RFC 7644 3.4.2.2, 3.10), as far as directories use them: one comparison with
//! `eq`, of a whole resource or of the values of one attribute.

use serde_json::Value;

use super::error::{ScimError, ScimType};

/// Maximum length of a path or filter, in octets.
const MAX_LENGTH: usize = 1024;

/// The schema of a user's attributes.
pub(super) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// A filter: an attribute equals a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ScimFilter {
    /// In lower case.
    pub attribute: String,
    pub value: Value,
}

/// The target of an operation: `attribute`, `attribute.sub`, `attribute[filter]` or `attribute[filter].sub`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AttributePath {
    /// In lower case, without the URN of its schema.
    pub attribute: String,
    pub filter: Option<ScimFilter>,
    /// In lower case.
    pub sub: Option<String>,
    /// True for a path of another schema: an extension that is not stored.
    pub is_foreign: bool,
}

/// Parses a filter such as `userName eq "ann@corp.example"`.
pub(super) fn parse_filter(text: &str) -> Result<ScimFilter, ScimError> {
    let refuse = || {
        ScimError::bad(
            ScimType::InvalidFilter,
            format!(
                "{:?} is not a supported filter; write userName eq \"ann@corp.example\"; \
                 externalId, id and emails.value can also be compared",
                text.chars().take(100).collect::<String>()
            ),
        )
    };
    if text.len() > MAX_LENGTH {
        return Err(refuse());
    }
    let (attribute, rest) = text.trim().split_once(' ').ok_or_else(refuse)?;
    let (operator, value) = rest.trim_start().split_once(' ').ok_or_else(refuse)?;
    let value: Value = serde_json::from_str(&plain_value(value.trim())).map_err(|_| refuse())?;
    let is_good = operator.eq_ignore_ascii_case("eq")
        && !attribute.is_empty()
        && (value.is_string() || value.is_boolean());
    if !is_good {
        return Err(refuse());
    }
    let (attribute, _) = without_schema(attribute);
    Ok(ScimFilter {
        attribute: attribute.to_ascii_lowercase(),
        value,
    })
}

/// Spells a bare `True` or `False` as JSON does.
fn plain_value(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        word @ ("true" | "false") => word.to_owned(),
        _ => text.to_owned(),
    }
}

/// Parses the path of an operation.
pub(super) fn parse_path(text: &str) -> Result<AttributePath, ScimError> {
    let refuse = || {
        ScimError::bad(
            ScimType::InvalidPath,
            format!(
                "{:?} is not a path of a user",
                text.chars().take(100).collect::<String>()
            ),
        )
    };
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_LENGTH {
        return Err(refuse());
    }
    let (path, is_foreign) = without_schema(text);
    let (head, filter, rest) = match path.split_once('[') {
        None => (path, None, ""),
        Some((head, rest)) => {
            let (filter, rest) = rest.rsplit_once(']').ok_or_else(refuse)?;
            (head, Some(parse_filter(filter)?), rest)
        }
    };
    let (attribute, sub) = match filter {
        None => match head.split_once('.') {
            None => (head, None),
            Some((attribute, sub)) => (attribute, Some(sub)),
        },
        Some(_) if rest.is_empty() => (head, None),
        Some(_) => (head, Some(rest.strip_prefix('.').ok_or_else(refuse)?)),
    };
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$')
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '$')
    };
    if !is_foreign && (!is_name(attribute) || sub.is_some_and(|sub| !is_name(sub))) {
        return Err(refuse());
    }
    Ok(AttributePath {
        attribute: attribute.to_ascii_lowercase(),
        filter,
        sub: sub.map(str::to_ascii_lowercase),
        is_foreign,
    })
}

/// A name without the URN of the user's schema, and whether it is of another schema.
fn without_schema(name: &str) -> (&str, bool) {
    let is_urn = name
        .get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("urn:"));
    if !is_urn {
        return (name, false);
    }
    let own = name
        .get(..USER.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(USER));
    match name
        .get(USER.len()..)
        .and_then(|rest| rest.strip_prefix(':'))
    {
        Some(rest) if own => (rest, false),
        _ => (name, true),
    }
}

/// Reads a boolean, also from a string as Entra ID sends it: `"False"`.
pub(super) fn parse_switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

impl ScimFilter {
    /// True if an element of a multi-valued attribute has this value.
    pub fn matches(&self, element: &Value) -> bool {
        let Some(own) = find_key(element, &self.attribute) else {
            // An element without `primary` is not primary.
            return self.attribute == "primary" && parse_switch(&self.value) == Some(false);
        };
        if self.attribute == "primary" {
            return parse_switch(own).is_some() && parse_switch(own) == parse_switch(&self.value);
        }
        match (own, &self.value) {
            (Value::String(own), Value::String(wanted)) => {
                own.to_lowercase() == wanted.to_lowercase()
            }
            (own, wanted) => own == wanted,
        }
    }
}

/// The value of a key, compared without regard to case (RFC 7643 2.1).
pub(super) fn find_key<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let mut members = object.as_object()?.iter();
    members
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}
