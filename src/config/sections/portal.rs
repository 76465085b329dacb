//! `[[portal]]`: each with its own addresses and an existing destination.

use std::collections::{BTreeMap, BTreeSet};

use super::access;
use super::site::{Languages, optional_text};
use super::verification::author;
use crate::access::Overrides;
use crate::config::Portal;
use crate::config::document::TomlSection;
use crate::config::entry::TomlEntry;
use crate::config::server_url::parse_http;
use crate::config::unknown_name::nearest;
use crate::domain::{DestinationName, EmailAddress, PortalName, canary, join};

/// Every mailbox that accepts mail, with its owner.
#[derive(Default)]
pub(super) struct Mailboxes(BTreeMap<String, String>);

impl Mailboxes {
    /// Parses an address and refuses one that is already in use.
    pub fn take(&mut self, text: &str, owner: &str) -> Result<EmailAddress, String> {
        let address = EmailAddress::parse(text)
            .map_err(|cause| format!("{text:?}: {cause}; write help@corp.example"))?;
        match self.0.insert(address.key(), owner.to_owned()) {
            Some(other) => Err(format!(
                "{address} already belongs to {other}; an address can have only one owner"
            )),
            None => Ok(address),
        }
    }

    /// The owner of the mailbox that accepts mail for an address, exact or as a subaddress (RFC 5233).
    pub fn owner(&self, address: &EmailAddress) -> Option<&str> {
        let owner = |address: &EmailAddress| self.0.get(&address.key());
        owner(address)
            .or_else(|| owner(&address.without_detail()))
            .map(String::as_str)
    }
}

pub(super) fn read_all<'d>(
    root: &TomlSection<'d>,
    destinations: &BTreeSet<DestinationName>,
    languages: &mut Languages<'d>,
) -> (Vec<Portal>, BTreeMap<PortalName, Overrides>, Mailboxes) {
    let mut portals: Vec<Portal> = Vec::new();
    let mut overrides = BTreeMap::new();
    let mut mailboxes = Mailboxes::default();
    let mut names = BTreeSet::new();
    let mut authors: Vec<(TomlEntry<'d>, Option<usize>)> = Vec::new();
    let sections = root.sections("portal");
    if sections.is_empty() && root.entry("portal").is_none() {
        root.refuse("there is no portal; write [[portal]] with name, addresses and destination");
    }
    for mut section in sections {
        let name = section.require("name", "\"it\"").and_then(|entry| {
            let name = entry.parse(PortalName::parse)?;
            if name.as_str() == canary::NAME {
                entry.refuse("is the name of our own canary; choose another name");
            }
            if !names.insert(name.clone()) {
                entry.refuse(format_args!(
                    "there is another portal {:?}; choose another name",
                    name.as_str()
                ));
            }
            Some(name)
        });
        if let Some(name) = &name {
            section.place.label = format!("portal[{name}]");
        }
        let author = section.entry("from");
        let language = languages.read(&section);
        let (portal, own) = read(&section, name, destinations, &mut mailboxes);
        let place = portal.is_some().then_some(portals.len());
        authors.extend(author.map(|entry| (entry, place)));
        let portal = portal.map(|portal| Portal { language, ..portal });
        if let Some(portal) = portal {
            if !own.is_empty() {
                overrides.insert(portal.name.clone(), own);
            }
            portals.push(portal);
        }
    }
    // Authors are checked after all portals, when all mailboxes are known.
    for (entry, place) in authors {
        let from = entry.parse_unless_empty(|text| author(text, &mailboxes));
        if let Some(portal) = place.and_then(|place| portals.get_mut(place)) {
            portal.from = from;
        }
    }
    (portals, overrides, mailboxes)
}

fn read(
    section: &TomlSection<'_>,
    name: Option<PortalName>,
    destinations: &BTreeSet<DestinationName>,
    mailboxes: &mut Mailboxes,
) -> (Option<Portal>, Overrides) {
    let owner = name.as_ref().map_or_else(
        || "another portal".to_owned(),
        |name| format!("portal {:?}", name.as_str()),
    );
    let addresses = section
        .require("addresses", "[\"help@corp.example\"]")
        .and_then(|entry| {
            if entry.array().is_some_and(|items| items.is_empty()) {
                entry.refuse("is empty; no mail could be received");
            }
            entry.list(|text| mailboxes.take(text, &owner))
        });
    let destination = section
        .require("destination", "\"helpdesk\"")
        .and_then(|entry| {
            let name = entry.parse(DestinationName::parse)?;
            if !destinations.contains(&name) {
                entry.refuse(no_such_destination(&name, destinations));
            }
            Some(name)
        });
    let title = section.entry("title").and_then(|entry| entry.some_text());
    let url = section.entry("url").and_then(|entry| {
        entry.parse_unless_empty(|text| parse_http(text).map(|_| text.to_owned()))
    });
    let contact = optional_text(section, "contact");
    let list_ids = section.list("list_ids", list_id);
    let automatic_mail = section.switch("automatic_mail", false);
    let own = access::overrides(section.section("access"));

    let portal = match (name, addresses, destination) {
        (Some(name), Some(addresses), Some(destination)) => Some(Portal {
            title: title.unwrap_or(name.as_str()).to_owned(),
            url,
            contact,
            language: None,
            from: None,
            addresses,
            destination,
            list_ids,
            automatic_mail,
            name,
        }),
        _ => None,
    };
    (portal, own)
}

fn no_such_destination(name: &DestinationName, known: &BTreeSet<DestinationName>) -> String {
    let name = name.as_str();
    if let Some(meant) = nearest(name, known.iter().map(DestinationName::as_str)) {
        return format!("there is no destination {name:?}; did you mean {meant:?}?");
    }
    if known.is_empty() {
        format!("there is no destination {name:?}; write [destination.{name}]")
    } else {
        format!(
            "there is no destination {name:?}; write [destination.{name}], or name one of {}",
            join(known, ", ")
        )
    }
}

/// RFC 2919 2: the text between the angle brackets, compared case-insensitively.
fn list_id(text: &str) -> Result<String, String> {
    let id = text.trim();
    let id = id
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(id);
    if id.is_empty() || id.contains(|c: char| c.is_whitespace() || "<>".contains(c)) {
        return Err(format!(
            "{text:?} is not a list identifier; copy what List-Id has between < and >"
        ));
    }
    Ok(id.to_lowercase())
}
