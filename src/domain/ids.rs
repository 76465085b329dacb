//! Ids that sort by time (ULID). An id is a name and never a secret: it grants nothing.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// Not the 26 characters of a ULID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an id; ids look like 01J9ZQ4D8N0VXB7T3WKE5M2R6C")]
pub struct IdError(pub String);

/// The newest id of this process.
static LAST: Mutex<Ulid> = Mutex::new(Ulid::nil());

/// Returns an id above all earlier ones of this process, even within one millisecond or after the clock went
/// back, so that ids sort in the order of their creation. If the clock does not distinguish two ids, they
/// differ by 64 random bits, so that nobody can guess the neighbour of a known id.
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
            /// Creates an id of the present time, above all earlier ones of this process.
            #[expect(clippy::new_without_default, reason = "two calls differ; a default would not say so")]
            #[must_use]
            pub fn new() -> Self {
                Self(next())
            }

            /// The 16 bytes stored in the database; they sort like the ids.
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
    /// A user of the directory, as SCIM names it.
    UserId
);
id!(
    /// One call of one hook about one event; stable over all attempts.
    HookCallId
);
id!(
    /// A mail that waits to be sent: a verification mail, a reminder.
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
