//! Questions of every kind, decided by early and late rules.

use vestibule::access::{
    AccessSettings, AccountStanding, Circumstances, DecisionInput, Effective, Original, Standing,
};
use vestibule::domain::{AccountKind, AccountStatus, LedgerId, Verdict};
use vestibule::mail::{Facts, read};

use crate::sample::{circumstances, envelope, identity, message, portal};

/// Everything that a [`DecisionInput`] borrows.
pub struct Case {
    pub name: &'static str,
    facts: Facts,
    circumstances: Circumstances,
    standing: Standing,
    settings: Effective,
}

impl Case {
    pub fn input(&self) -> DecisionInput<'_> {
        DecisionInput {
            facts: &self.facts,
            circumstances: &self.circumstances,
            standing: &self.standing,
            settings: &self.settings,
        }
    }
}

/// Questions that are decided by early and late rules, with long lists of domains where rules read those.
pub fn cases() -> Vec<Case> {
    let account = |kind, status| Standing {
        account: Some(AccountStanding {
            kind,
            status,
            takes_automatic: false,
            quota_reached: false,
            can_replace: false,
            unverified: false,
        }),
        original: None,
    };
    let repeated = Standing {
        original: Some(Original {
            ledger: LedgerId::new(),
            verdict: Verdict::Held,
            request: None,
        }),
        account: None,
    };
    let nobody = Standing::default();
    [
        ("duplicate", "bob@partner.example", "", repeated),
        (
            "automatic",
            "bob@partner.example",
            "Auto-Submitted: auto-replied\r\n",
            nobody,
        ),
        (
            "bulk",
            "bob@partner.example",
            "List-Id: <news.partner.example>\r\n",
            nobody,
        ),
        (
            "account active",
            "bob@partner.example",
            "",
            account(AccountKind::External, AccountStatus::Active),
        ),
        (
            "account pending",
            "ann@corp.example",
            "",
            account(AccountKind::Internal, AccountStatus::Pending),
        ),
        ("internal account", "new@d999.corp.example", "", nobody),
        ("domain not allowed", "eve@elsewhere.example", "", nobody),
        ("external account", "new@d999.partner.example", "", nobody),
    ]
    .into_iter()
    .map(|(name, from, fields, standing)| Case {
        name,
        facts: facts(from, fields),
        circumstances: circumstances(),
        standing,
        settings: settings().effective(Some(&portal())),
    })
    .collect()
}

/// A thousand domains on each list, as an organisation of many brands has them.
fn settings() -> AccessSettings {
    let domains = |zone: &str| {
        (0..1000)
            .map(|n| format!("d{n}.{zone}").parse().expect("a pattern"))
            .collect()
    };
    let mut settings = AccessSettings::default();
    settings.site.internal.approved_domains = domains("corp.example");
    settings.site.external.restrict_domains = true;
    settings.site.external.allowed_domains = domains("partner.example");
    settings
}

fn facts(from: &str, fields: &str) -> Facts {
    read(&message(from, fields), &envelope(from), &identity())
}
