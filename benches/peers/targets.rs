//! The table of targets for the way of a message: each row is measured in many short turns beside its peers, and
//! the median of the turns counts.
//!
//! With two programs in `PEERS_PROGRAMS`, the first is the baseline, and the second alternates with it.

use std::path::Path;
use std::sync::OnceLock;

use super::whole_way::{self, Destination, Way, programs};
use super::{KIB, Load, Result, median, postfix, sink, vestibule};
use super::{Server, server};

/// Comparison of a row.
#[derive(Clone, Copy, PartialEq)]
enum Peer {
    Postfix,
    Sink,
    /// Microseconds of processor time per message.
    Cpu,
    /// The baseline: the first program.
    Before,
}

/// A load and its targets: the peer, the figure to reach, and the stretch target.
#[derive(Clone, Copy)]
enum Row {
    Accept(Load, &'static [(Peer, f64, f64)]),
    /// Accepting into a store on PostgreSQL.
    OnPostgres(Load, &'static [(Peer, f64, f64)]),
    Whole(Way, &'static [(Peer, f64, f64)]),
}

const ROWS: [Row; 11] = [
    Row::Accept(
        Load::new(20, 5 * KIB, 4000, false),
        &[
            (Peer::Postfix, 4.5, 5.0),
            (Peer::Sink, 0.5, 0.55),
            (Peer::Cpu, 130.0, 115.0),
        ],
    ),
    Row::Accept(
        Load::new(1, 5 * KIB, 1000, false),
        &[(Peer::Postfix, 2.5, 3.5)],
    ),
    Row::Whole(
        Way::new(Destination::Maildir, 20, 5 * KIB, 2000),
        &[(Peer::Postfix, 3.0, 3.5), (Peer::Cpu, 380.0, 300.0)],
    ),
    Row::Whole(
        Way::new(Destination::Maildir, 1, 5 * KIB, 1000),
        &[(Peer::Postfix, 4.0, 5.0)],
    ),
    Row::Accept(
        Load::new(20, 1024 * KIB, 100, false),
        &[(Peer::Postfix, 1.5, 1.7), (Peer::Sink, 0.75, 0.9)],
    ),
    Row::Whole(
        Way::new(Destination::Maildir, 20, 1024 * KIB, 60),
        &[(Peer::Postfix, 1.1, 1.2)],
    ),
    Row::Whole(
        Way::new(Destination::Maildir, 20, 100 * KIB, 400),
        &[(Peer::Before, 1.4, 1.5)],
    ),
    Row::Whole(
        Way::new(Destination::Smtp, 20, 5 * KIB, 2000),
        &[(Peer::Before, 3.0, 3.5)],
    ),
    Row::Whole(
        Way::new(Destination::Webhook, 20, 5 * KIB, 2000),
        &[(Peer::Before, 3.0, 3.5)],
    ),
    Row::OnPostgres(
        Load::new(20, 5 * KIB, 4000, false),
        &[(Peer::Postfix, 3.0, 3.0)],
    ),
    Row::OnPostgres(
        Load::new(100, 5 * KIB, 4000, false),
        &[(Peer::Postfix, 3.0, 3.0)],
    ),
];

/// The PostgreSQL server, shared by all rows that need one.
static SYNCING: OnceLock<Server> = OnceLock::new();

impl Row {
    fn name(&self) -> String {
        match self {
            Self::Accept(load, _) => format!("accept {}", load.name()),
            Self::OnPostgres(load, _) => format!("PostgreSQL, accept {}", load.name()),
            Self::Whole(way, _) => way.name(),
        }
    }

    fn targets(&self) -> &'static [(Peer, f64, f64)] {
        let (Self::Accept(_, targets) | Self::OnPostgres(_, targets) | Self::Whole(_, targets)) =
            self;
        targets
    }

    fn ours(&self, program: Option<&Path>, share: usize) -> Result {
        match *self {
            Self::Accept(load, _) => vestibule(load.part(share), program, None),
            Self::OnPostgres(load, _) => {
                let server = SYNCING.get_or_init(server::start_syncing);
                vestibule(load.part(share), program, Some(server))
            }
            Self::Whole(way, _) => whole_way::vestibule(way.part(share), program),
        }
    }

    /// The peer's result; `None` for a peer that does not do this work.
    fn theirs(&self, peer: Peer, share: usize) -> Option<Result> {
        match (*self, peer) {
            (Self::Accept(load, _) | Self::OnPostgres(load, _), Peer::Postfix) => {
                Some(postfix(load.part(share)))
            }
            (Self::Accept(load, _), Peer::Sink) => Some(sink(load.part(share))),
            (Self::Whole(way, _), Peer::Postfix) => Some(whole_way::postfix(way.part(share))),
            _ => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn cpu(&self, result: &Result, share: usize) -> f64 {
        let messages = match self {
            Self::Accept(load, _) | Self::OnPostgres(load, _) => load.part(share).messages,
            Self::Whole(way, _) => way.part(share).messages,
        };
        result.cpu.as_micros() as f64 / messages as f64
    }
}

/// Measures the rows whose name begins with `text`.
pub fn table(quick: bool, turns: usize, text: &str) {
    let share = if quick { 10 } else { 1 };
    let programs = programs();
    let names: Vec<_> = programs.iter().map(|(name, _)| name.as_str()).collect();
    println!(
        "| load | compared with | {} | target | stretch target |",
        names.join(" | ")
    );
    println!("|---|---|{}---|---|", "---|".repeat(names.len()));
    for row in ROWS.iter().filter(|row| row.name().starts_with(text)) {
        let mut ours: Vec<Vec<Result>> = programs.iter().map(|_| Vec::new()).collect();
        let targets = row.targets();
        // Only the last program is measured on PostgreSQL: earlier ones had no such store.
        let skipped = match row {
            Row::OnPostgres(..) => programs.len() - 1,
            Row::Accept(..) | Row::Whole(..) => 0,
        };
        let mut theirs: Vec<Vec<Result>> = targets.iter().map(|_| Vec::new()).collect();
        for turn in 0..turns {
            let mut measured: Vec<_> = programs.iter().zip(&mut ours).skip(skipped).collect();
            // The first program of a turn is at a disadvantage, so every other turn begins with the last.
            if turn % 2 == 1 {
                measured.reverse();
            }
            for ((_, program), results) in measured {
                results.push(row.ours(program.as_deref(), share));
            }
            for ((peer, ..), results) in targets.iter().zip(&mut theirs) {
                results.extend(row.theirs(*peer, share));
            }
        }
        let ours: Vec<Option<Result>> = ours
            .into_iter()
            .map(|results| (!results.is_empty()).then(|| median(results)))
            .collect();
        for ((peer, reach, stretch), theirs) in targets.iter().zip(theirs) {
            let rate = match peer {
                Peer::Cpu => None,
                Peer::Before => ours.first().copied().flatten().map(|first| first.rate),
                Peer::Postfix | Peer::Sink => Some(median(theirs).rate),
            };
            let figures: Vec<String> = ours
                .iter()
                .map(|result| match (result, rate) {
                    (None, _) => "–".to_owned(),
                    (Some(result), Some(rate)) => {
                        format!("{:.2} × ({:.0}/s)", result.rate / rate, result.rate)
                    }
                    (Some(result), None) => format!("{:.0} µs", row.cpu(result, share)),
                })
                .collect();
            let peer = match (peer, rate) {
                (Peer::Postfix, Some(rate)) => format!("Postfix, {rate:.0}/s"),
                (Peer::Sink, Some(rate)) => format!("smtp-sink, {rate:.0}/s"),
                (Peer::Before, _) => "the first program".to_owned(),
                _ => "processor time".to_owned(),
            };
            println!(
                "| {} | {peer} | {} | {reach} | {stretch} |",
                row.name(),
                figures.join(" | ")
            );
        }
    }
}
