//! Extension of the log with zeros, before frames are written beyond its end: if a sync fails midway, `ext4` can report
//! success although it loses new blocks, but it keeps blocks that were there before.

use std::ffi::c_int;

use rusqlite::ffi;

use super::coalesced_writes::Below;

/// Length by which the log is extended.
pub(super) const EXTENSION: u64 = 1 << 20;

/// Zeros for extending the log, piece by piece.
pub(super) static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Extends the log with zeros to `end` and [`EXTENSION`] beyond, and syncs it, unless it already reaches `end`. Returns
/// its length, which is shorter if the disk is full.
///
/// # Errors
/// Any other failure, which must fail the commit: the frames would go into new blocks, or, after a failed sync, the
/// kernel would not report the failure again to the sync of the commit.
pub(super) fn extend(log: &impl Below, end: u64) -> Result<u64, c_int> {
    let mut length = log.length()?;
    if length >= end {
        return Ok(length);
    }
    while length < end + EXTENSION {
        match log.write(&ZEROS, length) {
            Ok(()) => length += ZEROS.len() as u64,
            Err(ffi::SQLITE_FULL) => break,
            Err(code) => return Err(code),
        }
    }
    log.sync()?;
    Ok(length)
}

/// Extends the log by one step, unless it has this length. Returns true if it is still shorter, and has grown.
///
/// # Errors
/// As [`extend`].
pub(super) fn take_step(log: &impl Below, length: u64) -> Result<bool, c_int> {
    let found = log.length()?;
    if found >= length {
        return Ok(false);
    }
    let extended = extend(log, found + 1)?;
    Ok(extended > found && extended < length)
}
