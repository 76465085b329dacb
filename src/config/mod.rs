//! In: one TOML file. Out: a checked [`Config`].
//!
//! A [`Config`] is valid: names refer to something, addresses belong to one portal, sizes are numbers of
//! octets and times are [`Duration`]s. All mistakes are reported together, with their places.

mod certificate;
mod destination;
mod document;
mod entry;
mod fingerprint;
mod load;
mod mistake;
mod own_addresses;
mod postgres;
mod recipients;
mod retry_schedule;
mod secret;
mod sections;
mod server_url;
#[cfg(test)]
mod tests;
mod units;
mod unknown_name;

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
    AddressDelimiters, DestinationName, Domain, EmailAddress, LanguageTag, PortalName, Role,
};
use crate::mail::{Identity, OwnLinks, SpamMark};

pub use certificate::CertificateError;
pub use destination::{
    CommandDestination, Destination, Endpoint, EnvelopeFrom, Hook, HttpCredentials,
    MaildirDestination, PasswordLogin, SmtpDestination, SmtpLogin, SmtpSecurity, SmtpServer,
    TokenLogin, TokenSource, WebhookDestination, WebhookFormat,
};
pub use fingerprint::digest_of;
pub use load::parse_access_settings;
pub use mistake::{ConfigErrors, Mistake};
pub use own_addresses::OwnAddresses;
pub use postgres::{PostgresHost, PostgresServer, PostgresTls};
pub use retry_schedule::RetrySchedule;
pub use secret::{Secret, Secrets, read as read_secret};
pub(crate) use sections::{MAX_MESSAGE, authserv_id, name_of_this_machine, time_zone};
pub use server_url::SmtpUrl;
pub(crate) use server_url::{is_private, is_secure, parse_http, parse_public};
pub use units::{UnitError, parse_size, parse_time, show_size, show_time};

/// All settings, which take effect at a restart or a reload.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name in the SMTP greeting, `Received`, Message-ID and the loop header.
    pub hostname: Domain,
    pub data_dir: PathBuf,
    pub store: StoreConfig,
    pub site: Site,
    pub smtp: SmtpConfig,
    pub http: Http,
    /// At least one.
    pub portals: Vec<Portal>,
    pub destinations: BTreeMap<DestinationName, Destination>,
    pub hooks: Vec<Hook>,
    pub verification: Verification,
    pub outgoing: Outgoing,
    /// Maximum number of verification mails sent at a time on each node, each on its own connection.
    pub outgoing_concurrency: usize,
    /// `None`: operators have passwords, and addresses are verified by mail only.
    pub sso: Option<Sso>,
    pub authentication: AuthenticationConfig,
    pub mail: MailConfig,
    /// The form of our own links in mail, from `http.public_url` and `verification.reply_address`.
    pub own_links: Arc<OwnLinks>,
    pub quota: Quota,
    pub dropped: DroppedConfig,
    pub retention: Retention,
    pub log: Log,
    /// `None`: no canary is sent.
    pub canary: Option<Canary>,
    /// `None`: no digest is sent.
    pub digest: Option<Digest>,
    /// Used for the first revision only, including portals' overrides.
    pub access: AccessSettings,
    /// From `verification`, `portals` and `destinations`.
    pub own_addresses: OwnAddresses,
    /// Files that secrets were read from.
    pub secret_files: Vec<PathBuf>,
}

/// Place of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// A file in `data_dir`.
    Sqlite,
    Postgres(Box<PostgresServer>),
}

/// Texts of pages and mail that are common to all portals.
#[derive(Debug, Clone)]
pub struct Site {
    /// The organisation; by default the title of the first portal.
    pub name: String,
    /// Time zone of dates on pages and in mail.
    pub time_zone: TimeZone,
    /// Language of pages and mail if there is no other preference.
    pub language: LanguageTag,
    /// Contact for questions, for portals without their own.
    pub contact: Option<String>,
}

#[derive(Debug, Clone)]
pub struct SmtpConfig {
    pub listen: Vec<SocketAddr>,
    pub trusted_peers: Vec<IpNet>,
    /// In octets.
    pub max_message_size: u64,
    /// Maximum octets of a message before its first empty line.
    pub max_header_size: u64,
    pub max_connections: usize,
    pub max_recipients: usize,
    /// The portal that mail to `postmaster` goes to. `None`: the first one.
    pub postmaster: Option<PortalName>,
    /// Maximum octets of all messages that are being received and parsed at one moment.
    pub memory_budget: u64,
    pub command_timeout: Duration,
    pub tls: Option<SmtpTls>,
}

#[derive(Debug, Clone)]
pub struct SmtpTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// If true, MAIL is refused before STARTTLS.
    pub required: bool,
}

#[derive(Debug, Clone)]
pub struct Http {
    pub listen: SocketAddr,
    pub admin_listen: SocketAddr,
    /// Without a trailing slash; https, or http on loopback.
    pub public_url: String,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Host names under which the operators' listener answers, besides IP addresses and loopback names. Lower
    /// case, without a trailing dot.
    pub admin_hosts: Vec<String>,
    /// The operators' pages as browsers reach them, without a trailing slash; https, or http on loopback. By
    /// default `admin_listen`, if that is a loopback address with a fixed port.
    pub admin_url: Option<String>,
}

/// Sign-in at one OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sso {
    /// As the provider writes it in its tokens.
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Secret,
    /// Domains whose addresses can be verified by a sign-in.
    pub domains: Vec<Domain>,
    /// The claim that `roles` is about: its name, or the path to it with dots.
    pub role_claim: String,
    /// The claim with the groups that a customer's requests are handed over with.
    pub groups_claim: String,
    /// Requested besides `openid`.
    pub scopes: Vec<String>,
    /// Roles of operators by the values of the claim. Without any, operators do not sign in here.
    pub roles: BTreeMap<String, Role>,
}

#[derive(Debug, Clone)]
pub struct Portal {
    pub name: PortalName,
    pub title: String,
    /// Link for a person who has confirmed.
    pub url: Option<String>,
    /// Contact for a person whose mail is not accepted.
    pub contact: Option<String>,
    /// Language of mail about this portal, instead of the site's.
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
    /// Enables VERP: bounces return to its subaddresses. `None`: the envelope sender is null.
    pub return_address: Option<EmailAddress>,
    pub token_ttl: Duration,
    pub hold_for: Duration,
    /// Time before the end of a hold at which the person is reminded.
    pub remind_before: Duration,
    /// Time for which "This was not me" suppresses mail to an address.
    pub quiet_for: Duration,
    pub limits: MailLimits,
    /// Operators' own templates, by file name; the built-in one for each missing file.
    pub templates: Option<PathBuf>,
}

/// Limits of verification mail. A domain's limit is divided in the proportions of the total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailLimits {
    pub per_address_hour: u32,
    pub per_address_day: u32,
    /// Counted by registered domain, so that subdomains make no difference.
    pub per_domain_hour: u32,
    pub total_hour: u32,
    /// The part of `total_hour` that is reserved for the pages (sign-up, a new link); also the pages' maximum.
    pub sign_up_hour: u32,
    /// The part of `sign_up_hour` for one client: an IPv4 address or a /64 of IPv6. Larger networks of IPv6 have a
    /// larger part.
    pub sign_up_per_client_hour: u32,
    /// The part of `total_hour` that is reserved for senders whose domain vouches for their message.
    pub authenticated_hour: u32,
    /// Subaddress delimiters, by which two addresses are recognized as one mailbox.
    pub delimiters: AddressDelimiters,
}

/// Transport of verification mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    Smtp(SmtpServer, Option<SmtpLogin>),
    /// One complete `.eml` for each mail in this folder.
    File(PathBuf),
}

#[derive(Debug, Clone)]
pub struct AuthenticationConfig {
    pub mode: Enforcement,
    /// The name of the MTA whose results are trusted. `None`: Vestibule checks by itself.
    pub authserv_id: Option<String>,
    /// DNS servers for our own checks. Empty: those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// Maximum time of all DNS lookups for one message.
    pub timeout: Duration,
    /// Domains whose ARC seal is trusted.
    pub trusted_arc_sealers: Vec<Domain>,
}

/// Statements of our own MTA about a message, besides authentication.
#[derive(Debug, Clone)]
pub struct MailConfig {
    /// Fields that mark spam.
    pub spam: Arc<[SpamMark]>,
}

/// Maximum held mail of one account.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    pub requests: u32,
    /// In octets; at least `smtp.max_message_size`.
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct DroppedConfig {
    pub keep_content: Duration,
    /// Maximum octets of all content; beyond it, content is deleted early.
    pub max_content: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Retention {
    pub delivered_content: Duration,
    pub ledger: Duration,
    /// Retention of calls that succeeded or failed.
    pub hook_calls: Duration,
    /// Time after which an account that nobody verified expires, if nothing waits for it.
    pub pending_accounts: Duration,
}

/// The daily mail that tells operators what they should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// At least one.
    pub to: Vec<lettre::message::Mailbox>,
    /// Time of day in the site's zone.
    pub at: jiff::civil::Time,
    pub language: LanguageTag,
    /// The address of the operators' pages, without a slash at its end.
    pub url: String,
}

/// The message that Vestibule sends to itself, and its portal.
#[derive(Debug, Clone)]
pub struct Canary {
    pub interval: Duration,
    /// Time limit for its arrival.
    pub timeout: Duration,
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
    /// Issuer of the provider that operators sign in with; `None` if they do not use one.
    #[must_use]
    pub fn operators_issuer(&self) -> Option<String> {
        let sso = self.sso.as_ref().filter(|sso| !sso.roles.is_empty())?;
        Some(sso.issuer.clone())
    }

    /// The contact for questions: that of the portal, else that of the site.
    #[must_use]
    pub fn contact<'a>(&'a self, portal: Option<&'a Portal>) -> Option<&'a str> {
        portal
            .and_then(|portal| portal.contact.as_deref())
            .or(self.site.contact.as_deref())
    }

    /// Input of the message parser.
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

/// Describes why a file could not be opened, in words instead of an errno.
fn why(cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => cause.to_string(),
    }
}
