//! Changes of the access settings: takes the old settings and the requested change, returns the new settings
//! and the list of differences. Nothing is stored here; [`crate::store::Store::change_access`] stores the
//! result as a revision.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::settings::AccessSettings;
use super::settings_key::{Key, KeyError, Value};
use crate::domain::{DomainPattern, PatternList, PortalName};

/// One setting that differs between two states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Change {
    pub key: Key,
    /// None for the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub portal: Option<PortalName>,
    /// None if the portal inherited it.
    pub before: Option<Value>,
    /// None if the portal inherits it now.
    pub after: Option<Value>,
}

/// A requested change, from `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub key: Key,
    /// None to inherit the site's value.
    pub value: Option<Value>,
}

/// Error of an assignment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    #[error("{0:?} has no value; write KEY=VALUE, such as external.verify=true")]
    NoValue(String),
    #[error("{0}=inherit applies to a portal only; name the portal with --portal")]
    SiteInheritsNothing(&'static str),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Assignment {
    /// Parses `KEY=VALUE`; the value `inherit` removes a portal's override.
    ///
    /// # Errors
    /// No such setting, or an invalid value for it.
    pub fn parse(text: &str) -> Result<Self, AssignmentError> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| AssignmentError::NoValue(text.to_owned()))?;
        let key = Key::parse(name.trim())?;
        let value = match value.trim() {
            "inherit" => None,
            value => Some(key.parse_value(value)?),
        };
        Ok(Self { key, value })
    }
}

impl AccessSettings {
    /// Returns these settings with some values replaced, for the site or a portal.
    ///
    /// # Errors
    /// `inherit` without a portal.
    pub fn with(
        &self,
        portal: Option<&PortalName>,
        assignments: &[Assignment],
    ) -> Result<Self, AssignmentError> {
        let mut settings = self.clone();
        for Assignment { key, value } in assignments {
            match (portal, value) {
                (Some(portal), value) => settings.put_override(portal, *key, value.clone()),
                (None, Some(value)) => key.put(&mut settings.site, value.clone()),
                (None, None) => return Err(AssignmentError::SiteInheritsNothing(key.as_str())),
            }
        }
        Ok(settings)
    }

    /// Returns these settings with patterns added to one of the three lists. A portal that inherited the list
    /// gets its own, which starts as a copy.
    #[must_use]
    pub fn with_domains(
        &self,
        portal: Option<&PortalName>,
        key: Key,
        patterns: &[DomainPattern],
    ) -> Self {
        let mut list = self.domains(portal, key).to_vec();
        let mut known: HashSet<_> = list.iter().cloned().collect();
        for pattern in patterns {
            if known.insert(pattern.clone()) {
                list.push(pattern.clone());
            }
        }
        self.with_list(portal, key, list.into())
    }

    /// Returns these settings without some patterns, in whichever of the three lists they are, and the
    /// patterns found in none.
    #[must_use]
    pub fn without_domains(
        &self,
        portal: Option<&PortalName>,
        patterns: &[DomainPattern],
    ) -> (Self, Vec<DomainPattern>) {
        let mut settings = self.clone();
        let mut unknown = patterns.to_vec();
        let removed: HashSet<_> = patterns.iter().collect();
        for key in [
            Key::InternalApprovedDomains,
            Key::ExternalAllowedDomains,
            Key::Denied,
        ] {
            let before = settings.domains(portal, key);
            let after: PatternList = before
                .iter()
                .filter(|pattern| !removed.contains(pattern))
                .cloned()
                .collect();
            if before != after {
                let known: HashSet<_> = before.iter().collect();
                unknown.retain(|pattern| !known.contains(pattern));
                settings = settings.with_list(portal, key, after);
            }
        }
        (settings, unknown)
    }

    /// Differences in `after`, in the order of the documentation, the site's first.
    #[must_use]
    pub fn changes_to(&self, after: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut compare = |key, portal: Option<&PortalName>, before, after| {
            if before != after {
                let portal = portal.cloned();
                changes.push(Change {
                    key,
                    portal,
                    before,
                    after,
                });
            }
        };
        for key in Key::ALL {
            let (old, new) = (key.of(&self.site), key.of(&after.site));
            compare(key, None, Some(old), Some(new));
        }
        let mut portals: Vec<_> = self.portals.keys().chain(after.portals.keys()).collect();
        portals.sort();
        portals.dedup();
        for portal in portals {
            let value = |settings: &Self, key: Key| {
                let own = settings.portals.get(portal)?;
                key.of_overrides(own)
            };
            for key in Key::ALL {
                compare(key, Some(portal), value(self, key), value(after, key));
            }
        }
        changes
    }

    fn domains(&self, portal: Option<&PortalName>, key: Key) -> PatternList {
        match key.of(&self.effective(portal)) {
            Value::Domains(patterns) => patterns,
            Value::Switch(_) | Value::Groups(_) => PatternList::default(),
        }
    }

    fn with_list(&self, portal: Option<&PortalName>, key: Key, list: PatternList) -> Self {
        if list == self.domains(portal, key) {
            return self.clone();
        }
        let mut settings = self.clone();
        let value = Value::Domains(list);
        match portal {
            Some(portal) => settings.put_override(portal, key, Some(value)),
            None => key.put(&mut settings.site, value),
        }
        settings
    }

    /// Sets or removes an override. Removes a portal without overrides from the map.
    fn put_override(&mut self, portal: &PortalName, key: Key, value: Option<Value>) {
        let own = self.portals.entry(portal.clone()).or_default();
        key.put_override(own, value);
        if own.is_empty() {
            self.portals.remove(portal);
        }
    }
}

/// `it: external.verify: false → true`; for a list, only additions and removals.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(portal) = &self.portal {
            write!(f, "{portal}: ")?;
        }
        write!(f, "{}: ", self.key.as_str())?;
        if let (Some(before), Some(after)) =
            (items(self.before.as_ref()), items(self.after.as_ref()))
        {
            let (old, new): (HashSet<_>, HashSet<_>) =
                (before.iter().collect(), after.iter().collect());
            let gone = before.iter().filter(|item| !new.contains(item));
            let come = after.iter().filter(|item| !old.contains(item));
            let signed: Vec<_> = gone
                .map(|item| format!("- {item}"))
                .chain(come.map(|item| format!("+ {item}")))
                .collect();
            if signed.is_empty() {
                return f.write_str("reordered");
            }
            return f.write_str(&signed.join(", "));
        }
        let display = |value: Option<&Value>| match value {
            None => "inherited".to_owned(),
            Some(value) if items(Some(value)).is_some_and(|list| list.is_empty()) => {
                "empty".to_owned()
            }
            Some(value) => value.to_string(),
        };
        write!(
            f,
            "{} → {}",
            display(self.before.as_ref()),
            display(self.after.as_ref())
        )
    }
}

fn items(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::Switch(_) => None,
        Value::Domains(patterns) => Some(patterns.iter().map(ToString::to_string).collect()),
        Value::Groups(groups) => Some(groups.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> DomainPattern {
        DomainPattern::parse(text).expect(text)
    }

    fn portal() -> PortalName {
        PortalName::parse("it").expect("a name")
    }

    fn describe_changes(before: &AccessSettings, after: &AccessSettings) -> Vec<String> {
        before
            .changes_to(after)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_list_shows_additions_and_removals() {
        let old = AccessSettings::default().with_domains(
            None,
            Key::InternalApprovedDomains,
            &[pattern("corp.example"), pattern("old.example")],
        );
        let (new, unknown) =
            old.without_domains(None, &[pattern("old.example"), pattern("never.example")]);
        let new = new.with_domains(
            None,
            Key::InternalApprovedDomains,
            &[pattern("corp.example"), pattern("new.example")],
        );
        assert_eq!(unknown, [pattern("never.example")]);
        assert_eq!(
            describe_changes(&old, &new),
            ["internal.approved_domains: - old.example, + new.example"]
        );
        assert!(describe_changes(&new, &new).is_empty());
    }

    #[test]
    fn an_override_starts_as_a_copy_and_is_removed_completely() {
        let site = AccessSettings::default().with_domains(
            None,
            Key::ExternalAllowedDomains,
            &[pattern("partner.example")],
        );
        let own = site.with_domains(
            Some(&portal()),
            Key::ExternalAllowedDomains,
            &[pattern("more.example")],
        );
        assert_eq!(
            *own.effective(Some(&portal())).external.allowed_domains,
            [pattern("partner.example"), pattern("more.example")]
        );
        assert_eq!(own.site, site.site);
        assert_eq!(
            describe_changes(&site, &own),
            ["it: external.allowed_domains: inherited → partner.example, more.example"]
        );
        let inherit = Assignment::parse("external.allowed_domains=inherit").expect("good");
        let back = own.with(Some(&portal()), &[inherit]).expect("a portal");
        assert_eq!(back, site);
    }

    #[test]
    fn an_inherited_pattern_creates_no_override() {
        let site = AccessSettings::default().with_domains(
            None,
            Key::InternalApprovedDomains,
            &[pattern("corp.example")],
        );
        let same = site.with_domains(
            Some(&portal()),
            Key::InternalApprovedDomains,
            &[pattern("corp.example")],
        );
        assert_eq!(same, site);
    }

    #[test]
    fn assignment_errors_name_the_mistake() {
        for (text, wrong) in [
            ("external.verify", "has no value"),
            ("external.verfy=true", "there is no setting"),
            ("external.verify=yes", "must be true or false"),
            ("internal.approved_domains=co.uk", "public suffix"),
        ] {
            let error = Assignment::parse(text).expect_err(text).to_string();
            assert!(error.contains(wrong), "{error}");
        }
        let inherit = Assignment::parse("external.verify=inherit").expect("good");
        assert!(AccessSettings::default().with(None, &[inherit]).is_err());
    }

    #[test]
    fn a_pattern_is_removed_from_whichever_list_has_it() {
        let acme = [pattern("acme.example")];
        for key in [
            Key::InternalApprovedDomains,
            Key::ExternalAllowedDomains,
            Key::Denied,
        ] {
            let with = AccessSettings::default().with_domains(None, key, &acme);
            assert_ne!(with, AccessSettings::default());
            let (without, unknown) = with.without_domains(None, &acme);
            assert_eq!(without, AccessSettings::default());
            assert!(unknown.is_empty());
        }
    }

    #[test]
    fn another_order_and_an_empty_list_are_described_in_words() {
        let list = |text: &str| {
            let list = Assignment::parse(&format!("internal.approved_domains={text}"));
            let settings = AccessSettings::default().with(None, &[list.expect("good")]);
            settings.expect("the site's")
        };
        let settings = list("a.example, b.example");
        assert_eq!(
            describe_changes(&settings, &list("b.example, a.example")),
            ["internal.approved_domains: reordered"]
        );
        let empty = Assignment::parse("internal.approved_domains=").expect("good");
        let own = settings.with(Some(&portal()), &[empty]).expect("a portal");
        assert_eq!(
            describe_changes(&settings, &own),
            ["it: internal.approved_domains: inherited → empty"]
        );
    }
}
