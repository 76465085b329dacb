//! Verification of addresses. Opening a link changes nothing. Verifying activates the account and releases
//! its held requests, in one transaction, exactly once.

use serde::{Deserialize, Serialize};

use crate::domain::{
    AccountId, AccountKind, AccountStatus, Actor, EmailAddress, GroupName, PortalName, RequestId,
    Timestamp, Transition, VerificationMethod,
};
use crate::store::accounts::link_standing::{LinkStanding, link_standing};
use crate::store::audit::events::{NewEvent, record_of_entry};
use crate::store::engine::job::Work;
use crate::store::requests::hold_quota::{Offer, list_held, offers, take_back};
use crate::store::requests::refused_messages::{end_protection, list_refused};
use crate::store::requests::transitions;
use crate::store::rows::account_rows::{AccountRow, account_by_id};
use crate::store::sql::Tx;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::verification::verification_mail::cancel;
use crate::store::{Result, Store, StoreError, Topic};

/// Selection of the held requests to release with the verification, and of the dropped ones to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// All held requests, and the offered messages that are authenticated and that the person did not refuse.
    All,
    /// As [`All`](Self::All), except these, which the person saw and deselected; held ones are discarded.
    Without(Vec<RequestId>),
    /// The person's selection on the page.
    Picked {
        /// Shown and not selected.
        left_out: Vec<RequestId>,
        /// Selected: of the offered messages, only these are restored.
        ticked: Vec<RequestId>,
    },
}

impl Choice {
    fn leaves_out(&self, id: RequestId) -> bool {
        match self {
            Self::All => false,
            Self::Without(left_out) | Self::Picked { left_out, .. } => left_out.contains(&id),
        }
    }

    fn takes_back(&self, offer: &Offer) -> bool {
        match self {
            Self::All | Self::Without(_) => {
                offer.authenticated && !offer.discarded && !self.leaves_out(offer.request.id)
            }
            Self::Picked { ticked, .. } => ticked.contains(&offer.request.id),
        }
    }
}

/// Outcome of a verification.
#[derive(Debug, Clone)]
pub enum VerificationOutcome {
    /// The account is active from now on.
    Verified {
        account: AccountId,
        address: EmailAddress,
        kind: AccountKind,
        /// Time at which the account was created.
        created_at: Timestamp,
        released: Vec<(RequestId, PortalName)>,
        discarded: Vec<RequestId>,
    },
    /// It was verified before, and the account is unchanged.
    AlreadyVerified {
        account: AccountId,
        address: EmailAddress,
        /// Refused messages that the person selected.
        released: Vec<(RequestId, PortalName)>,
    },
    Expired,
    /// Unknown token, or the person refused, or the account is blocked.
    Unknown,
}

/// Adds the groups that the sign-in provider named to those that the account has.
fn add_groups(tx: &Tx, account: i64, groups: &[String]) -> Result<()> {
    let mut all: Vec<String> = tx.one("SELECT groups FROM account WHERE n = ?", &[&account])?;
    for group in groups {
        if all.len() < GroupName::MAX_PER_ACCOUNT && !all.contains(group) {
            all.push(group.clone());
        }
    }
    let sql = "UPDATE account SET groups = ? WHERE n = ?";
    tx.run(sql, &[&json(&all)?, &account])?;
    Ok(())
}

impl Work<'_> {
    pub(crate) fn verify_account(
        &mut self,
        method: &VerificationMethod,
        account: Option<AccountId>,
        choice: &Choice,
        now: Millis,
    ) -> Result<VerificationOutcome> {
        let tx = self.tx;
        // A link releases what the person refused only while it is valid.
        let (account, may_release) = match method {
            VerificationMethod::Link(token)
            | VerificationMethod::Reply(token)
            | VerificationMethod::Sso(token, _) => match link_standing(tx, *token, now)? {
                LinkStanding::Unknown | LinkStanding::Refused(..) => {
                    return Ok(VerificationOutcome::Unknown);
                }
                LinkStanding::Expired => return Ok(VerificationOutcome::Expired),
                LinkStanding::Active(account, found) => (account, found.expires_at > now),
                LinkStanding::Pending(account) => (account, true),
            },
            VerificationMethod::Operator(_) => {
                let Some(account) = account else {
                    return Err(StoreError::NotAllowed(
                        "an operator must name the account to verify".to_owned(),
                    ));
                };
                (account_by_id(tx, account)?, false)
            }
        };
        match account.status {
            AccountStatus::Blocked => Ok(VerificationOutcome::Unknown),
            AccountStatus::Active if account.verified => Ok(VerificationOutcome::AlreadyVerified {
                account: account.id,
                address: account.address(tx)?,
                released: if may_release {
                    self.release_selected(account.n, choice, &method.actor(), now)?
                } else {
                    Vec::new()
                },
            }),
            AccountStatus::Pending | AccountStatus::Active => {
                self.activate(&account, method, choice, now)
            }
        }
    }

    /// Activates the account of a valid verification and releases what it held.
    fn activate(
        &mut self,
        account: &AccountRow,
        method: &VerificationMethod,
        choice: &Choice,
        now: Millis,
    ) -> Result<VerificationOutcome> {
        let tx = self.tx;
        let by = method.actor();
        // Mail to the address arrives, whatever was recorded about it before.
        let created_at: Millis = tx.one(
            "UPDATE account SET status = 'active', verified_by = ?2, verified_at = ?3,
                     undeliverable = 0, quiet_until = NULL, refused_at = NULL,
                     refused_authenticated = 0, quiet_mailed = 0, unanswered_mails = 0
                 WHERE n = ?1 RETURNING created_at",
            &[&account.n, &method.name(), &now],
        )?;
        let sql = "UPDATE token SET used_at = ?2 WHERE account = ?1 AND used_at IS NULL";
        tx.run(sql, &[&account.n, &now])?;
        tx.run("DELETE FROM let_in WHERE account = ?", &[&account.n])?;
        if let VerificationMethod::Sso(_, groups) = method {
            add_groups(tx, account.n, groups)?;
        }
        cancel(tx, account.n, now)?;
        NewEvent::new("account.verified")
            .account(account.n)
            .detail(method.name())
            .record(tx, &by, now)?;

        let mut released = Vec::new();
        let mut discarded = Vec::new();
        for (n, request) in list_held(tx, account.n)? {
            let event = if choice.leaves_out(request.id) {
                transitions::settle(tx, n, Transition::Discard, None, now)?;
                discarded.push(request.id);
                NewEvent::new("request.discarded")
            } else {
                transitions::release(tx, n, "proof", now)?;
                released.push((request.id, request.portal));
                NewEvent::new("request.released")
            };
            event.entry(n).record(tx, &by, now)?;
        }
        for (n, offer) in offers(tx, account.n, now)? {
            if choice.takes_back(&offer) && take_back(tx, account.n, n, &by, now)? {
                record_of_entry(tx, "request.released", n, &by, now)?;
                released.push((offer.request.id, offer.request.portal));
            }
        }
        let sql = "DELETE FROM offer WHERE account = ? AND refused_at IS NULL";
        tx.run(sql, &[&account.n])?;
        // An operator's verification decides nothing about what the person refused.
        if !matches!(method, VerificationMethod::Operator(_)) {
            released.extend(self.release_selected(account.n, choice, &by, now)?);
            end_protection(tx, account.n)?;
        }
        self.wakeups.add_if(Topic::Requests, !released.is_empty());
        self.wakeups.add_if(
            Topic::OperatorActions,
            matches!(method, VerificationMethod::Operator(_)),
        );
        Ok(VerificationOutcome::Verified {
            account: account.id,
            address: account.address(tx)?,
            kind: account.kind,
            created_at: created_at.timestamp(),
            released,
            discarded,
        })
    }

    /// Releases the refused messages of a verified account that the person selected.
    fn release_selected(
        &mut self,
        account: i64,
        choice: &Choice,
        by: &Actor,
        now: Millis,
    ) -> Result<Vec<(RequestId, PortalName)>> {
        let mut released = Vec::new();
        for message in list_refused(self.tx, account, now)? {
            if choice.takes_back(&message.offer()) && message.release(self.tx, account, by, now)? {
                released.push((message.id, message.stored.portal));
            }
        }
        self.wakeups.add_if(Topic::Requests, !released.is_empty());
        Ok(released)
    }
}

impl Store {
    /// Verifies an address; the only operation that does. `account` names the account if an operator vouches
    /// for it; a token identifies its own.
    ///
    /// # Errors
    /// `NotFound` for an operator's account that does not exist.
    pub async fn verify_account(
        &self,
        method: VerificationMethod,
        account: Option<AccountId>,
        choice: Choice,
        now: Timestamp,
    ) -> Result<VerificationOutcome> {
        self.write(move |work| work.verify_account(&method, account, &choice, now.into()))
            .await
    }
}
