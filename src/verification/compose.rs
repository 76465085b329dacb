//! In: one claimed [`VerificationMail`] and fresh tokens. Out: a complete mail and its envelope.
//!
//! The mail consists of the operator's words and ours, the person's own mailbox and two dates. It contains nothing
//! that a sender wrote, except for a Message-ID that [`message_id`](super::message_id) checked; otherwise anyone
//! could use us to send anything to anyone.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Message;
use lettre::address::{Address, AddressError, Envelope};
use lettre::message::header::{
    ContentTransferEncoding, ContentType, InReplyTo, MessageId, References,
};
use lettre::message::{Body, Mailbox, MultiPart, SinglePart};
use minijinja::context;
use unicode_width::UnicodeWidthChar;

use super::{header_fields, message_id};
use crate::config::Config;
use crate::domain::{
    EmailAddress, MailId, PortalName, Reason, ReplyToken, Token, TokenError, later,
};
use crate::store::{MailCause, MailKind, Notice, TokenHashes, VerificationMail};
use crate::templates::{self, Language, Templates, TemplatesError, Zone};

/// Columns of the text part, so that it can be quoted once within 78 (RFC 5322 2.1.1).
const TEXT_WIDTH: usize = 72;

/// RFC 5322 2.1.1, without the CRLF.
const MAX_LINE: usize = 998;

/// A mail that is ready to be sent.
#[derive(Debug)]
pub struct ComposedMail {
    pub id: MailId,
    pub envelope: Envelope,
    /// The whole message, with CRLF line endings.
    pub content: Vec<u8>,
}

/// Reasons why a mail could not be composed. A retry with the same templates fails again.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error(transparent)]
    Templates(#[from] TemplatesError),
    #[error("no mail can be sent to {address}: {cause}")]
    Address {
        address: String,
        cause: AddressError,
    },
    #[error("letter.txt must begin with the subject and an empty line")]
    NoSubject,
    #[error("the mail could not be composed: {0}")]
    Message(#[from] lettre::error::Error),
}

/// The name of the text with the word by which a reply confirms.
pub(super) const REPLY_WORD: &str = "letter.reply_word";

/// The secrets of one mail, each for its own purpose.
pub struct MailTokens {
    /// Opens the link.
    pub link: Token,
    /// The detail of the reply address.
    pub reply: ReplyToken,
}

impl MailTokens {
    /// Generates new tokens.
    ///
    /// # Errors
    /// The operating system has no random numbers.
    pub fn generate() -> Result<Self, TokenError> {
        Ok(Self {
            link: Token::generate()?,
            reply: ReplyToken::generate()?,
        })
    }

    /// The hashes, which are stored.
    #[must_use]
    pub fn hashes(&self) -> TokenHashes {
        TokenHashes {
            link: self.link.hash(),
            reply: Some(self.reply.hash()),
        }
    }
}

/// Composes a verification mail, with its link and, if configured, its reply address.
///
/// # Errors
/// An operator's template that cannot be rendered; an address that SMTP cannot carry.
pub fn compose(
    verification_mail: &VerificationMail,
    tokens: &MailTokens,
    config: &Config,
    templates: &Templates,
    language: &Language,
    now: Timestamp,
) -> Result<ComposedMail, ComposeError> {
    let carries_token = verification_mail.kind != MailKind::AlreadyRegistered;
    let outline = Outline {
        id: verification_mail.id,
        kind: kind_name(verification_mail.kind),
        subject: subject(verification_mail),
        why: why(verification_mail),
        address: &verification_mail.address,
        portal: verification_mail.portal.as_ref(),
        in_reply_to: verification_mail.in_reply_to.as_deref(),
        waiting: verification_mail.waiting,
        expires_at: verification_mail.expires_at,
        tokens: carries_token.then_some(tokens),
        takes_answer: verification_mail.cause != MailCause::TakeBack,
        takes_reports: true,
    };
    write(&outline, config, templates, language, now)
}

/// Composes a notice, which names a contact and has no link.
///
/// # Errors
/// As [`compose`].
pub(super) fn compose_notice(
    notice: &Notice,
    config: &Config,
    templates: &Templates,
    language: &Language,
    now: Timestamp,
) -> Result<ComposedMail, ComposeError> {
    let has_contact = config.contact(config.portal(&notice.portal)).is_some();
    let outline = Outline {
        id: notice.id,
        kind: "not_taken",
        subject: "not_taken",
        why: match (notice.reason, has_contact) {
            (Reason::ExternalAccountsDisabled, true) => "externals_not_taken_contact",
            (Reason::ExternalAccountsDisabled, false) => "externals_not_taken_nobody",
            (_, true) => "domain_not_taken_contact",
            (_, false) => "domain_not_taken_nobody",
        },
        address: &notice.address,
        portal: Some(&notice.portal),
        in_reply_to: notice.in_reply_to.as_deref(),
        waiting: 0,
        expires_at: None,
        tokens: None,
        takes_answer: false,
        // A bounce of a notice has no consequence.
        takes_reports: false,
    };
    write(&outline, config, templates, language, now)
}

/// Content of a mail.
struct Outline<'a> {
    id: MailId,
    /// For templates of version 0.1, the last part of the name of the subject.
    kind: &'static str,
    /// The last part of `letter.subject.…`.
    subject: &'static str,
    /// The name of the text that explains why the mail is sent.
    why: &'static str,
    address: &'a EmailAddress,
    portal: Option<&'a PortalName>,
    in_reply_to: Option<&'a str>,
    waiting: u32,
    expires_at: Option<Timestamp>,
    /// `None` for a mail without a link.
    tokens: Option<&'a MailTokens>,
    /// True if a reply confirms.
    takes_answer: bool,
    /// True if bounces go to the return address.
    takes_reports: bool,
}

fn write(
    outline: &Outline,
    config: &Config,
    templates: &Templates,
    language: &Language,
    now: Timestamp,
) -> Result<ComposedMail, ComposeError> {
    let verification = &config.verification;
    let site = config.site.name.as_str();
    let concerned = outline.portal.and_then(|name| config.portal(name));
    let portal = concerned.map_or(site, |portal| portal.title.as_str());
    let from = concerned
        .and_then(|portal| portal.from.as_ref())
        .unwrap_or(&verification.from);
    let reply_to = verification
        .reply_address
        .as_ref()
        .zip(outline.tokens.filter(|_| outline.takes_answer))
        .and_then(|(address, tokens)| with_detail(address, &tokens.reply.reveal()).ok());
    let link = outline.tokens.map(|tokens| {
        let token = tokens.link.reveal_for_link();
        format!("{}/verify/{token}", config.http.public_url)
    });
    let domain = outline.address.domain().to_string();
    let context = context! {
        site => site,
        zone => Zone(config.site.time_zone.clone()).value(),
        portal => portal,
        hostname => config.hostname.as_str(),
        // The local part was chosen by the author of the message, who may be a forger, so it could be any
        // text.
        domain => domain.as_str(),
        // For templates and texts that were made for version 0.1.
        address => format!("…@{domain}"),
        word => templates.text(language, REPLY_WORD).unwrap_or_default(),
        kind => outline.kind,
        subject => outline.subject,
        why => outline.why,
        contact => config.contact(concerned).unwrap_or_default(),
        link => link,
        reply => reply_to.is_some(),
        waiting => outline.waiting,
        expires_at => outline.expires_at.map(|at| at.to_string()),
        valid_until => later(now, verification.token_ttl).to_string(),
    };
    let text = templates.render("letter.txt", language, &context)?;
    let html = templates.render("letter.html", language, &context)?;
    let (subject, text) = text.split_once("\n\n").ok_or(ComposeError::NoSubject)?;

    let to = address_of(outline.address.local(), outline.address)?;
    let mut builder = Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(subject_of(subject))
        .date(SystemTime::from(now))
        .header(MessageId::from(format!(
            "<{}@{}>",
            outline.id, config.hostname
        )))
        .raw_header(header_fields::content_language(language))
        .raw_header(header_fields::auto_submitted("auto-replied"))
        .raw_header(header_fields::auto_response_suppress())
        .raw_header(header_fields::loop_mark(&config.hostname))
        .envelope(Envelope::new(return_path(outline, config)?, vec![to])?);
    if let Some(address) = reply_to {
        builder = builder.reply_to(Mailbox::new(None, address));
    }
    if let Some(reference) = outline.in_reply_to.and_then(message_id::reference) {
        builder = builder
            .header(InReplyTo::from(reference.clone()))
            .header(References::from(reference));
    }
    let message = builder.multipart(
        MultiPart::alternative()
            // The boundary can be the mail's own id: no line of ours begins with it.
            .boundary(format!("={}", outline.id))
            .singlepart(text_part(text))
            .singlepart(html_part(html)),
    )?;
    Ok(ComposedMail {
        id: outline.id,
        envelope: message.envelope().clone(),
        content: message.formatted(),
    })
}

/// The subject that a template wrote, without the isolates of a right-to-left text, which would disturb programs
/// that list subjects, and with ordinary spaces, so that an English one is ASCII.
pub(super) fn subject_of(written: &str) -> String {
    written
        .trim()
        .replace(
            [templates::FIRST_STRONG_ISOLATE, templates::POP_ISOLATE],
            "",
        )
        .replace(templates::NO_BREAK_SPACE, " ")
}

/// Text that is ASCII but for its no-break spaces gets ordinary ones and is not encoded, so that the link is
/// unbroken in the source.
pub(super) fn text_part(text: &str) -> SinglePart {
    let text = wrap(text);
    let plain = text.replace(templates::NO_BREAK_SPACE, " ");
    let part = SinglePart::builder().content_type(ContentType::TEXT_PLAIN);
    if plain.is_ascii() && plain.lines().all(|line| line.len() <= MAX_LINE) {
        let encoding = ContentTransferEncoding::SevenBit;
        return part.body(Body::dangerous_pre_encoded(plain.into_bytes(), encoding));
    }
    part.header(ContentTransferEncoding::QuotedPrintable)
        .body(text)
}

/// HTML has lines of any length; quoted-printable passes every server.
fn html_part(html: String) -> SinglePart {
    SinglePart::builder()
        .header(ContentTransferEncoding::QuotedPrintable)
        .content_type(ContentType::TEXT_HTML)
        .body(html)
}

/// Wraps long lines at spaces. Indented lines stay whole, because those are links, and so do Chinese and Japanese
/// ones: without spaces between their words, they would break in the middle of a name, and mail programs wrap
/// them at any letter.
fn wrap(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 32);
    for line in text.lines() {
        let stays_whole = line.starts_with(' ') || line.chars().any(is_wide_character);
        let mut column = 0;
        for word in words(line) {
            let width = word.trim_end().chars().count();
            if column > 0 && column + width > TEXT_WIDTH && !stays_whole {
                out.truncate(out.trim_end_matches(' ').len());
                out.push_str("\r\n");
                column = 0;
            }
            out.push_str(word);
            column += word.chars().count();
        }
        out.push_str("\r\n");
    }
    out
}

/// Splits a line after its spaces. An isolated value counts as one word: the rest of a Latin one at the beginning
/// of a line would turn the direction of that line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut isolates = 0_usize;
    line.split_inclusive(move |c: char| {
        match c {
            templates::FIRST_STRONG_ISOLATE => isolates += 1,
            templates::POP_ISOLATE => isolates = isolates.saturating_sub(1),
            _ => {}
        }
        c == ' ' && isolates == 0
    })
}

/// True for alphabetic characters of two columns (UAX 11), such as Chinese and Japanese ones.
fn is_wide_character(c: char) -> bool {
    c.is_alphabetic() && c.width() == Some(2)
}

/// The last part of `letter.subject.…`. A mail about a message says so, because one that only asks to confirm
/// an address looks like phishing.
fn subject(verification_mail: &VerificationMail) -> &'static str {
    match (verification_mail.kind, verification_mail.cause) {
        (MailKind::Verification, MailCause::Mail) => "message",
        (kind, _) => kind_name(kind),
    }
}

fn kind_name(kind: MailKind) -> &'static str {
    match kind {
        MailKind::Verification => "verification",
        MailKind::Reminder => "reminder",
        MailKind::AlreadyRegistered => "already_registered",
    }
}

/// The name of the text that tells who requested the mail.
fn why(verification_mail: &VerificationMail) -> &'static str {
    match (verification_mail.kind, verification_mail.cause) {
        (MailKind::AlreadyRegistered, _) => "already_registered",
        (MailKind::Reminder, _) => "reminder",
        (MailKind::Verification, MailCause::Mail) => "mail",
        (MailKind::Verification, MailCause::SignUp) => "sign_up",
        (MailKind::Verification, MailCause::Resend) => "resend",
        (MailKind::Verification, MailCause::Operator) => "operator",
        (MailKind::Verification, MailCause::Reply) => "reply_unclear",
        (MailKind::Verification, MailCause::TakeBack) => "take_back",
    }
}

/// The envelope sender: VERP if there is a return address, null otherwise, so that a bounce of this mail
/// never causes another one (RFC 3834 3.3).
fn return_path(outline: &Outline, config: &Config) -> Result<Option<Address>, ComposeError> {
    config
        .verification
        .return_address
        .as_ref()
        .filter(|_| outline.takes_reports)
        .map(|address| with_detail(address, &outline.id.to_string()))
        .transpose()
}

/// `user+detail@domain` (RFC 5233); an error if the local part becomes too long.
fn with_detail(address: &EmailAddress, detail: &str) -> Result<Address, ComposeError> {
    let local = format!("{}+{detail}", address.local());
    address_of(&local, address)
}

fn address_of(local: &str, whole: &EmailAddress) -> Result<Address, ComposeError> {
    Address::new(local, whole.domain().as_str()).map_err(|cause| ComposeError::Address {
        address: whole.to_string(),
        cause,
    })
}

#[cfg(test)]
mod tests;
