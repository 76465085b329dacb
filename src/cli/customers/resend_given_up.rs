//! `customers resend --given-up`: a new verification mail for every account whose mail was given up.

use serde_json::json;

use crate::cli::context::{Context, actor};
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, count_of};
use crate::domain::{AccountId, QueuedMailState, Timestamp};
use crate::operations::{CustomerAction, act_on_customer};
use crate::store::{QueuedMailFilter, StoreError};

pub(super) async fn run(context: &Context, out: &mut Output) -> CommandResult {
    let now = Timestamp::now();
    let mut resent: u64 = 0;
    for id in find_accounts(context).await? {
        let Some(account) = context.store.customer_by_id(id).await? else {
            continue;
        };
        // A new mail would end the time for which the person asked for none.
        if account.quiet_until.is_some_and(|until| until > now) {
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

/// The accounts whose last verification mail was given up. Resending removes them from the list, so it is read as a
/// whole before.
async fn find_accounts(context: &Context) -> Result<Vec<AccountId>, CommandError> {
    let mut filter = QueuedMailFilter {
        state: Some(QueuedMailState::Refused),
        ..QueuedMailFilter::default()
    };
    let mut accounts = Vec::new();
    loop {
        let listed = context.store.queued_mail(filter.clone()).await?;
        accounts.extend(listed.rows.into_iter().map(|queued| queued.account));
        if listed.next.is_none() {
            return Ok(accounts);
        }
        filter.page.after = listed.next;
    }
}
