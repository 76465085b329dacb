//! Import of people: reconciles the people that a file or a program lists with the existing accounts.
//!
//! The access settings decide about a new account as they do for mail. An existing account loses nothing: a block
//! stays, an internal account stays internal, and a verified address stays verified. So importing the same people
//! again changes nothing.

use crate::access::{Decision, decide_newcomer};
use crate::domain::{
    AccountKind, AccountOrigin, AccountStatus, Actor, EmailAddress, GroupName, NewAccount,
    PortalName, Reason, Timestamp,
};
use crate::store::accounts::groups::changed_groups;
use crate::store::accounts::verify_by_operator::count_released;
use crate::store::audit::events::record_of_account;
use crate::store::engine::job::Work;
use crate::store::error::readable;
use crate::store::rows::account_rows::{AccountRow, create_account, find_account};
use crate::store::sql::sql_types::Millis;
use crate::store::verification::mail_lanes::QueuePlace;
use crate::store::{MailCause, MailKind, Result, Store, StoreError, Topic};

/// A person as a file or a program describes them.
#[derive(Debug, Clone)]
pub struct Person {
    pub address: EmailAddress,
    /// The expected kind; None for the kind that the access settings give.
    pub kind: Option<AccountKind>,
    /// None: the default groups for a new account, and no change for an existing one.
    pub groups: Option<Vec<GroupName>>,
    /// An operator vouches for the address.
    pub verified: bool,
}

/// A change of an existing account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonChange {
    MadeInternal,
    Groups,
    /// The address counts as verified, and `released` held requests are released.
    Verified {
        released: usize,
    },
}

/// Reason why a person was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PersonRefusal {
    #[error("it is on the deny list; remove it from that list first")]
    Denied,
    #[error("the access settings do not allow it ({reason}{}); approve or allow its domain first", evidence.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    NotAllowed {
        reason: Reason,
        evidence: Option<String>,
    },
    #[error(
        "its domain is not approved, so it cannot be internal; approve the domain, or leave the kind empty"
    )]
    NotApproved,
    #[error("its domain is approved, so it cannot be external; leave the kind empty")]
    Approved,
    #[error(
        "its account is internal, and an import does not make it external; leave the kind empty"
    )]
    StaysInternal,
    #[error(
        "the person said \"This was not me\", so an import does not verify it; leave verified empty, \
         or ask the person again with vestibule customers resend"
    )]
    Objected,
    #[error("its account cannot be read because the row is damaged; run vestibule doctor")]
    Damaged,
    #[error("it has {0} groups, but an account can have at most {most}", most = GroupName::MAX_PER_ACCOUNT)]
    TooManyGroups(usize),
}

/// Outcome for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PersonOutcome {
    Created {
        kind: AccountKind,
        status: AccountStatus,
    },
    /// At least one change.
    Changed(Vec<PersonChange>),
    Unchanged,
    /// The account is blocked, and stays as it is.
    Blocked,
    Refused(PersonRefusal),
}

/// Steps that reconcile one person.
enum Plan {
    Create(NewAccount),
    Change {
        account: AccountRow,
        make_internal: bool,
        groups: bool,
        verify: bool,
    },
    Blocked,
    Refuse(PersonRefusal),
}

/// Returns the account that the access settings permit.
pub(crate) fn permit(decision: Decision) -> Result<NewAccount, PersonRefusal> {
    if decision.reason == Reason::SenderDenied {
        return Err(PersonRefusal::Denied);
    }
    let permitted = decision.consequence.new_account();
    permitted.ok_or(PersonRefusal::NotAllowed {
        reason: decision.reason,
        evidence: decision.evidence,
    })
}

/// Checks the kind that a new account would get.
fn kind_of_newcomer(
    decision: Decision,
    wanted: Option<AccountKind>,
) -> Result<NewAccount, PersonRefusal> {
    let new = permit(decision)?;
    match (wanted, new.kind) {
        (Some(AccountKind::Internal), AccountKind::External) => Err(PersonRefusal::NotApproved),
        (Some(AccountKind::External), AccountKind::Internal) => Err(PersonRefusal::Approved),
        _ => Ok(new),
    }
}

impl Work<'_> {
    /// The decision of the site's access settings about a new account for this address.
    pub(crate) fn decide_person(&mut self, address: &EmailAddress) -> Result<Decision> {
        let (_, settings) = self.settings.effective(self.tx, None)?;
        // The settings of the site decide, looked up under a name that no portal has.
        let nowhere = PortalName::parse("-").map_err(|e| StoreError::Other(e.to_string()))?;
        Ok(decide_newcomer(address, &nowhere, &settings))
    }

    /// Groups that the site's access settings give a new account of this kind.
    pub(crate) fn default_groups(&mut self, kind: AccountKind) -> Result<Vec<String>> {
        let (_, settings) = self.settings.effective(self.tx, None)?;
        Ok(settings.default_groups(kind).to_vec())
    }

    fn plan(&mut self, person: &Person, now: Millis) -> Result<Plan> {
        let tx = self.tx;
        let decision = self.decide_person(&person.address)?;
        let count = person.groups.as_ref().map_or(0, Vec::len);
        if count > GroupName::MAX_PER_ACCOUNT {
            return Ok(Plan::Refuse(PersonRefusal::TooManyGroups(count)));
        }
        let there = find_account(tx, &person.address.key())?;
        let verify = person.verified && there.as_ref().is_none_or(AccountRow::can_be_verified);
        if verify && there.as_ref().is_some_and(|there| there.has_objected(now)) {
            return Ok(Plan::Refuse(PersonRefusal::Objected));
        }
        let Some(account) = there.filter(|there| !there.is_placeholder) else {
            return Ok(match kind_of_newcomer(decision, person.kind) {
                Ok(new) => Plan::Create(new),
                Err(refusal) => Plan::Refuse(refusal),
            });
        };
        if account.status == AccountStatus::Blocked {
            return Ok(Plan::Blocked);
        }
        if verify && let Err(refusal) = permit(decision.clone()) {
            return Ok(Plan::Refuse(refusal));
        }
        let make_internal = match (person.kind, account.kind) {
            (Some(AccountKind::External), AccountKind::Internal) => {
                return Ok(Plan::Refuse(PersonRefusal::StaysInternal));
            }
            (Some(AccountKind::Internal), AccountKind::External) => {
                if let Err(refusal) = kind_of_newcomer(decision, person.kind) {
                    return Ok(Plan::Refuse(refusal));
                }
                true
            }
            _ => false,
        };
        let groups = match &person.groups {
            Some(groups) => changed_groups(tx, account.n, groups)?.is_some(),
            None => false,
        };
        Ok(Plan::Change {
            make_internal,
            groups,
            verify,
            account,
        })
    }

    fn put_person(
        &mut self,
        person: &Person,
        dry_run: bool,
        by: &Actor,
        now: Millis,
    ) -> Result<PersonOutcome> {
        match self.plan(person, now)? {
            Plan::Create(new) => {
                let needs_verification = new.proof_needed && !person.verified;
                let status = if needs_verification {
                    AccountStatus::Pending
                } else {
                    AccountStatus::Active
                };
                if !dry_run {
                    self.create_person(person, new, by, now)?;
                }
                Ok(PersonOutcome::Created {
                    kind: new.kind,
                    status,
                })
            }
            Plan::Change {
                account,
                make_internal,
                groups,
                verify,
            } => {
                let mut changes = Vec::new();
                if make_internal {
                    if !dry_run {
                        self.make_internal(&account, by, now)?;
                    }
                    changes.push(PersonChange::MadeInternal);
                }
                if groups {
                    if let (false, Some(groups)) = (dry_run, &person.groups) {
                        self.set_groups(&account, groups, by, now)?;
                    }
                    changes.push(PersonChange::Groups);
                }
                if verify {
                    let released = if dry_run {
                        count_released(self.tx, &account, now)?
                    } else {
                        self.vouch(&account, by, now)?
                    };
                    changes.push(PersonChange::Verified { released });
                }
                Ok(if changes.is_empty() {
                    PersonOutcome::Unchanged
                } else {
                    PersonOutcome::Changed(changes)
                })
            }
            Plan::Blocked => Ok(PersonOutcome::Blocked),
            Plan::Refuse(refusal) => Ok(PersonOutcome::Refused(refusal)),
        }
    }

    /// Creates an account on behalf of an operator: verified if they vouch for the address, otherwise with a
    /// verification mail if one is needed.
    fn create_person(
        &mut self,
        person: &Person,
        new: NewAccount,
        by: &Actor,
        now: Millis,
    ) -> Result<()> {
        let tx = self.tx;
        let groups = self.default_groups(new.kind)?;
        let (address, origin) = (&person.address, AccountOrigin::Operator);
        let made = create_account(tx, address, new, &groups, origin, None, now)?;
        self.wakeups.add(Topic::OperatorActions);
        record_of_account(tx, "account.added", made.n, by, now)?;
        if let Some(groups) = &person.groups {
            self.set_groups(&made, groups, by, now)?;
        }
        if person.verified {
            self.vouch(&made, by, now)?;
        } else if made.status == AccountStatus::Pending {
            let (kind, cause) = (MailKind::Verification, MailCause::Operator);
            let place = QueuePlace::of_operator(address.domain());
            self.owe(&made, kind, cause, None, place, now)?;
        }
        Ok(())
    }

    fn make_internal(&mut self, account: &AccountRow, by: &Actor, now: Millis) -> Result<()> {
        let sql = "UPDATE account SET kind = 'internal' WHERE n = ?";
        self.tx.run(sql, &[&account.n])?;
        self.wakeups.add(Topic::OperatorActions);
        record_of_account(self.tx, "account.made_internal", account.n, by, now)
    }
}

impl Store {
    /// Reconciles people with the existing accounts in one transaction; with `dry_run`, only reports the changes.
    /// The outcomes are in the order of the people.
    ///
    /// # Errors
    /// The database cannot be written; nothing has changed then.
    pub async fn put_people(
        &self,
        people: Vec<Person>,
        dry_run: bool,
        by: Actor,
        now: Timestamp,
    ) -> Result<Vec<PersonOutcome>> {
        self.write(move |work| {
            let mut outcomes = Vec::with_capacity(people.len());
            for person in &people {
                let outcome = work.put_person(person, dry_run, &by, now.into());
                let damaged = PersonOutcome::Refused(PersonRefusal::Damaged);
                outcomes.push(readable(outcome)?.unwrap_or(damaged));
            }
            Ok(outcomes)
        })
        .await
    }
}
