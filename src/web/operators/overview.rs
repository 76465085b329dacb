//! `/`: how the house stands, in figures and one plot.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use jiff::SignedDuration;
use minijinja::{Value, context};

use super::Desk;
use super::gate::Visit;
use super::refusal::Refusal;
use crate::domain::{RequestState, Timestamp, Verdict};
use crate::store::DayCount;
use crate::web::page::Page;

/// Days in the plot, today among them.
const DAYS: i64 = 14;
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The plot's own units.
const HEIGHT: u64 = 120;
const WIDTH: i64 = 40;

pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    Extension(visit): Extension<Visit>,
) -> Result<Page, Refusal> {
    let now = Timestamp::now();
    let week = now.saturating_sub(DAY * 7).unwrap_or(Timestamp::MIN);
    let counts = desk.store().counts(week).await?;
    let verdict = |verdict| -> u64 {
        let entries = counts
            .entries
            .iter()
            .filter(|entry| entry.verdict == verdict);
        entries.map(|entry| entry.messages).sum()
    };
    let state = |state| -> u64 {
        let requests = counts.requests.iter().filter(|count| count.state == state);
        requests.map(|count| count.requests).sum()
    };
    let mut reasons: BTreeMap<_, u64> = BTreeMap::new();
    for entry in &counts.entries {
        *reasons
            .entry((entry.verdict.as_str(), entry.reason.as_str()))
            .or_default() += entry.messages;
    }
    let reasons: Vec<_> = reasons
        .into_iter()
        .map(|((verdict, reason), messages)| {
            context! { verdict => verdict, reason => reason, messages => messages }
        })
        .collect();
    let paused = desk.store().paused_destinations().await?;
    Ok(visit.page(
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
            plot => plot(&desk.store().verdicts_by_day(first_day(now)).await?, now),
        },
    ))
}

/// Midnight, UTC, of the first day in the plot.
fn first_day(now: Timestamp) -> Timestamp {
    let day = now.as_second().div_euclid(DAY.as_secs());
    Timestamp::from_second((day - DAYS + 1) * DAY.as_secs()).unwrap_or(Timestamp::MIN)
}

/// A column for each day, of pieces that stand on each other. All numbers are whole: they go into
/// attributes of SVG, which need no style.
fn plot(counts: &[DayCount], now: Timestamp) -> Value {
    let first = first_day(now);
    let mut days = Vec::new();
    for place in 0..DAYS {
        let start = first + DAY * i32::try_from(place).unwrap_or(0);
        let of = |verdict| -> u64 {
            let found = counts
                .iter()
                .filter(|count| count.day == start && count.verdict == verdict);
            found.map(|count| count.messages).sum()
        };
        let messages = [Verdict::Accepted, Verdict::Held, Verdict::Dropped].map(of);
        days.push((place, start, messages));
    }
    let highest = days
        .iter()
        .map(|(_, _, messages)| messages.iter().sum::<u64>())
        .max()
        .unwrap_or(0);
    let columns: Vec<_> = days
        .iter()
        .map(|(place, start, messages)| {
            let height = |messages: u64| messages * HEIGHT / highest.max(1);
            let [accepted, held, dropped] = messages.map(height);
            context! {
                x => place * WIDTH + 4,
                day => start.strftime("%d %b").to_string(),
                date => start.strftime("%Y-%m-%d").to_string(),
                accepted => messages[0],
                held => messages[1],
                dropped => messages[2],
                pieces => vec![
                    context! { class => "accepted", y => HEIGHT - accepted, height => accepted },
                    context! { class => "held", y => HEIGHT - accepted - held, height => held },
                    context! {
                        class => "dropped",
                        y => HEIGHT - accepted - held - dropped,
                        height => dropped,
                    },
                ],
            }
        })
        .collect();
    context! { columns => columns, highest => highest, width => DAYS * WIDTH, height => HEIGHT }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_has_a_column_for_each_day_and_none_is_higher_than_the_plot() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let first = first_day(now);
        assert_eq!(first.to_string(), "2026-11-10T00:00:00Z");
        let count = |day, verdict, messages| DayCount {
            day,
            verdict,
            messages,
        };
        let drawn = plot(
            &[
                count(first, Verdict::Accepted, 1),
                count(first, Verdict::Held, 2),
                count(first + DAY * 13, Verdict::Dropped, 7),
            ],
            now,
        );
        let columns = drawn.get_attr("columns").expect("columns");
        assert_eq!(columns.len(), Some(14));
        let dropped = columns
            .get_item_by_index(13)
            .and_then(|column| column.get_attr("pieces"))
            .and_then(|pieces| pieces.get_item_by_index(2))
            .expect("a piece");
        let number = |name| u64::try_from(dropped.get_attr(name).expect(name)).expect("a number");
        assert_eq!((number("y"), number("height")), (0, HEIGHT));
    }
}
