//! The answers of `init`, with their defaults.

use std::path::Path;

use lettre::message::Mailbox as Author;

use crate::config::{name_of_this_machine, time_zone};
use crate::domain::{Domain, DomainPattern, EmailAddress, LanguageTag, PortalName, join};

/// All answers, validated as the configuration validates them.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    pub hostname: Domain,
    pub data_dir: String,
    /// `None`: the domain of people's addresses.
    pub organisation: Option<String>,
    pub language: LanguageTag,
    /// A name of the IANA database.
    pub time_zone: String,
    pub contact: Option<String>,
    pub public_url: String,
    pub portal: PortalName,
    pub title: String,
    /// `None`: `help@` the domain.
    pub address: Option<EmailAddress>,
    pub destination: DestinationType,
    /// The server, folder, URL or program; `None` until the question is answered.
    pub destination_place: Option<String>,
    /// The recipient at an SMTP destination; `None`: the address that the mail was sent to.
    pub recipient: Option<EmailAddress>,
    /// `None`: `no-reply@` the domain of the portal.
    pub from: Option<EmailAddress>,
    pub outgoing: String,
    pub approved: Vec<DomainPattern>,
    pub others: Others,
    pub allowed: Vec<DomainPattern>,
    pub authserv_id: Option<String>,
    /// True if mail that fails DMARC is dropped.
    pub enforce: bool,
}

/// The mode of sender authentication in the configuration.
pub(super) fn dmarc_mode(enforce: bool) -> &'static str {
    if enforce { "enforce" } else { "report" }
}

/// The type of the destination of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DestinationType {
    Smtp,
    Maildir,
    Webhook,
    Command,
}

impl DestinationType {
    pub const ALL: [Self; 4] = [Self::Smtp, Self::Maildir, Self::Webhook, Self::Command];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Maildir => "maildir",
            Self::Webhook => "webhook",
            Self::Command => "command",
        }
    }

    /// A place of this type, as the default of the question and as an example.
    pub const fn example(self) -> &'static str {
        match self {
            Self::Smtp => "smtp://127.0.0.1:2526",
            Self::Maildir => "/var/lib/vestibule/helpdesk",
            Self::Webhook => "https://desk.corp.example/hooks/mail",
            Self::Command => "/usr/local/bin/open-ticket",
        }
    }
}

/// People outside the approved domains who may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    Nobody,
    /// Only domains and addresses on the allow list.
    Listed,
    /// Everyone who verifies the address.
    Verified,
    Everyone,
}

impl Others {
    pub const ALL: [Self; 4] = [Self::Nobody, Self::Listed, Self::Verified, Self::Everyone];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Listed => "listed",
            Self::Verified => "verified",
            Self::Everyone => "everyone",
        }
    }
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            hostname: name_of_this_machine(),
            data_dir: "/var/lib/vestibule".to_owned(),
            organisation: None,
            language: LanguageTag::default(),
            time_zone: zone_of_this_machine(),
            contact: None,
            public_url: "http://127.0.0.1:8080".to_owned(),
            portal: PortalName::parse("help").unwrap_or_else(|_| unreachable!("a name")),
            title: "Help Desk".to_owned(),
            address: None,
            destination: DestinationType::Smtp,
            destination_place: None,
            recipient: None,
            from: None,
            outgoing: "smtp://127.0.0.1:25".to_owned(),
            approved: Vec::new(),
            others: Others::Nobody,
            allowed: Vec::new(),
            authserv_id: None,
            enforce: false,
        }
    }
}

/// The name of this machine's time zone; a zone without a name counts as UTC.
fn zone_of_this_machine() -> String {
    let zone = jiff::tz::TimeZone::try_system().ok();
    let name = zone.as_ref().and_then(|zone| zone.iana_name());
    name.filter(|name| time_zone(name).is_ok())
        .unwrap_or("UTC")
        .to_owned()
}

impl Answers {
    /// Domain of people's addresses: the hostname without its first label, if enough remains.
    fn domain(&self) -> String {
        match self.hostname.as_str().split_once('.') {
            Some((_, rest)) if rest.contains('.') => rest.to_owned(),
            _ => self.hostname.to_string(),
        }
    }

    pub fn organisation(&self) -> String {
        self.organisation.clone().unwrap_or_else(|| self.domain())
    }

    pub fn address(&self) -> String {
        match &self.address {
            Some(address) => address.to_string(),
            None => format!("help@{}", self.domain()),
        }
    }

    /// The place of the destination. A Maildir is by default in the data folder, where the service may write.
    pub fn destination_place(&self) -> String {
        match (&self.destination_place, self.destination) {
            (Some(place), _) => place.clone(),
            (None, DestinationType::Maildir) => {
                let folder = Path::new(&self.data_dir).join("helpdesk");
                folder.display().to_string()
            }
            (None, destination) => destination.example().to_owned(),
        }
    }

    /// Address of the author of verification mail.
    pub fn from(&self) -> String {
        match (&self.from, &self.address) {
            (Some(from), _) => from.to_string(),
            (None, Some(portal)) => format!("no-reply@{}", portal.domain()),
            (None, None) => format!("no-reply@{}", self.domain()),
        }
    }

    /// The author of verification mail, with the portal's title as the name.
    pub fn author(&self) -> String {
        let address = self.from();
        match address.parse() {
            Ok(address) => Author::new(Some(self.title.clone()), address).to_string(),
            Err(_) => address,
        }
    }

    /// Approved domains as text.
    pub fn format_approved(&self) -> String {
        list_or_none(&self.approved)
    }

    pub fn format_allowed(&self) -> String {
        list_or_none(&self.allowed)
    }
}

fn list_or_none(patterns: &[DomainPattern]) -> String {
    if patterns.is_empty() {
        return "none".to_owned();
    }
    join(patterns, ", ")
}
