//! Applies the consequences of a decision: creates an account, a request, a verification mail. Runs in the
//! transaction that decided, for new messages and for recovered ones.

use std::net::IpAddr;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::account_rows::{AccountRow, make};
use super::job::Work;
use super::lanes::Place;
use super::leases::REQUESTS;
use super::offers::{make_room, room};
use super::prepared::octets;
use super::sql_types::Millis;
use super::verification_mail::{Occasion, owe};
use super::{MailCause, MailKind, StoreError, Topic, hooks, languages};
use crate::access::{AccountStanding, Consequence, Decision, Effective};
use crate::config::Quota;
use crate::domain::{
    Actor, EmailAddress, Kind, LanguagePriority, LedgerId, Origin, PortalName, RequestId, Status,
};

/// A message with its decision.
pub(super) struct DecidedMessage<'a> {
    /// Number of its ledger entry.
    pub(super) n: i64,
    pub(super) ledger: LedgerId,
    pub(super) sender: Option<&'a EmailAddress>,
    pub(super) portal: &'a PortalName,
    pub(super) message_id: Option<&'a str>,
    /// Languages in which its sender writes and reads.
    pub(super) languages: &'a LanguagePriority,
    pub(super) size: u64,
    pub(super) received_at: Millis,
    pub(super) now: Millis,
    pub(super) hold_for: Duration,
    /// The sender's domain vouches for it.
    pub(super) authenticated: bool,
    /// Address of the client that handed it to our MTA, where known.
    pub(super) client: Option<IpAddr>,
    pub(super) quota: Quota,
    /// Standing of the account, if its hold quota is used up.
    pub(super) full: Option<AccountStanding>,
}

/// The applied consequences.
pub(super) struct Applied {
    pub(super) account: AccountRow,
    pub(super) created: bool,
    pub(super) request: RequestId,
}

/// Reads the standing of an account, to decide about another request of `size` octets for a portal.
pub(super) fn standing(
    connection: &Connection,
    account: &AccountRow,
    portal: Option<&PortalName>,
    size: u64,
    quota: Quota,
) -> Result<AccountStanding, StoreError> {
    let unverified = match portal {
        Some(portal) => account.is_unverified_at(connection, portal)?,
        None => false,
    };
    let room = if account.status == Status::Pending || unverified {
        Some(room(connection, account.n, size, quota)?)
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

impl Work<'_> {
    /// Applies the decision; returns None if it has no consequence.
    pub(super) fn apply(
        &mut self,
        case: &DecidedMessage,
        decision: &Decision,
        settings: &Effective,
        account: Option<AccountRow>,
    ) -> Result<Option<Applied>, StoreError> {
        let (new, held) = match decision.consequence {
            Consequence::Nothing => return Ok(None),
            Consequence::Hold(new) => (new, true),
            Consequence::Accept(new) => (new, false),
        };
        let created = new.is_some();
        let account = match (new, account, case.sender) {
            (Some(new), _, Some(sender)) => {
                let groups: &[String] = match new.kind {
                    Kind::Internal => &settings.internal.default_groups,
                    Kind::External => &[],
                };
                let entry = Some(case.n);
                make(
                    self.connection,
                    sender,
                    new,
                    groups,
                    Origin::Mail,
                    entry,
                    case.now,
                )?
            }
            (None, Some(account), _) => account,
            _ => return Err(StoreError::Other("a decision without a sender".to_owned())),
        };
        if held && case.full.is_some() {
            make_room(self.connection, account.n, case)?;
        }
        self.request_of(case, &account, held)?;
        if held {
            let Some(sender) = case.sender else {
                return Err(StoreError::Other("a decision without a sender".to_owned()));
            };
            let occasion = Occasion {
                kind: MailKind::Verification,
                cause: MailCause::Mail,
                portal: Some(case.portal),
                in_reply_to: case.message_id,
                place: Place::of_mail(case.authenticated, case.client, sender.domain()),
            };
            let is_owed = owe(self.connection, &account, &occasion, case.now)?;
            languages::suggest(self.connection, account.n, case.languages)?;
            self.wakeups.add_if(Topic::VerificationMail, is_owed);
        } else {
            account.let_in(self.connection, case.portal)?;
            self.wakeups.add(Topic::Requests);
        }
        Ok(Some(Applied {
            account,
            created,
            request: RequestId::from_bytes(case.ledger.to_bytes()),
        }))
    }

    fn request_of(
        &self,
        case: &DecidedMessage,
        account: &AccountRow,
        held: bool,
    ) -> Result<(), StoreError> {
        let (state, due, released) = if held {
            ("held", Some(case.now.plus(case.hold_for)), None)
        } else {
            let due = REQUESTS.due_at_the_end(self.connection, account.n, case.portal, case.now)?;
            ("released", due, Some(case.now))
        };
        self.connection
            .prepare_cached(
                "INSERT INTO request (ledger, account, portal, size, received_at, state, due_at,
                     released_at, released_by, authenticated)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )?
            .execute(params![
                case.n,
                account.n,
                case.portal,
                octets(case.size),
                case.received_at,
                state,
                due,
                released,
                released.map(|_| "rule"),
                case.authenticated,
            ])?;
        let event = if held {
            "request.held"
        } else {
            "request.released"
        };
        hooks::tell(
            self.connection,
            event,
            None,
            Some(case.n),
            &Actor::Daemon,
            case.now,
        )
    }
}
