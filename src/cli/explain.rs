//! `explain`: the explanation of a message's verdict, and all later events.

use super::context::{Context, Global};
use super::customers::{describe, describe_denial};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns, fields, or_dash, size, time};
use super::paging::Paging;
use super::short_id::ShortId;
use crate::access::RuleResult;
use crate::domain::EmailAddress;
use crate::operations::{
    Explanation, bare_message_id, explain_entry, find_entry, list_denials, note_account,
};
use crate::store::{Event, LedgerEntry, LedgerFilter, Listed, SentMail};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule explain 01J9ZQ4D8N0VXB7T3WKE5M2R6C   the id in the log or the `250`
  vestibule explain '<20261123@mail.example>'    a Message-ID
  vestibule explain ann@corp.example             all mail from an address")]
pub struct Args {
    /// A ledger id or a request's id (or its beginning or end), a Message-ID or an address
    #[arg(value_name = "ID|MESSAGE-ID|ADDRESS")]
    what: String,
    #[command(flatten)]
    paging: Paging,
}

/// Maximum number of verification mails listed for an account, newest first: about a week of them at three a day.
const MAILS_SHOWN: usize = 20;

pub async fn run(args: Args, global: &Global, out: &mut Output) -> CommandResult {
    let context = global.open().await?;
    let what = args.what.trim();
    if let Some(entry) = find_entry(&context.store, what).await? {
        let explanation = explain_entry(&context.store, entry).await?;
        return show(&explanation, out);
    }
    let listed = by_message_id(&context, what, args.paging.clone()).await?;
    match listed.rows.len() {
        0 => {}
        1 if !out.is_json() => {
            for entry in listed.rows {
                show(&explain_entry(&context.store, entry).await?, out)?;
            }
            return Ok(());
        }
        _ => return list(&context, listed, out).await,
    }
    if let Ok(id) = what.parse::<ShortId>()
        && let Some(entry) = find_by_part(&context, &id).await?
    {
        let explanation = explain_entry(&context.store, entry).await?;
        return show(&explanation, out);
    }
    let Ok(address) = EmailAddress::parse(what) else {
        return Err(CommandError::NotFound(format!(
            "the ledger has no entry, request or Message-ID {what:?}; \
             the message may have gone to another server, or never arrived"
        )));
    };
    by_address(&context, &address, args.paging, out).await
}

/// Finds the entry whose id begins or ends with this text; `None` if there is none.
async fn find_by_part(
    context: &Context,
    id: &ShortId,
) -> Result<Option<LedgerEntry>, CommandError> {
    match id.find(context, "ledger entry").await {
        Ok(id) => Ok(context.store.ledger_entry(id).await?),
        Err(CommandError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn by_message_id(
    context: &Context,
    text: &str,
    paging: Paging,
) -> Result<Listed<LedgerEntry>, CommandError> {
    Ok(context
        .store
        .ledger(LedgerFilter {
            message_id: Some(bare_message_id(text).to_owned()),
            page: paging.page(),
            ..LedgerFilter::default()
        })
        .await?)
}

async fn by_address(
    context: &Context,
    address: &EmailAddress,
    paging: Paging,
    out: &mut Output,
) -> CommandResult {
    let account = context.store.customer(address).await?;
    let listed = context
        .store
        .ledger(LedgerFilter {
            sender: Some(address.clone()),
            page: paging.page(),
            ..LedgerFilter::default()
        })
        .await?;
    if account.is_none() && listed.rows.is_empty() {
        return Err(CommandError::NotFound(format!(
            "there is no account {address}, and nothing came from it; \
             vestibule access test {address} shows how its mail would be decided"
        )));
    }
    if out.is_json() {
        if listed.rows.is_empty() {
            return out.object(&account);
        }
        return list(context, listed, out).await;
    }
    if let Some(account) = &account {
        let notes = note_account(&context.store, &context.config, account).await?;
        describe(account, &notes, out)?;
    } else {
        out.line(format_args!("{address} has no account"))?;
        for denial in list_denials(&context.store, &context.config, address).await? {
            let denied = describe_denial(&denial);
            out.line(format_args!("mail from {address} is denied {denied}"))?;
        }
    }
    let verification_mails = context.store.mail_to(address, MAILS_SHOWN).await?;
    if !verification_mails.is_empty() {
        out.line("")?;
        out.table(&verification_mails, VERIFICATION_MAILS, true)?;
    }
    if listed.rows.is_empty() {
        return Ok(());
    }
    out.line("")?;
    list(context, listed, out).await
}

/// Prints several entries: an explanation each for programs, a table for people.
async fn list(context: &Context, listed: Listed<LedgerEntry>, out: &mut Output) -> CommandResult {
    if out.is_json() {
        let mut rows = Vec::with_capacity(listed.rows.len());
        for entry in listed.rows {
            rows.push(explain_entry(&context.store, entry).await?);
        }
        return out.list(&rows, listed.next.as_deref(), &[]);
    }
    out.list(&listed.rows, listed.next.as_deref(), ENTRIES)?;
    out.hint("why: vestibule explain LEDGER")
}

fn show(explanation: &Explanation, out: &mut Output) -> CommandResult {
    if out.is_json() {
        return out.object(explanation);
    }
    let facts = &explanation.facts;
    let finding = |evidence: Option<&crate::mail::Evidence>| {
        evidence.map(|evidence| format!("yes ({evidence})"))
    };
    let author = facts
        .author_behind_list
        .as_ref()
        .zip(explanation.sender.as_ref());
    let automatic = facts.automatic_evidence();
    let masked = Some(facts.masked_links).filter(|links| *links > 0);
    out.fields(fields! {
        "ledger" => Some(explanation.ledger),
        "verdict" => Some(explanation.verdict),
        "reason" => Some(explanation.reason),
        "received" => Some(time(explanation.received_at)),
        "for" => Some(match &explanation.portal {
            Some(portal) => format!("{portal} ({})", explanation.recipient),
            None => explanation.recipient.clone(),
        }),
        "from" => facts.sender.addr_spec().or(Some("no usable sender")),
        "author" => author.map(|(behind, by)| format!("{by}, through the list {}", behind.list)),
        "subject" => facts.subject.as_ref(),
        "message id" => facts.message_id.as_ref(),
        "size" => Some(size(facts.size)),
        "masked" => masked.map(|links| {
            format!("{links} of our verification links or reply addresses, overwritten with x")
        }),
        "left out" => facts.mbox_line.as_ref().map(|line| format!("{line} (on top of the header)")),
        "automatic" => finding(automatic),
        "bulk" => finding(facts.bulk.as_ref()),
        "report" => finding(facts.report.as_ref().map(|report| &report.evidence)),
        "authentication" => facts.authentication.evidence.as_ref(),
        "account" => explanation.account.as_ref(),
        "request" => explanation.request.map(|id| match explanation.state {
            Some(state) => format!("{id}, {state}"),
            None => id.to_string(),
        }),
        "mail" => explanation.verification_mail.as_ref().map(outstanding),
        "content" => Some(if explanation.content_kept { "kept" } else { "no longer kept" }),
    })?;
    if !explanation.rules.is_empty() {
        out.line("")?;
        out.heading(&format!(
            "Rules under revision {} of the access settings",
            explanation.revision
        ))?;
        out.table(&explanation.rules, RULES, false)?;
    }
    if !explanation.events.is_empty() {
        out.line("")?;
        out.heading("What happened")?;
        out.table(&explanation.events, EVENTS, false)?;
    }
    Ok(())
}

/// Verification mail that is not sent yet, and the reason.
fn outstanding(verification_mail: &SentMail) -> String {
    let when = verification_mail
        .due_at
        .filter(|_| verification_mail.state == "waiting")
        .map_or_else(|| "now".to_owned(), |at| format!("at {}", time(at)));
    let cause = verification_mail
        .last_error
        .as_ref()
        .map_or_else(String::new, |error| format!(": {error}"));
    match verification_mail.attempts {
        0 => format!("{} is to be sent {when}", verification_mail.kind),
        n => format!(
            "{} is to be sent {when}, {n} attempts{cause}",
            verification_mail.kind
        ),
    }
}

const ENTRIES: &[TableColumn<LedgerEntry>] = columns! { entry: LedgerEntry;
    "ledger" Id => entry.ledger,
    "received" Time => time(entry.received_at),
    "portal" Whole 1 => or_dash(entry.portal.as_ref()),
    "verdict" Word => entry.verdict,
    "reason" Whole => entry.reason,
    "subject" Text => or_dash(entry.facts.subject.as_ref()),
};

const VERIFICATION_MAILS: &[TableColumn<SentMail>] = columns! { mail: SentMail;
    "mail" Whole => mail.kind,
    "requested" Time => time(mail.created_at),
    "state" Word => mail.state,
    "at" Time => or_dash(mail.settled_at.or(mail.due_at).map(time).as_ref()),
    "attempts" Number 1 => mail.attempts,
    "last error" Wrapped => or_dash(mail.last_error.as_ref()),
};

const RULES: &[TableColumn<RuleResult>] = columns! { rule: RuleResult;
    "" Whole => if rule.matched { "✓" } else { "·" },
    "rule" Number => rule.rule,
    "condition" Wrapped => rule.title,
    "evidence" Wrapped => rule.evidence.clone().unwrap_or_default(),
};

const EVENTS: &[TableColumn<Event>] = columns! { event: Event;
    "at" Time => time(event.at),
    "event" Whole => event.event,
    "by" Whole 1 => event.actor,
    "detail" Wrapped => event.detail.clone().unwrap_or_default(),
};
