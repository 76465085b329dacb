//! Holders of claims: the process, and the set of workers in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::domain::LedgerId;

/// A set of workers that was started together. A reload starts another set beside the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    node: Arc<str>,
    /// Identifies the open database handle; a process opens it once for its workers.
    opening: Arc<str>,
    name: Arc<str>,
}

impl Holder {
    /// Creates the first holder of a database newly opened at this node. The name begins with that of the node,
    /// which is empty if no other node can share the database.
    pub(crate) fn of_node(node: &str) -> Self {
        let opening: Arc<str> = format!("{node}{}", LedgerId::new()).into();
        Self {
            node: node.into(),
            name: Arc::clone(&opening),
            opening,
        }
    }

    /// Creates another holder of the same opening.
    pub(crate) fn another(&self) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let opening = Arc::clone(&self.opening);
        Self {
            name: format!("{opening}.{}", COUNT.fetch_add(1, Relaxed)).into(),
            node: Arc::clone(&self.node),
            opening,
        }
    }

    /// Name in the row of a claim; it begins with the opening.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Common prefix of the names of all holders of this node, which may have been opened before.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Common prefix of the names of all holders of this opening.
    pub(crate) fn opening(&self) -> &str {
        &self.opening
    }
}
