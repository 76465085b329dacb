//! `[verification]`: the verification mail, and the validity of its link.

use std::convert::Infallible;

use lettre::message::Mailbox as Author;

use super::portal::Mailboxes;
use super::verification_limits;
use crate::config::Verification;
use crate::config::document::TomlSection;
use crate::config::units::{DAY, show_time};
use crate::domain::{AddressDelimiters, EmailAddress};

/// RFC 5321 4.5.3.1.1.
const MAX_LOCAL_PART: usize = 64;

/// Octets of a reply token and of a mail's id, each of which becomes a subaddress of one of our addresses.
const TOKEN: usize = 26;
const MAIL_ID: usize = 26;

const FROM: &str = "\"IT Help <no-reply@corp.example>\"";

pub(super) fn read(section: &TomlSection<'_>, mailboxes: &mut Mailboxes) -> Option<Verification> {
    let from = section
        .require("from", FROM)
        .and_then(|entry| entry.parse(|text| author(text, mailboxes)));
    let mut address = |key: &'static str, detail: usize| {
        section.entry(key).and_then(|entry| {
            entry.parse_unless_empty(|text| {
                let address = mailboxes.take(text, &format!("verification.{key}"))?;
                with_room(address, detail)
            })
        })
    };
    let reply_address = address("reply_address", TOKEN);
    let return_address = address("return_address", MAIL_ID);

    let token_ttl = section.time("token_ttl", 7 * DAY);
    let hold_for = section.time("hold_for", 14 * DAY);
    let remind_before = section.time("remind_before", 3 * DAY);
    if remind_before >= hold_for {
        section.refuse_key(
            "remind_before",
            format_args!(
                "{} is not less than verification.hold_for ({}), so the reminder would be sent \
                 immediately; write less",
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
                "{} is not a folder; create it, or remove the key to use the built-in templates",
                folder.display()
            ));
        }
        Some(folder)
    });
    // All keys are read before any early return, so that none is reported as unknown.
    let quiet_for = section.time("quiet_for", 30 * DAY);
    let delimiters = section
        .entry("address_delimiters")
        .and_then(|entry| entry.parse(AddressDelimiters::parse))
        .unwrap_or_default();
    let limits = verification_limits::read(&section.section("limits"), delimiters);
    Some(Verification {
        from: from?,
        reply_address,
        return_address,
        token_ttl,
        hold_for,
        remind_before,
        quiet_for,
        limits,
        templates,
    })
}

/// Refuses a portal's address as the author: a reply to the mail quotes its link, and everyone who reads that
/// can confirm in the person's place.
pub(super) fn author(text: &str, mailboxes: &Mailboxes) -> Result<Author, String> {
    let wrong = || format!("{text:?} is not the author of a mail; write {FROM}");
    let author: Author = text.parse().map_err(|_| wrong())?;
    let address = EmailAddress::parse(author.email.as_ref()).map_err(|_| wrong())?;
    match mailboxes.owner(&address) {
        Some(owner) => Err(format!(
            "{address} belongs to {owner}, which would receive the replies to verification mail, \
             and its links with them; write an address that belongs to no portal, as in {FROM}"
        )),
        None => Ok(author),
    }
}

/// Refuses an address whose local part is too long for a subaddress of this many octets.
fn with_room(address: EmailAddress, detail: usize) -> Result<EmailAddress, String> {
    let sample = "x".repeat(detail);
    let local = format!("{}+{sample}", address.local());
    let longer = EmailAddress::from_parts(&local, address.domain().as_str());
    if longer.is_ok_and(|longer| longer.detail() == Some(&*sample)) {
        return Ok(address);
    }
    Err(format!(
        "{address} cannot take a subaddress of {detail} characters; \
         write an address with at most {} octets before the @, without + or quotes",
        MAX_LOCAL_PART - 1 - detail
    ))
}
