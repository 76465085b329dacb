//! `/`: the state of the installation in figures and plots, over one period for the whole page. Its cost does
//! not grow with the ledger: entries are counted by day as they arrive, queues up to a bound and by hour.

use std::collections::BTreeMap;

use minijinja::context;

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::QueryFields;
use super::overview_plots::{
    PERIODS, depths_over_time, draw_domains, midnight, queues, verdicts, verification_times,
};
use crate::domain::{RequestState, Timestamp, Verdict};
use crate::store::Page;
use crate::web::page::WebPage;

/// Domains in the plot of dropped messages.
const DOMAINS: usize = 10;

pub(super) async fn show(
    call: PageCall,
    QueryFields(asked): QueryFields,
) -> Result<WebPage, Error> {
    let now = Timestamp::now();
    let period = asked.read("period", |name| PERIODS.iter().find(|own| own.name == name))?;
    let period = period.unwrap_or(&PERIODS[0]);
    let since = midnight(now, period.days);
    let store = call.app.store();
    let days = store.by_day(since).await?;
    let backlog = store.backlog().await?;
    let depths = store.backlog_history(since).await?;
    let times = store.verification_times(since).await?;
    let domains = store.dropped_domains(since, Page::first(DOMAINS)).await?;
    let domains = domains.rows;
    let paused = store.paused_destinations().await?;
    let verdict = |verdict| -> u64 {
        let counts = days.iter().filter(|count| count.verdict == verdict);
        counts.map(|count| count.messages).sum()
    };
    let state = |state| -> Option<String> {
        let found = backlog.iter().find(|backlog| backlog.state == state);
        found.map(|backlog| backlog.requests.to_string())
    };
    let mut reasons: BTreeMap<_, u64> = BTreeMap::new();
    for count in &days {
        *reasons
            .entry((count.verdict.as_str(), count.reason.as_str()))
            .or_default() += count.messages;
    }
    let reasons: Vec<_> = reasons
        .into_iter()
        .map(|((verdict, reason), messages)| {
            context! { verdict => verdict, reason => reason, messages => messages }
        })
        .collect();
    let periods = PERIODS.iter().map(|own| {
        context! { name => own.name, words => own.words, current => own.name == period.name }
    });
    Ok(call.operator.page(
        "operators/overview.html",
        context! {
            period => period.words,
            periods => periods.collect::<Vec<_>>(),
            since => since.to_string(),
            accepted => verdict(Verdict::Accepted),
            held => verdict(Verdict::Held),
            dropped => verdict(Verdict::Dropped),
            waiting => state(RequestState::Held),
            queued => state(RequestState::Released),
            failed => state(RequestState::Failed),
            reasons => reasons,
            paused => paused.iter().map(ToString::to_string).collect::<Vec<_>>(),
            verdicts => verdicts(&days, now, period),
            queues => queues(&backlog, &call.app),
            bounded => backlog.iter().any(|backlog| backlog.requests.more),
            depths => depths_over_time(&depths, now, period),
            any_waited => depths.iter().any(|depth| depth.held + depth.released + depth.failed > 0),
            any_depths => !depths.is_empty(),
            times => verification_times(&times),
            verified => times.len(),
            domains => draw_domains(&domains),
            any_dropped => !domains.is_empty(),
        },
    ))
}
