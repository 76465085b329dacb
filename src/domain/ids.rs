//! Ids that sort by time (ULID). An id is a name, never a secret: it opens nothing.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// Not the 26 characters of a ULID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an id; ids look like 01J9ZQ4D8N0VXB7T3WKE5M2R6C")]
pub struct IdError(pub String);

/// The last id that this process made.
static LAST: Mutex<Ulid> = Mutex::new(Ulid::nil());

/// An id above all before it, also within one millisecond and after a clock that went back: a list that
/// sorts by id shows what came later as later. The way from one to the next is 64 random bits where
/// the clock alone does not tell them apart, so that nobody who has seen one can name its neighbour.
fn next() -> Ulid {
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let Ulid(fresh) = Ulid::generate();
    let step = fresh & u128::from(u64::MAX);
    *last = if fresh > last.0 {
        Ulid(fresh)
    } else {
        Ulid(last.0.saturating_add(step | 1))
    };
    *last
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Ulid);

        impl $name {
            /// A new id of this moment, above all that this process made before.
            #[expect(clippy::new_without_default, reason = "two calls differ; a default would not say so")]
            #[must_use]
            pub fn new() -> Self {
                Self(next())
            }

            /// The 16 bytes that the database keeps; they sort as the ids do.
            #[must_use]
            pub fn to_bytes(self) -> [u8; 16] {
                self.0.to_bytes()
            }

            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Ulid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Ulid::from_string(text)
                    .map(Self)
                    .map_err(|_| IdError(text.to_owned()))
            }
        }
    };
}

id!(
    /// One entry of the ledger: a message for one portal.
    LedgerId
);
id!(
    /// A request; stable over all attempts to deliver it.
    RequestId
);
id!(AccountId);
id!(
    /// One telling of one event to one hook; stable over all attempts.
    HookCallId
);
id!(
    /// A mail that the daemon owes somebody: a verification mail, a reminder.
    MailId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_above_the_one_before() {
        let ids: Vec<_> = (0..1000).map(|_| LedgerId::new()).collect();
        assert!(ids.is_sorted_by(|one, next| one < next));
    }
}
