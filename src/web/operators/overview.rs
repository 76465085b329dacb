//! `/`: the state of the installation in figures and plots. Its cost does not grow with the ledger: entries
//! are counted by day as they arrive, and queues only up to a bound.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use jiff::SignedDuration;
use minijinja::{Value, context};

use super::AppState;
use super::auth::CurrentOperator;
use super::error::Error;
use super::plot::{Bar, Plot};
use crate::domain::{PortalName, RequestState, Timestamp, Verdict};
use crate::operations::PREVIEW_PERIOD;
use crate::store::{Backlog, DayCount, DroppedDomain};
use crate::web::page::WebPage;

/// Days in the plot of verdicts, and in the figures, including today.
const DAYS: i64 = 14;
const WEEK: i64 = 7;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Domains in the plot of dropped messages.
const DOMAINS: usize = 10;

/// Upper bounds of the columns in the plot of verification times.
const STEPS: [(&str, Duration); 8] = [
    ("5 min", Duration::from_mins(5)),
    ("15 min", Duration::from_mins(15)),
    ("1 h", Duration::from_hours(1)),
    ("4 h", Duration::from_hours(4)),
    ("1 d", Duration::from_hours(24)),
    ("3 d", Duration::from_hours(3 * 24)),
    ("7 d", Duration::from_hours(7 * 24)),
    ("longer", Duration::MAX),
];

pub(super) async fn show(
    State(app): State<Arc<AppState>>,
    Extension(operator): Extension<CurrentOperator>,
) -> Result<WebPage, Error> {
    let now = Timestamp::now();
    let month = now.saturating_sub(PREVIEW_PERIOD).unwrap_or(Timestamp::MIN);
    let store = app.store();
    let days = store.by_day(midnight(now, DAYS)).await?;
    let backlog = store.backlog().await?;
    let proofs = store.proof_times(month).await?;
    let domains = store.dropped_domains(month, DOMAINS).await?;
    let paused = store.paused_destinations().await?;
    let week: Vec<_> = days
        .iter()
        .filter(|count| count.day >= midnight(now, WEEK))
        .collect();
    let verdict = |verdict| -> u64 {
        let counts = week.iter().filter(|count| count.verdict == verdict);
        counts.map(|count| count.messages).sum()
    };
    let state = |state| -> Option<String> {
        let found = backlog.iter().find(|backlog| backlog.state == state);
        found.map(|backlog| backlog.requests.to_string())
    };
    let mut reasons: BTreeMap<_, u64> = BTreeMap::new();
    for count in &week {
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
    Ok(operator.page(
        "operators/overview.html",
        context! {
            accepted => verdict(Verdict::Accepted),
            held => verdict(Verdict::Held),
            dropped => verdict(Verdict::Dropped),
            waiting => state(RequestState::Held),
            queued => state(RequestState::Released),
            failed => state(RequestState::Failed),
            reasons => reasons,
            paused => paused.iter().map(ToString::to_string).collect::<Vec<_>>(),
            verdicts => verdicts(&days, now),
            queues => queues(&backlog),
            bounded => backlog.iter().any(|backlog| backlog.requests.more),
            proofs => proof_times(&proofs),
            proved => proofs.len(),
            domains => draw_domains(&domains),
            any_dropped => !domains.is_empty(),
        },
    ))
}

/// Midnight (UTC) of the first of `days` days, the last of which is today.
fn midnight(now: Timestamp, days: i64) -> Timestamp {
    let today = now.as_second().div_euclid(DAY.as_secs());
    Timestamp::from_second((today - days + 1) * DAY.as_secs()).unwrap_or(Timestamp::MIN)
}

fn verdicts(counts: &[DayCount], now: Timestamp) -> Value {
    let first = midnight(now, DAYS);
    let bars: Vec<_> = (0..DAYS)
        .map(|place| {
            let day = first + DAY * i32::try_from(place).unwrap_or(0);
            let of = |verdict| -> u64 {
                let found = counts
                    .iter()
                    .filter(|count| count.day == day && count.verdict == verdict);
                found.map(|count| count.messages).sum()
            };
            Bar {
                name: day.strftime("%Y-%m-%d").to_string(),
                // The month on its first day.
                label: Some(if place == 0 || day.strftime("%d").to_string() == "01" {
                    day.strftime("%-d %b").to_string()
                } else {
                    day.strftime("%-d").to_string()
                }),
                pieces: [Verdict::Accepted, Verdict::Held, Verdict::Dropped]
                    .map(of)
                    .to_vec(),
            }
        })
        .collect();
    let plot = Plot {
        id: "verdicts",
        title: "Messages by day and verdict",
        about: "Day (UTC)",
        pieces: &["accepted", "held", "dropped"],
    };
    plot.columns(&bars)
}

fn queues(backlog: &[Backlog]) -> Value {
    let mut portals: BTreeMap<&PortalName, Vec<u64>> = BTreeMap::new();
    for (place, of_state) in backlog.iter().enumerate() {
        for (portal, requests) in &of_state.by_portal {
            let numbers = portals
                .entry(portal)
                .or_insert_with(|| vec![0; backlog.len()]);
            numbers[place] = *requests;
        }
    }
    let bars: Vec<_> = portals
        .into_iter()
        .map(|(portal, pieces)| Bar {
            name: portal.to_string(),
            label: None,
            pieces,
        })
        .collect();
    let states: Vec<_> = backlog.iter().map(|of| of.state.as_str()).collect();
    let plot = Plot {
        id: "queues",
        title: "Requests that wait, by portal",
        about: "Portal",
        pieces: &states,
    };
    plot.bars(&bars)
}

fn proof_times(times: &[Duration]) -> Value {
    let mut numbers = [0; STEPS.len()];
    for time in times {
        let step = STEPS.iter().position(|(_, end)| time <= end);
        numbers[step.unwrap_or(STEPS.len() - 1)] += 1;
    }
    let bars: Vec<_> = STEPS
        .iter()
        .zip(numbers)
        .map(|((name, _), number)| Bar {
            name: (*name).to_owned(),
            label: None,
            pieces: vec![number],
        })
        .collect();
    let plot = Plot {
        id: "proofs",
        title: "How long people took to prove their address",
        about: "Within",
        pieces: &["people"],
    };
    plot.columns(&bars)
}

fn draw_domains(domains: &[DroppedDomain]) -> Value {
    let bars: Vec<_> = domains
        .iter()
        .map(|domain| Bar {
            name: domain.domain.clone(),
            label: None,
            pieces: vec![domain.messages],
        })
        .collect();
    let plot = Plot {
        id: "domains",
        title: "Messages that the access settings dropped, by domain",
        about: "Domain",
        pieces: &["dropped"],
    };
    plot.bars(&bars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Reason;

    fn number(plot: &Value, bar: usize, piece: usize) -> u64 {
        let number = plot
            .get_attr("bars")
            .and_then(|bars| bars.get_item_by_index(bar))
            .and_then(|bar| bar.get_attr("numbers"))
            .and_then(|numbers| numbers.get_item_by_index(piece))
            .expect("a number");
        u64::try_from(number).expect("whole")
    }

    #[test]
    fn every_day_has_a_column_and_its_reasons_are_added_up() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let first = midnight(now, DAYS);
        assert_eq!(first.to_string(), "2026-11-10T00:00:00Z");
        let count = |day, reason, messages| DayCount {
            day,
            verdict: Verdict::Dropped,
            reason,
            messages,
        };
        let plot = verdicts(
            &[
                count(first, Reason::Bulk, 1),
                count(first, Reason::Automatic, 2),
                count(midnight(now, 1), Reason::Bulk, 7),
            ],
            now,
        );
        assert_eq!(plot.get_attr("bars").expect("bars").len(), Some(14));
        assert_eq!((number(&plot, 0, 2), number(&plot, 13, 2)), (3, 7));
    }

    #[test]
    fn times_go_into_the_first_step_that_holds_them() {
        let minutes = |minutes| Duration::from_mins(minutes);
        let plot = proof_times(&[minutes(1), minutes(5), minutes(6), minutes(60 * 24 * 30)]);
        assert_eq!(
            [0, 1, 2, 7].map(|step| number(&plot, step, 0)),
            [2, 1, 0, 1]
        );
    }
}
