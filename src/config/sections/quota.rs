//! `[quota]`: the bounds on what one pending account holds.

use crate::config::document::TomlSection;
use crate::config::units::MIB;
use crate::config::{Quota, show_size};

pub(super) fn read(section: &TomlSection<'_>, max_message_size: u64) -> Quota {
    let requests = section.number("requests", 50, 1..=1_000_000);
    let bytes = section.size("bytes", 100 * MIB);
    if bytes < max_message_size {
        section.refuse_key(
            "bytes",
            format_args!(
                "{} is less than smtp.max_message_size ({}), so that a message of that size \
                 could never be held; write at least as much",
                show_size(bytes),
                show_size(max_message_size)
            ),
        );
    }
    Quota { requests, bytes }
}
