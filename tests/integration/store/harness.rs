//! A store in a database of its own with a clock that the test controls, and sample messages.

use std::time::Duration;

use crate::database::Database;
use crate::support::arrival;
use crate::support::claims::{claim_deliveries, claim_mail, settle_delivery, settle_mail};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::ProptestConfig;
use vestibule::access::AccessSettings;
use vestibule::config::{MailLimits, Quota};
use vestibule::domain::{
    Actor, DestinationName, DomainPattern, EmailAddress, Interface, PortalName, RequestId, Token,
    TokenHash,
};
use vestibule::mail::{Facts, Fingerprint};
use vestibule::store::{
    Arrival, ArrivalOutcome, ArrivalPart, Claim, MailOutcome, NextWork, Request, Settled,
    Settlement, Store, VerificationMail,
};

pub const LIMITS: MailLimits = MailLimits {
    per_address_hour: 1,
    per_address_day: 3,
    per_domain_hour: 100,
    total_hour: 1000,
    sign_up_hour: 200,
    sign_up_per_client_hour: 40,
    authenticated_hour: 200,
    delimiters: vestibule::domain::AddressDelimiters::PLUS,
};

pub const DAY: Duration = Duration::from_hours(24);

pub struct Harness {
    pub store: Store,
    pub database: Database,
}

/// Configuration of a test of random sequences. The variable `PROPTEST_CASES` replaces their number.
pub fn random_sequences() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: cases
            .and_then(|number| number.parse().ok())
            .unwrap_or(Database::CASES),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Runs one case of such a test in a runtime of its own.
pub fn block_on(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(case);
}

/// The start time of every test, plus a duration.
pub fn at(after: Duration) -> Timestamp {
    let start = Timestamp::from_second(1_800_000_000).expect("a time");
    start
        .checked_add(SignedDuration::try_from(after).expect("not that long"))
        .expect("a time")
}

pub fn minutes(count: u64) -> Timestamp {
    at(Duration::from_mins(count))
}

pub fn start() -> Timestamp {
    at(Duration::ZERO)
}

pub fn address(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect(text)
}

/// An operator at the command line.
pub fn operator(name: &str) -> Actor {
    Actor::operator(name, Interface::CommandLine)
}

pub fn portal(name: &str) -> PortalName {
    PortalName::parse(name).expect(name)
}

/// `corp.example` is internal, `closed.example` is refused, and all others need no verification.
pub fn settings() -> AccessSettings {
    let mut settings = AccessSettings::default();
    let pattern = DomainPattern::parse("corp.example").expect("a pattern");
    settings.site.internal.approved_domains = vec![pattern].into();
    settings.site.internal.default_groups = vec!["desk-users".to_owned()];
    settings
}

impl Harness {
    /// Opens a store with the access settings above as revision 1.
    pub async fn open() -> Self {
        let database = Database::new();
        let store = database.open();
        let seeded = store.seed_access(settings(), start()).await;
        assert!(seeded.expect("settings"));
        Self { store, database }
    }

    /// Opens the same database in another process, or after a restart.
    pub fn again(&self) -> Store {
        self.database.open()
    }

    pub async fn accept(&self, arrival: Arrival) -> ArrivalOutcome {
        let entries = self.store.accept(arrival).await.expect("accepted");
        entries.into_iter().next().expect("one entry for each part")
    }

    /// Claims the due heads of the queues of `it` and `hr` for ten minutes.
    pub async fn claim(&self, now: Timestamp) -> Vec<Claim> {
        let portals = [portal("it"), portal("hr")];
        let lease_until = now + SignedDuration::from_mins(10);
        claim_deliveries(&self.store, &portals, 10, lease_until, now).await
    }

    pub async fn settle(&self, claim: &Claim, settlement: Settlement, now: Timestamp) -> Settled {
        settle_delivery(&self.store, claim, settlement, now).await
    }

    /// Time at which a request of these portals can be claimed.
    pub async fn next_delivery(&self, portals: &[PortalName]) -> NextWork {
        let destination = DestinationName::parse("help-desk").expect("a name");
        let next = self.store.next_delivery_work(&destination, portals);
        next.await.expect("read")
    }

    /// Forgets all content that expired by then. Repeats its step, which ends early if the machine is busy.
    pub async fn delete_expired_content(&self, now: Timestamp, keep_settled: Duration) {
        let step = async || {
            self.store
                .delete_expired_content(now, keep_settled, 100)
                .await
        };
        while step().await.expect("a step").more {}
    }

    /// Forgets all entries that are old enough. Returns their number.
    pub async fn delete_expired_entries(&self, now: Timestamp, keep: Duration) -> usize {
        let mut forgotten = 0;
        loop {
            let step = self.store.delete_expired_entries(now, keep, 10).await;
            let step = step.expect("a step");
            forgotten += step.done;
            if !step.more {
                return forgotten;
            }
        }
    }

    /// Expires all requests that were held for too long.
    pub async fn expire_holds(&self, now: Timestamp) {
        let step = async || self.store.expire_holds(now, 100).await;
        while step().await.expect("a step").more {}
    }

    /// Asserts that no invariant of the database is violated.
    pub async fn assert_sound(&self) {
        let violations = self.store.check_invariants().await.expect("checked");
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// The request with this id.
    pub async fn request(&self, id: RequestId) -> Request {
        let found = self.store.request(id).await.expect("read");
        found.expect("there")
    }

    /// Claims at most one verification mail, with its token.
    pub async fn verification_mail(&self, now: Timestamp) -> Option<(VerificationMail, TokenHash)> {
        let token = token();
        let claimed = claim_mail(&self.store, vec![token], LIMITS, 7 * DAY, now).await;
        claimed
            .verification_mails
            .into_iter()
            .next()
            .map(|verification_mail| (verification_mail, token))
    }

    /// Sends a verification mail, and returns its token.
    pub async fn sent(&self, now: Timestamp) -> TokenHash {
        let (verification_mail, token) = self
            .verification_mail(now)
            .await
            .expect("a verification mail is due");
        settle_mail(&self.store, &verification_mail, MailOutcome::Sent, now).await;
        token
    }
}

pub fn token() -> TokenHash {
    Token::generate().expect("random bytes").hash()
}

pub fn facts(from: &str, message_id: &str) -> Facts {
    let mut print = [0; 32];
    for (octet, value) in print.iter_mut().zip(message_id.bytes()) {
        *octet = value;
    }
    Facts {
        fingerprint: Fingerprint(print),
        ..arrival::facts(from, message_id)
    }
}

pub fn to(name: &str) -> ArrivalPart {
    ArrivalPart::Portal {
        recipient: arrival::address_of(name),
        circumstances: arrival::plain_circumstances(name),
    }
}

/// Mail for the portal `it`.
pub fn mail(from: &str, message_id: &str, received_at: Timestamp) -> Arrival {
    Arrival {
        envelope: arrival::envelope(from, &["it"]),
        facts: facts(from, message_id),
        raw: format!("From: {from}\r\nMessage-ID: <{message_id}>\r\n\r\nIt is on fire.\r\n")
            .into_bytes(),
        parts: vec![to("it")],
        received_at,
        quota: Quota {
            requests: 20,
            bytes: 100 * 1024 * 1024,
        },
        hold_for: 14 * DAY,
        keep_dropped: 7 * DAY,
        max_dropped: 1 << 30,
        client: None,
    }
}
