//! `replay --send`: sends the messages over SMTP, one after the other, to a running server.

use lettre::address::Envelope;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use serde::Serialize;

use super::decider::Decider;
use super::source::{self, Broken, MailSource, MboxPart};
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, note};
use crate::domain::{PortalName, ReversePath};
use crate::mail::{RecordedEnvelope, read_recorded};
use crate::observe::Escaped;

/// The server's reply to one message.
#[derive(Serialize)]
struct Sent {
    file: String,
    portal: PortalName,
    recipient: String,
    accepted: bool,
    reply: String,
}

pub async fn run(
    server: &str,
    decider: &Decider<'_>,
    files: Vec<MailSource>,
    broken: Vec<Broken>,
    out: &mut Output,
) -> CommandResult {
    let transport = connect(server)?;
    let mut failed = !broken.is_empty();
    for Broken { name, cause } in broken {
        note(format_args!("error: {}: {cause}", Escaped(&name)));
    }
    for piece in source::pieces(files) {
        let messages = match piece {
            MboxPart::Messages(messages) => messages,
            MboxPart::Files(files) => files.iter().flat_map(source::messages).collect(),
        };
        for message in messages {
            match message {
                Ok((name, raw)) => {
                    let sent = send(&transport, decider, name, &raw).await;
                    failed |= !sent.accepted;
                    show(&sent, out)?;
                    out.flush()?;
                }
                Err(Broken { name, cause }) => {
                    failed = true;
                    note(format_args!("error: {}: {cause}", Escaped(&name)));
                }
            }
        }
    }
    if failed {
        Err(CommandError::Said)
    } else {
        Ok(())
    }
}

fn connect(server: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, CommandError> {
    let place = server
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let Some((host, port)) = place else {
        return Err(CommandError::Usage(format!(
            "{server:?} is not a server address; write HOST:PORT, as in 127.0.0.1:2525"
        )));
    };
    let host = host.trim_matches(['[', ']']);
    Ok(
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(port)
            .hello_name(ClientId::Domain("replay.localhost".to_owned()))
            .build(),
    )
}

async fn send(
    transport: &AsyncSmtpTransport<Tokio1Executor>,
    decider: &Decider<'_>,
    file: String,
    raw: &[u8],
) -> Sent {
    let recorded = read_recorded(raw);
    let (portal, recipient) = decider.portal_of(&recorded);
    let reply = match envelope(&recorded, &recipient) {
        Ok(envelope) => transport
            .send_raw(&envelope, &with_crlf(raw))
            .await
            .map(|response| response.message().collect::<Vec<_>>().join(" "))
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let accepted = reply.is_ok();
    Sent {
        file,
        portal,
        recipient,
        accepted,
        reply: reply.unwrap_or_else(|error| error),
    }
}

/// The envelope sender from Return-Path. A file without it was not a bounce, so its author is used.
fn envelope(
    recorded: &RecordedEnvelope,
    recipient: &str,
) -> Result<Envelope, lettre::address::AddressError> {
    let from = match &recorded.reverse_path {
        ReversePath::Null => None,
        ReversePath::Mailbox(path) => path.parse::<Address>().ok(),
        ReversePath::Unknown => Some("replay@replay.localhost".parse()?),
    };
    // There is one recipient, so the envelope is never rejected as empty.
    Envelope::new(from, vec![recipient.parse()?])
        .map_err(|_| lettre::address::AddressError::MissingParts)
}

/// SMTP lines end in CRLF only (RFC 5321 2.3.8); files have LF, and sometimes both.
fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(raw.len() + raw.len() / 32);
    let mut before = 0;
    for &byte in raw {
        if byte == b'\n' && before != b'\r' {
            text.push(b'\r');
        }
        text.push(byte);
        before = byte;
    }
    // lettre ends the last line itself, before the final dot.
    if text.ends_with(b"\r\n") {
        text.truncate(text.len() - 2);
    }
    text
}

fn show(sent: &Sent, out: &mut Output) -> CommandResult {
    if out.is_json() {
        return out.object(sent);
    }
    let what = if sent.accepted { "ok" } else { "failed" };
    out.line(format_args!(
        "{}  {:<32}  {}  {}",
        out.word(what, 6),
        sent.recipient,
        Escaped(&sent.file),
        Escaped(&sent.reply)
    ))
}
