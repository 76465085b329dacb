//! The access settings: what an operator edits at run time.
//!
//! [`Settings`] is a full set of values, [`Overrides`] what one portal sets differently, and
//! [`AccessSettings`] the two together: what one numbered revision holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::{Domain, DomainPattern, PatternError, PortalName};

/// Rules for customers of approved domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Internal {
    /// Use approved domains to give new customers an internal account.
    pub enabled: bool,
    /// Domains whose senders become internal.
    pub approved_domains: Vec<DomainPattern>,
    /// What every new internal account is given.
    pub default_groups: Vec<String>,
}

/// Rules for everybody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct External {
    /// New external accounts may be created at all.
    pub allow_portal_only_accounts: bool,
    /// Only `allowed_domains` may get one.
    pub restrict_domains: bool,
    /// The allow list.
    pub allowed_domains: Vec<DomainPattern>,
    /// External customers must prove their address too before a mailed request passes.
    pub verify: bool,
}

impl Default for Internal {
    fn default() -> Self {
        Self {
            enabled: true,
            approved_domains: Vec::new(),
            default_groups: Vec::new(),
        }
    }
}

impl Default for External {
    fn default() -> Self {
        Self {
            allow_portal_only_accounts: true,
            restrict_domains: false,
            allowed_domains: Vec::new(),
            verify: false,
        }
    }
}

/// A value for every setting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub internal: Internal,
    pub external: External,
}

/// What one portal sets for itself; unset means inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    #[serde(skip_serializing_if = "InternalOverrides::is_empty")]
    pub internal: InternalOverrides,
    #[serde(skip_serializing_if = "ExternalOverrides::is_empty")]
    pub external: ExternalOverrides,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InternalOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_domains: Option<Vec<DomainPattern>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_groups: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExternalOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_portal_only_accounts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restrict_domains: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_domains: Option<Vec<DomainPattern>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
}

impl InternalOverrides {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl ExternalOverrides {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Overrides {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What one revision holds: the site's settings and the portals' overrides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessSettings {
    #[serde(flatten)]
    pub site: Settings,
    #[serde(rename = "portal", skip_serializing_if = "BTreeMap::is_empty")]
    pub portals: BTreeMap<PortalName, Overrides>,
}

/// Where an effective value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Default,
    Site,
    Portal,
}

/// What is in force for one portal.
pub type Effective = Settings;

impl AccessSettings {
    /// The values in force for a portal: its own where it has one, the site's otherwise.
    #[must_use]
    pub fn effective(&self, portal: Option<&PortalName>) -> Effective {
        let mut settings = self.site.clone();
        let Some(own) = portal.and_then(|name| self.portals.get(name)) else {
            return settings;
        };
        for key in Key::ALL {
            if let Some(value) = key.of_overrides(own) {
                key.put(&mut settings, value);
            }
        }
        settings
    }

    /// Where the value in force for a portal comes from.
    #[must_use]
    pub fn source(&self, key: Key, portal: Option<&PortalName>) -> Source {
        let own = portal.and_then(|name| self.portals.get(name));
        if own.is_some_and(|own| key.of_overrides(own).is_some()) {
            Source::Portal
        } else if key.of(&self.site) == key.of(&Settings::default()) {
            Source::Default
        } else {
            Source::Site
        }
    }
}

/// The settings by name: the one table behind `set`, `show`, `diff` and the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    InternalEnabled,
    InternalApprovedDomains,
    InternalDefaultGroups,
    ExternalAllowPortalOnlyAccounts,
    ExternalRestrictDomains,
    ExternalAllowedDomains,
    ExternalVerify,
}

/// The value of one setting, whatever its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Switch(bool),
    Domains(Vec<DomainPattern>),
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

/// Why a setting could not be changed.
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
    pub const ALL: [Self; 7] = [
        Self::InternalEnabled,
        Self::InternalApprovedDomains,
        Self::InternalDefaultGroups,
        Self::ExternalAllowPortalOnlyAccounts,
        Self::ExternalRestrictDomains,
        Self::ExternalAllowedDomains,
        Self::ExternalVerify,
    ];

    /// The name in the configuration, the commands and the API.
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
        }
    }

    /// # Errors
    /// A name that no setting has.
    pub fn parse(name: &str) -> Result<Self, KeyError> {
        Self::ALL
            .into_iter()
            .find(|key| key.as_str() == name)
            .ok_or_else(|| KeyError::Unknown {
                name: name.to_owned(),
                known: Self::ALL.map(Self::as_str).join(", "),
            })
    }

    /// Reads a value as it is typed: `true`, `false`, or a list with commas between.
    ///
    /// # Errors
    /// What is no switch where one is wanted, and what is no pattern.
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
            | Self::ExternalVerify => match text.trim() {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err(KeyError::NotASwitch {
                    key: self.as_str(),
                    value: text.to_owned(),
                }),
            },
            Self::InternalApprovedDomains | Self::ExternalAllowedDomains => items()
                .map(DomainPattern::parse)
                .collect::<Result<Vec<_>, _>>()
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

    /// The value of this setting.
    #[must_use]
    pub fn of(self, settings: &Settings) -> Value {
        let Settings { internal, external } = settings;
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
        }
    }

    /// What a portal sets for itself, if it does.
    #[must_use]
    pub fn of_overrides(self, own: &Overrides) -> Option<Value> {
        let Overrides { internal, external } = own;
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
        }
    }

    /// Puts a value in its place. A value of another setting's type changes nothing.
    pub fn put(self, settings: &mut Settings, value: Value) {
        let Settings { internal, external } = settings;
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
            _ => debug_assert!(false, "{} takes another type", self.as_str()),
        }
    }

    /// The same for a portal; `None` takes the override away, so that the site's value is inherited.
    pub fn put_override(self, own: &mut Overrides, value: Option<Value>) {
        let Overrides { internal, external } = own;
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
        }
    }
}

/// Something about the settings that works and is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    #[error("{0} is a mailbox provider: anyone with a mailbox there would become internal")]
    MailboxProvider(DomainPattern),
    #[error("{narrow} is already covered by {wide}")]
    Covered {
        narrow: DomainPattern,
        wide: DomainPattern,
    },
    #[error("{0} is approved and on the allow list; approved domains take precedence")]
    InBothLists(DomainPattern),
    #[error("{0}: its top-level domain is not a known one")]
    UnknownTopLevel(DomainPattern),
}

/// Where anyone can open a mailbox. Not complete, and need not be: it only makes a warning.
const MAILBOX_PROVIDERS: &[&str] = &[
    "126.com",
    "163.com",
    "aol.com",
    "bk.ru",
    "comcast.net",
    "fastmail.com",
    "free.fr",
    "freenet.de",
    "gmail.com",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hey.com",
    "hotmail.co.uk",
    "hotmail.com",
    "hotmail.de",
    "hotmail.fr",
    "hotmail.it",
    "hushmail.com",
    "icloud.com",
    "inbox.ru",
    "laposte.net",
    "libero.it",
    "list.ru",
    "live.com",
    "mac.com",
    "mail.com",
    "mail.ru",
    "mailbox.org",
    "me.com",
    "msn.com",
    "naver.com",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "pm.me",
    "posteo.de",
    "proton.me",
    "protonmail.com",
    "qq.com",
    "rediffmail.com",
    "rocketmail.com",
    "seznam.cz",
    "t-online.de",
    "tutanota.com",
    "tuta.io",
    "wanadoo.fr",
    "web.de",
    "wp.pl",
    "yahoo.co.jp",
    "yahoo.co.uk",
    "yahoo.com",
    "yahoo.de",
    "yahoo.fr",
    "yandex.com",
    "yandex.ru",
    "ymail.com",
    "zoho.com",
];

impl Settings {
    /// What an operator should hear about these settings.
    #[must_use]
    pub fn warnings(&self) -> Vec<Warning> {
        let approved = &self.internal.approved_domains;
        let allowed = &self.external.allowed_domains;
        let mut warnings = Vec::new();
        for pattern in approved {
            if MAILBOX_PROVIDERS.contains(&pattern.domain().as_str()) {
                warnings.push(Warning::MailboxProvider(pattern.clone()));
            }
        }
        for list in [approved, allowed] {
            for (place, narrow) in list.iter().enumerate() {
                let wide = list.iter().enumerate().find(|(other, wide)| {
                    *other != place
                        && wide.covers(narrow)
                        && (*other < place || !narrow.covers(wide))
                });
                if let Some((_, wide)) = wide {
                    warnings.push(Warning::Covered {
                        narrow: narrow.clone(),
                        wide: wide.clone(),
                    });
                }
            }
        }
        for pattern in allowed {
            if approved.iter().any(|other| other.covers(pattern)) {
                warnings.push(Warning::InBothLists(pattern.clone()));
            }
        }
        for pattern in approved.iter().chain(allowed) {
            if !is_known_top_level(pattern.domain()) {
                warnings.push(Warning::UnknownTopLevel(pattern.clone()));
            }
        }
        warnings
    }
}

/// Whether the Public Suffix List knows the last label, rather than taking any as it comes.
fn is_known_top_level(domain: &Domain) -> bool {
    psl::suffix(domain.as_str().as_bytes()).is_some_and(|suffix| suffix.is_known())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> DomainPattern {
        DomainPattern::parse(text).expect(text)
    }

    #[test]
    fn a_portal_overrides_one_setting_and_inherits_the_rest() {
        let portal = PortalName::parse("it").expect("a name");
        let mut access = AccessSettings::default();
        access.site.internal.approved_domains = vec![pattern("corp.example")];
        let mut own = Overrides::default();
        Key::ExternalVerify.put_override(&mut own, Some(Value::Switch(true)));
        access.portals.insert(portal.clone(), own);

        let effective = access.effective(Some(&portal));
        assert!(effective.external.verify);
        assert_eq!(
            effective.internal.approved_domains,
            [pattern("corp.example")]
        );
        assert!(!access.effective(None).external.verify);
        assert_eq!(
            access.source(Key::ExternalVerify, Some(&portal)),
            Source::Portal
        );
        assert_eq!(
            access.source(Key::InternalApprovedDomains, Some(&portal)),
            Source::Site
        );
        assert_eq!(
            access.source(Key::InternalEnabled, Some(&portal)),
            Source::Default
        );
    }

    #[test]
    fn every_key_reads_puts_and_gives_back_its_value() {
        for (key, text) in [
            (Key::InternalEnabled, "false"),
            (Key::InternalApprovedDomains, "corp.example, *.corp.example"),
            (Key::InternalDefaultGroups, "staff, users"),
            (Key::ExternalAllowPortalOnlyAccounts, "false"),
            (Key::ExternalRestrictDomains, "true"),
            (Key::ExternalAllowedDomains, "partner.example"),
            (Key::ExternalVerify, "true"),
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

    #[test]
    fn what_is_probably_not_meant_is_said() {
        let mut settings = Settings::default();
        settings.internal.approved_domains = vec![
            pattern("gmail.com"),
            pattern("*.corp.com"),
            pattern("a.corp.com"),
            pattern("intern.corp"),
        ];
        settings.external.allowed_domains = vec![pattern("gmail.com")];
        assert_eq!(
            settings.warnings(),
            [
                Warning::MailboxProvider(pattern("gmail.com")),
                Warning::Covered {
                    narrow: pattern("a.corp.com"),
                    wide: pattern("*.corp.com"),
                },
                Warning::InBothLists(pattern("gmail.com")),
                Warning::UnknownTopLevel(pattern("intern.corp")),
            ]
        );
    }
}
