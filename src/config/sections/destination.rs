//! `[destination.NAME]` and `[outgoing]`: each type has keys of its own.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use crate::config::document::Section;
use crate::config::secret::{BEARER, PASSWORD, Secrets, WEBHOOK_SECRET};
use crate::config::server_url::{SmtpUrl, is_private, parse_http};
use crate::config::units::{MINUTE, SECOND};
use crate::config::{
    CommandDestination, Destination, EnvelopeFrom, MaildirDestination, Outgoing, SmtpDestination,
    SmtpServer, WebhookDestination, WebhookFormat,
};
use crate::domain::{DestinationName, EmailAddress};

/// More at once than this would be an attack on the help desk.
const MOST_AT_ONCE: usize = 100;

#[derive(Clone, Copy)]
enum Type {
    Smtp,
    Maildir,
    Webhook,
    Command,
}

const TYPES: [(&str, Type); 4] = [
    ("smtp", Type::Smtp),
    ("maildir", Type::Maildir),
    ("webhook", Type::Webhook),
    ("command", Type::Command),
];

/// What stands in the file: names count as known even where the rest has mistakes, so that a portal
/// is not blamed for them.
#[derive(Default)]
pub(super) struct Known {
    pub names: BTreeSet<DestinationName>,
    pub destinations: BTreeMap<DestinationName, Destination>,
}

pub(super) fn read_all(section: Section<'_>) -> Known {
    let mut known = Known::default();
    for (name, section) in section.named("[destination.NAME] and its keys below it") {
        let name = DestinationName::parse(name)
            .map_err(|cause| section.refuse(cause))
            .ok();
        known.names.extend(name.clone());
        let destination = read(section);
        if let (Some(name), Some(destination)) = (name, destination) {
            known.destinations.insert(name, destination);
        }
    }
    known
}

fn read(mut section: Section<'_>) -> Option<Destination> {
    let Some((word, kind)) = section
        .required("type", "\"smtp\" (or maildir, webhook, command)")
        .and_then(|entry| entry.choice(&TYPES.map(|(word, kind)| (word, (word, kind)))))
    else {
        section.is_given_up();
        return None;
    };
    section.is_of_kind(&format!("destination {word}"));
    match kind {
        Type::Smtp => smtp(&section).map(Destination::Smtp),
        Type::Maildir => maildir(&section).map(Destination::Maildir),
        Type::Webhook => webhook(&section).map(Destination::Webhook),
        Type::Command => command(&section).map(Destination::Command),
    }
}

/// `[outgoing]`: a server with the keys of the destination of that type, or a folder.
pub(super) fn outgoing(mut section: Section<'_>) -> Option<Outgoing> {
    let Some(is_smtp) = section
        .required("type", "\"smtp\" (or file)")
        .and_then(|entry| entry.choice(&[("smtp", true), ("file", false)]))
    else {
        section.is_given_up();
        return None;
    };
    if is_smtp {
        section.is_of_kind("outgoing smtp");
        return server(&section).map(Outgoing::Smtp);
    }
    section.is_of_kind("outgoing file");
    section
        .required("dir", "\"/var/lib/vestibule/outgoing\"")?
        .path()
        .map(Outgoing::File)
}

fn server(section: &Section<'_>) -> Option<SmtpServer> {
    let url = section
        .required("url", "\"smtp://127.0.0.1:25\"")
        .and_then(|entry| entry.parse(SmtpUrl::parse));
    let tls_verify = section.switch("tls_verify", true);
    let username = section.entry("username");
    let password = section.secret(PASSWORD);
    let has_password = [PASSWORD.file, PASSWORD.credential, PASSWORD.inline]
        .into_iter()
        .any(|key| section.has(key));
    let login = match (&username, has_password) {
        (Some(entry), false) => {
            entry.refuse("needs a password; write password_file or credential beside it");
            None
        }
        (None, true) => {
            section.refuse("a password needs a user; write username beside it");
            None
        }
        (Some(entry), true) => entry.some_text().map(ToOwned::to_owned).zip(password),
        (None, false) => None,
    };
    let url = url?;
    Some(SmtpServer {
        host: url.host,
        port: url.port,
        security: url.security,
        tls_verify,
        login,
    })
}

fn smtp(section: &Section<'_>) -> Option<SmtpDestination> {
    let server = server(section);
    let recipient = section
        .entry("recipient")
        .and_then(|entry| entry.parse_unless_empty(address));
    let envelope_from = section
        .entry("envelope_from")
        .and_then(|entry| {
            entry.parse(|text| match text {
                "" => Ok(EnvelopeFrom::Null),
                "sender" => Ok(EnvelopeFrom::Sender),
                text => address(text).map(EnvelopeFrom::Address).map_err(|cause| {
                    format!("{cause}, \"sender\" for the sender's, or \"\" for none")
                }),
            })
        })
        .unwrap_or(EnvelopeFrom::Null);
    let concurrency = section.number("concurrency", 4, 1..=MOST_AT_ONCE);
    Some(SmtpDestination {
        server: server?,
        recipient,
        envelope_from,
        concurrency,
    })
}

fn maildir(section: &Section<'_>) -> Option<MaildirDestination> {
    let path = section.required("path", "\"/var/mail/helpdesk\"")?.path()?;
    Some(MaildirDestination { path })
}

fn webhook(section: &Section<'_>) -> Option<WebhookDestination> {
    let allow_private = section.switch("allow_private", false);
    let url = section
        .required("url", "\"https://desk.corp.example/hooks/mail\"")
        .and_then(|entry| {
            let url = entry.parse(parse_http)?;
            if is_private(&url) && !allow_private {
                entry.refuse(format_args!(
                    "{} is not on the Internet; write allow_private = true beside it if it is meant",
                    url.host_str().unwrap_or_default()
                ));
            }
            Some(url.to_string())
        });
    let format = section
        .entry("format")
        .and_then(|entry| {
            entry.choice(&[("raw", WebhookFormat::Raw), ("json", WebhookFormat::Json)])
        })
        .unwrap_or(WebhookFormat::Raw);
    let secret = section
        .secret(WEBHOOK_SECRET)
        .and_then(|secret| signing_key(section, &secret));
    let bearer = section.secret(BEARER);
    let headers = section
        .entry("headers")
        .and_then(|entry| {
            let headers = entry.texts()?;
            for (name, value) in &headers {
                if !is_field_name(name) {
                    entry.refuse(format_args!("{name:?} is not the name of a header field"));
                }
                if value.contains(|c: char| c.is_control()) {
                    entry.refuse(format_args!("{name}: a control character cannot be sent"));
                }
            }
            Some(headers)
        })
        .unwrap_or_default();
    let timeout = section.time("timeout", 30 * SECOND);
    let concurrency = section.number("concurrency", 4, 1..=MOST_AT_ONCE);
    Some(WebhookDestination {
        url: url?,
        format,
        secret,
        bearer,
        headers,
        timeout,
        allow_private,
        concurrency,
    })
}

/// Standard Webhooks: `whsec_` and base64 of 24 to 64 octets. The prefix is taken off.
fn signing_key(section: &Section<'_>, secret: &SecretString) -> Option<SecretString> {
    if section.document().secrets == Secrets::Leave {
        return Some(secret.clone());
    }
    let text = secret.expose_secret();
    let key = text.strip_prefix("whsec_").unwrap_or(text);
    match STANDARD.decode(key) {
        Ok(octets) if (24..=64).contains(&octets.len()) => Some(key.into()),
        _ => {
            section.refuse_key(
                WEBHOOK_SECRET.file,
                "the secret must be whsec_ and the base64 of 24 to 64 octets; \
                 make one with: echo \"whsec_$(openssl rand -base64 32)\"",
            );
            None
        }
    }
}

fn command(section: &Section<'_>) -> Option<CommandDestination> {
    let program = section
        .required("program", "\"/usr/local/bin/open-ticket\"")
        .and_then(|entry| {
            let written = entry.some_text()?;
            if !written.contains('/') {
                entry.refuse(format_args!(
                    "{written:?} is not a path; write where the program is, as in /usr/bin/{written}"
                ));
            }
            Some(section.document().resolve(written))
        });
    let args = section
        .entry("args")
        .and_then(|entry| entry.list(without_nul))
        .unwrap_or_default();
    let environment = section
        .entry("environment")
        .and_then(|entry| {
            let variables = entry.texts()?;
            for (name, value) in &variables {
                if name.is_empty()
                    || name.contains('=')
                    || without_nul(&(name.clone() + value)).is_err()
                {
                    entry.refuse(format_args!("{name:?} cannot be an environment variable"));
                }
            }
            Some(variables)
        })
        .unwrap_or_default();
    let timeout = section.time("timeout", MINUTE);
    let concurrency = section.number("concurrency", 2, 1..=MOST_AT_ONCE);
    Some(CommandDestination {
        program: program?,
        args,
        environment,
        timeout,
        concurrency,
    })
}

fn without_nul(text: &str) -> Result<String, &'static str> {
    if text.contains('\0') {
        return Err("a program cannot be given a NUL");
    }
    Ok(text.to_owned())
}

fn address(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text)
        .map_err(|cause| format!("{text:?}: {cause}; write queue@desk.example"))
}

/// RFC 9110 5.6.2 `token`.
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet))
}
