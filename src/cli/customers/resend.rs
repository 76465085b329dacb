//! `customers resend`: a new verification mail for one account, or for every account whose mail was given up. Of the
//! latter, denied addresses get none, because their mail is dropped even after a verification.

use serde_json::json;

use super::describe::{warn_about_denials, warn_about_quiet};
use super::{AccountArg, print_account};
use crate::cli::context::{Context, actor};
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, count_of, note};
use crate::domain::{AccountId, PortalName, QueuedMailState, Timestamp};
use crate::operations::{CustomerAction, act_on_customer, list_denials};
use crate::store::{QueuedMailFilter, StoreError};

/// Resend the verification mail, within the limits, even to a person who asked for no more mail
#[derive(Debug, clap::Args)]
#[command(after_help = "\
--given-up resends the mail of all accounts for which it was given up, except to
people who asked for no more mail and to addresses that a deny list matches.

Examples:
  vestibule customers resend ann@corp.example
  vestibule customers resend --given-up")]
#[command(group = clap::ArgGroup::new("which").required(true).args(["account", "given_up"]))]
pub struct Args {
    /// The account's address, or its id
    #[arg(value_name = "ADDRESS")]
    account: Option<String>,
    /// All accounts whose verification mail was given up, and which still wait for it
    #[arg(long)]
    given_up: bool,
}

pub(super) async fn run(context: &Context, args: Args, out: &mut Output) -> CommandResult {
    match args.account {
        Some(account) => resend_to_one(context, &AccountArg { account }, out).await,
        None => resend_given_up(context, out).await,
    }
}

async fn resend_to_one(
    context: &Context,
    account_arg: &AccountArg,
    out: &mut Output,
) -> CommandResult {
    let before = account_arg.find(context).await?;
    let done = act_on_customer(&context.store, CustomerAction::Resend, &before, actor());
    let account = done.await?.account;
    if let Some(until) = before.quiet_until.filter(|until| *until > Timestamp::now()) {
        note(warn_about_quiet(&before, until));
    }
    let denials = list_denials(&context.store, &context.config, &account.address);
    warn_about_denials(&account, &denials.await?);
    print_account(
        &account,
        "gets a new verification mail, as soon as the limits allow",
        out,
    )
}

async fn resend_given_up(context: &Context, out: &mut Output) -> CommandResult {
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
