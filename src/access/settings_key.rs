//! Keys of the settings: one table for commands, files and pages.

use serde::Serialize;

use super::settings::{Overrides, Settings};
use crate::domain::{DomainPattern, PatternError, PatternList};

/// Settings by name: the one table behind `set`, `show`, `diff` and the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    InternalEnabled,
    InternalApprovedDomains,
    InternalDefaultGroups,
    ExternalAllowPortalOnlyAccounts,
    ExternalRestrictDomains,
    ExternalAllowedDomains,
    ExternalVerify,
    ExternalTellRefused,
    Denied,
}

/// Value of one setting, of any type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Switch(bool),
    Domains(PatternList),
    Groups(Vec<String>),
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Switch(on) => write!(f, "{on}"),
            Self::Domains(patterns) => {
                let names: Vec<_> = patterns.iter().map(ToString::to_string).collect();
                f.write_str(&names.join(", "))
            }
            Self::Groups(groups) => f.write_str(&groups.join(", ")),
        }
    }
}

/// Reason why a setting could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("there is no setting {name:?}; the settings are {known}")]
    Unknown { name: String, known: String },
    #[error("{key} is true or false, not {value:?}")]
    NotASwitch { key: &'static str, value: String },
    #[error("{key}: {cause}")]
    Pattern {
        key: &'static str,
        cause: PatternError,
    },
}

impl Key {
    pub const ALL: [Self; 9] = [
        Self::InternalEnabled,
        Self::InternalApprovedDomains,
        Self::InternalDefaultGroups,
        Self::ExternalAllowPortalOnlyAccounts,
        Self::ExternalRestrictDomains,
        Self::ExternalAllowedDomains,
        Self::ExternalVerify,
        Self::ExternalTellRefused,
        Self::Denied,
    ];

    /// Name in the configuration, the commands and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InternalEnabled => "internal.enabled",
            Self::InternalApprovedDomains => "internal.approved_domains",
            Self::InternalDefaultGroups => "internal.default_groups",
            Self::ExternalAllowPortalOnlyAccounts => "external.allow_portal_only_accounts",
            Self::ExternalRestrictDomains => "external.restrict_domains",
            Self::ExternalAllowedDomains => "external.allowed_domains",
            Self::ExternalVerify => "external.verify",
            Self::ExternalTellRefused => "external.tell_refused",
            Self::Denied => "denied",
        }
    }

    /// Finds a key by its name.
    ///
    /// # Errors
    /// There is no setting of this name.
    pub fn parse(name: &str) -> Result<Self, KeyError> {
        Self::ALL
            .into_iter()
            .find(|key| key.as_str() == name)
            .ok_or_else(|| KeyError::Unknown {
                name: name.to_owned(),
                known: Self::ALL.map(Self::as_str).join(", "),
            })
    }

    /// Parses a value as typed: `true`, `false`, or a comma-separated list.
    ///
    /// # Errors
    /// A non-boolean value for a boolean key, or an invalid pattern.
    pub fn parse_value(self, text: &str) -> Result<Value, KeyError> {
        let items = || {
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
        };
        match self {
            Self::InternalEnabled
            | Self::ExternalAllowPortalOnlyAccounts
            | Self::ExternalRestrictDomains
            | Self::ExternalVerify
            | Self::ExternalTellRefused => match text.trim() {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err(KeyError::NotASwitch {
                    key: self.as_str(),
                    value: text.to_owned(),
                }),
            },
            Self::InternalApprovedDomains | Self::ExternalAllowedDomains | Self::Denied => items()
                .map(|item| self.parse_pattern(item))
                .collect::<Result<_, _>>()
                .map(Value::Domains)
                .map_err(|cause| KeyError::Pattern {
                    key: self.as_str(),
                    cause,
                }),
            Self::InternalDefaultGroups => {
                Ok(Value::Groups(items().map(ToOwned::to_owned).collect()))
            }
        }
    }

    /// Parses a pattern for this list. Only the deny list accepts a public suffix.
    ///
    /// # Errors
    /// The text cannot be a pattern of this list.
    pub fn parse_pattern(self, text: &str) -> Result<DomainPattern, PatternError> {
        match self {
            Self::Denied => DomainPattern::parse_denied(text),
            _ => DomainPattern::parse(text),
        }
    }

    /// The value of this setting.
    #[must_use]
    pub fn of(self, settings: &Settings) -> Value {
        let Settings {
            denied,
            internal,
            external,
        } = settings;
        match self {
            Self::InternalEnabled => Value::Switch(internal.enabled),
            Self::InternalApprovedDomains => Value::Domains(internal.approved_domains.clone()),
            Self::InternalDefaultGroups => Value::Groups(internal.default_groups.clone()),
            Self::ExternalAllowPortalOnlyAccounts => {
                Value::Switch(external.allow_portal_only_accounts)
            }
            Self::ExternalRestrictDomains => Value::Switch(external.restrict_domains),
            Self::ExternalAllowedDomains => Value::Domains(external.allowed_domains.clone()),
            Self::ExternalVerify => Value::Switch(external.verify),
            Self::ExternalTellRefused => Value::Switch(external.tell_refused),
            Self::Denied => Value::Domains(denied.clone()),
        }
    }

    /// The portal's own value, if it has one.
    #[must_use]
    pub fn of_overrides(self, own: &Overrides) -> Option<Value> {
        let Overrides {
            denied,
            internal,
            external,
        } = own;
        match self {
            Self::InternalEnabled => internal.enabled.map(Value::Switch),
            Self::InternalApprovedDomains => internal.approved_domains.clone().map(Value::Domains),
            Self::InternalDefaultGroups => internal.default_groups.clone().map(Value::Groups),
            Self::ExternalAllowPortalOnlyAccounts => {
                external.allow_portal_only_accounts.map(Value::Switch)
            }
            Self::ExternalRestrictDomains => external.restrict_domains.map(Value::Switch),
            Self::ExternalAllowedDomains => external.allowed_domains.clone().map(Value::Domains),
            Self::ExternalVerify => external.verify.map(Value::Switch),
            Self::ExternalTellRefused => external.tell_refused.map(Value::Switch),
            Self::Denied => denied.clone().map(Value::Domains),
        }
    }

    /// Sets the value. A value of another setting's type changes nothing.
    pub fn put(self, settings: &mut Settings, value: Value) {
        let Settings {
            denied,
            internal,
            external,
        } = settings;
        match (self, value) {
            (Self::InternalEnabled, Value::Switch(on)) => internal.enabled = on,
            (Self::InternalApprovedDomains, Value::Domains(patterns)) => {
                internal.approved_domains = patterns;
            }
            (Self::InternalDefaultGroups, Value::Groups(groups)) => {
                internal.default_groups = groups;
            }
            (Self::ExternalAllowPortalOnlyAccounts, Value::Switch(on)) => {
                external.allow_portal_only_accounts = on;
            }
            (Self::ExternalRestrictDomains, Value::Switch(on)) => external.restrict_domains = on,
            (Self::ExternalAllowedDomains, Value::Domains(patterns)) => {
                external.allowed_domains = patterns;
            }
            (Self::ExternalVerify, Value::Switch(on)) => external.verify = on,
            (Self::ExternalTellRefused, Value::Switch(on)) => external.tell_refused = on,
            (Self::Denied, Value::Domains(patterns)) => *denied = patterns,
            _ => debug_assert!(false, "{} takes another type", self.as_str()),
        }
    }

    /// The same for a portal; `None` removes the override, so that the site's value is inherited.
    pub fn put_override(self, own: &mut Overrides, value: Option<Value>) {
        let Overrides {
            denied,
            internal,
            external,
        } = own;
        let switch = |value: Option<Value>| match value {
            Some(Value::Switch(on)) => Some(on),
            _ => None,
        };
        let domains = |value: Option<Value>| match value {
            Some(Value::Domains(patterns)) => Some(patterns),
            _ => None,
        };
        match self {
            Self::InternalEnabled => internal.enabled = switch(value),
            Self::InternalApprovedDomains => internal.approved_domains = domains(value),
            Self::InternalDefaultGroups => {
                internal.default_groups = match value {
                    Some(Value::Groups(groups)) => Some(groups),
                    _ => None,
                };
            }
            Self::ExternalAllowPortalOnlyAccounts => {
                external.allow_portal_only_accounts = switch(value);
            }
            Self::ExternalRestrictDomains => external.restrict_domains = switch(value),
            Self::ExternalAllowedDomains => external.allowed_domains = domains(value),
            Self::ExternalVerify => external.verify = switch(value),
            Self::ExternalTellRefused => external.tell_refused = switch(value),
            Self::Denied => *denied = domains(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_parses_sets_and_returns_its_value() {
        for (key, text) in [
            (Key::InternalEnabled, "false"),
            (Key::InternalApprovedDomains, "corp.example, *.corp.example"),
            (Key::InternalDefaultGroups, "staff, users"),
            (Key::ExternalAllowPortalOnlyAccounts, "false"),
            (Key::ExternalRestrictDomains, "true"),
            (Key::ExternalAllowedDomains, "partner.example"),
            (Key::ExternalVerify, "true"),
            (Key::ExternalTellRefused, "true"),
            (Key::Denied, "ann@partner.example, *.top, co.uk"),
        ] {
            let value = key.parse_value(text).expect(text);
            let mut settings = Settings::default();
            assert_ne!(
                key.of(&settings),
                value,
                "{} differs from its default",
                key.as_str()
            );
            key.put(&mut settings, value.clone());
            assert_eq!(key.of(&settings), value);
            let mut own = Overrides::default();
            key.put_override(&mut own, Some(value.clone()));
            assert_eq!(key.of_overrides(&own), Some(value));
            key.put_override(&mut own, None);
            assert!(own.is_empty());
            assert_eq!(Key::parse(key.as_str()), Ok(key));
        }
    }
}
