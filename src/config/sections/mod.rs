//! One reader for each section of the file. A condition on two sections is checked in the later one.

pub(super) mod access;
mod canary;
mod destination;
mod digest;
mod endpoint;
mod hook;
mod listeners;
mod log;
mod portal;
mod quota;
mod retry;
mod site;
mod sso;
mod store;
mod verification;
mod verification_limits;

pub(crate) use listeners::MAX_MESSAGE;
pub(crate) use site::time_zone;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::document::TomlSection;
use super::units::{DAY, SECOND};
use super::{
    AuthenticationConfig, Config, DroppedConfig, Http, MailConfig, Outgoing, OwnAddresses,
    Retention, Verification,
};
use crate::access::{AccessSettings, Enforcement};
use crate::domain::{Domain, EmailAddress, PortalName, join};
use crate::mail::{OwnLinks, SpamMark};

/// Reads the whole file. `None` if a value without a default could not be read, which is reported.
pub(super) fn read(root: &TomlSection<'_>) -> Option<Config> {
    let hostname = match root.entry("hostname") {
        Some(entry) => entry.parse(|text| {
            Domain::parse(text).map_err(|cause| {
                format!("{cause}; write the name of this machine, as in gate.corp.example")
            })
        }),
        None => Some(name_of_this_machine()),
    };
    let data_dir = root
        .entry("data_dir")
        .and_then(|entry| entry.path())
        .unwrap_or_else(|| "/var/lib/vestibule".into());
    let store = store::read(&root.section("store"), &data_dir);

    let mut taken = listeners::UsedAddresses::default();
    let smtp_section = root.section("smtp");
    let mut smtp = listeners::smtp(&smtp_section, &mut taken);
    let http = listeners::http(&root.section("http"), &mut taken);

    let known = destination::read_all(root.section("destination"));
    let hooks = hook::read_all(root, &known.names);
    let mut languages = site::Languages::default();
    let (mut portals, overrides, mut mailboxes) =
        portal::read_all(root, &known.names, &mut languages);
    let site = site::read(&root.section("site"), &mut languages, &mut portals);
    let digest = digest::read(
        &root.section("digest"),
        &mut languages,
        &site.language,
        operators_url(&http),
    );
    smtp.postmaster = smtp_section.entry("postmaster").and_then(|entry| {
        let name = entry.parse(PortalName::parse)?;
        if !portals.iter().any(|portal| portal.name == name) {
            let names = portals.iter().map(|portal| &portal.name);
            entry.refuse(format_args!(
                "there is no portal {:?}; name one of {}",
                name.as_str(),
                join(names, ", ")
            ));
        }
        Some(name)
    });
    let verification = verification::read(&root.section("verification"), &mut mailboxes);
    languages.check(
        verification
            .as_ref()
            .and_then(|found| found.templates.as_deref()),
    );
    let outgoing = outgoing(root);
    let quota = quota::read(&root.section("quota"), smtp.max_message_size);

    let sso = sso::read(&root.section("sso"), &http);

    let section = root.section("authentication");
    let authentication = AuthenticationConfig {
        mode: section
            .entry("mode")
            .and_then(|entry| {
                entry.choice(&[
                    ("off", Enforcement::Off),
                    ("report", Enforcement::Report),
                    ("enforce", Enforcement::Enforce),
                ])
            })
            .unwrap_or_default(),
        authserv_id: section
            .entry("authserv_id")
            .and_then(|entry| entry.parse_unless_empty(authserv_id)),
        resolvers: section.list("resolvers", resolver),
        timeout: section.time("timeout", 5 * SECOND),
        trusted_arc_sealers: section.list("trusted_arc_sealers", arc_sealer),
    };
    let mail = MailConfig {
        spam: root.section("mail").list("spam", SpamMark::parse).into(),
    };
    let section = root.section("dropped");
    let dropped = DroppedConfig {
        keep_content: section.time("keep_content", 7 * DAY),
        max_content: section.size("max_content", 1 << 30),
    };
    let section = root.section("retention");
    let retention = Retention {
        delivered_content: section.time("delivered_content", 30 * DAY),
        ledger: section.time("ledger", 365 * DAY),
        hook_calls: section.time("hook_calls", 7 * DAY),
        pending_accounts: section.time("pending_accounts", 90 * DAY),
    };
    let log = log::read(&root.section("log"));
    let canary = canary::read(&root.section("canary"), &data_dir);
    let mut destinations = known.destinations;
    if let Some(canary) = &canary {
        destinations.insert(canary.portal.destination.clone(), canary::arrives(canary));
    }
    let access = AccessSettings {
        site: access::site(&root.section("access")),
        portals: overrides,
    };

    let (outgoing, outgoing_concurrency) = outgoing?;
    let verification = verification?;
    let own_addresses = OwnAddresses::of(&verification, &portals, destinations.values());
    let own_links = own_links(&http, &verification).into();
    Some(Config {
        hostname: hostname?,
        data_dir,
        store: store?,
        site,
        smtp,
        http,
        portals,
        destinations,
        hooks,
        verification,
        outgoing,
        outgoing_concurrency,
        sso,
        authentication,
        mail,
        own_links,
        quota,
        dropped,
        retention,
        log,
        canary,
        digest,
        access,
        own_addresses,
        secret_files: root.document().secret_files.take(),
    })
}

/// The URL of the operators' pages, as far as it follows from the listeners.
fn operators_url(http: &Http) -> String {
    match http.admin_hosts.first() {
        Some(host) => format!("https://{host}"),
        None => format!("http://{}", http.admin_listen),
    }
}

/// The form of our own links in mail.
fn own_links(http: &Http, verification: &Verification) -> OwnLinks {
    let url = &http.public_url;
    let without_scheme = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let host = without_scheme.split(['/', ':']).next().unwrap_or_default();
    let reply = verification.reply_address.as_ref();
    OwnLinks::new(host, reply.map(EmailAddress::local))
}

/// The host name of this machine; `localhost` if it is not a domain, which SMTP requires.
#[must_use]
pub fn name_of_this_machine() -> Domain {
    let machine = rustix::system::uname();
    machine
        .nodename()
        .to_str()
        .ok()
        .and_then(|name| Domain::parse(name).ok())
        .or_else(|| Domain::parse("localhost").ok())
        .unwrap_or_else(|| unreachable!("localhost is a domain"))
}

/// The transport of verification mail, and its concurrency.
fn outgoing(root: &TomlSection<'_>) -> Option<(Outgoing, usize)> {
    let section = root.section("outgoing");
    if !section.is_there() {
        section.refuse(
            "is missing, so verification mail could not be sent; write [outgoing], \
             type = \"smtp\" and url = \"smtp://127.0.0.1:25\"",
        );
        return None;
    }
    destination::outgoing(section)
}

/// RFC 8601 2.2: a dot-atom or a word; without spaces, values can be compared as text.
pub(crate) fn authserv_id(text: &str) -> Result<String, String> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == ';') {
        return Err(format!(
            "{text:?} is not an authserv-id; copy the word at the start of your MTA's \
             Authentication-Results field"
        ));
    }
    Ok(text.to_owned())
}

/// The domain of an ARC seal (RFC 8617 4.1.3, `d=`).
fn arc_sealer(text: &str) -> Result<Domain, String> {
    Domain::parse(text).map_err(|cause| {
        format!("{cause}; write the domain after d= in the ARC-Seal field, as in google.com")
    })
}

/// A DNS server by its address, on port 53 by default (RFC 1035 4.2).
fn resolver(text: &str) -> Result<SocketAddr, String> {
    text.parse::<SocketAddr>()
        .or_else(|_| text.parse().map(|address: IpAddr| (address, 53).into()))
        .map_err(|_| {
            format!("{text:?} is not the address of a DNS server; write 127.0.0.1 or [::1]:5353")
        })
}

/// A network in CIDR notation, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| {
            format!("{text:?} is not a network; write 192.0.2.0/24, 2001:db8::/32 or one address")
        })
}
