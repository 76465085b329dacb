//! An account in words: `customers show`, and the warning about its quiet time.

use crate::access::Denial;
use crate::cli::context::Context;
use crate::cli::failure::CommandResult;
use crate::cli::output::{Output, count_of, fields, note, or_dash, time};
use crate::cli::requests;
use crate::domain::{Account, AccountStatus, Timestamp, join};
use crate::operations::{AccountNotes, note_account};
use crate::store::{Page, RequestFilter, StillRefused};

pub(super) async fn show(context: &Context, account: &Account, out: &mut Output) -> CommandResult {
    if out.is_json() {
        return out.object(account);
    }
    let notes = note_account(&context.store, &context.config, account).await?;
    describe(account, &notes, out)?;
    let requests = context
        .store
        .requests(RequestFilter {
            account: Some(account.address.clone()),
            page: Page::first(20),
            ..RequestFilter::default()
        })
        .await?;
    if !requests.rows.is_empty() {
        out.line("")?;
        out.table(&requests.rows, requests::COLUMNS, true)?;
    }
    Ok(())
}

/// Describes until when an address gets no mail, why, and how to end that.
fn quiet(account: &Account, until: Timestamp, now: Timestamp) -> String {
    let said = account
        .refused_at
        .map_or_else(String::new, |at| format!(" on {}", time(at)));
    let link = account.can_withdraw_until(now).map(time);
    let ways = match (link, account.may_request_link(now)) {
        _ if account.status == AccountStatus::Blocked => {
            "while the account is blocked, their link does not open and they cannot request another"
                .to_owned()
        }
        (Some(link), true) => format!(
            "they can withdraw that through their link until {link}, or request one mail with a new \
             link at /resend"
        ),
        (Some(link), false) => format!("they can withdraw that through their link until {link}"),
        (None, true) => {
            "no link of theirs is valid; they can request one mail with a new link at /resend"
                .to_owned()
        }
        (None, false) => format!(
            "no link of theirs is valid, and they cannot request another; to send one: vestibule \
             customers resend {}",
            account.address
        ),
    };
    format!(
        "{}: the person pressed \"This was not me\"{said}; {ways}",
        time(until)
    )
}

/// Describes the entry of a deny list that matches an address, and how to remove it.
pub fn describe_denial(denial: &Denial) -> String {
    let pattern = &denial.pattern;
    match &denial.portal {
        None => format!("by {pattern} (vestibule access remove {pattern})"),
        Some(portal) => format!(
            "at {portal} by {pattern} (vestibule access remove {pattern} --portal {portal})"
        ),
    }
}

/// Warnings that mail from an account is dropped whatever the operator does about the account.
pub(super) fn warn_about_denials(account: &Account, denials: &[Denial]) {
    for denial in denials {
        note(format_args!(
            "warning: mail from {} is denied {}",
            account.address,
            describe_denial(denial)
        ));
    }
}

/// Warning about a mail that the person did not want, printed once it is queued.
pub(super) fn warn_about_quiet(account: &Account, until: Timestamp) -> String {
    let said = account
        .refused_at
        .map_or_else(String::new, |at| format!(" on {}", time(at)));
    format!(
        "warning: the person pressed \"This was not me\"{said} and asked for no more mail until {}; \
         this mail ends that period. To stop it: vestibule customers block {}",
        time(until),
        account.address
    )
}

/// Describes the number of verification mails that the person ignored, and the consequence.
fn describe_unanswered(mails: u32) -> String {
    if mails < 3 {
        return mails.to_string();
    }
    format!(
        "{mails}; no more are sent until the person requests one or sends mail that passes DMARC, or an \
         operator runs customers resend"
    )
}

/// Describes the messages that only the person can release, and how. The links of a blocked account do not work.
pub(super) fn describe_refused(status: AccountStatus, refused: StillRefused) -> String {
    let who = match status {
        AccountStatus::Blocked => "released by nobody, because the account is blocked",
        AccountStatus::Pending | AccountStatus::Active => {
            "released only by the person, with a link that they have"
        }
    };
    format!(
        "{} (\"This was not me\"); until {} {who}",
        count_of(refused.messages, "message"),
        time(refused.until)
    )
}

/// Describes that automatic mail of an account is accepted, and how to end that.
fn describe_automatic(account: &Account) -> String {
    format!(
        "is accepted as if a person wrote it, while the account is active; to end that: vestibule customers \
         drop-automatic {}",
        account.address
    )
}

/// Prints an account for people.
pub fn describe(account: &Account, notes: &AccountNotes, out: &mut Output) -> CommandResult {
    let verified_by = or_dash(account.verified_by.as_ref());
    let unanswered = (account.status != AccountStatus::Active && account.unanswered_mails > 0)
        .then(|| describe_unanswered(account.unanswered_mails));
    let now = Timestamp::now();
    let quiet_until = account.quiet_until.filter(|until| *until > now);
    let denials: Vec<String> = notes.denials.iter().map(describe_denial).collect();
    out.fields(fields! {
        "address" => Some(&account.address),
        "id" => Some(account.id),
        "kind" => Some(account.kind),
        "status" => Some(account.status),
        "denied" => Some(denials.join(", ")).filter(|denials| !denials.is_empty()),
        "deactivated" => account.deactivated_at.map(|at| format!("{} by the directory", time(at))),
        "verified" => account.verified_at.map(|at| format!("{} by {verified_by}", time(at))),
        "allowed by" => Some(join(&account.let_in_by, ", ")).filter(|portals| !portals.is_empty()),
        "groups" => Some(account.groups.join(", ")).filter(|groups| !groups.is_empty()),
        "held" => Some(account.held),
        "refused" => notes.refused.map(|refused| describe_refused(account.status, refused)),
        "mail to it" => account.undeliverable.then_some(
            "does not reach it; no more verification mail is sent, except by customers resend",
        ),
        "unanswered mails" => unanswered,
        "no mail until" => quiet_until.map(|until| quiet(account, until, now)),
        "automatic mail" => account.takes_automatic.then(|| describe_automatic(account)),
        "created" => Some(format!("{} by {}", time(account.created_at), account.created_by)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AccountId, AccountKind, AccountOrigin, EmailAddress};

    fn instant(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    /// An account whose owner pressed "This was not me".
    fn quiet_account() -> Account {
        let refused_at = instant("2026-11-29T12:00:00Z");
        Account {
            id: AccountId::new(),
            address: EmailAddress::parse("ann@corp.example").expect("an address"),
            kind: AccountKind::Internal,
            status: AccountStatus::Pending,
            verified_by: None,
            verified_at: None,
            groups: Vec::new(),
            held: 0,
            undeliverable: false,
            quiet_until: Some(instant("2026-12-29T12:00:00Z")),
            refused_at: Some(refused_at),
            link_valid_until: Some(instant("2026-12-06T12:00:00Z")),
            quiet_mailed: false,
            deactivated_at: None,
            unanswered_mails: 0,
            takes_automatic: false,
            language: None,
            let_in_by: Vec::new(),
            placeholder: false,
            created_at: refused_at,
            created_by: AccountOrigin::Mail,
        }
    }

    #[test]
    fn the_quiet_time_names_only_the_ways_out_that_exist() {
        let (link, request, operator) = ("through their link", "at /resend", "customers resend");
        let (early, late) = ("2026-11-30T12:00:00Z", "2026-12-07T12:00:00Z");
        let mailed = Account {
            quiet_mailed: true,
            ..quiet_account()
        };
        let undeliverable = Account {
            undeliverable: true,
            ..quiet_account()
        };
        let blocked = Account {
            status: AccountStatus::Blocked,
            ..quiet_account()
        };
        for (account, now, expected) in [
            (&quiet_account(), early, &[link, request][..]),
            (&quiet_account(), late, &[request]),
            (&mailed, early, &[link]),
            (&mailed, late, &[operator]),
            (&undeliverable, late, &[operator]),
            (&blocked, early, &[]),
            (&blocked, late, &[]),
        ] {
            let until = account.quiet_until.expect("a time");
            let text = quiet(account, until, instant(now));
            for way in [link, request, operator] {
                assert_eq!(text.contains(way), expected.contains(&way), "{text}");
            }
        }
    }
}
