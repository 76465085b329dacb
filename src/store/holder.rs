//! Who holds claims: which process, and which of its sets of workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::domain::LedgerId;

/// A set of workers that was started together. After a reload, those of before and those of now are two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// Of the open database, which a process opens once to work on it.
    opening: Arc<str>,
    name: Arc<str>,
}

impl Holder {
    /// The first holder of a database that is being opened. Where several nodes share a database, the
    /// name of the node is to come first.
    pub(super) fn of_opening() -> Self {
        let opening: Arc<str> = LedgerId::new().to_string().into();
        Self {
            name: Arc::clone(&opening),
            opening,
        }
    }

    /// Another one of the same opening.
    pub(super) fn another(&self) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let opening = Arc::clone(&self.opening);
        Self {
            name: format!("{opening}.{}", COUNT.fetch_add(1, Relaxed)).into(),
            opening,
        }
    }

    /// What stands in the row of a claim; it begins with the opening.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the names of all holders of this opening begin with.
    pub(super) fn opening(&self) -> &str {
        &self.opening
    }
}
