//! One TOML file in, a checked [`Config`] out.
//!
//! What is here can work: names refer to something, addresses belong to one portal, sizes and times
//! are numbers in bytes and [`Duration`]s. All that is wrong is reported together, with its place.

mod certificate;
mod destination;
mod document;
#[cfg(test)]
mod documented;
mod entry;
mod load;
mod mistake;
mod secret;
mod sections;
mod server_url;
mod units;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use lettre::message::Mailbox as Author;

use crate::access::{AccessSettings, Enforcement};
use crate::domain::{
    AddressDelimiters, DestinationName, Domain, EmailAddress, LanguageTag, Mailbox, PortalName,
};
use crate::mail::{Identity, SpamMark};

pub use certificate::CertificateError;
pub use destination::{
    CommandDestination, Destination, Endpoint, EnvelopeFrom, Hook, HttpCredentials,
    MaildirDestination, Retry, SmtpDestination, SmtpSecurity, SmtpServer, WebhookDestination,
    WebhookFormat,
};
pub use mistake::{ConfigErrors, Mistake};
pub use secret::{Secret, Secrets};
pub use sections::name_of_this_machine;
pub use server_url::SmtpUrl;
pub use units::{UnitError, parse_size, parse_time, show_size, show_time};

/// Everything that needs a restart or a reload.
#[derive(Debug, Clone)]
pub struct Config {
    /// SMTP greeting, `Received`, Message-ID, loop header.
    pub hostname: Domain,
    pub data_dir: PathBuf,
    pub site: Site,
    pub smtp: Smtp,
    pub http: Http,
    /// At least one.
    pub portals: Vec<Portal>,
    pub destinations: BTreeMap<DestinationName, Destination>,
    pub hooks: Vec<Hook>,
    pub verification: Verification,
    pub outgoing: Outgoing,
    pub authentication: Authentication,
    pub mail: Mail,
    pub quota: Quota,
    pub dropped: Dropped,
    pub retention: Retention,
    pub log: Log,
    /// None: nobody sings.
    pub canary: Option<Canary>,
    /// For the first revision only, portals' overrides included.
    pub access: AccessSettings,
    /// Files that secrets were read from.
    pub secret_files: Vec<PathBuf>,
}

/// What people read on pages and in mail, whatever portal they are for.
#[derive(Debug, Clone)]
pub struct Site {
    /// The organisation; the title of the first portal where none is configured.
    pub name: String,
    /// Of dates on pages and in mail.
    pub time_zone: TimeZone,
    /// Of pages and mail, where nobody and nothing else says one.
    pub language: LanguageTag,
    /// Whom a person may ask; the portals' contact where they have none of their own.
    pub contact: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Smtp {
    pub listen: Vec<SocketAddr>,
    pub trusted_peers: Vec<IpNet>,
    /// Octets.
    pub max_message_size: u64,
    /// Octets of a message before its first empty line.
    pub max_header_size: u64,
    pub max_connections: usize,
    pub max_recipients: usize,
    /// The portal that mail to `postmaster` goes to. None: the first one.
    pub postmaster: Option<PortalName>,
    /// Octets of all messages that are being received and read at one moment.
    pub memory_budget: u64,
    pub command_timeout: Duration,
    pub tls: Option<SmtpTls>,
}

#[derive(Debug, Clone)]
pub struct SmtpTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// MAIL is refused before STARTTLS.
    pub required: bool,
}

#[derive(Debug, Clone)]
pub struct Http {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    /// Without a trailing slash; https, or http on loopback.
    pub public_url: String,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Host names under which the operators' port answers, besides IP addresses and names of loopback.
    /// Lower case, without a trailing dot.
    pub admin_hosts: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Portal {
    pub name: PortalName,
    pub title: String,
    /// Where a person goes on to after confirming.
    pub url: Option<String>,
    /// Whom a person may ask who cannot get in.
    pub contact: Option<String>,
    /// Of mail about this portal, instead of the site's.
    pub language: Option<LanguageTag>,
    /// The author of verification mail for this portal, instead of `verification.from`.
    pub from: Option<Author>,
    pub addresses: Vec<EmailAddress>,
    pub destination: DestinationName,
    /// RFC 2919 list identifiers, lower case, without angle brackets.
    pub list_ids: Vec<String>,
    pub automatic_mail: bool,
}

#[derive(Debug, Clone)]
pub struct Verification {
    pub from: Author,
    /// Enables confirming by reply.
    pub reply_address: Option<EmailAddress>,
    /// Enables VERP: reports return to its subaddresses. None: the envelope sender is null.
    pub return_address: Option<EmailAddress>,
    pub token_ttl: Duration,
    pub hold_for: Duration,
    /// How long before the end of a hold the person is reminded.
    pub remind_before: Duration,
    /// How long "This was not me" keeps an address from getting more.
    pub quiet_for: Duration,
    pub limits: MailLimits,
    /// Operators' own templates, by file name; the built-in ones where a file is missing.
    pub templates: Option<PathBuf>,
}

/// How many verification mails may be sent. A domain's limit is divided in the proportions of the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLimits {
    pub per_address_hour: u32,
    pub per_address_day: u32,
    /// Counted for the registered domain, so that subdomains make no difference.
    pub per_domain_hour: u32,
    pub total_hour: u32,
    /// The part of `total_hour` that is kept for the pages (sign-up, a new link); they get no more.
    pub sign_up_hour: u32,
    /// Of those, for one client: an IPv4 address or a /64 of IPv6.
    pub sign_up_per_client_hour: u32,
    /// The part of `total_hour` that is kept for senders whose domain vouches for their message.
    pub authenticated_hour: u32,
    /// By which an address is found to be another one's mailbox.
    pub delimiters: AddressDelimiters,
}

/// How verification mail leaves.
#[derive(Debug, Clone)]
pub enum Outgoing {
    Smtp(SmtpServer),
    /// One complete `.eml` for each mail in this folder.
    File(PathBuf),
}

#[derive(Debug, Clone)]
pub struct Authentication {
    pub mode: Enforcement,
    /// The name of the MTA whose results are believed. None: we check ourselves.
    pub authserv_id: Option<String>,
    /// DNS servers for our own check. Empty: those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// How long one message may wait for DNS, all its lookups together.
    pub timeout: Duration,
    /// Whose ARC seal counts.
    pub trusted_arc_sealers: Vec<Domain>,
}

/// What our own MTA says of a message beside authentication.
#[derive(Debug, Clone)]
pub struct Mail {
    /// Fields that mark spam.
    pub spam: Arc<[SpamMark]>,
}

/// What one account may have waiting.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    pub requests: u32,
    /// Octets; at least `smtp.max_message_size`.
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Dropped {
    pub keep_content: Duration,
    /// Octets of content over all; what is over them goes before its time.
    pub max_content: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub delivered_content: Duration,
    pub ledger: Duration,
    /// Of calls that were made, or given up.
    pub hook_calls: Duration,
}

/// The message that Vestibule sends itself, and the portal that it comes for.
#[derive(Debug, Clone)]
pub struct Canary {
    pub interval: Duration,
    /// How long it may be on its way.
    pub patience: Duration,
    pub portal: Portal,
    /// The Maildir where it arrives.
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub format: LogFormat,
    pub level: tracing::Level,
    /// Addresses are shortened to their domain.
    pub redact: bool,
}

impl Config {
    /// The mailbox behind a recipient's address: exact, or without its subaddress (RFC 5233).
    #[must_use]
    pub fn mailbox(&self, recipient: &EmailAddress) -> Option<Mailbox> {
        self.mailbox_exactly(recipient)
            .or_else(|| self.mailbox_exactly(&recipient.without_detail()))
    }

    fn mailbox_exactly(&self, address: &EmailAddress) -> Option<Mailbox> {
        let is = |own: &EmailAddress| own == address;
        if let Some(portal) = self
            .all_portals()
            .find(|portal| portal.addresses.iter().any(is))
        {
            return Some(Mailbox::Portal(portal.name.clone()));
        }
        if self.verification.reply_address.as_ref().is_some_and(is) {
            return Some(Mailbox::Confirmation);
        }
        if self.verification.return_address.as_ref().is_some_and(is) {
            return Some(Mailbox::Returns);
        }
        None
    }

    #[must_use]
    pub fn portal(&self, name: &PortalName) -> Option<&Portal> {
        self.all_portals().find(|portal| portal.name == *name)
    }

    /// Those of the file, and the canary's, which nobody is shown.
    pub fn all_portals(&self) -> impl Iterator<Item = &Portal> {
        let hidden = self.canary.iter().map(|canary| &canary.portal);
        self.portals.iter().chain(hidden)
    }

    /// Whether an address belongs to this installation, with or without a subaddress: a portal's,
    /// `verification.from`, the reply and return address, and each destination's `recipient` and
    /// `envelope_from`. Mail from it is a loop, and it never becomes a customer. Contacts are people
    /// and do not count.
    #[must_use]
    pub fn is_ours(&self, address: &EmailAddress) -> bool {
        let base = address.without_detail();
        let is = |own: &EmailAddress| own == address || *own == base;
        let sends = |text: &str| EmailAddress::parse(text).is_ok_and(|own| is(&own));
        self.mailbox(address).is_some()
            || sends(self.verification.from.email.as_ref())
            || self
                .portals
                .iter()
                .filter_map(|portal| portal.from.as_ref())
                .any(|from| sends(from.email.as_ref()))
            || self.destinations.values().any(|destination| {
                let Destination::Smtp(smtp) = destination else {
                    return false;
                };
                smtp.recipient.as_ref().is_some_and(is)
                    || match &smtp.envelope_from {
                        EnvelopeFrom::Address(own) => is(own),
                        EnvelopeFrom::Verp(before, behind) => {
                            is_between(&address.key(), before, behind)
                                || sends(&format!("{}{behind}", before.trim_end_matches('+')))
                        }
                        EnvelopeFrom::Null | EnvelopeFrom::Sender => false,
                    }
            })
    }

    /// The mailbox behind `postmaster`, which needs no domain (RFC 5321 4.5.1).
    #[must_use]
    pub fn postmaster(&self) -> Option<&Portal> {
        match &self.smtp.postmaster {
            Some(name) => self.portal(name),
            None => self.portals.first(),
        }
    }

    /// What the reader of messages must know.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            hostname: self.hostname.clone(),
            authserv_id: self.authentication.authserv_id.clone(),
            spam: Arc::clone(&self.mail.spam),
        }
    }

    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("vestibule.db")
    }
}

/// Whether a key has the fixed text of a VERP address on both sides of its request's id.
fn is_between(key: &str, before: &str, behind: &str) -> bool {
    let (before, behind) = (before.to_ascii_lowercase(), behind.to_ascii_lowercase());
    key.strip_prefix(&before)
        .and_then(|rest| rest.strip_suffix(&behind))
        .is_some_and(|id| !id.contains('@'))
}

/// Why a file could not be opened, in words that need no errno.
fn why(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => cause.to_string(),
    }
}
