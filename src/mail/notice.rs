//! Reports in a mailer's own words, from before RFC 3464 and from those who never read it.
//!
//! In: envelope, header and body. Out: the evidence that it is a report, or none.
//! People quote such texts when they ask for help with them, so words alone count only where they
//! open the body, under a subject that mailers use, and are ones that nobody would write.

use super::header::{Field, Header, Section};
use super::mime::{Entity, Media};
use super::text::{message_id, unstructured};
use super::{Evidence, ReportedRecipient, Sender};
use crate::domain::{Envelope, ReversePath};

/// As much of the body as is searched for words, and for the returned message behind them.
const OPENING: usize = 2 * 1024;
const MOST_SEARCHED: usize = 64 * 1024;
const MOST_LEVELS: usize = 8;
const MOST_RECIPIENTS: usize = 64;

/// How the subjects of mailers begin.
const SUBJECTS: [&str; 46] = [
    "automatically rejected mail",
    "considered unsolicited bulk email",
    "could not deliver",
    "delayed mail",
    "delivery error",
    "delivery fail",
    "delivery has failed",
    "delivery notification",
    "delivery problem",
    "delivery report",
    "delivery status",
    "delivery warning",
    "email delivery fail",
    "failed delivery",
    "failed mail",
    "failed to deliver",
    "failure delivery",
    "failure notice",
    "mail could not be delivered",
    "mail delivery",
    "mail error",
    "mail failure",
    "mail system error",
    "mail undeliverable",
    "mailsystem: returned mail",
    "message could not be delivered",
    "message delivery",
    "message not delivered",
    "message status - undeliverable",
    "message undeliverable",
    "message you sent blocked",
    "non delivery",
    "non-delivery",
    "nondeliverable",
    "notification: delivery",
    "permanent delivery failure",
    "returned mail",
    "returned to sender",
    "returning message to sender",
    "unable to deliver",
    "undeliverable",
    "undelivered",
    "unzustellbar",
    "user unknown",
    "warning: could not send message",
    "warning: message",
];

/// What a mailer says somewhere in its opening.
const PHRASES: [&str; 36] = [
    "an error was detected while processing",
    "could not be delivered",
    "could not be sent",
    "could not deliver",
    "couldn't be delivered",
    "delivery attempt",
    "delivery failed",
    "delivery failure",
    "delivery has failed",
    "delivery of email to this address",
    "delivery status notification",
    "delivery to the following",
    "did not reach",
    "error occurred while trying to deliver",
    "failed recipient",
    "failed to deliver",
    "failed to reach",
    "has been postponed",
    "has not been delivered",
    "is undeliverable",
    "mailbox full",
    "mailbox unavailable",
    "message not delivered",
    "no such user",
    "non-delivery",
    "not been able to deliver",
    "permanent fatal errors",
    "returned to sender",
    "this user doesn't have a",
    "transcript of session",
    "unable to deliver",
    "undeliverable",
    "user unknown",
    "was not delivered",
    "wasn't able to deliver",
    "were not delivered",
];

/// What nobody but a mailer opens a letter with.
const FORMULAS: [&str; 28] = [
    "** address not found **",
    "** delivery incomplete **",
    "** message not delivered **",
    "****** message from interscan",
    "--- non-delivery report ---",
    "------ failed recipients ------",
    "a message that you sent could not be delivered to one or more of its recipients",
    "an error occurred while trying to deliver the mail to the following recipients",
    "could not deliver message to the following recipient(s):",
    "delivery has failed to these recipients or distribution lists",
    "delivery has failed to these recipients or groups",
    "delivery to the following recipient failed permanently",
    "delivery to the following recipients failed",
    "hi. this is the deliver program at ",
    "hi. this is the qmail-send program at ",
    "message from yahoo.",
    "sorry, we were unable to deliver your message to the following address",
    "the message that you sent was undeliverable to the following",
    "the original message was received at ",
    "this is a delivery status notification",
    "this is an advisory-only email. please do not reply to it.",
    "this is an automatically generated delivery status notification",
    "this is the mail system at host ",
    "this is the postfix program at host ",
    "this message was created automatically by mail delivery software",
    "this message was created automatically by the mail system",
    "your message did not reach some or all of the intended recipients",
    "your message with subject: ",
];

/// Local parts, without separators, under which mailers write nothing but reports.
const MAILERS: [&str; 4] = [
    "mailerdaemon",
    "maildaemon",
    "maildeliverysubsystem",
    "maildeliverysystem",
];

/// Local parts, without separators, under which mailers and people write.
const POSTMASTERS: [&str; 6] = [
    "mailmaster",
    "mdaemon",
    "ndr",
    "postmaster",
    "postoffice",
    "systemadministrator",
];

/// How sure it is that a mailer wrote.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Author {
    /// By name, or by a field that only Exim's reports have.
    Mailer,
    /// Nobody's reverse-path, no address in From, or the name of a postmaster.
    MayBeMailer,
    Anyone,
}

/// Judges by the envelope and the header.
pub(super) fn author(header: &Header, envelope: &Envelope, sender: &Sender) -> Author {
    let local = sender
        .written()
        .and_then(|written| written.rsplit_once('@'));
    let name: String = local
        .map_or("", |(local, _)| local)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if MAILERS.contains(&name.as_str()) || header.first("X-Failed-Recipients").is_some() {
        return Author::Mailer;
    }
    let nobody = |field: Field| field.value.trim_ascii_end().ends_with(b"<>");
    if POSTMASTERS.contains(&name.as_str())
        || envelope.reverse_path == ReversePath::Null
        || header.all("From").any(nobody)
    {
        Author::MayBeMailer
    } else {
        Author::Anyone
    }
}

/// Whether the subject begins as those of mailers do.
pub(super) fn subject_says_so(header: &Header) -> bool {
    let subject = header.first("Subject").as_ref().and_then(unstructured);
    subject.is_some_and(|subject| {
        let subject = subject.to_lowercase();
        let subject = subject.trim_start_matches(['*', '[', '<', '"', ' ']);
        SUBJECTS.iter().any(|start| subject.starts_with(start))
    })
}

/// Looks for a mailer's words. Who may be a mailer needs some of them, anyone else a subject and an
/// opening that leave no doubt.
pub(super) fn evidence(
    message: &Entity,
    media: &Media,
    author: Author,
    subject_says_so: bool,
) -> Option<Evidence> {
    let opening = || opening(message, media);
    let body = |words: &&str| Evidence::new("body", words.as_bytes());
    match author {
        Author::Mailer => ["X-Failed-Recipients", "From"]
            .iter()
            .find_map(|name| message.header.first(name))
            .map(|field| Evidence::of(&field)),
        Author::MayBeMailer if subject_says_so => {
            let subject = message.header.first("Subject");
            subject.map(|field| Evidence::of(&field))
        }
        Author::MayBeMailer => {
            let opening = opening();
            PHRASES
                .iter()
                .find(|phrase| opening.contains(**phrase))
                .map(body)
        }
        Author::Anyone if subject_says_so => {
            let opening = opening();
            FORMULAS
                .iter()
                .find(|formula| opening.starts_with(**formula))
                .map(body)
        }
        Author::Anyone => None,
    }
}

/// Exim's field; other mailers' texts are not taken apart.
pub(super) fn recipients(header: &Header) -> Vec<ReportedRecipient> {
    header
        .all("X-Failed-Recipients")
        .flat_map(|field| {
            let text = field.text();
            text.split(',')
                .map(|address| Evidence::new("", address.as_bytes()).value)
                .take(MOST_RECIPIENTS)
                .collect::<Vec<_>>()
        })
        .filter(|address| address.contains('@'))
        .take(MOST_RECIPIENTS)
        .map(|address| ReportedRecipient {
            address,
            action: Some("failed".to_owned()),
            status: None,
        })
        .collect()
}

/// The first Message-ID in the body: of the returned message that follows the words.
pub(super) fn original_message_id(message: &Entity, media: &Media) -> Option<String> {
    let text = first_text(message, media);
    let line = text.split(|&byte| byte == b'\n').find(|line| {
        line.get(..11)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"message-id:"))
    })?;
    message_id(&Section::of(line).fields().next()?)
}

/// The first words of the text, in lower case, with single spaces.
fn opening(message: &Entity, media: &Media) -> String {
    let text = first_text(message, media);
    let text = String::from_utf8_lossy(&text[..text.len().min(OPENING)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// The first part that has no parts; a body that claims to have some and has none is text, too.
fn first_text(message: &Entity, media: &Media) -> Vec<u8> {
    let mut part = *message;
    let mut inner = part.parts(media).next();
    for _ in 0..MOST_LEVELS {
        let Some(next) = inner else { break };
        part = next;
        inner = part.parts(&part.media()).next();
    }
    part.decoded(MOST_SEARCHED)
}
