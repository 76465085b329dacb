//! `retry` and `give_up_after`: when a destination, or a hook, is tried again.

use std::time::Duration;

use crate::config::document::Section;
use crate::config::{Retry, parse_time};

/// More waits than this say nothing that fewer do not.
const MOST: usize = 50;

pub(super) fn read(section: &Section<'_>) -> Retry {
    let default = Retry::default();
    let waits = section
        .entry("retry")
        .and_then(|entry| {
            let waits = entry.list(|text| match parse_time(text) {
                Ok(Duration::ZERO) => Err("must be more than no time".to_owned()),
                wait => wait.map_err(|cause| cause.to_string()),
            })?;
            if waits.len() > MOST {
                entry.refuse(format_args!("has more than {MOST} waits"));
            }
            (!waits.is_empty()).then_some(waits)
        })
        .unwrap_or(default.waits);
    let give_up_after = section.time("give_up_after", default.give_up_after);
    Retry {
        waits,
        give_up_after,
    }
}
