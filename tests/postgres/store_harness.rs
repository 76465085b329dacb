//! Stores on a server, and sample messages.

use std::time::Duration;

use jiff::Timestamp;
use vestibule::access::AccessSettings;
use vestibule::config::{PostgresServer, Quota};
use vestibule::domain::DomainPattern;
use vestibule::mail::{Facts, Fingerprint};
use vestibule::store::{Arrival, ArrivalOutcome, ArrivalPart, Location, Store, StoreError};

use crate::support::arrival;
use crate::support::postgres::{Schema, server};

/// The place of a store by its URL.
pub fn location(url: &str) -> Location {
    PostgresServer::parse(url).expect(url).into()
}

/// Opens a store as a node of its own.
pub async fn open(url: &str) -> Store {
    let location = location(url);
    let opened = tokio::task::spawn_blocking(move || Store::open(&location)).await;
    opened.expect("a thread").expect("a store")
}

/// Opens a store whose settings take mail from everybody at `corp.example`.
pub async fn open_seeded(url: &str) -> Store {
    let store = open(url).await;
    let mut settings = AccessSettings::default();
    let pattern = DomainPattern::parse("corp.example").expect("a pattern");
    settings.site.internal.approved_domains = vec![pattern].into();
    let seeded = store.seed_access(settings, Timestamp::now()).await;
    seeded.expect("settings");
    store
}

/// Mail for the portal `it`.
pub fn mail(from: &str, message_id: &str) -> Arrival {
    let mut print = [0; 32];
    for (octet, value) in print.iter_mut().zip(message_id.bytes()) {
        *octet = value;
    }
    Arrival {
        envelope: arrival::envelope(from, &["it"]),
        facts: Facts {
            fingerprint: Fingerprint(print),
            ..arrival::facts(from, message_id)
        },
        raw: format!("From: {from}\r\nMessage-ID: <{message_id}>\r\n\r\nHelp!\r\n").into_bytes(),
        parts: vec![ArrivalPart::Portal {
            recipient: arrival::address_of("it"),
            circumstances: arrival::plain_circumstances("it"),
        }],
        received_at: Timestamp::now(),
        quota: Quota {
            requests: 1000,
            bytes: 1 << 30,
        },
        hold_for: Duration::from_hours(24),
        keep_dropped: Duration::from_hours(24),
        max_dropped: 1 << 30,
        client: None,
    }
}

/// Accepts one message.
pub async fn accept(store: &Store, from: &str, id: &str) -> Result<ArrivalOutcome, StoreError> {
    let outcomes = store.accept(mail(from, id)).await?;
    Ok(outcomes.into_iter().next().expect("one entry"))
}

/// Number of entries with this Message-ID, as the server has them.
pub fn count(schema: &Schema, id: &str) -> usize {
    let sql = format!("SELECT count(*) FROM ledger WHERE facts LIKE '%\"{id}\"%'");
    let rows = server().run(&schema.name, &sql);
    rows[0].parse().expect("a number")
}

pub async fn assert_sound(store: &Store) {
    let violations = store.check_invariants().await.expect("checked");
    assert!(violations.is_empty(), "{violations:?}");
}
