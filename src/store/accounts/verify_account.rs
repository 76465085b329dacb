//! Verification of addresses. Opening a link changes nothing. Verifying activates the account and releases
//! its held requests, in one transaction, exactly once.

use serde::{Deserialize, Serialize};

use crate::domain::{
    AccountId, AccountKind, AccountStatus, EmailAddress, GroupName, LanguageTag, PortalName,
    RequestId, Timestamp, TokenHash, Transition, VerificationMethod,
};
use crate::store::accounts::link_standing::{LinkStanding, link_standing};
use crate::store::accounts::undo_not_me::{self, Discarded};
use crate::store::audit::events::{NewEvent, record_of_entry};
use crate::store::engine::job::Work;
use crate::store::requests::hold_quota::{Offer, WaitingRequest, offers, take_back};
use crate::store::requests::transitions;
use crate::store::rows::account_rows::{AccountRow, account_by_id};
use crate::store::sql::sql_types::{Millis, json};
use crate::store::sql::{FromRow, Tx};
use crate::store::verification::languages;
use crate::store::verification::verification_mail::cancel;
use crate::store::{Result, Store, StoreError, Topic};

/// State of a link.
#[derive(Debug, Clone)]
pub enum Link {
    Unknown,
    /// Expired; the account is still pending, and the person can ask for a new link.
    Expired,
    /// The account is pending.
    Open {
        account: AccountId,
        address: EmailAddress,
        requests: Vec<WaitingRequest>,
        /// Messages that the hold quota dropped and the person may restore.
        offers: Vec<Offer>,
    },
    /// The address is verified, by this link or otherwise.
    Verified {
        account: AccountId,
        address: EmailAddress,
        portal: Option<PortalName>,
    },
    /// The person said "This was not me".
    Refused {
        address: EmailAddress,
        /// End of the time in which the address gets no mail.
        quiet_until: Option<Timestamp>,
        /// End of the time in which this link can take the objection back; None once it has passed.
        valid_until: Option<Timestamp>,
        /// The person can still ask for the one mail with another link.
        may_ask: bool,
    },
}

/// Selection of the held requests to release with the verification, and of the dropped ones to restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// All held requests, and the offered messages that are authenticated.
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
                offer.authenticated && !self.leaves_out(offer.request.id)
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
    /// It was verified before; nothing changed.
    AlreadyVerified {
        account: AccountId,
        address: EmailAddress,
    },
    Expired,
    /// Unknown token, or the person refused, or the account is blocked.
    Unknown,
}

/// Held requests: the `n` of each and what its sender sees of it.
pub(crate) fn list_held(tx: &Tx, account: i64) -> Result<Vec<(i64, WaitingRequest)>> {
    tx.all_with(
        "SELECT l.n, l.id, r.portal, r.received_at, l.facts
         FROM request AS r JOIN ledger AS l ON l.n = r.ledger
         WHERE r.account = ? AND r.state = 'held' ORDER BY l.n",
        &[&account],
        |row| Ok((row.get("n")?, WaitingRequest::from_row(row)?)),
    )
}

fn look(tx: &Tx, token: TokenHash, now: Millis) -> Result<Link> {
    Ok(match link_standing(tx, token, now)? {
        LinkStanding::Unknown => Link::Unknown,
        LinkStanding::Expired => Link::Expired,
        LinkStanding::Refused(account, found) => Link::Refused {
            address: account.address(tx)?,
            quiet_until: account.quiet_until(now).map(Millis::timestamp),
            valid_until: Some(found.expires_at)
                .filter(|until| *until > now)
                .map(Millis::timestamp),
            may_ask: account.may_be_mailed_once(now),
        },
        LinkStanding::Active(account, found) => Link::Verified {
            account: account.id,
            address: account.address(tx)?,
            portal: portal_of_mail(tx, found.verification_mail)?,
        },
        LinkStanding::Pending(account) => Link::Open {
            account: account.id,
            address: account.address(tx)?,
            requests: list_held(tx, account.n)?
                .into_iter()
                .map(|(_, request)| request)
                .collect(),
            offers: offers(tx, account.n, now)?
                .into_iter()
                .map(|(_, offer)| offer)
                .chain(
                    undo_not_me::list_discarded(tx, account.n, now)?
                        .into_iter()
                        .map(Discarded::offer),
                )
                .collect(),
        },
    })
}

pub(crate) fn portal_of_mail(tx: &Tx, n: i64) -> Result<Option<PortalName>> {
    tx.one("SELECT portal FROM letter WHERE n = ?", &[&n])
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
        let account = match method {
            VerificationMethod::Link(token)
            | VerificationMethod::Reply(token)
            | VerificationMethod::Sso(token, _) => match link_standing(tx, *token, now)? {
                LinkStanding::Unknown | LinkStanding::Refused(..) => {
                    return Ok(VerificationOutcome::Unknown);
                }
                LinkStanding::Expired => return Ok(VerificationOutcome::Expired),
                LinkStanding::Active(account, _) | LinkStanding::Pending(account) => account,
            },
            VerificationMethod::Operator(_) => {
                let Some(account) = account else {
                    return Err(StoreError::NotAllowed(
                        "an operator must name the account to verify".to_owned(),
                    ));
                };
                account_by_id(tx, account)?
            }
        };
        match account.status {
            AccountStatus::Blocked => Ok(VerificationOutcome::Unknown),
            AccountStatus::Active if account.verified => Ok(VerificationOutcome::AlreadyVerified {
                account: account.id,
                address: account.address(tx)?,
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
        tx.run("DELETE FROM offer WHERE account = ?", &[&account.n])?;
        for request in undo_not_me::list_discarded(tx, account.n, now)? {
            let has_copy = request.has_copy(tx)?;
            let (n, offer) = (request.n, request.offer());
            if choice.takes_back(&offer) && !has_copy {
                transitions::release(tx, n, "proof", now)?;
                record_of_entry(tx, "request.released", n, &by, now)?;
                released.push((offer.request.id, offer.request.portal));
            }
        }
        // The person has decided: from now on no link restores anything, and an operator can release the
        // others. An operator's verification decides nothing about what the person refused.
        if !matches!(method, VerificationMethod::Operator(_)) {
            tx.run(
                "UPDATE request SET restorable_until = NULL
                 WHERE account = ? AND state = 'discarded'",
                &[&account.n],
            )?;
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
}

impl Store {
    /// Reads the state of a link. Changes nothing.
    pub async fn look_at_link(&self, token: TokenHash, now: Timestamp) -> Result<Link> {
        self.read(move |tx| look(tx, token, now.into())).await
    }

    /// Reads the state of a link, and the language that the person with it chose, if any. Changes nothing.
    pub async fn visit_link(
        &self,
        token: TokenHash,
        now: Timestamp,
    ) -> Result<(Link, Option<LanguageTag>)> {
        self.read(move |tx| {
            let link = look(tx, token, now.into())?;
            Ok((link, languages::chosen_with(tx, token)?))
        })
        .await
    }

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
