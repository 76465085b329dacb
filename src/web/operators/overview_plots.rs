//! Plots of the overview, each from the rows of one query to the store.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;
use minijinja::Value;

use super::AppState;
use super::plot::{Bar, Piece, Plot};
use crate::domain::{PortalName, RequestState, Timestamp, Verdict, Vocabulary};
use crate::store::{Backlog, DayCount, DroppedDomain, HourlyBacklog};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Period of the page, up to today.
pub(super) struct PlotPeriod {
    pub(super) name: &'static str,
    pub(super) words: &'static str,
    pub(super) days: i64,
    /// Width of a column in days, and in hours for the plot of the queues.
    step: i64,
    hours: i64,
}

pub(super) const PERIODS: [PlotPeriod; 3] = [
    PlotPeriod {
        name: "week",
        words: "7 days",
        days: 7,
        step: 1,
        hours: 6,
    },
    PlotPeriod {
        name: "month",
        words: "30 days",
        days: 30,
        step: 1,
        hours: 24,
    },
    PlotPeriod {
        name: "quarter",
        words: "13 weeks",
        days: 91,
        step: 7,
        hours: 24 * 7,
    },
];

const VERDICTS: [Verdict; 3] = [Verdict::Accepted, Verdict::Held, Verdict::Dropped];

/// Upper bounds of the columns in the plot of verification times.
const STEPS: [(&str, Duration); 8] = [
    ("5 min", Duration::from_mins(5)),
    ("15 min", Duration::from_mins(15)),
    ("1 h", Duration::from_hours(1)),
    ("4 h", Duration::from_hours(4)),
    ("1 day", Duration::from_hours(24)),
    ("3 days", Duration::from_hours(3 * 24)),
    ("7 days", Duration::from_hours(7 * 24)),
    ("longer", Duration::MAX),
];

/// Midnight (UTC) of the first of `days` days, the last of which is today.
pub(super) fn midnight(now: Timestamp, days: i64) -> Timestamp {
    let today = now.as_second().div_euclid(DAY.as_secs());
    Timestamp::from_second((today - days + 1) * DAY.as_secs()).unwrap_or(Timestamp::MIN)
}

/// Start and end of each column of a plot over the period.
fn columns(now: Timestamp, period: &PlotPeriod, hours: i64) -> Vec<(Timestamp, Timestamp)> {
    let first = midnight(now, period.days);
    let width = SignedDuration::from_hours(hours);
    let count = period.days * 24 / hours;
    let begin = |place: i64| first + width * i32::try_from(place).unwrap_or(0);
    (0..count)
        .map(|place| (begin(place), begin(place + 1)))
        .collect()
}

/// The name of a column in the table, and its label in the plot.
fn name_and_label(begin: Timestamp, hours: i64) -> (String, String) {
    let form = if hours < 24 {
        "%Y-%m-%d %H:%M"
    } else {
        "%Y-%m-%d"
    };
    (
        begin.strftime(form).to_string(),
        begin.strftime("%-d %b").to_string(),
    )
}

pub(super) fn verdicts(counts: &[DayCount], now: Timestamp, period: &PlotPeriod) -> Value {
    let bars: Vec<_> = columns(now, period, period.step * 24)
        .into_iter()
        .map(|(begin, end)| {
            let of = |verdict| -> u64 {
                let found = counts.iter().filter(|count| {
                    count.day >= begin && count.day < end && count.verdict == verdict
                });
                found.map(|count| count.messages).sum()
            };
            let (name, label) = name_and_label(begin, period.step * 24);
            Bar {
                name,
                label: Some(label),
                link: Some(format!("/messages?since={begin}&until={end}")),
                pieces: VERDICTS.map(of).to_vec(),
            }
        })
        .collect();
    let pieces = VERDICTS.map(|verdict| Piece {
        class: verdict.as_str(),
        words: Vocabulary::Verdict.words(verdict.as_str()),
    });
    let plot = Plot {
        id: "verdicts",
        title: "Messages by verdict",
        about: if period.step == 1 {
            "Day (UTC)"
        } else {
            "Week from (UTC)"
        },
        unit: "messages",
        pieces: &pieces,
    };
    plot.columns(&bars)
}

/// The pieces of plots of queues.
fn states(states: &[RequestState]) -> Vec<Piece<'static>> {
    let states = states.iter().map(|state| Piece {
        class: state.as_str(),
        words: Vocabulary::State.words(state.as_str()),
    });
    states.collect()
}

pub(super) fn queues(backlog: &[Backlog], app: &AppState) -> Value {
    let config = app.config();
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
        .map(|(name, pieces)| Bar {
            name: config
                .portal(name)
                .map_or_else(|| name.to_string(), |portal| portal.title.clone()),
            label: None,
            link: Some(format!("/requests?portal={name}")),
            pieces,
        })
        .collect();
    let of: Vec<_> = backlog.iter().map(|of| of.state).collect();
    let plot = Plot {
        id: "queues",
        title: "Waiting requests, by portal",
        about: "Portal",
        unit: "requests",
        pieces: &states(&of),
    };
    plot.bars(&bars)
}

/// The longest queues in each column.
pub(super) fn depths_over_time(
    depths: &[HourlyBacklog],
    now: Timestamp,
    period: &PlotPeriod,
) -> Value {
    let bars: Vec<_> = columns(now, period, period.hours)
        .into_iter()
        .map(|(begin, end)| {
            let within = |depth: &&HourlyBacklog| depth.hour >= begin && depth.hour < end;
            let longest = |queue: fn(&HourlyBacklog) -> u64| {
                depths.iter().filter(within).map(queue).max().unwrap_or(0)
            };
            let (name, label) = name_and_label(begin, period.hours);
            Bar {
                name,
                label: Some(label),
                link: None,
                pieces: vec![
                    longest(|depth| depth.held),
                    longest(|depth| depth.released),
                    longest(|depth| depth.failed),
                ],
            }
        })
        .collect();
    let plot = Plot {
        id: "depths",
        title: "Maximum queue length",
        about: "From (UTC)",
        unit: "requests",
        pieces: &states(&[
            RequestState::Held,
            RequestState::Released,
            RequestState::Failed,
        ]),
    };
    plot.columns(&bars)
}

pub(super) fn verification_times(times: &[Duration]) -> Value {
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
            link: None,
            pieces: vec![number],
        })
        .collect();
    let plot = Plot {
        id: "times",
        title: "Time from the first message to the verification of the address",
        about: "Within",
        unit: "people",
        pieces: &[Piece {
            class: "people",
            words: "People",
        }],
    };
    plot.columns(&bars)
}

pub(super) fn draw_domains(domains: &[DroppedDomain]) -> Value {
    let bars: Vec<_> = domains
        .iter()
        .map(|domain| Bar {
            name: domain.domain.clone(),
            label: None,
            link: Some(format!("/find?q=%40{}&verdict=dropped", domain.domain)),
            pieces: vec![domain.messages],
        })
        .collect();
    let plot = Plot {
        id: "domains",
        title: "Messages dropped by the access settings, by domain",
        about: "Domain",
        unit: "messages",
        pieces: &[Piece {
            class: Verdict::Dropped.as_str(),
            words: "Dropped",
        }],
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
    fn every_column_of_each_period_has_what_is_in_it() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        for (period, first, bars) in [
            (&PERIODS[0], "2026-11-17T00:00:00Z", 7),
            (&PERIODS[1], "2026-10-25T00:00:00Z", 30),
            (&PERIODS[2], "2026-08-25T00:00:00Z", 13),
        ] {
            let begin = midnight(now, period.days);
            assert_eq!(begin.to_string(), first);
            let count = |day, reason, messages| DayCount {
                day,
                verdict: Verdict::Dropped,
                reason,
                messages,
            };
            let counts = [
                count(begin, Reason::Bulk, 1),
                count(begin, Reason::Automatic, 2),
                count(midnight(now, 1), Reason::Bulk, 7),
            ];
            let plot = verdicts(&counts, now, period);
            assert_eq!(plot.get_attr("bars").expect("bars").len(), Some(bars));
            assert_eq!((number(&plot, 0, 2), number(&plot, bars - 1, 2)), (3, 7));
            let depth = |hour, held| HourlyBacklog {
                hour,
                held,
                released: 1,
                failed: 0,
            };
            let depths = [
                depth(begin, 4),
                depth(begin + SignedDuration::from_hours(1), 9),
            ];
            let plot = depths_over_time(&depths, now, period);
            assert_eq!(
                (number(&plot, 0, 0), number(&plot, 0, 1)),
                (9, 1),
                "the longest"
            );
        }
    }

    #[test]
    fn times_go_into_the_first_step_that_holds_them() {
        let minutes = |minutes| Duration::from_mins(minutes);
        let plot = verification_times(&[minutes(1), minutes(5), minutes(6), minutes(60 * 24 * 30)]);
        assert_eq!(
            [0, 1, 2, 7].map(|step| number(&plot, step, 0)),
            [2, 1, 0, 1]
        );
    }
}
