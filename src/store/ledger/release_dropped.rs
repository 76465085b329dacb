//! Release of one dropped message by an operator, regardless of the reason for dropping it.
//!
//! The entry keeps its verdict and reason, which record the decision of the rules. The request belongs to the
//! operator's action and permits nothing further: the account stays as it is, and a new account is pending,
//! unverified and owed no mail.

use crate::access::{Circumstances, decide_newcomer, sender_for};
use crate::domain::{
    AccountKind, AccountOrigin, Actor, EmailAddress, LedgerId, NewAccount, PortalName, RequestId,
    Timestamp,
};
use crate::store::audit::events::{NewEvent, record_of_account, record_of_entry};
use crate::store::claims::leases::REQUESTS;
use crate::store::engine::job::Work;
use crate::store::ledger::dropped_entry::{DroppedEntry, NamedPortal, find};
use crate::store::ledger::recover_dropped::Recovered;
use crate::store::requests::hold_quota::withdraw;
use crate::store::requests::refused_messages::check_operator_may_release;
use crate::store::rows::account_rows::{AccountRow, create_account, find_account};
use crate::store::rows::dropped_content::uncount;
use crate::store::rows::duplicates::{Likeness, find_original};
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Tx, insert};
use crate::store::{Result, Store, StoreError, Topic};

/// A message with its sender, which an operator may have named.
struct Forced<'a> {
    found: &'a DroppedEntry,
    circumstances: &'a Circumstances,
    sender: &'a EmailAddress,
    named: bool,
}

impl Store {
    /// Releases a dropped message unchanged. `named` is its sender if the message has no usable one, or has
    /// one of our own addresses; `portal` is its portal if it was sent to an address of our own.
    ///
    /// # Errors
    /// `NotFound`; `NotAllowed` with the reason why it cannot be released.
    pub async fn release_dropped(
        &self,
        ledger: LedgerId,
        named: Option<EmailAddress>,
        portal: Option<NamedPortal>,
        by: Actor,
        now: Timestamp,
    ) -> Result<Recovered> {
        self.write(move |work| {
            let (named, portal) = (named.as_ref(), portal.as_ref());
            work.release_dropped(ledger, named, portal, &by, now.into())
        })
        .await
    }
}

impl Work<'_> {
    fn release_dropped(
        &mut self,
        ledger: LedgerId,
        named: Option<&EmailAddress>,
        portal: Option<&NamedPortal>,
        by: &Actor,
        now: Millis,
    ) -> Result<Recovered> {
        let found = find(self.tx, ledger)?;
        let circumstances = found.require_recoverable(ledger, portal)?;
        check_operator_may_release(self.tx, found.n, &ledger.to_string(), now)?;
        let written = sender_for(&found.facts, circumstances.own_list.as_deref()).address();
        let refused = |why: String| Err(StoreError::NotAllowed(format!("{ledger} {why}")));
        let sender = match (written, named) {
            (Some(written), Some(_)) if !circumstances.sender_is_ours => {
                return refused(format!(
                    "was written by {written}; name a sender only if the message has no usable one"
                ));
            }
            (_, Some(named)) => named,
            (Some(written), None) if circumstances.sender_is_ours => {
                return refused(format!(
                    "was written by {written}, which is an address of this installation; name the \
                     sender of the request (--as ADDRESS on the command line)"
                ));
            }
            (Some(written), None) => written,
            (None, None) => {
                return refused(
                    "has no usable sender; name the sender of the request (--as ADDRESS on the \
                     command line)"
                        .to_owned(),
                );
            }
        };
        let forced = Forced {
            found: &found,
            circumstances,
            sender,
            named: named.is_some(),
        };
        let written_key = written.map(EmailAddress::key);
        let like = Likeness::of(
            &found.facts,
            &circumstances.portal,
            written_key.as_deref(),
            found.received_at,
        );
        if let Some(earlier) = find_original(self.tx, &like, Some(found.n))? {
            return refused(format!(
                "is a copy of {}, which already has a request",
                earlier.original.ledger
            ));
        }
        let copy_key = like.copy_key;
        if let Some(portal) = portal {
            portal.assign(self.tx, found.n, written)?;
        }
        let account = self.account_of(&forced, by, now)?;
        insert_request(self.tx, &forced, account.n, by, now)?;
        let sql = "UPDATE ledger SET forget_at = NULL, copy_key = ?2 WHERE n = ?1";
        self.tx.run(sql, &[&found.n, &copy_key])?;
        withdraw(self.tx, found.n)?;
        uncount(self.tx, found.n)?;
        NewEvent::new("request.recovered")
            .entry(found.n)
            .detail(format!(
                "dropped as {} by revision {}, but released anyway{}",
                found.reason,
                found.revision,
                found.describe_named(forced.named, portal)
            ))
            .record(self.tx, by, now)?;
        record_of_entry(self.tx, "request.released", found.n, by, now)?;
        self.wakeups.add(Topic::Requests);
        self.wakeups.add(Topic::OperatorActions);
        Ok(Recovered::Forced {
            reason: found.reason,
            request: RequestId::from_bytes(ledger.to_bytes()),
        })
    }

    /// Returns the existing account unchanged, or creates a pending one.
    fn account_of(&mut self, forced: &Forced, by: &Actor, now: Millis) -> Result<AccountRow> {
        let tx = self.tx;
        if let Some(account) = find_account(tx, &forced.sender.key())? {
            return Ok(account);
        }
        let portal: &PortalName = &forced.circumstances.portal;
        let (_, settings) = self.settings.effective(tx, Some(portal))?;
        let decision = decide_newcomer(forced.sender, portal, &settings);
        let permitted = decision.consequence.new_account();
        let kind = permitted.map_or(AccountKind::External, |new| new.kind);
        let groups = settings.default_groups(kind);
        let new = NewAccount {
            kind,
            proof_needed: true,
        };
        let (origin, entry) = (AccountOrigin::Operator, Some(forced.found.n));
        let made = create_account(tx, forced.sender, new, groups, origin, entry, now)?;
        tx.run("UPDATE account SET placeholder = 1 WHERE n = ?", &[&made.n])?;
        record_of_account(tx, "account.added", made.n, by, now)?;
        Ok(made)
    }
}

fn insert_request(tx: &Tx, forced: &Forced, account: i64, by: &Actor, now: Millis) -> Result<()> {
    let portal = &forced.circumstances.portal;
    let facts = &forced.found.facts;
    let due = REQUESTS.due_at_the_end(tx, account, portal, now)?;
    insert!(
        tx,
        request {
            ledger: forced.found.n,
            account,
            portal,
            size: facts.size,
            received_at: forced.found.received_at,
            state: "released",
            due_at: due,
            released_at: now,
            released_by: by,
            authenticated: facts.authentication.passes(),
            sender_named: forced.named
        }
    )?;
    Ok(())
}
