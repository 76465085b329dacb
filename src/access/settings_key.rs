//! Keys of the settings: one table for commands, files and pages.

use serde::Serialize;

use super::settings::{Overrides, Settings};
use crate::domain::{DomainPattern, GroupName, GroupNameError, PatternError, PatternList, join};

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
            Self::Domains(patterns) => f.write_str(&join(patterns.iter(), ", ")),
            Self::Groups(groups) => f.write_str(&groups.join(", ")),
        }
    }
}

/// Reason why a setting could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("there is no setting {name:?}; the settings are {known}")]
    Unknown { name: String, known: String },
    #[error("{key} must be true or false, not {value:?}")]
    NotASwitch { key: &'static str, value: String },
    #[error("{key}: {cause}")]
    Pattern {
        key: &'static str,
        cause: PatternError,
    },
    #[error("{key}: {cause}")]
    Group {
        key: &'static str,
        cause: GroupNameError,
    },
}

/// Defines [`Key`]. A row has the variant, the name, the type of the value and the path of the field.
macro_rules! keys {
    ($($key:ident $name:literal $type:ident $($field:ident).+;)+) => {
        /// Settings by name: the one table behind `set`, `show`, `diff` and the pages.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Key {
            $($key),+
        }

        impl Key {
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$key),+];

            /// Name in the configuration, the commands and the API.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$key => $name),+
                }
            }

            /// The value of this setting.
            #[must_use]
            pub fn of(self, settings: &Settings) -> Value {
                match self {
                    $(Self::$key => Value::$type(ToOwned::to_owned(&settings.$($field).+))),+
                }
            }

            /// The portal's own value, if it has one.
            #[must_use]
            pub fn of_overrides(self, own: &Overrides) -> Option<Value> {
                match self {
                    $(Self::$key => ToOwned::to_owned(&own.$($field).+).map(Value::$type)),+
                }
            }

            /// Sets the value. A value of another setting's type changes nothing.
            pub fn put(self, settings: &mut Settings, value: Value) {
                match (self, value) {
                    $((Self::$key, Value::$type(value)) => settings.$($field).+ = value,)+
                    _ => debug_assert!(false, "{} has another type", self.as_str()),
                }
            }

            /// Sets the portal's own value. `None`, or a value of another setting's type, removes the override,
            /// so that the site's value is inherited.
            pub fn put_override(self, own: &mut Overrides, value: Option<Value>) {
                match self {
                    $(Self::$key => own.$($field).+ = match value {
                        Some(Value::$type(value)) => Some(value),
                        _ => None,
                    },)+
                }
            }
        }
    };
}

keys! {
    InternalEnabled "internal.enabled" Switch internal.enabled;
    InternalApprovedDomains "internal.approved_domains" Domains internal.approved_domains;
    InternalDefaultGroups "internal.default_groups" Groups internal.default_groups;
    ExternalAllowPortalOnlyAccounts "external.allow_portal_only_accounts" Switch
        external.allow_portal_only_accounts;
    ExternalRestrictDomains "external.restrict_domains" Switch external.restrict_domains;
    ExternalAllowedDomains "external.allowed_domains" Domains external.allowed_domains;
    ExternalVerify "external.verify" Switch external.verify;
    ExternalTellRefused "external.tell_refused" Switch external.tell_refused;
    Denied "denied" Domains denied;
}

impl Key {
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
    /// A non-boolean value for a boolean key, an invalid pattern, or an invalid name of a group.
    pub fn parse_value(self, text: &str) -> Result<Value, KeyError> {
        let items = || {
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
        };
        match self.of(&Settings::default()) {
            Value::Switch(_) => match text.trim() {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err(KeyError::NotASwitch {
                    key: self.as_str(),
                    value: text.to_owned(),
                }),
            },
            Value::Domains(_) => items()
                .map(|item| self.parse_pattern(item))
                .collect::<Result<_, _>>()
                .map(Value::Domains)
                .map_err(|cause| KeyError::Pattern {
                    key: self.as_str(),
                    cause,
                }),
            Value::Groups(_) => items()
                .map(|item| GroupName::parse(item).map(String::from))
                .collect::<Result<_, _>>()
                .map(Value::Groups)
                .map_err(|cause| KeyError::Group {
                    key: self.as_str(),
                    cause,
                }),
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
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
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
        let group = Key::InternalDefaultGroups.parse_value("staff, a;b");
        assert!(matches!(group, Err(KeyError::Group { .. })), "{group:?}");
    }
}
