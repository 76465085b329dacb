//! `retry` and `give_up_after`: the schedule of retries for a destination or a hook.

use std::time::Duration;

use crate::config::document::TomlSection;
use crate::config::{RetrySchedule, parse_time};

/// Maximum number of delays; a longer list has no use.
const MAX_DELAYS: usize = 50;

pub(super) fn read(section: &TomlSection<'_>) -> RetrySchedule {
    let default = RetrySchedule::default();
    let waits = section
        .entry("retry")
        .and_then(|entry| {
            let waits = entry.list(|text| match parse_time(text) {
                Ok(Duration::ZERO) => Err("must be greater than zero".to_owned()),
                wait => wait.map_err(|cause| cause.to_string()),
            })?;
            if waits.len() > MAX_DELAYS {
                entry.refuse(format_args!("has more than {MAX_DELAYS} delays"));
            }
            (!waits.is_empty()).then_some(waits)
        })
        .unwrap_or(default.waits);
    let give_up_after = section.time("give_up_after", default.give_up_after);
    RetrySchedule {
        waits,
        give_up_after,
    }
}
