//! `access test`: the verdict on ordinary mail from an address.

use super::context::Context;
use super::failure::{CommandError, CommandResult};
use super::output::{Output, fields};
use crate::access::{AccessSettings, explain};
use crate::domain::{Account, EmailAddress, PortalName};
use crate::operations::{decide_address, input_for};
pub use crate::operations::{kind_of, standing_of};

/// Evaluates the rules for each portal, or for one.
pub async fn run(
    context: &Context,
    address: &EmailAddress,
    portal: Option<PortalName>,
    draft: Option<AccessSettings>,
    out: &mut Output,
) -> CommandResult {
    let settings = match draft {
        Some(draft) => draft,
        None => (*context.store.access().await?.settings).clone(),
    };
    let account = context.store.customer(address).await?;
    let portals = match portal {
        Some(portal) => vec![portal],
        None => context
            .config
            .portals
            .iter()
            .map(|portal| portal.name.clone())
            .collect(),
    };
    for (place, portal) in portals.iter().enumerate() {
        if place > 0 && !out.is_json() {
            out.line("")?;
        }
        one(context, account.as_ref(), &settings, portal, address, out).await?;
    }
    Ok(())
}

async fn one(
    context: &Context,
    account: Option<&Account>,
    settings: &AccessSettings,
    portal: &PortalName,
    address: &EmailAddress,
    out: &mut Output,
) -> Result<(), CommandError> {
    let (store, config) = (&context.store, &context.config);
    let asked = input_for(store, config, settings, account, address, portal).await?;
    let (tested, decision) = decide_address(&asked, account, address, portal);
    if out.is_json() {
        return out.object(&tested);
    }
    let title = explain(&asked.for_decision())
        .pop()
        .map_or("", |rule| rule.title);
    let evidence = decision.evidence.filter(|evidence| *evidence != title);
    let evidence = evidence.map_or_else(String::new, |evidence| format!(" ({evidence})"));
    out.fields(fields! {
        "address" => Some(address),
        "portal" => Some(portal),
        "verdict" => Some(decision.verdict),
        "because" => Some(format!("rule {}, {title}{evidence}", decision.rule)),
        "reason" => Some(decision.reason),
        "pattern" => tested.pattern.as_ref(),
        "account" => Some(match (account, tested.account) {
            (Some(account), _) => format!("{}, {}", account.kind, account.status),
            (None, Some(kind)) => format!("would be {kind}"),
            (None, None) => "none".to_owned(),
        }),
    })
}
