//! Applies the consequences of a decision: creates an account, a request, a verification mail. Runs in the
//! transaction that decided, for new messages and for recovered ones.

use std::sync::LazyLock;

use crate::access::{AccountStanding, Consequence, Decision, Effective};
use crate::config::Quota;
use crate::domain::{AccountOrigin, AccountStatus, Actor, RequestId};
use crate::store::claims::leases::REQUESTS;
use crate::store::engine::job::Work;
use crate::store::hooks::calls_about_accounts;
use crate::store::requests::decided_message::DecidedMessage;
use crate::store::requests::hold_quota::{make_room, room};
use crate::store::requests::transitions;
use crate::store::rows::account_rows::{AccountRow, SenderAccount, create_account};
use crate::store::rows::keys::octets;
use crate::store::sql::{DeferredInsert, DeferredTable, InsertQueue, Tx};
use crate::store::verification::languages;
use crate::store::verification::mail_lanes::QueuePlace;
use crate::store::verification::verification_mail::{Occasion, owe};
use crate::store::{MailCause, MailKind, Result, StoreError, Topic};

/// The applied consequences.
pub(crate) struct Applied {
    pub(crate) account: AccountRow,
    pub(crate) created: bool,
    pub(crate) request: RequestId,
}

/// Reads the standing of an account, to decide about another request of `size` octets for a portal.
pub(crate) fn standing(
    tx: &Tx,
    account: &SenderAccount,
    size: u64,
    quota: Quota,
) -> Result<AccountStanding> {
    let unverified = account.is_unverified();
    let account = &account.row;
    let room = if account.status == AccountStatus::Pending || unverified {
        Some(room(tx, account.n, size, quota)?)
    } else {
        None
    };
    Ok(AccountStanding {
        kind: account.kind,
        status: account.status,
        takes_automatic: account.takes_automatic,
        quota_reached: room.as_ref().is_some_and(|room| room.quota_reached),
        can_replace: room.is_some_and(|room| room.can_replace),
        unverified,
    })
}

/// Inserts a request; a released one at the end of its queue.
static ENTER: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO request (ledger, account, portal, size, received_at, state, due_at, released_at,
             released_by, authenticated)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6,
             CASE WHEN ?6 = 'released' AND EXISTS ({}) THEN NULL ELSE CAST(?7 AS bigint) END,
             {}, ?9, ?10)",
        REQUESTS.rows_before("1", 2, 3),
        transitions::release_time(2, 3, 8)
    )
});

impl Work<'_> {
    /// Applies the decision; returns None if it has no consequence.
    pub(crate) fn apply(
        &mut self,
        message: &DecidedMessage,
        decision: &Decision,
        settings: &Effective,
        account: Option<SenderAccount>,
    ) -> Result<Option<Applied>> {
        let held = match decision.consequence {
            Consequence::Nothing => return Ok(None),
            Consequence::Hold(_) => true,
            Consequence::Accept(_) => false,
        };
        let new = decision.consequence.new_account();
        let created = new.is_some();
        let is_let_in = account
            .as_ref()
            .is_some_and(|account| !account.is_unverified());
        let account = match (new, account) {
            (Some(new), _) => {
                let groups = settings.default_groups(new.kind);
                let entry = Some(message.n);
                create_account(
                    self.tx,
                    message.sender,
                    new,
                    groups,
                    AccountOrigin::Mail,
                    entry,
                    message.now,
                )?
            }
            (None, Some(account)) => account.row,
            (None, None) => {
                let cause = "a decision for an account that does not exist";
                return Err(StoreError::Other(cause.to_owned()));
            }
        };
        if held && message.full.is_some() {
            make_room(self.tx, account.n, message)?;
        }
        self.request_of(message, &account, held)?;
        if held {
            let domain = message.sender.domain();
            let occasion = Occasion {
                kind: MailKind::Verification,
                cause: MailCause::Mail,
                portal: Some(message.portal),
                in_reply_to: message.message_id,
                place: QueuePlace::of_mail(message.authenticated, message.client, domain),
            };
            let is_owed = owe(self.tx, &account, &occasion, message.now)?;
            languages::suggest(self.tx, account.n, message.languages)?;
            self.wakeups.add_if(Topic::VerificationMail, is_owed);
        } else {
            if created || !is_let_in {
                account.let_in(self.tx, message.portal)?;
            }
            self.wakeups.add(Topic::Requests);
        }
        Ok(Some(Applied {
            account,
            created,
            request: RequestId::from_bytes(message.ledger.to_bytes()),
        }))
    }

    fn request_of(
        &mut self,
        message: &DecidedMessage,
        account: &AccountRow,
        held: bool,
    ) -> Result<()> {
        let (state, due, released) = if held {
            ("held", message.now.plus(message.hold_for), None)
        } else {
            ("released", message.now, Some(message.now))
        };
        let enter = DeferredInsert {
            table: DeferredTable::Request,
            sql: &ENTER,
            // Account, portal and state; the due time. Held requests share the statement but block no others, so
            // the state is part of the key.
            queue: released.is_some().then_some(InsertQueue {
                key: &[1, 2, 5],
                due: 6,
            }),
        };
        self.tx.insert_deferred(
            enter,
            &[
                &message.n,
                &account.n,
                &message.portal,
                &octets(message.size),
                &message.received_at,
                &state,
                &due,
                &released,
                &released.map(|_| "rule"),
                &message.authenticated,
            ],
        )?;
        // Usually there are none, so this spares the query of `tell` for each message.
        if !self.has_hooks()? {
            return Ok(());
        }
        let event = if held {
            "request.held"
        } else {
            "request.released"
        };
        calls_about_accounts::tell(
            self.tx,
            event,
            None,
            Some(message.n),
            &Actor::Daemon,
            message.now,
        )
    }
}
