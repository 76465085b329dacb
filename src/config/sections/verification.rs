//! `[verification]`: the mail that asks for the proof, and how long it counts.

use std::convert::Infallible;

use lettre::message::Mailbox as Author;

use super::portal::Mailboxes;
use crate::config::document::Section;
use crate::config::units::{DAY, show_time};
use crate::config::{LetterLimits, Verification};
use crate::domain::EmailAddress;

const FROM: &str = "\"IT Help <no-reply@corp.example>\"";

pub(super) fn read(section: &Section<'_>, mailboxes: &mut Mailboxes) -> Option<Verification> {
    let from = section
        .required("from", FROM)
        .and_then(|entry| entry.parse(author));
    let mut address = |key: &'static str| {
        section.entry(key).and_then(|entry| {
            entry.parse_unless_empty(|text| mailboxes.take(text, &format!("verification.{key}")))
        })
    };
    let reply_address = address("reply_address");
    let return_address = address("return_address");

    let token_ttl = section.time("token_ttl", 7 * DAY);
    let hold_for = section.time("hold_for", 14 * DAY);
    let remind_before = section.time("remind_before", 3 * DAY);
    if remind_before >= hold_for {
        section.refuse_key(
            "remind_before",
            format_args!(
                "{} is not less than verification.hold_for ({}), so that the reminder would come \
                 at once; write less",
                show_time(remind_before),
                show_time(hold_for)
            ),
        );
    }
    let templates = section.entry("templates").and_then(|entry| {
        let written = entry.parse_unless_empty(|text| Ok::<_, Infallible>(text.to_owned()))?;
        let folder = section.document().resolve(&written);
        if !folder.is_dir() {
            entry.refuse(format_args!(
                "{} is not a folder; make it, or leave the key out for the built-in templates",
                folder.display()
            ));
        }
        Some(folder)
    });
    Some(Verification {
        from: from?,
        reply_address,
        return_address,
        token_ttl,
        hold_for,
        remind_before,
        quiet_for: section.time("quiet_for", 30 * DAY),
        limits: limits(&section.section("limits")),
        templates,
    })
}

fn limits(section: &Section<'_>) -> LetterLimits {
    let most = 1..=1_000_000;
    LetterLimits {
        per_address_hour: section.number("per_address_hour", 1, most.clone()),
        per_address_day: section.number("per_address_day", 3, most.clone()),
        per_domain_hour: section.number("per_domain_hour", 100, most.clone()),
        total_hour: section.number("total_hour", 500, most),
    }
}

fn author(text: &str) -> Result<Author, String> {
    let wrong = || format!("{text:?} is not the author of a mail; write {FROM}");
    let author: Author = text.parse().map_err(|_| wrong())?;
    EmailAddress::parse(author.email.as_ref()).map_err(|_| wrong())?;
    Ok(author)
}
