//! `attributes` and `excludedAttributes` (RFC 7644 3.9): the parts of a resource that are returned.

use serde_json::{Map, Value};

use super::error::ScimError;
use super::paths_and_filters::{AttributePath, parse_path};

/// Maximum names in a request.
const MAX_NAMES: usize = 100;

/// Attributes that are always returned.
const ALWAYS: [&str; 2] = ["id", "schemas"];

/// The parts that a request wants.
#[derive(Debug, Default)]
pub(super) enum Projection {
    #[default]
    All,
    Only(Vec<AttributePath>),
    Without(Vec<AttributePath>),
}

impl Projection {
    /// Reads the two parameters, of which a request has one at most.
    pub fn parse(included: &[String], excluded: &[String]) -> Result<Self, ScimError> {
        if included.len() + excluded.len() > MAX_NAMES {
            return Err(ScimError::syntax("too many attributes"));
        }
        let paths = |names: &[String]| {
            let names = names.iter().map(|name| parse_path(name));
            names.collect::<Result<Vec<_>, _>>()
        };
        match (included.is_empty(), excluded.is_empty()) {
            (true, true) => Ok(Self::All),
            (false, true) => Ok(Self::Only(paths(included)?)),
            (true, false) => Ok(Self::Without(paths(excluded)?)),
            (false, false) => Err(ScimError::syntax(
                "attributes and excludedAttributes are mutually exclusive",
            )),
        }
    }

    /// The wanted part of a resource.
    pub fn apply(&self, resource: Value) -> Value {
        let Value::Object(members) = resource else {
            return resource;
        };
        let kept = members.into_iter().filter_map(|(name, value)| {
            if ALWAYS.contains(&name.as_str()) {
                return Some((name, value));
            }
            let value = self.part(&name, value)?;
            Some((name, value))
        });
        Value::Object(kept.collect())
    }

    fn part(&self, name: &str, value: Value) -> Option<Value> {
        let (paths, keeps) = match self {
            Self::All => return Some(value),
            Self::Only(paths) => (paths, true),
            Self::Without(paths) => (paths, false),
        };
        let mut of_name = paths
            .iter()
            .filter(|path| path.attribute.eq_ignore_ascii_case(name))
            .peekable();
        if of_name.peek().is_none() {
            return (!keeps).then_some(value);
        }
        let subs: Vec<&str> = of_name.filter_map(|path| path.sub.as_deref()).collect();
        if subs.is_empty() {
            return keeps.then_some(value);
        }
        Some(keep_members(value, &|member| {
            subs.iter().any(|sub| sub.eq_ignore_ascii_case(member)) == keeps
        }))
    }
}

/// Keeps some members of an object, or of each object of an array.
fn keep_members(value: Value, keep: &dyn Fn(&str) -> bool) -> Value {
    match value {
        Value::Array(list) => list
            .into_iter()
            .map(|element| keep_members(element, keep))
            .collect(),
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(name, _)| keep(name))
                .collect::<Map<_, _>>(),
        ),
        other => other,
    }
}
