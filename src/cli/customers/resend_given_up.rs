//! `customers resend --given-up`: a new verification mail for every account whose mail was given up. Denied addresses
//! get none, because their mail is dropped even after a verification.

use serde_json::json;

use super::describe::warn_about_denials;
use crate::cli::context::{Context, actor};
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, count_of, note};
use crate::domain::{AccountId, PortalName, QueuedMailState, Timestamp};
use crate::operations::{CustomerAction, act_on_customer};
use crate::store::{QueuedMailFilter, StoreError};

pub(super) async fn run(context: &Context, out: &mut Output) -> CommandResult {
    let now = Timestamp::now();
    let settings = context.store.access().await?.settings;
    let mut resent: u64 = 0;
    for (id, portal) in find_accounts(context).await? {
        let Some(account) = context.store.customer_by_id(id).await? else {
            continue;
        };
        // They asked for no more mail in the meantime, and a new one would end that time.
        if account.quiet_until.is_some_and(|until| until > now) {
            continue;
        }
        // A mail that is about no portal is about all of them.
        let portals: Vec<&PortalName> = match &portal {
            Some(portal) => vec![portal],
            None => context.config.portals.iter().map(|one| &one.name).collect(),
        };
        let address = &account.address;
        let denies = |portal: &&PortalName| !settings.denials(address, [*portal]).is_empty();
        if portals.iter().all(denies) {
            warn_about_denials(&account, &settings.denials(address, portals));
            note(format_args!(
                "no mail is sent to {address}; to take it off the list: vestibule customers block {address}"
            ));
            continue;
        }
        let action = CustomerAction::Resend;
        match act_on_customer(&context.store, action, &account, actor()).await {
            Ok(_) => resent += 1,
            // It was verified or blocked in the meantime.
            Err(StoreError::NotAllowed(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if out.is_json() {
        return out.object(&json!({ "resent": resent }));
    }
    out.line(format_args!(
        "{} to be sent, as soon as the limits allow",
        count_of(resent, "new verification mail")
    ))
}

/// The accounts whose last verification mail was given up, and the portal that it was about. Resending removes them
/// from the list, so it is read as a whole before.
async fn find_accounts(
    context: &Context,
) -> Result<Vec<(AccountId, Option<PortalName>)>, CommandError> {
    let mut filter = QueuedMailFilter {
        state: Some(QueuedMailState::Refused),
        ..QueuedMailFilter::default()
    };
    let mut accounts = Vec::new();
    loop {
        let listed = context.store.queued_mail(filter.clone()).await?;
        let rows = listed.rows.into_iter();
        accounts.extend(rows.map(|queued| (queued.account, queued.mail.portal)));
        if listed.next.is_none() {
            return Ok(accounts);
        }
        filter.page.after = listed.next;
    }
}
