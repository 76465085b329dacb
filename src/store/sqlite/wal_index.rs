//! The index of the log, which all connections share (<https://www.sqlite.org/walformat.html>).
//!
//! In: its memory, in regions. Out: the last page of the file that the checkpoint that begins now is certain to
//! copy. A checkpoint copies pages in the order of their numbers.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};

/// Size of a region of the index, in 32-bit words and in octets.
pub(super) const REGION: usize = 8192;
pub(super) const REGION_OCTETS: i32 = 32_768;

/// Version of the format.
const VERSION: u32 = 3_007_000;

/// Offsets in the first region, in words: the header in force and the state of checkpoints.
const VERSION_AT: usize = 0;
const PAGES_AT: usize = 5;
/// In the other copy of the header, which is written first.
const FRAMES_AT: usize = 12 + 4;
const COPIED_AT: usize = 24;
const TO_COPY_AT: usize = 32;
/// Offset of the first page number in the first region; in the others it is 0.
const FIRST_AT: usize = 34;
/// Number of page numbers in each region but the first.
const NUMBERS: usize = 4096;

/// Finds a page that is certain to be copied, so that no page before it can be the last one copied. None if no page
/// is certain. The caller holds the locks of a checkpoint.
///
/// A page is copied if its newest frame is one of those to be copied. The checkpoint has an earlier view of the log
/// than this function. A page with a newer frame may be copied or not, so it is never returned. A page beyond the
/// earlier end of the database has newer frames only.
pub(super) fn find_certain_page<'a>(
    region: impl Fn(usize) -> Option<&'a [AtomicU32]>,
) -> Option<u32> {
    let first = region(0)?;
    let number = |at: usize| first.get(at).map(|number| number.load(Ordering::SeqCst));
    if number(VERSION_AT)? != VERSION {
        return None;
    }
    let (copied, to_copy) = (number(COPIED_AT)?, number(TO_COPY_AT)?);
    // Read in this order, so that a commit in between is among the frames.
    let pages = number(PAGES_AT)?;
    let frames = number(FRAMES_AT)?;
    let page_of = |frame: u32| {
        let place = usize::try_from(frame).ok()?.checked_sub(1)? + FIRST_AT;
        let page = region(place / NUMBERS)?.get(place % NUMBERS)?;
        Some(page.load(Ordering::SeqCst))
    };
    let newer = (to_copy + 1..=frames)
        .map(page_of)
        .collect::<Option<HashSet<u32>>>()?;
    let mut certain = None;
    for frame in copied + 1..=to_copy {
        let page = page_of(frame)?;
        if page <= pages && !newer.contains(&page) {
            certain = certain.max(Some(page));
        }
    }
    certain
}
