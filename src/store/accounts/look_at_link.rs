//! The state of a verification link as its page shows it. Opening a link changes nothing.

use crate::domain::{AccountId, EmailAddress, LanguageTag, PortalName, Timestamp, TokenHash};
use crate::store::accounts::link_standing::{LinkStanding, link_standing};
use crate::store::requests::hold_quota::{Offer, WaitingRequest, list_held, offers};
use crate::store::requests::refused_messages::{
    RefusedMessage, can_restore, list_refused, list_releasable,
};
use crate::store::rows::account_rows::AccountRow;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::verification::languages;
use crate::store::verification::tokens::TokenRow;
use crate::store::{Result, Store};

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
        /// Messages that the person may restore: the hold quota dropped them, or the person refused them earlier.
        offers: Vec<Offer>,
    },
    /// The address is verified, by this link or otherwise.
    Verified {
        account: AccountId,
        address: EmailAddress,
        portal: Option<PortalName>,
        /// Messages that the person refused before an operator verified the address. This link can release them.
        refused: Vec<Offer>,
    },
    /// The person said "This was not me".
    Refused(Refusal),
}

/// State of a link after "This was not me".
#[derive(Debug, Clone)]
pub struct Refusal {
    pub address: EmailAddress,
    /// End of the time in which the address gets no mail.
    pub quiet_until: Option<Timestamp>,
    /// End of the time in which this link can take the objection back; None once it has passed.
    pub valid_until: Option<Timestamp>,
    /// End of the time in which only the person can release any of the refused messages; None if there are none.
    pub protected_until: Option<Timestamp>,
    /// Undoing the objection makes messages wait again.
    pub restores: bool,
    /// The person can still ask for the one mail with another link.
    pub may_ask: bool,
    /// Portals to which mail from the address was passed on, by whatever way, or is being passed on.
    pub passed_on: Vec<PortalName>,
}

fn look(tx: &Tx, token: TokenHash, now: Millis) -> Result<Link> {
    Ok(match link_standing(tx, token, now)? {
        LinkStanding::Unknown => Link::Unknown,
        LinkStanding::Expired => Link::Expired,
        LinkStanding::Refused(account, found) => {
            Link::Refused(describe_refusal(tx, &account, &found, now)?)
        }
        LinkStanding::Active(account, found) => Link::Verified {
            account: account.id,
            address: account.address(tx)?,
            portal: portal_of_mail(tx, found.verification_mail)?,
            refused: if found.expires_at > now {
                offer_refused(tx, account.n, now)?
            } else {
                Vec::new()
            },
        },
        LinkStanding::Pending(account) => {
            let requests = list_held(tx, account.n)?;
            let mut offers: Vec<Offer> = offers(tx, account.n, now)?
                .into_iter()
                .map(|(_, offer)| offer)
                .collect();
            offers.extend(offer_refused(tx, account.n, now)?);
            Link::Open {
                account: account.id,
                address: account.address(tx)?,
                requests: requests.into_iter().map(|(_, request)| request).collect(),
                offers,
            }
        }
    })
}

fn offer_refused(tx: &Tx, account: i64, now: Millis) -> Result<Vec<Offer>> {
    let refused = list_releasable(tx, account, now)?;
    Ok(refused.iter().map(RefusedMessage::offer).collect())
}

fn describe_refusal(
    tx: &Tx,
    account: &AccountRow,
    found: &TokenRow,
    now: Millis,
) -> Result<Refusal> {
    let refused = list_refused(tx, account.n, now)?;
    let protected_until = refused.iter().map(|message| message.restorable_until).min();
    Ok(Refusal {
        address: account.address(tx)?,
        quiet_until: account.quiet_until(now).map(Millis::timestamp),
        valid_until: Some(found.expires_at)
            .filter(|until| *until > now)
            .map(Millis::timestamp),
        protected_until: protected_until.map(Millis::timestamp),
        restores: can_restore(tx, account.n)?,
        may_ask: account.may_be_mailed_once(now),
        passed_on: tx.all(
            "SELECT DISTINCT portal FROM request
             WHERE account = ? AND (state = 'released' OR state = 'delivered') ORDER BY portal",
            &[&account.n],
        )?,
    })
}

/// The portal that a verification mail was about.
pub(crate) fn portal_of_mail(tx: &Tx, n: i64) -> Result<Option<PortalName>> {
    tx.one("SELECT portal FROM letter WHERE n = ?", &[&n])
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
}
