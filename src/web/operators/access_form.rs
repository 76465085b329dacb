//! The form of the access settings: turns the current or typed settings into fields, and the fields into
//! settings. A form holds all settings of the site or of one portal, because a browser does not send an
//! unticked box.

use std::collections::BTreeMap;

use minijinja::{Value, context};

use super::form_fields::Fields;
use crate::access::{self, AccessSettings, Assignment, Key, KeyError, Settings, Source};
use crate::domain::{DomainPattern, PortalName};

/// The fields of the form, by the name of the setting.
pub(super) type Shown = BTreeMap<&'static str, Value>;

/// The current settings.
pub(super) fn effective(settings: &AccessSettings, portal: Option<&PortalName>) -> Shown {
    let effective = settings.effective(portal);
    let fields = Key::ALL.into_iter().map(|key| {
        let source = settings.source(key, portal);
        let value = match key.of(&effective) {
            access::Value::Switch(on) => Value::from(on),
            access::Value::Domains(patterns) => lines(&patterns),
            access::Value::Groups(groups) => Value::from(groups.join(", ")),
        };
        let inherited = source != Source::Portal;
        (key.as_str(), field(key, value, inherited, &settings.site))
    });
    fields.collect()
}

/// The typed values, valid or not.
pub(super) fn values_of(
    sent: &Fields,
    settings: &AccessSettings,
    portal: Option<&PortalName>,
) -> Shown {
    let effective = settings.effective(portal);
    let fields = Key::ALL.into_iter().map(|key| {
        let value = match key.of(&effective) {
            access::Value::Switch(_) => Value::from(sent.one(key.as_str()).is_some()),
            _ => Value::from(sent.exactly(key.as_str()).unwrap_or_default()),
        };
        let field = field(key, value, inherits(sent, key), &settings.site);
        (key.as_str(), field)
    });
    fields.collect()
}

/// The same as names and values, for a form with only a confirmation.
pub(super) fn hidden_fields(sent: &Fields) -> Vec<Value> {
    let names = Key::ALL.into_iter().map(Key::as_str);
    names
        .filter_map(|name| Some((name, sent.exactly(name)?)))
        .chain(sent.all("inherit").map(|name| ("inherit", name)))
        .chain(sent.exactly("file").map(|text| ("file", text)))
        .map(|(name, value)| context! { name => name, value => value })
        .collect()
}

/// The message about what was typed, and the setting whose field is wrong.
pub(super) struct FieldFault {
    key: Option<Key>,
    text: String,
}

impl FieldFault {
    fn of(key: Key, error: KeyError) -> Self {
        let text = match error {
            KeyError::Pattern { cause, .. } => format!("{cause}."),
            KeyError::Group { cause, .. } => format!("{cause}."),
            error => format!("{error}."),
        };
        Self {
            key: Some(key),
            text,
        }
    }

    pub fn context(&self) -> Value {
        context! { key => self.key.map(Key::as_str), text => self.text.as_str() }
    }
}

impl From<String> for FieldFault {
    fn from(text: String) -> Self {
        Self { key: None, text }
    }
}

/// Parses the fields into settings.
///
/// # Errors
/// Returns the message of the first invalid value.
pub(super) fn draft(
    sent: &Fields,
    settings: &AccessSettings,
    portal: Option<&PortalName>,
) -> Result<AccessSettings, FieldFault> {
    let assignments = Key::ALL
        .into_iter()
        .map(|key| {
            if portal.is_some() && inherits(sent, key) {
                return Ok(Assignment { key, value: None });
            }
            let text = match key.of(&settings.site) {
                access::Value::Switch(_) => sent.one(key.as_str()).is_some().to_string(),
                // A list in a text area has one item a line; lists elsewhere are comma-separated.
                _ => sent
                    .exactly(key.as_str())
                    .unwrap_or_default()
                    .replace(['\r', '\n'], ","),
            };
            let value = key
                .parse_value(&text)
                .map_err(|error| FieldFault::of(key, error))?;
            Ok(Assignment {
                key,
                value: Some(value),
            })
        })
        .collect::<Result<Vec<_>, FieldFault>>()?;
    settings
        .with(portal, &assignments)
        .map_err(|error| format!("{error}.").into())
}

/// A field, and for a portal the site's value, which it may inherit.
fn field(key: Key, value: Value, inherited: bool, site: &Settings) -> Value {
    let of_site = match key.of(site) {
        access::Value::Switch(true) => "on".to_owned(),
        access::Value::Switch(false) => "off".to_owned(),
        list => Some(list.to_string())
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| "empty".to_owned()),
    };
    context! { key => key.as_str(), value => value, inherited => inherited, site => of_site }
}

fn lines(patterns: &[DomainPattern]) -> Value {
    let lines: Vec<_> = patterns.iter().map(ToString::to_string).collect();
    Value::from(lines.join("\n"))
}

fn inherits(sent: &Fields, key: Key) -> bool {
    sent.all("inherit").any(|name| name == key.as_str())
}
