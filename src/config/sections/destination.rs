//! `[destination.NAME]` and `[outgoing]`: each type has its own keys.

use std::collections::{BTreeMap, BTreeSet};

use super::{endpoint, retry};
use crate::config::document::TomlSection;
use crate::config::secret::PASSWORD;
use crate::config::server_url::SmtpUrl;
use crate::config::units::MINUTE;
use crate::config::{
    CommandDestination, Destination, EnvelopeFrom, MaildirDestination, Outgoing, PasswordLogin,
    SmtpDestination, SmtpLogin, SmtpSecurity, SmtpServer, TokenLogin, TokenSource,
    WebhookDestination, WebhookFormat,
};
use crate::domain::{DestinationName, EmailAddress, RequestId, canary, is_this_machine};

/// Maximum concurrency: more deliveries at a time would amount to an attack on the help desk.
const MAX_CONCURRENCY: usize = 100;

/// Default concurrency of verification mail.
const OUTGOING_CONCURRENCY: usize = 16;

/// Reads the keys of a destination of one type.
type Reader = fn(&TomlSection<'_>) -> Option<Destination>;

const TYPES: [(&str, Reader); 4] = [
    ("smtp", |keys| smtp(keys).map(Destination::Smtp)),
    ("maildir", |keys| maildir(keys).map(Destination::Maildir)),
    ("webhook", |keys| webhook(keys).map(Destination::Webhook)),
    ("command", |keys| command(keys).map(Destination::Command)),
];

/// Destinations of the file. The names of invalid ones are kept, too, so that portals that refer to them are not
/// reported as well.
#[derive(Default)]
pub(super) struct Known {
    pub names: BTreeSet<DestinationName>,
    pub destinations: BTreeMap<DestinationName, Destination>,
}

pub(super) fn read_all(section: TomlSection<'_>) -> Known {
    let mut known = Known::default();
    for (name, section) in section.subsections("[destination.NAME] and its keys below it") {
        let name = DestinationName::parse(name)
            .map_err(|cause| section.refuse(cause))
            .ok();
        if name.as_ref().is_some_and(canary::owns) {
            section.refuse("is the name of our own canary; choose another name");
        }
        known.names.extend(name.clone());
        let destination = read(section);
        if let (Some(name), Some(destination)) = (name, destination) {
            known.destinations.insert(name, destination);
        }
    }
    known
}

fn read(mut section: TomlSection<'_>) -> Option<Destination> {
    let Some((word, reader)) = section
        .require("type", "\"smtp\" (or maildir, webhook, command)")
        .and_then(|entry| entry.choice(&TYPES.map(|(word, reader)| (word, (word, reader)))))
    else {
        section.give_up();
        return None;
    };
    section.set_kind(&format!("destination {word}"));
    reader(&section)
}

/// `[outgoing]`: a server with the keys of a destination of that type, or a folder; and the concurrency.
pub(super) fn outgoing(mut section: TomlSection<'_>) -> Option<(Outgoing, usize)> {
    let Some(is_smtp) = section
        .require("type", "\"smtp\" (or file)")
        .and_then(|entry| entry.choice(&[("smtp", true), ("file", false)]))
    else {
        section.give_up();
        return None;
    };
    if is_smtp {
        section.set_kind("outgoing smtp");
        let concurrency = section.number("concurrency", OUTGOING_CONCURRENCY, 1..=MAX_CONCURRENCY);
        let (server, login) = if let Some(source) = token_source(&section) {
            let (server, login) = with_token(&section, source)?;
            (server, Some(SmtpLogin::Token(login)))
        } else {
            let (server, login) = with_password(&section)?;
            (server, login.map(SmtpLogin::Password))
        };
        return Some((Outgoing::Smtp(server, login), concurrency));
    }
    section.set_kind("outgoing file");
    section
        .require("dir", "\"/var/lib/vestibule/outgoing\"")?
        .path()
        .map(|folder| (Outgoing::File(folder), OUTGOING_CONCURRENCY))
}

/// Source of the access token. `None` without such a key.
fn token_source(section: &TomlSection<'_>) -> Option<TokenSource> {
    section.never_inline("token", "token_file = \"/path/to/it\"");
    let file = section.entry("token_file");
    let command = section.entry("token_command");
    match (file, command) {
        (None, None) => None,
        (Some(_), Some(entry)) => {
            entry.refuse("is set together with token_file; set only one of the two");
            None
        }
        (Some(entry), None) => entry.path().map(TokenSource::File),
        (None, Some(entry)) => {
            let words = entry.list(|word| Ok::<_, String>(word.to_owned()))?;
            let mut words = words.into_iter();
            match words.next() {
                Some(program) if program.starts_with('/') => {
                    Some(TokenSource::Command(program.into(), words.collect()))
                }
                _ => {
                    entry.refuse(
                        "must be a list of the program, by its full path, and its arguments; \
                         write [\"/usr/bin/oama\", \"access\", \"help-desk@corp.example\"]",
                    );
                    None
                }
            }
        }
    }
}

/// A server with a login by access token. The token is a password for an hour, so it does not leave this machine
/// unencrypted.
fn with_token(section: &TomlSection<'_>, source: TokenSource) -> Option<(SmtpServer, TokenLogin)> {
    let server = server(section);
    let user = section
        .require("username", "\"help-desk@corp.example\"")
        .and_then(|entry| {
            let user = entry.some_text()?;
            if user.contains(|c: char| c.is_control()) {
                entry.refuse("has a control character, which cannot be sent");
            }
            Some(user.to_owned())
        });
    if section.secret(PASSWORD).is_some() {
        section.refuse("has a password and a token; set only one of the two");
    }
    let server = server?;
    let is_safe = match server.security {
        SmtpSecurity::StartTls | SmtpSecurity::Tls => true,
        SmtpSecurity::None => is_this_machine(&server.host),
        SmtpSecurity::Opportunistic => false,
    };
    if !is_safe {
        section.refuse_key(
            "url",
            "the token would be sent unencrypted; write smtp+starttls:// or smtps://",
        );
    }
    let user = user?;
    Some((server, TokenLogin { user, source }))
}

fn server(section: &TomlSection<'_>) -> Option<SmtpServer> {
    let url = section
        .require("url", "\"smtp://127.0.0.1:25\"")
        .and_then(|entry| entry.parse(SmtpUrl::parse));
    let tls_verify = section.switch("tls_verify", true);
    let url = url?;
    Some(SmtpServer {
        host: url.host,
        port: url.port,
        security: url.security,
        tls_verify,
    })
}

/// A server with a login by password, or without one.
fn with_password(section: &TomlSection<'_>) -> Option<(SmtpServer, Option<PasswordLogin>)> {
    let server = server(section);
    let username = section.entry("username");
    let password = section.secret(PASSWORD);
    let login = match (&username, section.has_secret(PASSWORD)) {
        (Some(entry), false) => {
            entry.refuse("needs a password; also write password_file or credential");
            None
        }
        (None, true) => {
            section.refuse("a password needs a user; also write username");
            None
        }
        (Some(entry), true) => {
            let user = entry.some_text().map(ToOwned::to_owned);
            user.zip(password)
                .map(|(user, password)| PasswordLogin { user, password })
        }
        (None, false) => None,
    };
    let server = server?;
    if let (Some(entry), SmtpSecurity::Opportunistic) = (&username, server.security) {
        entry.refuse(
            "the password would be sent unencrypted if TLS is not offered; \
             write smtp+starttls:// or smtps://",
        );
    }
    Some((server, login))
}

fn smtp(section: &TomlSection<'_>) -> Option<SmtpDestination> {
    let server = with_password(section);
    let recipient = section
        .entry("recipient")
        .and_then(|entry| entry.parse_unless_empty(address));
    let envelope_from = section
        .entry("envelope_from")
        .and_then(|entry| {
            entry.parse(|text| match text {
                "" => Ok(EnvelopeFrom::Null),
                "sender" => Ok(EnvelopeFrom::Sender),
                text => one_for_each(text).unwrap_or_else(|| {
                    address(text).map(EnvelopeFrom::Address).map_err(|cause| {
                        format!(
                            "{cause}, desk+{{request}}@corp.example for one each, \"sender\" for \
                             the sender's, or \"\" for none"
                        )
                    })
                }),
            })
        })
        .unwrap_or(EnvelopeFrom::Null);
    let concurrency = section.number("concurrency", 4, 1..=MAX_CONCURRENCY);
    let (server, login) = server?;
    Some(SmtpDestination {
        server,
        login,
        recipient,
        envelope_from,
        concurrency,
        retry: retry::read(section),
    })
}

/// `before{request}behind@domain`: a separate address for each request. `None` if the text has no
/// placeholder.
fn one_for_each(text: &str) -> Option<Result<EnvelopeFrom, String>> {
    const PLACE: &str = "{request}";
    let (before, behind) = text.split_once(PLACE)?;
    if !behind.contains('@') || behind.contains(PLACE) {
        return Some(Err(format!(
            "{text:?}: {PLACE} must occur once, before the @; write desk+{PLACE}@corp.example"
        )));
    }
    // Split the parsed address, because its form differs from the text: its domain is in ASCII.
    let id = RequestId::new().to_string();
    let example = address(&format!("{before}{id}{behind}")).ok();
    let verp = example.and_then(|example| {
        let (before, behind) = example.local().split_once(&id)?;
        let behind = format!("{behind}@{}", example.domain());
        Some(EnvelopeFrom::Verp(before.to_owned(), behind))
    });
    Some(verp.ok_or_else(|| {
        format!(
            "{text:?} with an id of 26 letters is not an address; write desk+{PLACE}@corp.example"
        )
    }))
}

fn maildir(section: &TomlSection<'_>) -> Option<MaildirDestination> {
    let path = section
        .require("path", "\"/var/mail/helpdesk\"")
        .and_then(|entry| entry.path());
    let group = section.switch("group", false);
    let retry = retry::read(section);
    Some(MaildirDestination {
        path: path?,
        group,
        retry,
    })
}

fn webhook(section: &TomlSection<'_>) -> Option<WebhookDestination> {
    let endpoint = endpoint::read(section, "\"https://desk.corp.example/hooks/mail\"");
    let format = section
        .entry("format")
        .and_then(|entry| {
            entry.choice(&[
                ("raw", WebhookFormat::Raw),
                ("json", WebhookFormat::Json),
                ("form", WebhookFormat::Form),
            ])
        })
        .unwrap_or(WebhookFormat::Raw);
    let field = section
        .entry("field")
        .and_then(|entry| {
            let field = entry.some_text()?;
            if format != WebhookFormat::Form {
                entry.refuse("names the field of a form; also write format = \"form\"");
            }
            Some(field.to_owned())
        })
        .unwrap_or_else(|| "email".to_owned());
    let concurrency = section.number("concurrency", 4, 1..=MAX_CONCURRENCY);
    let retry = retry::read(section);
    Some(WebhookDestination {
        endpoint: endpoint?,
        format,
        field,
        concurrency,
        retry,
    })
}

fn command(section: &TomlSection<'_>) -> Option<CommandDestination> {
    let program = section
        .require("program", "\"/usr/local/bin/open-ticket\"")
        .and_then(|entry| {
            let written = entry.some_text()?;
            if !written.contains('/') {
                entry.refuse(format_args!(
                    "{written:?} is not a path; write where the program is, as in /usr/bin/{written}"
                ));
            }
            Some(section.document().resolve(written))
        });
    let args = section.list("args", without_nul);
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
    let concurrency = section.number("concurrency", 2, 1..=MAX_CONCURRENCY);
    let retry = retry::read(section);
    Some(CommandDestination {
        program: program?,
        args,
        environment,
        timeout,
        concurrency,
        retry,
    })
}

fn without_nul(text: &str) -> Result<String, &'static str> {
    if text.contains('\0') {
        return Err("an argument cannot contain a NUL");
    }
    Ok(text.to_owned())
}

fn address(text: &str) -> Result<EmailAddress, String> {
    EmailAddress::parse(text)
        .map_err(|cause| format!("{text:?}: {cause}; write queue@desk.example"))
}
