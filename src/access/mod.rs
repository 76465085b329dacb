//! Access decisions: takes [`Facts`](crate::mail::Facts), the account's standing and the access settings,
//! returns a [`Decision`].
//!
//! Everything here is pure: no clock, no database, no network. `decide` runs inside the transaction that
//! records its result, and again, on the recorded inputs, to explain it.

mod api_schema;
mod change;
mod decision_input;
mod denials;
mod explain;
mod mailbox_provider;
mod newcomer;
mod rules;
mod settings;
mod settings_key;
mod similar_domain;
mod simulate;
mod warnings;

pub use change::{Assignment, AssignmentError, Change};
pub use decision_input::{
    AccountStanding, Circumstances, Consequence, Decision, DecisionInput, Enforcement, Original,
    Standing, choose_sender, sender_for,
};
pub use denials::Denial;
pub use explain::{RuleResult, explain};
pub use newcomer::decide_newcomer;
pub use rules::{RULES, Rule, RuleGroup, decide, number_of};
pub use settings::{
    AccessSettings, Effective, External, ExternalOverrides, Internal, InternalOverrides, Overrides,
    Settings, Source,
};
pub use settings_key::{Key, KeyError, Value};
pub use similar_domain::SimilarDomains;
pub use simulate::{Compared, Comparison, Outcome, Recorded, Shift, reads_settings};
pub use warnings::Warning;
