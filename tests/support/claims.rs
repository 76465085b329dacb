//! Claims requests and verification mail, and settles them, one step at a time.
//!
//! The daemon's workers settle and claim in one transaction. Each function here does one of the two and leaves the
//! other empty.

use std::time::Duration;

use vestibule::config::MailLimits;
use vestibule::domain::{AddressDelimiters, DestinationName, PortalName, Timestamp};
use vestibule::store::{
    Claim, ClaimedMail, MailOutcome, RunLimits, Settled, Settlement, Store, TokenHashes,
    VerificationMail,
};

/// A destination that is never paused.
fn destination() -> DestinationName {
    DestinationName::parse("help-desk").expect("a name")
}

/// Claims up to `limit` due heads of the queues of these portals, each alone.
pub async fn claim_deliveries(
    store: &Store,
    portals: &[PortalName],
    limit: usize,
    lease_until: Timestamp,
    now: Timestamp,
) -> Vec<Claim> {
    let destination = destination();
    let limits = RunLimits {
        runs: limit,
        requests: 1,
        octets: u64::MAX,
    };
    let round =
        store.settle_and_claim_deliveries(&destination, portals, [], limits, lease_until, now);
    let round = round.await.expect("a claim");
    assert!(round.unread.is_none(), "{round:?}");
    let deliveries = round.runs.into_iter().flatten();
    deliveries.map(|delivery| delivery.claim).collect()
}

/// Records one outcome and claims nothing.
pub async fn settle_delivery(
    store: &Store,
    claim: &Claim,
    settlement: Settlement,
    now: Timestamp,
) -> Settled {
    let destination = destination();
    let nothing = RunLimits {
        runs: 0,
        requests: 0,
        octets: 0,
    };
    let outcomes = [(claim, settlement, now)];
    let round = store.settle_and_claim_deliveries(&destination, &[], outcomes, nothing, now, now);
    round.await.expect("settled").settled[0]
}

/// Claims as many due mails as there are tokens, within the limits.
pub async fn claim_mail(
    store: &Store,
    tokens: impl IntoIterator<Item = impl Into<TokenHashes>>,
    limits: MailLimits,
    token_ttl: Duration,
    now: Timestamp,
) -> ClaimedMail {
    let tokens = tokens.into_iter().map(Into::into).collect();
    let round = store
        .settle_and_claim_mail([], tokens, limits, token_ttl, now)
        .await;
    round.expect("a claim").1
}

/// Records one outcome and claims nothing.
pub async fn settle_mail(
    store: &Store,
    mail: &VerificationMail,
    outcome: MailOutcome,
    now: Timestamp,
) -> Settled {
    // Limits apply to claims only.
    let limits = MailLimits {
        per_address_hour: 0,
        per_address_day: 0,
        per_domain_hour: 0,
        total_hour: 0,
        sign_up_hour: 0,
        sign_up_per_client_hour: 0,
        authenticated_hour: 0,
        delimiters: AddressDelimiters::PLUS,
    };
    let outcomes = [(mail, outcome, now)];
    let round = store.settle_and_claim_mail(outcomes, Vec::new(), limits, Duration::ZERO, now);
    round.await.expect("settled").0[0]
}
