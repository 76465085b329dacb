//! Coalesces the writes of a connection into fewer calls: frames of a commit, and pages of a checkpoint.
//!
//! `SQLite` writes each page of the log in two calls, for its header and its content, and each page of a checkpoint
//! in one. Here, contiguous writes are kept until they make about 120 KiB, and then written in one call.
//!
//! A kept write can still fail, so each is written in a call that can report the failure, before anything relies on
//! it:
//!
//! - The frames of a transaction are written when the last page of the frame with the commit mark arrives: before
//!   the log is synced, and before the index of the log tells other connections of the commit.
//! - Frames that are kept when the lock of the writer is released were rolled back. They are dropped, because
//!   another process may write frames of its own to their places.
//! - Without that lock, as in a connection that keeps all locks, frames are written at once.
//! - A write that is not contiguous with the last one is not kept: it may be the header of a commit, rewritten
//!   alone.
//! - Frames that could not be written are still kept, so that a commit that succeeds has written all of them.
//! - The log is extended before frames are written beyond its end ([`log_extension`]).
//! - The pages of a checkpoint are written when the last page arrives that is certain to be copied, according to the
//!   index of the log: after it, the copy can count as done without another call that can fail.

use std::ffi::c_int;

use super::log_extension;

/// Outcome of a call, with the result code of `SQLite` where it failed.
pub(super) type FileResult = Result<(), c_int>;

/// The file below, which performs the reads and writes.
pub(super) trait Below {
    /// Writes all octets, or fails.
    fn write(&self, octets: &[u8], offset: u64) -> FileResult;
    /// Fills the buffer, or fails.
    fn read(&self, octets: &mut [u8], offset: u64) -> FileResult;
    fn length(&self) -> Result<u64, c_int>;
    /// Syncs the content and the length.
    fn sync(&self) -> FileResult;
}

/// Length of the header before each page of the log (<https://www.sqlite.org/fileformat2.html#wal_frame>).
const FRAME_HEADER: usize = 24;

/// Maximum number of octets that are kept: 30 frames with pages of 4 KiB.
const CAPACITY: usize = 30 * (FRAME_HEADER + 4096);

// The `unix` VFS looks at the lowest 17 bits of a length.
const _: () = assert!(CAPACITY < 1 << 17);

/// Contiguous writes that are kept.
#[derive(Debug, Default)]
struct Gathered {
    octets: Vec<u8>,
    /// Offset at which the next contiguous write starts.
    end: Option<u64>,
}

impl Gathered {
    fn append(&mut self, below: &impl Below, octets: &[u8], offset: u64) -> FileResult {
        if self.octets.len() + octets.len() > CAPACITY {
            self.flush(below)?;
        }
        if self.octets.capacity() == 0 {
            self.octets.reserve_exact(CAPACITY);
        }
        self.octets.extend_from_slice(octets);
        self.end = Some(offset + octets.len() as u64);
        Ok(())
    }

    /// Writes what is kept; after a failure it is still kept.
    fn flush(&mut self, below: &impl Below) -> FileResult {
        if !self.octets.is_empty() {
            below.write(&self.octets, self.start())?;
            self.octets.clear();
        }
        Ok(())
    }

    fn start(&self) -> u64 {
        self.end.unwrap_or(0) - self.octets.len() as u64
    }

    fn read(&mut self, below: &impl Below, octets: &mut [u8], offset: u64) -> FileResult {
        let (start, end) = (self.start(), self.start() + self.octets.len() as u64);
        let last = offset + octets.len() as u64;
        if offset >= start && last <= end {
            let skipped = usize::try_from(offset - start).unwrap_or(0);
            octets.copy_from_slice(&self.octets[skipped..skipped + octets.len()]);
            return Ok(());
        }
        if offset < end && last > start {
            self.flush(below)?;
        }
        below.read(octets, offset)
    }
}

/// A copy of pages from the log into the database.
#[derive(Debug)]
struct Copying {
    /// Number of a page that is certain to be copied; those after it may be.
    certain: u32,
    /// A call failed, so that the copy will not count.
    has_failed: bool,
}

/// The kept writes of one connection.
#[derive(Debug, Default)]
pub(super) struct Writes {
    log: Gathered,
    /// The connection holds the lock of the writer, and reports when it releases it.
    is_writer: bool,
    /// Length of the log, as far as this transaction knows.
    length: u64,
    /// The last frame that was begun has the commit mark.
    is_committing: bool,
    database: Gathered,
    copying: Option<Copying>,
    /// The connection shares the index of the log with others.
    pub(super) has_index: bool,
}

impl Writes {
    pub(super) fn write_log(
        &mut self,
        below: &impl Below,
        octets: &[u8],
        offset: u64,
    ) -> FileResult {
        // A page is never as short as a header, and the header of the log is longer.
        let is_header = octets.len() == FRAME_HEADER;
        if is_header {
            self.is_committing = octets[4..8] != [0; 4];
        }
        let end = offset + octets.len() as u64;
        if self.is_writer && end > self.length {
            self.length = log_extension::extend(below, end)?;
        }
        if !self.is_writer || self.log.end != Some(offset) || octets.len() > CAPACITY {
            self.log.flush(below)?;
            below.write(octets, offset)?;
            self.log.end = Some(end);
            return Ok(());
        }
        self.log.append(below, octets, offset)?;
        if self.is_committing && !is_header {
            self.log.flush(below)?;
        }
        Ok(())
    }

    pub(super) fn read_log(
        &mut self,
        below: &impl Below,
        octets: &mut [u8],
        offset: u64,
    ) -> FileResult {
        let outcome = self.log.read(below, octets, offset);
        if let Some(copying) = &mut self.copying {
            copying.has_failed |= outcome.is_err();
        }
        outcome
    }

    pub(super) fn flush_log(&mut self, below: &impl Below) -> FileResult {
        self.log.flush(below)
    }

    /// Begins to keep frames: the connection holds the lock of the writer.
    pub(super) fn take_log(&mut self) {
        self.is_writer = true;
        // Another process may have shortened the log.
        self.length = 0;
    }

    /// Drops the frames of a transaction that did not end with a commit.
    pub(super) fn release_log(&mut self) {
        self.is_writer = false;
        if self.has_kept_frames() {
            self.log.octets.clear();
            self.log.end = None;
        }
    }

    /// True if there are frames that are not in the file yet.
    pub(super) fn has_kept_frames(&self) -> bool {
        !self.log.octets.is_empty()
    }

    /// Begins a copy that is certain to write the page of this number; None if no page is certain.
    pub(super) fn begin_copy(&mut self, certain: Option<u32>) {
        self.copying = certain.map(|certain| Copying {
            certain,
            has_failed: false,
        });
    }

    pub(super) fn write_page(
        &mut self,
        below: &impl Below,
        octets: &[u8],
        offset: u64,
    ) -> FileResult {
        let Some(copying) = &mut self.copying else {
            return below.write(octets, offset);
        };
        let mut write = || {
            if self.database.end != Some(offset) {
                self.database.flush(below)?;
            }
            self.database.append(below, octets, offset)?;
            if offset / octets.len() as u64 + 1 >= u64::from(copying.certain) {
                self.database.flush(below)?;
            }
            Ok(())
        };
        let outcome = write();
        copying.has_failed |= outcome.is_err();
        outcome
    }

    pub(super) fn read_database(
        &mut self,
        below: &impl Below,
        octets: &mut [u8],
        offset: u64,
    ) -> FileResult {
        self.database.read(below, octets, offset)
    }

    pub(super) fn flush_database(&mut self, below: &impl Below) -> FileResult {
        self.database.flush(below)
    }

    /// Ends a copy.
    ///
    /// # Errors
    /// Pages could not be written, and the copy will count as done all the same.
    pub(super) fn end_copy(&mut self, below: &impl Below) -> FileResult {
        let has_failed = self
            .copying
            .take()
            .is_some_and(|copying| copying.has_failed);
        let outcome = if has_failed || self.database.octets.is_empty() {
            Ok(())
        } else {
            #[cfg(test)]
            super::vfs::tests::faults::note_late();
            self.database.flush(below)
        };
        self.database = Gathered::default();
        outcome
    }
}
