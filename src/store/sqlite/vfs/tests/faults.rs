//! Faults below the layer, for the connections of one thread.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;

use rusqlite::ffi;

/// A failing write.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::sqlite) enum Fault {
    /// The disk fills up after a part was written.
    FullAfter { octets: usize },
    /// The device fails.
    Broken,
}

thread_local! {
    /// Number of writes that still succeed, number of those that fail then, and how.
    static FAULT: Cell<Option<(usize, usize, Fault)>> = const { Cell::new(None) };
    static SIZES: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static OCCURRED: Cell<bool> = const { Cell::new(false) };
    static LATE: Cell<usize> = const { Cell::new(0) };
    static SYNC_FAILS: Cell<bool> = const { Cell::new(false) };
}

/// Makes the next sync of an extension of the log fail.
pub(in crate::store) fn fail_sync() {
    SYNC_FAILS.set(true);
}

/// Called before each of these syncs.
pub(in crate::store::sqlite) fn pass_sync() -> Result<(), c_int> {
    if SYNC_FAILS.take() {
        return Err(ffi::SQLITE_IOERR_FSYNC);
    }
    Ok(())
}

/// Makes `times` writes fail, after `after` writes that succeed.
pub(in crate::store::sqlite) fn arm(after: usize, times: usize, fault: Fault) {
    FAULT.set(Some((after, times, fault)));
}

/// Ends the faults. Returns true if one occurred.
pub(in crate::store::sqlite) fn mend() -> bool {
    FAULT.set(None);
    OCCURRED.take()
}

/// The sizes of the writes since the last call.
pub(in crate::store::sqlite) fn sizes() -> Vec<usize> {
    SIZES.take()
}

/// Number of copies that ended with kept pages, which had to be written in a call that cannot fail.
pub(in crate::store::sqlite) fn late() -> usize {
    LATE.get()
}

pub(in crate::store::sqlite) fn note_late() {
    LATE.set(LATE.get() + 1);
}

/// Called before each write. `write` writes the part that succeeds before a fault.
pub(in crate::store::sqlite) fn pass(
    octets: &[u8],
    write: impl Fn(&[u8]) -> c_int,
) -> Result<(), c_int> {
    SIZES.with_borrow_mut(|sizes| sizes.push(octets.len()));
    match FAULT.get() {
        Some((0, times, fault)) if times > 0 => {
            FAULT.set(Some((0, times - 1, fault)));
            OCCURRED.set(true);
            match fault {
                Fault::FullAfter { octets: part } => {
                    let part = part.min(octets.len().saturating_sub(1));
                    assert_eq!(write(&octets[..part]), ffi::SQLITE_OK);
                    Err(ffi::SQLITE_FULL)
                }
                Fault::Broken => Err(ffi::SQLITE_IOERR_WRITE),
            }
        }
        Some((after, times, fault)) => {
            FAULT.set(Some((after.saturating_sub(1), times, fault)));
            Ok(())
        }
        None => Ok(()),
    }
}
