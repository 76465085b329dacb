//! `[canary]`: the message that Vestibule sends to itself at an interval, with its own portal and
//! destination.

use std::path::Path;

use crate::config::document::TomlSection;
use crate::config::units::SECOND;
use crate::config::{Canary, Destination, MaildirDestination, Portal, RetrySchedule};
use crate::domain::canary;

/// `None` without an interval.
pub(super) fn read(section: &TomlSection<'_>, data_dir: &Path) -> Option<Canary> {
    let interval = section.entry("interval").and_then(|entry| entry.time());
    let timeout = section.time("patience", 30 * SECOND);
    let portal = Portal {
        name: canary::portal(),
        title: "Canary".to_owned(),
        url: None,
        contact: None,
        language: None,
        from: None,
        addresses: vec![canary::address()],
        destination: canary::destination(),
        list_ids: Vec::new(),
        automatic_mail: false,
    };
    Some(Canary {
        interval: interval?,
        timeout,
        portal,
        folder: data_dir.join("canary"),
    })
}

/// The destination of the canary.
pub(super) fn arrives(canary: &Canary) -> Destination {
    Destination::Maildir(MaildirDestination {
        path: canary.folder.clone(),
        group: false,
        retry: RetrySchedule::default(),
    })
}
