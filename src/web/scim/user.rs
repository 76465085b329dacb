//! Users in SCIM's representation: parsed from what a directory sends, written from what the store has.

use serde_json::{Map, Value, json};

use super::BASE;
use super::error::ScimError;
use super::paths_and_filters::{USER, find_key, parse_switch};
use crate::domain::{AccountStatus, EmailAddress, GroupName};
use crate::store::{DirectoryEmail, DirectoryRole, DirectoryUser, NewDirectoryUser};

/// Maximum length of a text, in octets.
const MAX_LENGTH: usize = 512;

/// Maximum addresses of a user.
const MAX_EMAILS: usize = 20;

/// Reads a user. The case of names does not matter; attributes that are not kept are ignored.
pub(super) fn parse_user(value: &Value) -> Result<NewDirectoryUser, ScimError> {
    let schemas = find_key(value, "schemas").and_then(Value::as_array);
    let is_user = |schema: &Value| {
        let name = schema.as_str().unwrap_or_default();
        name.eq_ignore_ascii_case(USER)
    };
    if schemas.is_some_and(|schemas| !schemas.iter().any(is_user)) {
        return Err(ScimError::syntax(format!("schemas: {USER} is missing")));
    }
    let user_name = text(value, "userName")?
        .filter(|name| !name.trim().is_empty())
        .ok_or_else(|| ScimError::value("userName is missing"))?;
    let active = switch(value, "active")?;
    let emails = elements(value, "emails", MAX_EMAILS)?
        .iter()
        .map(parse_email)
        .collect::<Result<Vec<_>, _>>()?;
    let roles = elements(value, "roles", GroupName::MAX_PER_ACCOUNT)?
        .iter()
        .map(parse_role)
        .collect::<Result<Vec<_>, _>>()?;
    check_primary("emails", emails.iter().map(|email| email.primary))?;
    check_primary("roles", roles.iter().map(|role| role.primary))?;
    Ok(NewDirectoryUser {
        address: find_address(&user_name, &emails)?,
        user_name,
        external_id: text(value, "externalId")?,
        emails,
        roles,
        active,
    })
}

fn check_primary(name: &str, of: impl Iterator<Item = Option<bool>>) -> Result<(), ScimError> {
    if of.filter(|primary| *primary == Some(true)).count() > 1 {
        return Err(ScimError::value(format!("{name}: only one can be primary")));
    }
    Ok(())
}

/// The address that the person writes from: the primary one, that of their work, the first, or the userName.
fn find_address(user_name: &str, emails: &[DirectoryEmail]) -> Result<EmailAddress, ScimError> {
    let is_work = |email: &&DirectoryEmail| {
        let kind = email.kind.as_deref();
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case("work"))
    };
    let chosen = emails
        .iter()
        .find(|email| email.primary == Some(true))
        .or_else(|| emails.iter().find(is_work))
        .or_else(|| emails.first());
    let (place, text) = match chosen {
        Some(email) => ("emails", email.value.as_str()),
        None => ("userName (there are no emails)", user_name),
    };
    EmailAddress::parse_customer(text.trim())
        .map_err(|error| ScimError::value(format!("{place}: {text:?}: {error}")))
}

/// A text; None if it is missing, null or empty.
fn text(value: &Value, name: &str) -> Result<Option<String>, ScimError> {
    match find_key(value, name) {
        None | Some(Value::Null) => Ok(None),
        Some(given) => check_text(given, name),
    }
}

/// A text of this name; None if it is empty.
fn check_text(given: &Value, name: &str) -> Result<Option<String>, ScimError> {
    match given {
        Value::String(text) if text.is_empty() => Ok(None),
        Value::String(text) => {
            if text.len() > MAX_LENGTH || text.chars().any(char::is_control) {
                return Err(ScimError::value(format!(
                    "{name} can have at most {MAX_LENGTH} octets and no control characters"
                )));
            }
            Ok(Some(text.clone()))
        }
        _ => Err(ScimError::value(format!("{name} must be a string"))),
    }
}

/// The elements of a multi-valued attribute. One element can stand without its array.
fn elements(value: &Value, name: &str, most: usize) -> Result<Vec<Value>, ScimError> {
    let list = match find_key(value, name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.clone(),
        Some(element) => vec![element.clone()],
    };
    if list.len() > most {
        return Err(ScimError::value(format!("{name}: at most {most}")));
    }
    Ok(list)
}

fn required_value(element: &Value, name: &str) -> Result<String, ScimError> {
    let value = match element {
        Value::String(_) => check_text(element, name)?,
        element => text(element, "value")?,
    };
    value.ok_or_else(|| ScimError::value(format!("{name}: an element has no value")))
}

fn switch(value: &Value, name: &str) -> Result<Option<bool>, ScimError> {
    match find_key(value, name) {
        None | Some(Value::Null) => Ok(None),
        Some(given) => parse_switch(given)
            .map(Some)
            .ok_or_else(|| ScimError::value(format!("{name} must be true or false"))),
    }
}

fn parse_email(element: &Value) -> Result<DirectoryEmail, ScimError> {
    Ok(DirectoryEmail {
        value: required_value(element, "emails")?,
        kind: text(element, "type")?,
        primary: switch(element, "primary")?,
    })
}

fn parse_role(element: &Value) -> Result<DirectoryRole, ScimError> {
    let name = required_value(element, "roles")?;
    Ok(DirectoryRole {
        value: GroupName::parse(&name)
            .map_err(|error| ScimError::value(format!("roles: {error}")))?,
        primary: switch(element, "primary")?,
    })
}

/// The entity tag of a user: it changes with the user, and with the status of the account.
pub(super) fn entity_tag(user: &DirectoryUser) -> String {
    format!("W/\"{}-{}\"", user.version, user.account.status)
}

/// True while the person may write.
fn is_active(user: &DirectoryUser) -> bool {
    user.account.status != AccountStatus::Blocked
}

/// The attributes that can be changed, as the directory set them: `PATCH` changes these. An operator's block is not
/// among them.
pub(super) fn writable(user: &DirectoryUser) -> Map<String, Value> {
    let mut attributes = Map::new();
    attributes.insert("userName".to_owned(), user.user_name.clone().into());
    if let Some(id) = &user.external_id {
        attributes.insert("externalId".to_owned(), id.clone().into());
    }
    let is_wanted = user.account.deactivated_at.is_none();
    attributes.insert("active".to_owned(), is_wanted.into());
    attributes.insert("emails".to_owned(), json!(user.emails));
    attributes.insert("roles".to_owned(), json!(user.roles));
    attributes
}

/// Writes a user.
pub(super) fn show_user(user: &DirectoryUser) -> Value {
    let mut document = writable(user);
    document.insert("active".to_owned(), is_active(user).into());
    for name in ["emails", "roles"] {
        let is_empty = document
            .get(name)
            .and_then(Value::as_array)
            .is_some_and(Vec::is_empty);
        if is_empty {
            document.remove(name);
        }
    }
    document.insert("schemas".to_owned(), json!([USER]));
    document.insert("id".to_owned(), user.id.to_string().into());
    let meta = json!({
        "resourceType": "User",
        "created": user.created_at.to_string(),
        "lastModified": user.changed_at.to_string(),
        "location": location(user),
        "version": entity_tag(user),
    });
    document.insert("meta".to_owned(), meta);
    Value::Object(document)
}

/// The path of a user on this server.
pub(super) fn location(user: &DirectoryUser) -> String {
    format!("{BASE}/Users/{}", user.id)
}
