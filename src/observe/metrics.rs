//! Counters and measurements of the daemon, in the text format of Prometheus (0.0.4).
//!
//! In: the events of [`super::events`] and the durations of a message's steps. Out: [`write`], for the page
//! that Prometheus scrapes. Labels are fixed words or names of the configuration, never text of a sender, so
//! their number is bounded. Counting is a few additions under a lock, so it blocks only briefly.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::{Reason, Verdict};
use crate::store::{FreeSpace, QueueLengths};

/// Upper bounds of the buckets, in seconds: from a commit on a fast disk to a week until a person confirms.
const BOUNDS: [f64; 17] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0,
    21_600.0, 86_400.0, 604_800.0,
];

/// Events whose first occurrence an alert must see, so their counters exist at 0.
const FROM_ZERO: [&str; 7] = [
    "canary.failed",
    "clock.jumped",
    "config.refused",
    "delivery.deferred",
    "delivery.failed",
    "fault",
    "verification.bounced",
];

/// A step of a message's processing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessingStep {
    /// From the final dot to the `250`.
    Accept,
    /// The part of it in which the message was committed to the database.
    Commit,
    /// From a new account to its verification by the person.
    Verify,
    /// From release to delivery, with all attempts and delays.
    Deliver,
    /// From the start to the delivery of a canary.
    Canary,
}

impl ProcessingStep {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (
            Self::Accept,
            "vestibule_accept_seconds",
            "Time from the final dot of a message to the reply.",
        ),
        (
            Self::Commit,
            "vestibule_commit_seconds",
            "Time until the database had committed and synced a message.",
        ),
        (
            Self::Verify,
            "vestibule_verify_seconds",
            "Time from a new account to the verification of its address.",
        ),
        (
            Self::Deliver,
            "vestibule_deliver_seconds",
            "Time from the release of a request to its delivery.",
        ),
        (
            Self::Canary,
            "vestibule_canary_seconds",
            "Time from the greeting of our own listener to the delivery of our own message.",
        ),
    ];
}

#[derive(Debug, Clone, Copy)]
struct Histogram {
    /// The last bucket is for values above all bounds.
    buckets: [u64; BOUNDS.len() + 1],
    sum: f64,
}

#[derive(Debug)]
struct Counted {
    events: BTreeMap<&'static str, u64>,
    messages: BTreeMap<(&'static str, &'static str), u64>,
    steps: [Histogram; ProcessingStep::ALL.len()],
    /// Result of the last canary.
    canary: Option<bool>,
}

static COUNTED: Mutex<Counted> = Mutex::new(Counted {
    events: BTreeMap::new(),
    messages: BTreeMap::new(),
    steps: [Histogram {
        buckets: [0; BOUNDS.len() + 1],
        sum: 0.0,
    }; ProcessingStep::ALL.len()],
    canary: None,
});

fn lock_counters() -> MutexGuard<'static, Counted> {
    // The counters are valid even after a panic.
    COUNTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts an event, whether the log level shows it or not.
pub(super) fn event(name: &'static str) {
    *lock_counters().events.entry(name).or_default() += 1;
}

/// Counts a verdict.
pub(super) fn message(verdict: Verdict, reason: Reason) {
    let key = (verdict.as_str(), reason.as_str());
    *lock_counters().messages.entry(key).or_default() += 1;
}

/// Records the duration of a step.
pub fn took(step: ProcessingStep, time: Duration) {
    let seconds = time.as_secs_f64();
    let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
    let histogram = &mut lock_counters().steps[step as usize];
    histogram.buckets[bucket] += 1;
    histogram.sum += seconds;
}

/// Records the result of the last canary.
pub fn canary(arrived: bool) {
    lock_counters().canary = Some(arrived);
}

/// Gauges of this node and of the nodes that share its store.
#[derive(Debug, Clone, Default)]
pub struct NodeGauges {
    /// Number of live nodes, and number of those among them that differ in version or configuration.
    pub nodes: (usize, usize),
    /// Each duty, and true if this node holds it.
    pub duties: Vec<(&'static str, bool)>,
    /// Milliseconds by which this node's clock is ahead of the database's.
    pub clock_offset: i64,
    /// None if the database is on a server.
    pub free_space: Option<FreeSpace>,
}

/// Writes all metrics as text: the counters, and the current state.
#[must_use]
pub fn write(depths: &QueueLengths, nodes: &NodeGauges) -> String {
    let mut page = Page(String::with_capacity(8 * 1024));
    {
        let counted = lock_counters();
        page.messages(&counted);
        page.events(&counted);
        for (step, name, help) in ProcessingStep::ALL {
            page.histogram(name, help, &counted.steps[step as usize]);
        }
        let name = "vestibule_canary_up";
        page.family(
            name,
            "gauge",
            "1 if the last canary arrived, 0 if it did not.",
        );
        if let Some(arrived) = counted.canary {
            page.line(format_args!("{name} {}", u8::from(arrived)));
        }
    }
    page.depths(depths);
    page.nodes(nodes);
    page.family(
        "vestibule_build_info",
        "gauge",
        "Version of the running program.",
    );
    let version = env!("CARGO_PKG_VERSION");
    page.line(format_args!(
        "vestibule_build_info{{version=\"{version}\"}} 1"
    ));
    page.0
}

struct Page(String);

impl Page {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    fn messages(&mut self, counted: &Counted) {
        let name = "vestibule_messages_total";
        self.family(
            name,
            "counter",
            "Messages answered 250, counted once for each portal.",
        );
        for ((verdict, reason), count) in &counted.messages {
            self.line(format_args!(
                "{name}{{verdict=\"{verdict}\",reason=\"{reason}\"}} {count}"
            ));
        }
    }

    fn events(&mut self, counted: &Counted) {
        let name = "vestibule_events_total";
        self.family(name, "counter", "Events, by the names that the log uses.");
        let mut events: BTreeMap<_, _> = FROM_ZERO.iter().map(|event| (*event, 0)).collect();
        events.extend(counted.events.iter().map(|(event, count)| (*event, *count)));
        for (event, count) in events {
            self.line(format_args!("{name}{{event=\"{event}\"}} {count}"));
        }
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        let mut so_far = 0;
        for (bound, count) in BOUNDS.iter().zip(histogram.buckets) {
            so_far += count;
            self.line(format_args!("{name}_bucket{{le=\"{bound}\"}} {so_far}"));
        }
        let all = so_far + histogram.buckets[BOUNDS.len()];
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {all}"));
        self.line(format_args!("{name}_sum {}", histogram.sum));
        self.line(format_args!("{name}_count {all}"));
    }

    fn nodes(&mut self, gauges: &NodeGauges) {
        let (present, differing) = gauges.nodes;
        let name = "vestibule_nodes";
        self.family(name, "gauge", "Nodes that share the store and are alive.");
        self.line(format_args!("{name} {present}"));
        let name = "vestibule_nodes_differing";
        self.family(name, "gauge", "Nodes whose version or settings differ.");
        self.line(format_args!("{name} {differing}"));
        let name = "vestibule_duty";
        self.family(
            name,
            "gauge",
            "1 if this node performs the duty for all nodes.",
        );
        for (duty, is_held) in &gauges.duties {
            let held = u8::from(*is_held);
            self.line(format_args!("{name}{{duty=\"{duty}\"}} {held}"));
        }
        let name = "vestibule_clock_offset_seconds";
        let help = "Time by which this node's clock is ahead of the database's.";
        self.family(name, "gauge", help);
        let sign = if gauges.clock_offset < 0 { "-" } else { "" };
        let offset = gauges.clock_offset.unsigned_abs();
        let (seconds, rest) = (offset / 1000, offset % 1000);
        self.line(format_args!("{name} {sign}{seconds}.{rest:03}"));
        self.free_space(gauges.free_space);
    }

    fn free_space(&mut self, space: Option<FreeSpace>) {
        for (name, help, octets) in [
            (
                "vestibule_disk_free_bytes",
                "Free space on the disk with the database.",
                space.map(|space| space.octets),
            ),
            (
                "vestibule_disk_reserve_bytes",
                "The part of the free space that mail must not use.",
                space.map(|space| space.reserve),
            ),
        ] {
            self.family(name, "gauge", help);
            if let Some(octets) = octets {
                self.line(format_args!("{name} {octets}"));
            }
        }
    }

    fn depths(&mut self, depths: &QueueLengths) {
        let name = "vestibule_requests";
        self.family(
            name,
            "gauge",
            "Requests that are held, released or failed now.",
        );
        for count in &depths.requests {
            // A portal's name has only letters, digits and hyphens, so nothing needs escaping.
            self.line(format_args!(
                "{name}{{portal=\"{}\",state=\"{}\"}} {}",
                count.portal,
                count.state.as_str(),
                count.requests
            ));
        }
        let name = "vestibule_letters_waiting";
        self.family(name, "gauge", "Verification mail not yet sent.");
        self.line(format_args!("{name} {}", depths.verification_mails));
        let name = "vestibule_database_bytes";
        self.family(name, "gauge", "The size of the database.");
        self.line(format_args!("{name} {}", depths.octets));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value<'a>(page: &'a str, series: &str) -> &'a str {
        page.lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("no {series} in {page}"))
    }

    #[test]
    fn a_time_counts_in_its_bucket_and_in_all_above() {
        took(ProcessingStep::Deliver, Duration::from_millis(5));
        took(ProcessingStep::Deliver, Duration::from_hours(48));
        let page = write(&QueueLengths::default(), &NodeGauges::default());
        let at = |bound: &str| {
            value(
                &page,
                &format!("vestibule_deliver_seconds_bucket{{le=\"{bound}\"}}"),
            )
        };
        assert_eq!(at("0.0025"), "0");
        assert_eq!(at("0.005"), "1");
        assert_eq!(at("86400"), "1");
        assert_eq!(at("+Inf"), "2");
        assert_eq!(value(&page, "vestibule_deliver_seconds_count"), "2");
        assert_eq!(value(&page, "vestibule_deliver_seconds_sum"), "172800.005");
    }

    #[test]
    fn events_with_alerts_are_exported_at_zero() {
        let page = write(&QueueLengths::default(), &NodeGauges::default());
        value(&page, "vestibule_events_total{event=\"config.refused\"}");
        assert_eq!(value(&page, "vestibule_letters_waiting"), "0");
    }

    #[test]
    fn a_node_exports_its_duties_its_clock_and_its_disk() {
        let gauges = NodeGauges {
            nodes: (3, 1),
            duties: vec![("housekeeping", true), ("canary", false)],
            clock_offset: -1205,
            free_space: Some(FreeSpace {
                octets: 2048,
                reserve: 1024,
            }),
        };
        let page = write(&QueueLengths::default(), &gauges);
        for (series, expected) in [
            ("vestibule_nodes", "3"),
            ("vestibule_nodes_differing", "1"),
            ("vestibule_duty{duty=\"housekeeping\"}", "1"),
            ("vestibule_duty{duty=\"canary\"}", "0"),
            ("vestibule_clock_offset_seconds", "-1.205"),
            ("vestibule_disk_free_bytes", "2048"),
            ("vestibule_disk_reserve_bytes", "1024"),
        ] {
            assert_eq!(value(&page, series), expected, "{series}");
        }
    }

    #[test]
    fn every_line_is_valid_for_prometheus() {
        for line in write(&QueueLengths::default(), &NodeGauges::default()).lines() {
            let (series, number) = line.rsplit_once(' ').expect("two words");
            assert!(
                series.starts_with("# ") || number.parse::<f64>().is_ok(),
                "{line}"
            );
        }
    }
}
