//! `customers add`: an account for a person who has not written yet.

use super::print_account;
use crate::cli::context::{Context, actor};
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::Output;
use crate::domain::{AccountStatus, EmailAddress, PortalName};
use crate::operations::{NOT_A_CUSTOMER, add_customer, warning_about};
use crate::store::Added;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The person's address
    #[arg(value_name = "ADDRESS", value_parser = EmailAddress::parse_customer)]
    address: EmailAddress,
    /// The portal whose access settings decide; the site's by default
    #[arg(long, value_name = "NAME")]
    portal: Option<PortalName>,
}

pub(super) async fn run(context: &Context, args: Args, out: &mut Output) -> CommandResult {
    let portal = context.portal(args.portal)?;
    let address = &args.address;
    let added = add_customer(
        &context.store,
        &context.config,
        address.clone(),
        portal,
        actor(),
    );
    let Some(added) = added.await? else {
        return Err(CommandError::Failed(anyhow::anyhow!(
            "{address} {NOT_A_CUSTOMER}"
        )));
    };
    if let Added::Created(account) | Added::Existing(account) = &added
        && let Some(warning) = warning_about(account)
    {
        eprintln!("warning: {warning}");
    }
    match added {
        Added::Created(account) => {
            let next = match account.status {
                AccountStatus::Pending => {
                    "; a verification mail is sent as soon as the limits allow"
                }
                AccountStatus::Active | AccountStatus::Blocked => {
                    "; its mail is accepted from now on"
                }
            };
            print_account(
                &account,
                &format!("has an {} account, {}{next}", account.kind, account.status),
                out,
            )
        }
        Added::Existing(account) => print_account(
            &account,
            &format!("already had an account, {}", account.status),
            out,
        ),
        Added::NotAllowed(decision) => Err(CommandError::Failed(anyhow::anyhow!(
            "the access settings do not allow {address} ({}, rule {}{}); see vestibule access test {address}",
            decision.reason,
            decision.rule,
            decision
                .evidence
                .map(|evidence| format!(": {evidence}"))
                .unwrap_or_default(),
        ))),
    }
}
