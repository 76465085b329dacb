//! `--since` and `--until`, for lists that are in the order of time; and ages.

use std::time::Duration;

use clap::Args;

use crate::config::parse_time;
use crate::domain::Timestamp;
use crate::operations::ago;

#[derive(Debug, Clone, Copy, Default, Args)]
pub struct TimeRange {
    /// Only rows since this time: a day, a time, or how long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub since: Option<Timestamp>,
    /// Only rows before this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub until: Option<Timestamp>,
}

/// Parses an age, such as `3d`.
pub fn age(text: &str) -> Result<Duration, String> {
    parse_time(text).map_err(|error| error.to_string())
}

/// A time: RFC 3339, a day in the zone of the machine, or how long ago.
pub fn instant(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        let midnight = day.to_zoned(jiff::tz::TimeZone::system());
        return Ok(midnight.map_err(|error| error.to_string())?.timestamp());
    }
    age(text).map(ago).map_err(|_| {
        "write a day (2026-11-28), a time (2026-11-28T10:00Z), or how long ago (7d)".to_owned()
    })
}
