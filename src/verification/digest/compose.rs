//! In: the content of a digest. Out: a complete mail and its envelope.
//!
//! Domains are the only text of strangers in it: there is no local part, no subject and no error of a server. A
//! domain is written so that no mail program makes a link of it; in our own links it stands only as a parameter.

use std::time::SystemTime;

use lettre::Message;
use lettre::address::Envelope;
use lettre::message::header::MessageId;
use minijinja::{Value, context};
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use crate::config::{Config, Digest};
use crate::domain::{MailId, Timestamp};
use crate::store::{DigestClaim, DigestContent, DroppedDomain};
use crate::templates::{Templates, Zone};
use crate::verification::compose::{ComposeError, ComposedMail, subject_of, text_part};
use crate::verification::header_fields;

/// Composes the mail. The same digest has the same Message-ID every time.
///
/// # Errors
/// An operator's template that cannot be rendered; an address that SMTP cannot carry.
pub(super) fn compose_digest(
    claim: &DigestClaim,
    content: &DigestContent,
    config: &Config,
    digest: &Digest,
    templates: &Templates,
    now: Timestamp,
) -> Result<ComposedMail, ComposeError> {
    let wanted = digest.language.clone().into();
    let language = templates.choose(&wanted).unwrap_or_default();
    let rows: Vec<_> = content
        .domains
        .iter()
        .map(|domain| row(domain, &digest.url))
        .collect();
    let down: Vec<_> = content
        .down
        .iter()
        .map(|down| context! { name => down.name.as_str(), since => down.since.to_string() })
        .collect();
    let values = context! {
        site => config.site.name.as_str(),
        zone => Zone(config.site.time_zone.clone()).value(),
        hostname => config.hostname.as_str(),
        url => digest.url.as_str(),
        since => claim.since.to_string(),
        until => claim.due.to_string(),
        domains => rows,
        expiring => content.expiring.to_string(),
        has_expiring => content.expiring.number > 0,
        first_expiry => content.first_expiry.map(|at| at.to_string()),
        undeliverable => content.undeliverable.to_string(),
        has_undeliverable => content.undeliverable.number > 0,
        given_up => content.given_up.to_string(),
        has_given_up => content.given_up.number > 0,
        down => down,
    };
    let text = templates.render("digest.txt", &language, &values)?;
    let (subject, text) = text.split_once("\n\n").ok_or(ComposeError::NoSubject)?;

    let id = id_of(claim, config);
    let recipients = digest.to.iter().map(|to| to.email.clone()).collect();
    let mut builder = Message::builder()
        .from(config.verification.from.clone())
        .subject(subject_of(subject))
        .date(SystemTime::from(now))
        .header(MessageId::from(format!("<{id}@{}>", config.hostname)))
        .raw_header(header_fields::content_language(&language))
        .raw_header(header_fields::auto_submitted("auto-generated"))
        .raw_header(header_fields::loop_mark(&config.hostname))
        .envelope(Envelope::new(None, recipients)?);
    for to in &digest.to {
        builder = builder.to(to.clone());
    }
    let message = builder.singlepart(text_part(text))?;
    Ok(ComposedMail {
        id,
        envelope: message.envelope().clone(),
        content: message.formatted(),
    })
}

/// A domain with the link to the preview of allowing it, which changes nothing.
fn row(domain: &DroppedDomain, url: &str) -> Value {
    let parameter: String = form_urlencoded::byte_serialize(domain.domain.as_bytes()).collect();
    context! {
        domain => without_link(&domain.domain),
        messages => domain.messages,
        people => domain.people,
        nearest => domain.nearest.as_ref().map(|pattern| without_link(&pattern.to_string())),
        link => format!("{url}/dropped/allow?domain={parameter}"),
    }
}

/// A domain of which no mail program makes a link: `evil[.]example`. Only characters of domains and patterns are
/// left.
fn without_link(domain: &str) -> String {
    domain
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.*@+".contains(*c))
        .collect::<String>()
        .replace('.', "[.]")
}

/// The id of a digest: the same for every attempt, on whatever node.
fn id_of(claim: &DigestClaim, config: &Config) -> MailId {
    let mut hash = Sha256::new();
    hash.update(b"digest");
    hash.update(config.hostname.as_str().as_bytes());
    hash.update(claim.due.as_millisecond().to_be_bytes());
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    MailId::from_bytes(bytes)
}
