//! `access test`: what would become of ordinary mail from an address.

use serde::Serialize;

use super::failure::{Failure, Outcome};
use super::house::House;
use super::output::Output;
use crate::access::{
    AccessSettings, AccountStanding, Decision, Question, Standing, decide, explain,
};
use crate::config::Config;
use crate::domain::{
    Account, DomainPattern, EmailAddress, Envelope, Kind, PortalName, Reason, ReversePath, Verdict,
};
use crate::intake::circumstances;
use crate::mail::{self, Facts, Identity};

/// What came out, as `--json` has it.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    address: &'a EmailAddress,
    portal: &'a PortalName,
    domain: &'a str,
    pattern: Option<&'a DomainPattern>,
    verdict: Verdict,
    reason: Reason,
    rule: u8,
    account: Option<Kind>,
}

/// Asks the rules about each portal, or about one.
pub async fn run(
    house: &House,
    address: &EmailAddress,
    portal: Option<PortalName>,
    draft: Option<AccessSettings>,
    out: &mut Output,
) -> Outcome {
    let settings = match draft {
        Some(draft) => draft,
        None => (*house.store.access().await?.settings).clone(),
    };
    let account = house.store.customer(address).await?;
    let portals = match portal {
        Some(portal) => vec![portal],
        None => house
            .config
            .portals
            .iter()
            .map(|portal| portal.name.clone())
            .collect(),
    };
    let facts = ordinary_mail(&house.config, address);
    for (place, portal) in portals.iter().enumerate() {
        if place > 0 && !out.is_json() {
            out.line("")?;
        }
        one(
            house,
            &facts,
            account.as_ref(),
            &settings,
            portal,
            address,
            out,
        )?;
    }
    Ok(())
}

fn one(
    house: &House,
    facts: &Facts,
    account: Option<&Account>,
    settings: &AccessSettings,
    portal: &PortalName,
    address: &EmailAddress,
    out: &mut Output,
) -> Result<(), Failure> {
    let effective = settings.effective(Some(portal));
    let standing = Standing {
        account: account.map(standing_of),
        original: None,
    };
    let circumstances = circumstances(&house.config, portal, facts);
    let question = Question {
        facts,
        circumstances: &circumstances,
        standing: &standing,
        settings: &effective,
    };
    let decision = decide(&question);
    let pattern = effective.pattern_for(address.domain());
    let kind = kind_of(account.map(|account| account.kind), &decision);
    if out.is_json() {
        return out.object(&Answer {
            address,
            portal,
            domain: address.domain().as_str(),
            pattern,
            verdict: decision.verdict,
            reason: decision.reason,
            rule: decision.rule,
            account: kind,
        });
    }
    let title = explain(&question).pop().map_or("", |rule| rule.title);
    out.fields(&[
        ("address", Some(address.to_string())),
        ("portal", Some(portal.to_string())),
        ("verdict", Some(decision.verdict.to_string())),
        (
            "because",
            Some(format!(
                "rule {}, {}{}",
                decision.rule,
                title,
                decision
                    .evidence
                    .filter(|evidence| *evidence != title)
                    .map(|evidence| format!(" ({evidence})"))
                    .unwrap_or_default()
            )),
        ),
        ("reason", Some(decision.reason.to_string())),
        ("pattern", pattern.map(ToString::to_string)),
        (
            "account",
            Some(match (account, kind) {
                (Some(account), _) => format!("{}, {}", account.kind, account.status),
                (None, Some(kind)) => format!("would be {kind}"),
                (None, None) => "none".to_owned(),
            }),
        ),
    ])
}

/// The kind of account there is, or that a decision makes.
pub fn kind_of(existing: Option<Kind>, decision: &Decision) -> Option<Kind> {
    use crate::access::Consequence;
    existing.or(match decision.consequence {
        Consequence::Hold(new) | Consequence::Accept(new) => new.map(|new| new.kind),
        Consequence::Nothing => None,
    })
}

/// What the rules want to know of an account, for one more small request.
pub fn standing_of(account: &Account) -> AccountStanding {
    AccountStanding {
        kind: account.kind,
        status: account.status,
        takes_automatic: account.takes_automatic,
        quota_reached: false,
    }
}

/// The facts of a message with nothing in it but its author.
fn ordinary_mail(config: &Config, address: &EmailAddress) -> Facts {
    let own = Identity {
        hostname: config.hostname.clone(),
        authserv_id: config.authentication.authserv_id.clone(),
    };
    let envelope = Envelope {
        reverse_path: ReversePath::Unknown,
        recipients: Vec::new(),
        helo: String::new(),
        peer: None,
        client: None,
        tls: false,
        smtputf8: false,
    };
    let raw = format!("From: <{address}>\r\n\r\n");
    mail::read(raw.as_bytes(), &envelope, &own)
}
