//! The protocol: takes one line of the client, returns one reply and the next step. No I/O.
//!
//! mailin's session checks the order of commands, and the grammar of those that [`extensions`] does not
//! parse. The handler decides about recipients first, so that mailin only sees accepted ones.

use std::net::IpAddr;
use std::sync::Arc;

use mailin::{Handler, Session, SessionBuilder};

use super::command::{Command, Verb};
use super::data::TooLarge;
use super::extensions::{self, MailParameters};
use super::handler::{DataOutcome, MessageHandler};
use super::reply::Reply;
use super::settings::ServerSettings;
use super::xforward;
use crate::domain::{EmailAddress, Envelope, ForwardedClient, Recipient, ReplyToken, Token};

/// Accepts everything: all decisions were made before mailin is asked.
struct Granted;

impl Handler for Granted {}

/// Next step of the connection after the reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Command,
    /// Reads the body of this message, with the size that the client declared.
    Transfer(Box<Envelope>, Option<u64>),
    Tls,
    Close,
}

/// Reply to one line, with the next step.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub reply: Reply,
    pub next: Next,
}

impl Response {
    fn close(reply: Reply) -> Self {
        Self {
            reply,
            next: Next::Close,
        }
    }
}

impl From<Reply> for Response {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            next: Next::Command,
        }
    }
}

/// State of the mail transaction.
enum Phase {
    Between,
    /// After MAIL.
    Addressed(MailParameters, Vec<Recipient>),
    /// After DATA; the envelope is handed over.
    Transfer,
}

/// Protocol state of one connection, from the greeting to the end.
pub struct Protocol<R> {
    engine: Session<Granted>,
    handler: Arc<R>,
    settings: Arc<ServerSettings>,
    peer: IpAddr,
    helo: String,
    client: Option<ForwardedClient>,
    phase: Phase,
    tls: bool,
    /// Refusals since the last message.
    errors: usize,
}

impl<R: MessageHandler> Protocol<R> {
    pub fn new(handler: Arc<R>, settings: Arc<ServerSettings>, peer: IpAddr) -> Self {
        let mut builder = SessionBuilder::new(settings.hostname.as_str());
        if settings.tls.is_some() {
            builder.enable_start_tls();
        }
        Self {
            engine: builder.build(peer, Granted),
            handler,
            settings,
            peer,
            helo: String::new(),
            client: None,
            phase: Phase::Between,
            tls: false,
            errors: 0,
        }
    }

    /// True during a transaction, which the client may finish on shutdown.
    pub fn in_transaction(&self) -> bool {
        !matches!(self.phase, Phase::Between)
    }

    /// Answers a line. When `leaving`, it accepts no new transaction.
    pub fn answer(&mut self, line: &[u8], leaving: bool) -> Response {
        match Command::read(line).and_then(|command| self.obey(command, leaving)) {
            Ok(answer) => answer,
            Err(reply) => self.refuse(reply),
        }
    }

    /// Answers with a refusal. The first refusal beyond the limit ends the connection. Recipients beyond the
    /// limit do not count as errors of the client, which sends them in another transaction (RFC 5321
    /// 4.5.3.1.10).
    pub fn refuse(&mut self, reply: Reply) -> Response {
        if reply == Reply::TooManyRecipients {
            return reply.into();
        }
        self.errors += 1;
        if self.errors > self.settings.max_errors {
            Response::close(Reply::TooManyErrors)
        } else {
            reply.into()
        }
    }

    fn obey(&mut self, command: Command<'_>, leaving: bool) -> Result<Response, Reply> {
        let Command { verb, argument } = command;
        Ok(match verb {
            Verb::Ehlo | Verb::Helo => self.hello(verb, argument)?.into(),
            Verb::Mail if leaving => Response::close(Reply::ShuttingDown),
            Verb::Mail => self.mail(argument)?.into(),
            Verb::Rcpt => self.rcpt(argument)?.into(),
            Verb::Data => self.data(argument)?,
            Verb::Rset => {
                self.ask("RSET", argument)?;
                self.reset_transaction();
                Reply::Ok.into()
            }
            Verb::Noop => {
                // RFC 5321 4.1.1.9: an argument is ignored.
                self.ask("NOOP", "")?;
                Reply::Ok.into()
            }
            Verb::Quit => {
                self.ask("QUIT", argument)?;
                Response::close(Reply::Goodbye)
            }
            // mailin accepts VRFY between transactions only; RFC 5321 4.1.4 at any time.
            Verb::Vrfy if argument.is_empty() => return Err(Reply::Arguments),
            Verb::Vrfy => Reply::CannotVerify.into(),
            Verb::Help => Reply::Help.into(),
            Verb::StartTls => {
                if self.settings.tls.is_none() {
                    return Err(Reply::NotOffered);
                }
                self.ask("STARTTLS", argument)?;
                Response {
                    reply: Reply::ReadyForTls,
                    next: Next::Tls,
                }
            }
            Verb::Xforward if self.in_transaction() => return Err(Reply::OutOfOrder),
            Verb::Xforward => {
                let mut client = self.client.take().unwrap_or_default();
                let result = xforward::update(&mut client, argument);
                self.client = Some(client);
                result?;
                Reply::Ok.into()
            }
            Verb::NotOffered => return Err(Reply::NotOffered),
            Verb::Http => Response::close(Reply::NotHttp),
        })
    }

    fn hello(&mut self, verb: Verb, argument: &str) -> Result<Reply, Reply> {
        if !argument.is_ascii() {
            return Err(Reply::Arguments);
        }
        let hostname = self.settings.hostname.clone();
        let reply = if verb == Verb::Ehlo {
            self.ask("EHLO", argument)?;
            let offered = extensions::ehlo_lines(&self.settings, self.tls);
            Reply::Extensions { hostname, offered }
        } else {
            self.ask("HELO", argument)?;
            Reply::Hello(hostname)
        };
        argument.clone_into(&mut self.helo);
        self.phase = Phase::Between;
        Ok(reply)
    }

    fn mail(&mut self, argument: &str) -> Result<Reply, Reply> {
        if !self.tls && self.settings.tls.as_ref().is_some_and(|tls| tls.required) {
            return Err(Reply::TlsRequired);
        }
        let mail = MailParameters::read(argument)?;
        if mail.size.unwrap_or(0) > self.settings.max_message_size {
            return Err(Reply::MessageTooLarge);
        }
        self.ask("MAIL", "FROM:<path>")?;
        self.phase = Phase::Addressed(mail, Vec::new());
        Ok(Reply::SenderOk)
    }

    fn rcpt(&mut self, argument: &str) -> Result<Reply, Reply> {
        let address = extensions::recipient(argument)?;
        // A command out of order takes precedence; mailin detects it.
        let role = match &self.phase {
            Phase::Addressed(mail, recipients) => {
                if !address.is_ascii() && !mail.smtputf8 {
                    return Err(Reply::NeedsSmtpUtf8);
                }
                if recipients.len() >= self.settings.max_recipients {
                    return Err(Reply::TooManyRecipients);
                }
                let role = self.handler.recipient(address);
                Some(role.map_err(|_| self.refuse_recipient(address))?)
            }
            Phase::Between | Phase::Transfer => None,
        };
        self.ask("RCPT", "TO:<path>")?;
        if let (Phase::Addressed(_, recipients), Some(role)) = (&mut self.phase, role) {
            let address = address.to_owned();
            recipients.push(Recipient { address, role });
        }
        Ok(Reply::RecipientOk)
    }

    fn refuse_recipient(&self, address: &str) -> Reply {
        let address = hide_token(address);
        if self.handler.may_be_elsewhere() {
            Reply::RecipientElsewhere(address)
        } else {
            Reply::UnknownRecipient(address)
        }
    }

    fn data(&mut self, argument: &str) -> Result<Response, Reply> {
        self.ask("DATA", argument)?;
        let Phase::Addressed(mail, recipients) =
            std::mem::replace(&mut self.phase, Phase::Transfer)
        else {
            return Err(Reply::OutOfOrder);
        };
        let envelope = Envelope {
            reverse_path: mail.reverse_path,
            recipients,
            helo: self.helo.clone(),
            peer: Some(self.peer),
            client: self.client.take(),
            tls: self.tls,
            smtputf8: mail.smtputf8,
        };
        Ok(Response {
            reply: Reply::StartBody,
            next: Next::Transfer(Box::new(envelope), mail.size),
        })
    }

    /// Checks with mailin that the command is in order and well-formed.
    fn ask(&mut self, verb: &str, argument: &str) -> Result<(), Reply> {
        let blank = if argument.is_empty() { "" } else { " " };
        let line = format!("{verb}{blank}{argument}\r\n");
        match self.engine.process(line.as_bytes()).code {
            200..400 => Ok(()),
            503 => Err(Reply::OutOfOrder),
            // mailin answers 500 to every line that it cannot parse, but the verb is known here.
            _ => Err(Reply::Arguments),
        }
    }

    /// Reply to a message that the handler received.
    pub fn finish_data(&mut self, outcome: DataOutcome) -> Response {
        self.message_ends();
        if let DataOutcome::Stored(_) = outcome {
            self.errors = 0;
        }
        Reply::from(outcome).into()
    }

    /// Reply to a message that was not passed to the handler.
    pub fn too_large(&mut self, bound: TooLarge) -> Response {
        self.message_ends();
        self.refuse(match bound {
            TooLarge::Message => Reply::MessageTooLarge,
            TooLarge::Header => Reply::HeaderTooLarge,
        })
    }

    /// Tells mailin that the message has ended, always with success: after a refusal it would wait for more
    /// of the message, while the client goes on with the next command.
    fn message_ends(&mut self) {
        self.engine.process(b".\r\n");
        self.reset_transaction();
    }

    /// Resets the transaction and the XFORWARD data, which applies to one transaction only.
    fn reset_transaction(&mut self) {
        self.phase = Phase::Between;
        self.client = None;
    }

    /// Resets the session after the TLS handshake: nothing sent in the clear is kept (RFC 3207 4.2).
    pub fn reset_after_tls(&mut self) {
        self.engine.tls_active();
        self.tls = true;
        self.helo.clear();
        self.reset_transaction();
    }
}

/// A refused address for the log, without the token of a reply to a verification mail. Such a token can be valid: the
/// reply address is that of another node, or was changed since the mail.
fn hide_token(address: &str) -> String {
    let is_token = |detail: &str| ReplyToken::parse(detail).is_ok() || Token::parse(detail).is_ok();
    match EmailAddress::parse(address) {
        Ok(parsed) if parsed.detail().is_some_and(is_token) => {
            let mailbox = parsed.without_detail();
            format!("{}+…@{}", mailbox.local(), mailbox.domain())
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests;
