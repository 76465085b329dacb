//! `/dropped`: dropped messages, the domains they came from, and their recovery.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api_route::Call;
use super::input::{At, Body, MaybeBody, Query};
use super::output::{ApiJson, ListBody};
use super::problem::{Problem, ProblemBody};
use super::values::{Limit, PointInTime};
use crate::domain::{DomainPattern, EmailAddress, LedgerId, PortalName, Reason, Verdict};
use crate::operations::{
    DroppedMessage, MAX_BULK_ITEMS, RecoveryOutcome, Tally, list_recoverable, order_by_time,
    recover as decide_again, recover_many as decide_many_again, release_dropped,
    release_many_dropped,
};
use crate::store::{DroppedDomain, LedgerFilter};

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DroppedQuery {
    #[param(inline)]
    reason: Option<Reason>,
    #[param(inline)]
    portal: Option<PortalName>,
    /// An address, or a part of one: `@acme.example`.
    #[param(example = "bob@acme.example")]
    sender: Option<String>,
    /// Only messages received since then.
    #[param(inline)]
    since: Option<PointInTime>,
    /// Only messages received before then.
    #[param(inline)]
    until: Option<PointInTime>,
    /// The oldest first.
    oldest_first: bool,
    /// Maximum number of messages.
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page.
    #[param(inline, value_type = Option<LedgerId>)]
    after: Option<String>,
}

pub(super) async fn list(
    call: Call,
    Query(filter): Query<DroppedQuery>,
) -> Result<ListBody<DroppedMessage>, Problem> {
    let filter = LedgerFilter {
        verdict: Some(Verdict::Dropped),
        reason: filter.reason,
        portal: call.app.listed_portal(filter.portal).await?,
        received_after: filter.since.map(PointInTime::timestamp),
        received_before: filter.until.map(PointInTime::timestamp),
        order: order_by_time(filter.oldest_first),
        page: filter.limit.page(filter.after),
        ..LedgerFilter::default()
    }
    .of_sender(filter.sender.as_deref());
    let listed = call.app.store.ledger(filter).await?;
    let config = call.app.config();
    let row = |entry| DroppedMessage::of(entry, &config);
    Ok(ListBody {
        items: listed.rows.into_iter().map(row).collect(),
        next: listed.next,
    })
}

#[derive(Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RankingQuery {
    /// Only messages received since then; 30 days by default.
    #[param(inline)]
    since: Option<PointInTime>,
    /// Maximum number of domains.
    #[param(inline)]
    limit: Limit,
    /// `next` of the previous page.
    after: Option<String>,
}

pub(super) async fn domains(
    call: Call,
    Query(query): Query<RankingQuery>,
) -> Result<ListBody<DroppedDomain>, Problem> {
    let since = query.since.unwrap_or(PointInTime::days_ago(30)).timestamp();
    let page = query.limit.page(query.after);
    Ok(call.app.store.dropped_domains(since, page).await?.into())
}

/// Options of the recovery; by default the message is decided again.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"force": true}))]
pub(super) struct Recovery {
    /// Release it whatever the reason. Later messages of the sender are not affected.
    #[serde(default)]
    force: bool,
    /// With `force`: the sender, if the message has no usable one.
    #[serde(rename = "as")]
    #[schema(example = "bob@acme.example")]
    named: Option<String>,
    /// The portal, if the message was sent to an address of Vestibule's own.
    portal: Option<PortalName>,
}

impl Recovery {
    fn sender(&self) -> Result<Option<EmailAddress>, Problem> {
        match &self.named {
            Some(_) if !self.force => Err(Problem::of_field("as", "it requires force")),
            Some(text) => match EmailAddress::parse_customer(text) {
                Ok(named) => Ok(Some(named)),
                Err(error) => Err(Problem::of_field("as", format_args!("{text:?}: {error}"))),
            },
            None => Ok(None),
        }
    }
}

pub(super) async fn recover(
    call: Call,
    (At(id), MaybeBody(how)): (At<LedgerId>, MaybeBody<Recovery>),
) -> Result<ApiJson<RecoveryOutcome>, Problem> {
    let named = how.sender()?;
    let portal = call.app.portal(how.portal)?;
    let (config, store, by) = (call.app.config(), &call.app.store, call.holder.actor());
    let taken = if how.force {
        release_dropped(store, &config, id, named, portal.as_ref(), by).await
    } else {
        decide_again(store, &config, id, portal.as_ref(), by).await
    };
    Ok(ApiJson(taken?))
}

/// Entries to recover: by their ids, or of a domain.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Entries, example = json!({"domain": "acme.example"}))]
pub(super) struct EntriesToRecover {
    #[schema(max_items = 1000)]
    entries: Option<Vec<LedgerId>>,
    /// The oldest 1000 of this domain that came for a portal; *.example.com for all of its subdomains.
    domain: Option<String>,
    /// Release these entries whatever the reason.
    #[serde(default)]
    force: bool,
    /// With `entries`: the portal, if the messages were sent to an address of Vestibule's own.
    portal: Option<PortalName>,
}

/// The outcome for each entry.
#[derive(Serialize, ToSchema)]
pub(super) struct EntriesRecovered {
    /// Entries that are requests now.
    recovered: usize,
    /// Entries that the current settings still drop, and those that cannot be recovered.
    left: usize,
    items: Vec<EntryRecovered>,
}

/// One entry of a bulk recovery: its new state, or the reason why it cannot be recovered.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryRecovered {
    ledger: LedgerId,
    recovered: Option<RecoveryOutcome>,
    problem: Option<ProblemBody>,
}

pub(super) async fn recover_many(
    call: Call,
    Body(wanted): Body<EntriesToRecover>,
) -> Result<ApiJson<EntriesRecovered>, Problem> {
    let is_forced = wanted.force;
    if is_forced && wanted.entries.is_none() {
        return Err(Problem::of_field("force", "name the entries"));
    }
    if wanted.portal.is_some() && wanted.entries.is_none() {
        return Err(Problem::of_field("portal", "name the entries"));
    }
    let portal = call.app.portal(wanted.portal)?;
    let ids = match (wanted.entries, wanted.domain) {
        (Some(entries), None) if entries.len() <= MAX_BULK_ITEMS => entries,
        (Some(_), None) => {
            let detail = format!("entries: name at most {MAX_BULK_ITEMS}");
            return Err(Problem::bad_input(detail));
        }
        (None, Some(domain)) => {
            let pattern = DomainPattern::parse(&domain)
                .map_err(|error| Problem::of_field("domain", error))?;
            list_recoverable(&call.app.store, Some(pattern), MAX_BULK_ITEMS).await?
        }
        _ => return Err(Problem::of_field("entries", "name entries or a domain")),
    };
    let (config, store, by) = (call.app.config(), &call.app.store, call.holder.actor());
    let outcomes = if is_forced {
        release_many_dropped(store, &config, ids, None, portal.as_ref(), &by).await?
    } else {
        decide_many_again(store, &config, ids, portal.as_ref(), &by).await?
    };
    let tally = Tally::of(&outcomes, RecoveryOutcome::is_request);
    let items = outcomes
        .into_iter()
        .map(|(ledger, outcome)| {
            let (recovered, problem) = match outcome {
                Ok(taken) => (Some(taken), None),
                Err(error) => (None, Some(Problem::from(error).body())),
            };
            EntryRecovered {
                ledger,
                recovered,
                problem,
            }
        })
        .collect();
    Ok(ApiJson(EntriesRecovered {
        recovered: tally.done,
        left: tally.failed,
        items,
    }))
}
