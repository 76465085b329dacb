//! `PATCH` (RFC 7644 3.5.2): applies operations to the attributes of a user. Pure.
//!
//! Entra ID and Okta deviate from the RFC, and their dialects are accepted: capital letters in `op`, booleans as
//! strings, operations without a path whose value has paths as keys, a `replace` of an address that is not there
//! yet, and a `remove` with the values to remove.

use serde_json::{Map, Value, json};

use super::error::{ScimError, ScimType};
use super::paths_and_filters::{AttributePath, find_key, parse_path, parse_switch};

/// Maximum number of operations of one request.
const MAX_OPERATIONS: usize = 100;

/// Maximum elements of a value, and of an attribute while operations are applied; the limit of the resulting user
/// is lower. Every element of a value is compared with all existing ones, and one operation can set a sub-attribute
/// of all of them.
const MAX_ELEMENTS: usize = 200;

/// Maximum memory of an attribute while an operation copies its value into several elements, in octets, as
/// [`memory_of`] estimates it. The largest user that can be stored needs a tenth of it.
const MAX_MEMORY: usize = 1024 * 1024;

/// Attributes of a user that are stored, with their shapes.
const KEPT: [(&str, &str, Shape); 5] = [
    ("username", "userName", Shape::Single),
    ("externalid", "externalId", Shape::Single),
    ("active", "active", Shape::Single),
    ("emails", "emails", Shape::Many),
    ("roles", "roles", Shape::Many),
];

/// Attributes of RFC 7643 4.1 that are accepted but not stored, separated by spaces.
const NOT_KEPT: &str = "\
    addresses displayname entitlements ims locale name nickname password phonenumbers photos \
    preferredlanguage profileurl timezone title usertype x509certificates";

/// Attributes that only the server sets.
const READ_ONLY: [&str; 4] = ["id", "meta", "groups", "schemas"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Single,
    Many,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatchVerb {
    Add,
    Replace,
    Remove,
}

/// Applies the operations of a request, in order, to the attributes of a user.
pub(super) fn apply(user: &mut Map<String, Value>, request: &Value) -> Result<(), ScimError> {
    let operations = find_key(request, "operations")
        .and_then(Value::as_array)
        .ok_or_else(|| ScimError::syntax("Operations is missing"))?;
    if !(1..=MAX_OPERATIONS).contains(&operations.len()) {
        return Err(ScimError::syntax(format!(
            "Operations: 1 to {MAX_OPERATIONS} in a request"
        )));
    }
    for operation in operations {
        let verb = find_key(operation, "op")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_ascii_lowercase();
        let verb = match verb.as_str() {
            "add" => PatchVerb::Add,
            "replace" => PatchVerb::Replace,
            "remove" => PatchVerb::Remove,
            _ => return Err(ScimError::syntax("op must be add, replace or remove")),
        };
        let value = find_key(operation, "value");
        match find_key(operation, "path") {
            Some(Value::String(path)) => change(user, verb, path, value)?,
            None | Some(Value::Null) if verb == PatchVerb::Remove => {
                return Err(ScimError::bad(ScimType::NoTarget, "remove needs a path"));
            }
            None | Some(Value::Null) => {
                let members = value.and_then(Value::as_object).ok_or_else(|| {
                    ScimError::value("without a path, the value must be an object")
                })?;
                for (path, value) in members {
                    if !READ_ONLY.contains(&path.to_ascii_lowercase().as_str()) {
                        change(user, verb, path, Some(value))?;
                    }
                }
            }
            Some(_) => {
                return Err(ScimError::bad(
                    ScimType::InvalidPath,
                    "path must be a string",
                ));
            }
        }
    }
    Ok(())
}

fn change(
    user: &mut Map<String, Value>,
    verb: PatchVerb,
    path: &str,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    let path = parse_path(path)?;
    if path.is_foreign || NOT_KEPT.split(' ').any(|name| name == path.attribute) {
        return Ok(());
    }
    if READ_ONLY.contains(&path.attribute.as_str()) {
        return Err(ScimError::bad(
            ScimType::Mutability,
            format!("{} cannot be changed", path.attribute),
        ));
    }
    let known = KEPT.iter().find(|(name, ..)| *name == path.attribute);
    let Some((_, name, shape)) = known else {
        return Err(ScimError::bad(
            ScimType::InvalidPath,
            format!("a user has no attribute {}", path.attribute),
        ));
    };
    match shape {
        Shape::Single => change_single(user, name, verb, &path, value),
        Shape::Many => change_many(user, name, verb, &path, value),
    }
}

fn change_single(
    user: &mut Map<String, Value>,
    name: &str,
    verb: PatchVerb,
    path: &AttributePath,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    if path.filter.is_some() || path.sub.is_some() {
        return Err(ScimError::bad(
            ScimType::InvalidPath,
            format!("{name} is a single value without sub-attributes"),
        ));
    }
    let is_removed = verb == PatchVerb::Remove || value == Some(&Value::Null);
    if is_removed {
        // `active` cannot be missing, so removing it changes nothing.
        if name != "active" {
            user.remove(name);
        }
        return Ok(());
    }
    let value = require(value)?;
    user.insert(name.to_owned(), value.clone());
    Ok(())
}

fn require(value: Option<&Value>) -> Result<&Value, ScimError> {
    value.ok_or_else(|| ScimError::value("the value is missing"))
}

/// The elements that a value names: an array, or one element. A text is the `value` of an element.
fn elements(value: &Value) -> Result<Vec<Value>, ScimError> {
    let list = match value {
        Value::Array(list) if list.len() > MAX_ELEMENTS => {
            return Err(ScimError::value("a value has too many elements"));
        }
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        other => vec![other.clone()],
    };
    list.into_iter()
        .map(|element| match element {
            Value::String(text) => Ok(json!({ "value": text })),
            Value::Object(_) => Ok(element),
            _ => Err(ScimError::value("an element must be an object or a string")),
        })
        .collect()
}

fn change_many(
    user: &mut Map<String, Value>,
    name: &str,
    verb: PatchVerb,
    path: &AttributePath,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    let mut list = match user.remove(name) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    match (&path.filter, &path.sub) {
        (None, None) => change_whole(&mut list, verb, value)?,
        _ => change_elements(&mut list, verb, path, value)?,
    }
    if list.len() > MAX_ELEMENTS {
        return Err(ScimError::value(format!("{name} has too many elements")));
    }
    user.insert(name.to_owned(), Value::Array(list));
    Ok(())
}

/// Changes the list itself.
fn change_whole(
    list: &mut Vec<Value>,
    verb: PatchVerb,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    match verb {
        PatchVerb::Replace => *list = elements(require(value)?)?,
        PatchVerb::Add => {
            for element in elements(require(value)?)? {
                if list.contains(&element) {
                    continue;
                }
                if is_primary(&element) {
                    list.iter_mut().for_each(unset_primary);
                }
                list.push(element);
            }
        }
        PatchVerb::Remove => match value {
            None | Some(Value::Null) => list.clear(),
            Some(value) => {
                let removed = elements(value)?;
                list.retain(|element| {
                    let own = find_key(element, "value");
                    !removed.iter().any(|gone| find_key(gone, "value") == own)
                });
            }
        },
    }
    Ok(())
}

/// Changes the elements that a filter selects, or a sub-attribute of all elements.
fn change_elements(
    list: &mut Vec<Value>,
    verb: PatchVerb,
    path: &AttributePath,
    value: Option<&Value>,
) -> Result<(), ScimError> {
    let selects = |element: &Value| {
        let filter = path.filter.as_ref();
        filter.is_none_or(|filter| filter.matches(element))
    };
    if verb == PatchVerb::Remove {
        match &path.sub {
            None => list.retain(|element| !selects(element)),
            Some(sub) => {
                for element in list.iter_mut().filter(|element| selects(element)) {
                    remove_key(element, sub);
                }
                // An element without a value stands for nothing.
                list.retain(|element| find_key(element, "value").is_some());
            }
        }
        return Ok(());
    }
    let value = require(value)?;
    let change = match &path.sub {
        Some(sub) => json!({ sub: value }),
        None if value.is_object() => value.clone(),
        None => {
            return Err(ScimError::value(
                "the value of an element must be an object",
            ));
        }
    };
    // Selected before anything changes, since the change may affect what the filter compares.
    let mut selected: Vec<bool> = list.iter().map(selects).collect();
    if !selected.contains(&true) {
        // Directories add an address of a type that is not there yet in this way.
        let mut fresh = Map::new();
        if let Some(filter) = &path.filter {
            fresh.insert(filter.attribute.clone(), filter.value.clone());
        }
        list.push(Value::Object(fresh));
        selected.push(true);
    }
    let copies = selected.iter().filter(|is_selected| **is_selected).count();
    let current: usize = list.iter().map(memory_of).sum();
    if current + copies * memory_of(&change) > MAX_MEMORY {
        return Err(ScimError::value("the value is too large for its elements"));
    }
    for (element, is_selected) in list.iter_mut().zip(selected) {
        if !is_selected {
            if is_primary(&change) {
                unset_primary(element);
            }
            continue;
        }
        let members = change.as_object().into_iter().flatten();
        for (key, value) in members {
            remove_key(element, key);
            if let Some(object) = element.as_object_mut() {
                object.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(())
}

/// Estimates the memory of a value. An object takes a node of a tree even with a single member.
fn memory_of(value: &Value) -> usize {
    const VALUE: usize = 64;
    const NODE: usize = 640;
    VALUE
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(list) => list.iter().map(memory_of).sum(),
            Value::Object(members) => {
                let members = members.iter();
                NODE + members
                    .map(|(key, value)| key.len() + memory_of(value))
                    .sum::<usize>()
            }
        }
}

fn is_primary(element: &Value) -> bool {
    find_key(element, "primary").and_then(parse_switch) == Some(true)
}

/// Clears `primary`: when another element becomes primary, this one no longer is (RFC 7644 3.5.2).
fn unset_primary(element: &mut Value) {
    if is_primary(element) {
        remove_key(element, "primary");
    }
}

fn remove_key(element: &mut Value, name: &str) {
    if let Some(object) = element.as_object_mut() {
        object.retain(|key, _| !key.eq_ignore_ascii_case(name));
    }
}
