//! Free space on the disk with the database, and the part of it that is reserved for other work than incoming mail.
//!
//! Anyone can send mail that is held for weeks, under any number of invented addresses. If that filled the disk, nothing
//! could be written any more: no verification, no delivery, and no expiry, which frees space. So mail is refused
//! before, that of unauthenticated senders first.

use std::path::Path;

use rustix::fs::statvfs;

use crate::config::MAX_MESSAGE;
use crate::store::{Result, StoreError};

/// Maximum size of the reserve, in octets.
const MAX_RESERVE: u64 = 512 * 1024 * 1024;

/// The reserve is at most the size of the disk divided by this.
const PARTS: u64 = 20;

/// Number of reserves below which free space becomes low. It stays low up to [`NOT_LOW`].
const LOW: u64 = 2;

/// Number of reserves at which free space stops being low.
const NOT_LOW: u64 = 3;

/// Space besides twice the reserve, in octets, that is ample.
const AMPLE: u64 = 128 * 1024 * 1024;

/// Space for the database, in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DiskSpace {
    /// Size of the file system.
    pub(crate) total: u64,
    /// Free space of the file system, and, unless that is enough for any message, of the database.
    pub(crate) available: u64,
}

impl DiskSpace {
    /// Measures the file system of a file or folder.
    ///
    /// # Errors
    /// The path does not exist, or the file system does not answer.
    pub(crate) fn at(path: &Path) -> rustix::io::Result<Self> {
        let disk = statvfs(path)?;
        Ok(Self {
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
            available: disk.f_bavail.saturating_mul(disk.f_frsize),
        })
    }

    /// Adds the unused pages of the database, in octets, which later rows fill, unless any message fits without them.
    pub(crate) fn with_unused(self, count: impl FnOnce() -> Option<u64>) -> Self {
        if self.admits_any() {
            return self;
        }
        let unused = count().unwrap_or(0);
        Self {
            available: self.available.saturating_add(unused),
            ..self
        }
    }

    /// The space that is kept from incoming mail.
    pub(crate) fn reserve(self) -> u64 {
        MAX_RESERVE.min(self.total / PARTS)
    }

    /// True if the free space comes close to the reserve. Once it was low, it is so until there is clearly more.
    pub(crate) fn is_low(self, was_low: bool) -> bool {
        let reserves = if was_low { NOT_LOW } else { LOW };
        self.available < reserves * self.reserve()
    }

    /// True if the log may be extended in advance.
    pub(crate) fn is_ample(self) -> bool {
        self.available >= 2 * self.reserve() + AMPLE
    }

    /// The free space with which a message of this size is admitted, whoever sent it. It is written to the log and to
    /// the database.
    pub(crate) fn least_for(self, octets: u64) -> u64 {
        octets.saturating_mul(2).saturating_add(self.reserve())
    }

    /// True if a message of any size is admitted.
    fn admits_any(self) -> bool {
        self.available >= self.least_for(MAX_MESSAGE)
    }

    /// Admits a message of this size. Those of authenticated senders may use half of the reserve.
    ///
    /// # Errors
    /// `Full`.
    pub(crate) fn admit_mail(self, is_authenticated: bool, octets: usize) -> Result<()> {
        let share = if is_authenticated { 2 } else { 1 };
        let (reserved, needed) = (self.reserve() / share, 2 * octets as u64);
        if self.available >= reserved + needed {
            return Ok(());
        }
        Err(StoreError::Full(format!(
            "{} KiB are free; {} KiB are reserved for other work than this mail, which needs {} KiB \
             in the log and in the database",
            self.available / 1024,
            reserved / 1024,
            needed.div_ceil(1024)
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_refusal_says_how_much_the_message_needs() {
        let disk = DiskSpace {
            total: 100 * MIB,
            available: 10 * MIB,
        };
        let refusal = disk.admit_mail(false, 3 << 20).expect_err("full");
        for part in [
            "10240 KiB are free",
            "5120 KiB are reserved",
            "needs 6144 KiB",
        ] {
            assert!(refusal.to_string().contains(part), "{refusal}");
        }
    }

    #[test]
    fn unauthenticated_mail_is_refused_first() {
        for (total, available, admitted) in [
            (1 << 40, 512 * MIB, [true, true]),
            (1 << 40, 512 * MIB - 1, [false, true]),
            (1 << 40, 256 * MIB, [false, true]),
            (1 << 40, 256 * MIB - 1, [false, false]),
            // A twentieth of a small disk.
            (100 * MIB, 5 * MIB, [true, true]),
            (100 * MIB, 5 * MIB - 1, [false, true]),
            (100 * MIB, 0, [false, false]),
        ] {
            let disk = DiskSpace { total, available };
            let found = [false, true].map(|passes| disk.admit_mail(passes, 0).is_ok());
            assert_eq!(found, admitted, "{disk:?}");
            let with_more = DiskSpace {
                total,
                available: available + 2048,
            };
            let found = [false, true].map(|passes| with_more.admit_mail(passes, 1024).is_ok());
            assert_eq!(found, admitted, "{with_more:?}");
            assert_eq!(disk.available >= disk.least_for(0), admitted[0], "{disk:?}");
            assert!(!disk.is_ample(), "{disk:?}");
        }
    }

    #[test]
    fn unused_pages_count_unless_any_message_fits_without_them() {
        for (available, expected) in [
            (1512 * MIB, 1512 * MIB),
            (1512 * MIB - 1, 1612 * MIB - 1),
            (0, 100 * MIB),
        ] {
            let total = 1 << 40;
            let disk = DiskSpace { total, available }.with_unused(|| Some(100 * MIB));
            assert_eq!(disk.available, expected);
        }
    }

    #[test]
    fn space_is_low_before_mail_is_refused_and_until_there_is_clearly_more() {
        for (total, low, not_low) in [
            (1 << 40, 1024 * MIB, 1536 * MIB),
            (100 * MIB, 10 * MIB, 15 * MIB),
        ] {
            let is_low = |available, was_low| DiskSpace { total, available }.is_low(was_low);
            assert_eq!([is_low(low, false), is_low(low - 1, false)], [false, true]);
            assert_eq!(
                [is_low(not_low, true), is_low(not_low - 1, true)],
                [false, true]
            );
            let least = DiskSpace {
                total,
                available: low - 1,
            };
            assert!(least.admit_mail(false, 0).is_ok(), "{least:?}");
        }
    }

    #[test]
    fn ample_space_is_more_than_a_message_and_the_reserve() {
        for (total, least) in [(1 << 40, 1152 * MIB), (100 * MIB, 138 * MIB)] {
            let [ample, less] = [least, least - 1].map(|available| DiskSpace { total, available });
            assert!(ample.is_ample(), "{ample:?}");
            assert!(!less.is_ample(), "{less:?}");
            assert!(least > ample.least_for(64 * MIB), "{ample:?}");
            assert!(!ample.admits_any(), "{ample:?}");
        }
    }
}
