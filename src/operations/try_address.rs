//! The verdict on ordinary mail from an address.

use serde::Serialize;
use utoipa::ToSchema;

use crate::access::{
    AccessSettings, AccountStanding, Circumstances, Decision, DecisionInput, Standing, decide,
};
use crate::config::{Config, Quota};
use crate::domain::{
    Account, AccountKind, AccountStatus, Domain, DomainPattern, EmailAddress, Envelope, PortalName,
    Reason, ReversePath, Verdict,
};
use crate::intake::circumstances;
use crate::mail::{self, Facts};
use crate::store::{QuotaRoom, Result, Store};

/// The verdict and its grounds.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Tested)]
pub struct AddressVerdict {
    pub address: EmailAddress,
    pub portal: PortalName,
    pub domain: Domain,
    /// The pattern that denies the address, or that lets a new sender in, if there is one.
    pub pattern: Option<DomainPattern>,
    pub verdict: Verdict,
    pub reason: Reason,
    pub rule: u8,
    /// The kind of the existing account, or of the one that would be created.
    pub account: Option<AccountKind>,
}

/// Input of the rules for an address and a portal.
pub struct AddressInput {
    facts: Facts,
    circumstances: Circumstances,
    standing: Standing,
    settings: crate::access::Effective,
}

impl AddressInput {
    /// The input of [`decide`] and [`explain`](crate::access::explain).
    #[must_use]
    pub fn for_decision(&self) -> DecisionInput<'_> {
        DecisionInput {
            facts: &self.facts,
            circumstances: &self.circumstances,
            standing: &self.standing,
            settings: &self.settings,
        }
    }
}

/// Builds the input.
pub async fn input_for(
    store: &Store,
    config: &Config,
    settings: &AccessSettings,
    account: Option<&Account>,
    address: &EmailAddress,
    portal: &PortalName,
) -> Result<AddressInput> {
    let facts = ordinary_mail(config, address);
    let account = match account.filter(|account| !account.placeholder) {
        Some(account) => {
            let standing = standing_of(store, config.quota, account, portal, facts.size);
            Some(standing.await?)
        }
        None => None,
    };
    Ok(AddressInput {
        circumstances: circumstances(config, portal, &facts),
        facts,
        standing: Standing {
            account,
            original: None,
        },
        settings: settings.effective(Some(portal)),
    })
}

/// Evaluates the rules.
#[must_use]
pub fn decide_address(
    input: &AddressInput,
    account: Option<&Account>,
    address: &EmailAddress,
    portal: &PortalName,
) -> (AddressVerdict, Decision) {
    let decision = decide(&input.for_decision());
    let verdict = AddressVerdict {
        address: address.clone(),
        portal: portal.clone(),
        domain: address.domain().clone(),
        pattern: input.settings.pattern_for(address).cloned(),
        verdict: decision.verdict,
        reason: decision.reason,
        rule: decision.rule,
        account: kind_of(account.map(|account| account.kind), &decision),
    };
    (verdict, decision)
}

/// The kind of the existing account, or of the one that a decision creates.
#[must_use]
pub fn kind_of(existing: Option<AccountKind>, decision: &Decision) -> Option<AccountKind> {
    let new = decision.consequence.new_account();
    existing.or(new.map(|new| new.kind))
}

/// Facts about an account that the rules need to decide about one more request of `size` octets.
pub async fn standing_of(
    store: &Store,
    quota: Quota,
    account: &Account,
    portal: &PortalName,
    size: u64,
) -> Result<AccountStanding> {
    let was_never_verified =
        account.status == AccountStatus::Active && account.verified_at.is_none();
    let room = if account.status == AccountStatus::Pending || was_never_verified {
        store.quota_room(account.id, size, quota).await?
    } else {
        QuotaRoom::default()
    };
    Ok(AccountStanding {
        kind: account.kind,
        status: account.status,
        takes_automatic: account.takes_automatic,
        quota_reached: room.quota_reached,
        can_replace: room.can_replace,
        unverified: was_never_verified && !account.let_in_by.contains(portal),
    })
}

/// The facts of a message that has nothing but an author.
fn ordinary_mail(config: &Config, address: &EmailAddress) -> Facts {
    let own = config.identity();
    let envelope = Envelope::of_file(ReversePath::Unknown);
    let raw = format!("From: <{address}>\r\n\r\n");
    mail::read(raw.as_bytes(), &envelope, &own)
}
