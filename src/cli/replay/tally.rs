//! Prints the results in order, counts them, and compares them with the expectations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use indicatif::ProgressBar;
use serde::Serialize;

use super::Decided;
use super::decider::ReplayRow;
use super::expect::{Difference, Expectations};
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, cut, note};
use crate::observe::Escaped;

pub struct ReplayTally<'a> {
    expected: Option<&'a Expectations>,
    bar: ProgressBar,
    counts: BTreeMap<(&'static str, u8, &'static str), u64>,
    messages: u64,
    differing: u64,
    unexpected: u64,
    broken: u64,
    /// Expected messages that were not found yet.
    missing: BTreeSet<&'a str>,
}

/// A row that differs from the expectation.
#[derive(Serialize)]
struct Differing<'a> {
    #[serde(flatten)]
    row: &'a ReplayRow,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differs: Vec<Difference>,
}

impl<'a> ReplayTally<'a> {
    pub fn new(expected: Option<&'a Expectations>, bar: ProgressBar) -> Self {
        Self {
            missing: expected.into_iter().flat_map(Expectations::files).collect(),
            expected,
            bar,
            counts: BTreeMap::new(),
            messages: 0,
            differing: 0,
            unexpected: 0,
            broken: 0,
        }
    }

    pub fn take(&mut self, decided: Decided, out: &mut Output) -> CommandResult {
        for result in decided.results {
            match result {
                Ok(row) => self.row(&row, out)?,
                Err((name, cause)) => self.count_broken(&name, &cause, out)?,
            }
        }
        self.bar.inc(decided.octets);
        if !self.bar.is_hidden() {
            self.bar.set_message(format!("{} messages", self.messages));
        }
        Ok(())
    }

    /// Reports an unreadable file or message. Does not stop the replay.
    pub fn count_broken(
        &mut self,
        name: &str,
        cause: &impl Display,
        out: &mut Output,
    ) -> CommandResult {
        self.broken += 1;
        out.flush()?;
        self.bar
            .suspend(|| note(format_args!("error: {}: {cause}", Escaped(name))));
        Ok(())
    }

    fn row(&mut self, row: &ReplayRow, out: &mut Output) -> CommandResult {
        self.messages += 1;
        let verdict = row.verdict.as_str();
        *self
            .counts
            .entry((verdict, row.rule, row.reason.as_str()))
            .or_default() += 1;
        let Some(expected) = self.expected else {
            return show(row, out);
        };
        self.missing.remove(row.file.as_str());
        let differs = expected.differences(row);
        if differs.is_none() {
            self.unexpected += 1;
        }
        let differs = differs.unwrap_or_default();
        self.differing += u64::from(!differs.is_empty());
        if out.is_json() {
            return out.object(&Differing { row, differs });
        }
        for Difference {
            field,
            expected,
            found,
        } in differs
        {
            out.line(format_args!(
                "{}: {field} is {found}, expected {expected}",
                Escaped(&row.file)
            ))?;
        }
        Ok(())
    }

    pub fn finish(self, out: &mut Output) -> CommandResult {
        self.bar.finish_and_clear();
        out.flush()?;
        for file in &self.missing {
            note(format_args!(
                "error: {}: expected, but not found",
                Escaped(file)
            ));
        }
        if !out.is_json() {
            self.summary(out)?;
        }
        if self.messages == 0 && self.broken == 0 {
            note("no message was found");
        }
        if self.broken > 0 || self.differing > 0 || !self.missing.is_empty() {
            return Err(CommandError::Said);
        }
        Ok(())
    }

    fn summary(&self, out: &mut Output) -> CommandResult {
        if let Some(expected) = self.expected {
            out.line(format_args!(
                "{} of {} messages differ from the expectations{}",
                self.differing + self.missing.len() as u64,
                expected.len(),
                match self.unexpected {
                    0 => String::new(),
                    n => format!("; {n} more have no expectation"),
                }
            ))?;
            return Ok(());
        }
        if self.messages == 0 {
            return Ok(());
        }
        out.line("")?;
        let width = self.messages.to_string().len();
        for ((verdict, rule, reason), count) in &self.counts {
            out.line(format_args!(
                "{count:>width$}  {}  rule {rule:<2}  {reason}",
                out.word(verdict, 8)
            ))?;
        }
        out.line(match self.messages {
            1 => "1  message".to_owned(),
            n => format!("{n:>width$}  messages"),
        })
    }
}

/// Prints a row for people, in columns of fixed width, so that it need not wait for later rows.
fn show(row: &ReplayRow, out: &mut Output) -> CommandResult {
    if out.is_json() {
        return out.object(row);
    }
    let from = row.from.as_deref().unwrap_or("-");
    let verdict = out.word(row.verdict.as_str(), 8);
    let (from, file) = (Escaped(from).to_string(), Escaped(&row.file).to_string());
    let Some(width) = out.width().filter(|width| *width < WIDE) else {
        return out.line(format_args!(
            "{verdict}  {:<26}  {from:<32}  {file}",
            row.reason
        ));
    };
    // The verdict may contain the codes of its colour, which have no width.
    let rest = cut(
        &format!("{:<26}  {file}", row.reason),
        width.saturating_sub(10),
    );
    out.line(format_args!("{verdict}  {rest}"))
}

/// On narrower terminals the sender is left out.
const WIDE: usize = 110;
