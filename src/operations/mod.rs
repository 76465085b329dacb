//! Operators' queries and actions, independent of the interface: the same query has the same answer, and the
//! same JSON, at the command line, on the pages and in the API.
//!
//! In: the configuration, the [`store`](crate::store), and the query or action. Out: a type whose fields are
//! the contract. Nothing here prints, parses arguments or speaks HTTP.

mod access;
mod actions;
mod bulk;
mod deliveries;
mod dropped;
mod explain;
mod simulate;
mod stats;
mod try_address;

pub use access::{Author, Changed, Difference, Shown, Step, change, difference, history, stopped};
pub use actions::{CustomerAct, NO_MAIL, NOT_A_CUSTOMER, RequestAct, add_customer, warning_about};
pub use bulk::{MOST_AT_ONCE, bulk};
pub use deliveries::{Queue, queue, queues};
pub use dropped::{Dropped, Taken, force, is_recoverable, recover, recoverable};
pub use explain::{Explanation, bare_message_id, explained, found};
pub use simulate::Simulation;
pub use stats::{Stats, stats};
pub use try_address::{Asked, Tested, kind_of, question, standing_of, tested};
