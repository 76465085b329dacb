//! `/dropped`: what was not passed on, the domains it came from, and the way back.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::input::{At, Body, MaybeBody, Query};
use super::output::{Json, Part};
use super::problem::{Problem, ProblemBody};
use super::route::Call;
use super::values::{Age, Limit, address};
use crate::domain::{DomainPattern, EmailAddress, LedgerId, PortalName, Reason, Verdict};
use crate::operations::{
    Dropped, MOST_AT_ONCE, Taken, bulk, force, recover as take_up, recoverable,
};
use crate::store::{DroppedDomain, LedgerFilter};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    #[param(inline, nullable = false)]
    reason: Option<Reason>,
    #[param(inline, nullable = false)]
    portal: Option<PortalName>,
    #[param(nullable = false, example = "bob@acme.example")]
    sender: Option<String>,
    /// At most so many.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// `next` of the part before.
    #[param(inline, value_type = Option<LedgerId>, nullable = false)]
    after: Option<String>,
}

pub(super) async fn list(
    call: Call,
    Query(filter): Query<Filter>,
) -> Result<Part<Dropped>, Problem> {
    let sender = filter.sender.as_deref();
    let filter = LedgerFilter {
        verdict: Some(Verdict::Dropped),
        reason: filter.reason,
        portal: call.app.portal(filter.portal)?,
        sender: sender.map(|text| address("sender", text)).transpose()?,
        page: filter.limit.page(filter.after),
        ..LedgerFilter::default()
    };
    let listed = call.app.store.ledger(filter).await?;
    let config = call.app.config();
    let row = |entry| Dropped::of(entry, &config);
    Ok(Part {
        items: listed.rows.into_iter().map(row).collect(),
        next: listed.next,
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct Ranking {
    /// Of so long ago until now; 30 days otherwise.
    #[param(inline, nullable = false)]
    since: Option<Age>,
    /// At most so many.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
}

pub(super) async fn domains(
    call: Call,
    Query(ranking): Query<Ranking>,
) -> Result<Part<DroppedDomain>, Problem> {
    let since = ranking.since.unwrap_or(Age::days(30)).ago();
    let domains = call.app.store.dropped_domains(since, ranking.limit.rows());
    Ok(Part::whole(domains.await?))
}

/// How to take a message up again; without it, it is decided again.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"force": true}))]
pub(super) struct Recovery {
    /// Release it as it is, whatever the reason; nobody gets a lasting pass by it.
    #[serde(default)]
    #[schema(required = false)]
    force: bool,
    /// With `force`: its sender, where it names none that can be used.
    #[serde(rename = "as")]
    #[schema(example = "bob@acme.example")]
    named: Option<String>,
}

impl Recovery {
    fn named(&self) -> Result<Option<EmailAddress>, Problem> {
        match &self.named {
            Some(_) if !self.force => Err(Problem::refused("as", "it takes force as well")),
            Some(text) => match EmailAddress::parse_customer(text) {
                Ok(named) => Ok(Some(named)),
                Err(error) => Err(Problem::refused("as", format_args!("{text:?}: {error}"))),
            },
            None => Ok(None),
        }
    }
}

pub(super) async fn recover(
    call: Call,
    (At(id), MaybeBody(how)): (At<LedgerId>, MaybeBody<Recovery>),
) -> Result<Json<Taken>, Problem> {
    let named = how.named()?;
    let (config, store, by) = (call.app.config(), &call.app.store, call.holder.actor());
    let taken = if how.force {
        force(store, &config, id, named, by).await
    } else {
        take_up(store, &config, id, by).await
    };
    Ok(Json(taken?))
}

/// Which entries: by their ids, or of a domain.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"domain": "acme.example"}))]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(super) struct Entries {
    #[schema(max_items = 1000)]
    entries: Option<Vec<LedgerId>>,
    /// The oldest 1000 of this domain; *.example.com for all of its subdomains.
    domain: Option<String>,
    /// Release these entries as they are, whatever the reason.
    #[serde(default)]
    #[schema(required = false)]
    force: bool,
}

/// What became of each.
#[derive(Serialize, ToSchema)]
pub(super) struct EntriesRecovered {
    /// Requests from now on.
    recovered: usize,
    /// Those that the settings of now drop too, and those that cannot be recovered.
    left: usize,
    items: Vec<EntryRecovered>,
}

/// One of many: what it is now, or why it cannot be recovered.
#[derive(Serialize, ToSchema)]
pub(super) struct EntryRecovered {
    ledger: LedgerId,
    recovered: Option<Taken>,
    problem: Option<ProblemBody>,
}

pub(super) async fn recover_many(
    call: Call,
    Body(wanted): Body<Entries>,
) -> Result<Json<EntriesRecovered>, Problem> {
    let is_forced = wanted.force;
    if is_forced && wanted.entries.is_none() {
        return Err(Problem::refused("force", "name the entries"));
    }
    let ids = match (wanted.entries, wanted.domain) {
        (Some(entries), None) if entries.len() <= MOST_AT_ONCE => entries,
        (Some(_), None) => return Err(Problem::malformed("entries: name at most 1000")),
        (None, Some(domain)) => {
            let pattern =
                DomainPattern::parse(&domain).map_err(|error| Problem::refused("domain", error))?;
            recoverable(&call.app.store, Some(pattern), MOST_AT_ONCE).await?
        }
        _ => return Err(Problem::refused("entries", "name entries or a domain")),
    };
    let config = call.app.config();
    let outcomes = bulk(ids, |id| {
        let (call, config) = (call.clone(), config.clone());
        async move {
            let (store, by) = (&call.app.store, call.holder.actor());
            if is_forced {
                force(store, &config, id, None, by).await
            } else {
                take_up(store, &config, id, by).await
            }
        }
    })
    .await?;
    let items: Vec<_> = outcomes
        .into_iter()
        .map(|(ledger, outcome)| {
            let (recovered, problem) = match outcome {
                Ok(taken) => (Some(taken), None),
                Err(error) => (None, Some(Problem::from(error).written())),
            };
            EntryRecovered {
                ledger,
                recovered,
                problem,
            }
        })
        .collect();
    let is_back = |item: &&EntryRecovered| {
        let taken = item.recovered.as_ref();
        taken.is_some_and(|taken| taken.request.is_some())
    };
    let recovered = items.iter().filter(is_back).count();
    Ok(Json(EntriesRecovered {
        recovered,
        left: items.len() - recovered,
        items,
    }))
}
