//! The access settings, which operators edit at run time.
//!
//! [`Settings`] is a full set of values, [`Overrides`] the values that one portal sets itself, and
//! [`AccessSettings`] both together: the content of one numbered revision.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::settings_key::Key;
use crate::domain::{AccountKind, DomainPattern, EmailAddress, PatternList, PortalName, canary};

/// Rules for customers of approved domains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Internal {
    /// Use approved domains to give new customers an internal account.
    pub enabled: bool,
    /// Domains and addresses whose senders become internal.
    #[schema(value_type = Vec<DomainPattern>)]
    pub approved_domains: PatternList,
    /// Groups of every new internal account.
    pub default_groups: Vec<String>,
}

/// Rules for all other senders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent settings under these names"
)]
pub struct External {
    /// New external accounts may be created at all.
    pub allow_portal_only_accounts: bool,
    /// Only `allowed_domains` may get an external account.
    pub restrict_domains: bool,
    /// The allow list.
    #[schema(value_type = Vec<DomainPattern>)]
    pub allowed_domains: PatternList,
    /// External customers, too, must verify their address before a mailed request passes.
    pub verify: bool,
    /// Tell an authenticated sender, rarely, that mail from their domain is not accepted and whom to ask.
    pub tell_refused: bool,
}

impl Default for Internal {
    fn default() -> Self {
        Self {
            enabled: true,
            approved_domains: PatternList::default(),
            default_groups: Vec::new(),
        }
    }
}

impl Default for External {
    fn default() -> Self {
        Self {
            allow_portal_only_accounts: true,
            restrict_domains: false,
            allowed_domains: PatternList::default(),
            verify: false,
            tell_refused: false,
        }
    }
}

/// A value for every setting.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The deny list: senders whose mail is never accepted, with or without an account.
    #[serde(deserialize_with = "deserialize_denied")]
    #[schema(value_type = Vec<DomainPattern>)]
    pub denied: PatternList,
    pub internal: Internal,
    pub external: External,
}

/// Values that one portal sets itself; unset means inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Overrides {
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "deserialize_denied_override"
    )]
    #[schema(value_type = Option<Vec<DomainPattern>>)]
    pub denied: Option<PatternList>,
    #[serde(skip_serializing_if = "is_default")]
    pub internal: InternalOverrides,
    #[serde(skip_serializing_if = "is_default")]
    pub external: ExternalOverrides,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InternalOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<DomainPattern>>)]
    pub approved_domains: Option<PatternList>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_groups: Option<Vec<String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExternalOverrides {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_portal_only_accounts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restrict_domains: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<DomainPattern>>)]
    pub allowed_domains: Option<PatternList>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tell_refused: Option<bool>,
}

/// Parses patterns of the deny list, which may be public suffixes.
fn deserialize_denied<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PatternList, D::Error> {
    Vec::<String>::deserialize(deserializer)?
        .iter()
        .map(|text| DomainPattern::parse_denied(text).map_err(D::Error::custom))
        .collect()
}

fn deserialize_denied_override<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PatternList>, D::Error> {
    deserialize_denied(deserializer).map(Some)
}

impl Settings {
    /// The pattern of the deny list that matches this address.
    #[must_use]
    pub fn denies(&self, address: &EmailAddress) -> Option<&DomainPattern> {
        self.denied.find_denial(address)
    }

    /// The pattern that decides about a new sender with this address: the one that denies it, or else the one
    /// that admits it. None if no pattern decides.
    #[must_use]
    pub fn pattern_for(&self, address: &EmailAddress) -> Option<&DomainPattern> {
        let Self {
            internal, external, ..
        } = self;
        let approved = internal.enabled.then_some(&internal.approved_domains);
        let allowed = (external.allow_portal_only_accounts && external.restrict_domains)
            .then_some(&external.allowed_domains);
        let mut admitting = approved.into_iter().chain(allowed);
        self.denies(address)
            .or_else(|| admitting.find_map(|list| list.find_match(address)))
    }

    /// Groups of a new account of this kind.
    #[must_use]
    pub fn default_groups(&self, kind: AccountKind) -> &[String] {
        match kind {
            AccountKind::Internal => &self.internal.default_groups,
            AccountKind::External => &[],
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Overrides {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Content of one revision: the site's settings and the portals' overrides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SettingsDocument")]
pub struct AccessSettings {
    #[serde(flatten)]
    pub site: Settings,
    #[serde(rename = "portal", skip_serializing_if = "BTreeMap::is_empty")]
    pub portals: BTreeMap<PortalName, Overrides>,
}

/// [`AccessSettings`] as they are read. Without `flatten`, which loses the place of an error.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SettingsDocument {
    #[serde(deserialize_with = "deserialize_denied")]
    denied: PatternList,
    internal: Internal,
    external: External,
    portal: BTreeMap<PortalName, Overrides>,
}

impl From<SettingsDocument> for AccessSettings {
    fn from(document: SettingsDocument) -> Self {
        Self {
            site: Settings {
                denied: document.denied,
                internal: document.internal,
                external: document.external,
            },
            portals: document.portal,
        }
    }
}

/// Origin of an effective value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Default,
    Site,
    Portal,
}

/// Effective settings for one portal.
pub type Effective = Settings;

impl AccessSettings {
    /// Effective values for a portal: its own if set, the site's otherwise.
    #[must_use]
    pub fn effective(&self, portal: Option<&PortalName>) -> Effective {
        // A canary passes whatever operators set.
        if portal.is_some_and(|name| name.as_str() == canary::NAME) {
            return Settings::default();
        }
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

    /// Origin of the effective value for a portal.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Value;

    fn pattern(text: &str) -> DomainPattern {
        DomainPattern::parse(text).expect(text)
    }

    #[test]
    fn a_portal_overrides_one_setting_and_inherits_the_rest() {
        let portal = PortalName::parse("it").expect("a name");
        let mut access = AccessSettings::default();
        access.site.internal.approved_domains = vec![pattern("corp.example")].into();
        let mut own = Overrides::default();
        Key::ExternalVerify.put_override(&mut own, Some(Value::Switch(true)));
        access.portals.insert(portal.clone(), own);

        let effective = access.effective(Some(&portal));
        assert!(effective.external.verify);
        assert_eq!(
            *effective.internal.approved_domains,
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
    fn an_error_names_the_line_of_its_key() {
        for (line, faulty) in [
            (4, "nonsense = true"),
            (4, "external.nonsense = true"),
            (4, "denied = [\"no domain\"]"),
            (5, "[portal.it]\nexternal.nonsense = true"),
        ] {
            let text = format!("# a comment\n\ninternal.enabled = true\n{faulty}\n");
            let error = toml::from_str::<AccessSettings>(&text).expect_err(faulty);
            let place = format!("line {line},");
            assert!(error.to_string().contains(&place), "{faulty}: {error}");
        }
    }

    #[test]
    fn pattern_for_agrees_with_the_rules() {
        let mut settings = Settings::default();
        settings.internal.approved_domains = vec![pattern("*.corp.example")].into();
        settings.external.allowed_domains = vec![pattern("partner.example")].into();
        let domain = |text: &str| EmailAddress::parse(&format!("ann@{text}")).expect(text);
        assert_eq!(
            settings.pattern_for(&domain("a.corp.example")),
            Some(&pattern("*.corp.example"))
        );
        assert_eq!(settings.pattern_for(&domain("partner.example")), None);
        settings.external.restrict_domains = true;
        assert_eq!(
            settings.pattern_for(&domain("partner.example")),
            Some(&pattern("partner.example"))
        );
        settings.external.allow_portal_only_accounts = false;
        assert_eq!(settings.pattern_for(&domain("partner.example")), None);
        settings.external.allow_portal_only_accounts = true;
        settings.internal.enabled = false;
        assert_eq!(settings.pattern_for(&domain("a.corp.example")), None);
        settings.denied = vec![pattern("ann@partner.example")].into();
        assert_eq!(
            settings.pattern_for(&domain("partner.example")),
            Some(&pattern("ann@partner.example"))
        );
    }

    #[test]
    fn the_settings_do_not_apply_to_a_canary() {
        let mut access = AccessSettings::default();
        access.site.external.verify = true;
        let portal = canary::portal();
        assert_eq!(access.effective(Some(&portal)), Settings::default());
    }

    #[test]
    fn only_internal_accounts_get_the_default_groups() {
        let mut settings = Settings::default();
        settings.internal.default_groups = vec!["staff".to_owned()];
        assert_eq!(settings.default_groups(AccountKind::Internal), ["staff"]);
        assert!(settings.default_groups(AccountKind::External).is_empty());
    }
}
