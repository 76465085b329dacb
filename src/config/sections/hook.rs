//! `[[hook]]`: endpoints that are called about events.

use std::collections::BTreeSet;

use super::{endpoint, retry};
use crate::config::Hook;
use crate::config::document::TomlSection;
use crate::domain::{DestinationName, EventPattern, canary};

/// Maximum concurrency. Calls about the same account are made one after the other, so a higher value has no use.
const MAX_CONCURRENCY: usize = 100;

/// Reads the hooks. Their names must differ from those of destinations, since either can be paused by its name.
pub(super) fn read_all(
    root: &TomlSection<'_>,
    destinations: &BTreeSet<DestinationName>,
) -> Vec<Hook> {
    let mut names = BTreeSet::new();
    let mut hooks = Vec::new();
    for section in root.sections("hook") {
        let name = section.require("name", "\"directory\"").and_then(|entry| {
            let name = entry.parse(DestinationName::parse)?;
            if canary::owns(&name) {
                entry.refuse("is the name of our own canary; choose another name");
            } else if destinations.contains(&name) {
                entry.refuse(format_args!(
                    "{name} is a destination; give the hook another name"
                ));
            } else if !names.insert(name.clone()) {
                entry.refuse(format_args!("another hook is called {name}"));
            }
            Some(name)
        });
        let events = section
            .require("events", "[\"account.*\", \"request.*\"]")
            .and_then(|entry| {
                let events = entry.list(EventPattern::parse)?;
                if entry.array().is_some_and(|items| items.is_empty()) {
                    entry.refuse("names no event; write [\"account.*\"], or remove the hook");
                }
                Some(events)
            });
        let endpoint = endpoint::read(&section, "\"https://directory.corp.example/vestibule\"");
        let concurrency = section.number("concurrency", 4, 1..=MAX_CONCURRENCY);
        let retry = retry::read(&section);
        if let (Some(name), Some(events), Some(endpoint)) = (name, events, endpoint) {
            hooks.push(Hook {
                name,
                events,
                endpoint,
                concurrency,
                retry,
            });
        }
    }
    hooks
}
