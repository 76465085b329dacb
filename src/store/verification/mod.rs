//! Verification mail: what is owed, its order, its limits and its outcome.

pub(super) mod bounces;
pub(super) mod languages;
mod link_requests;
pub(super) mod mail_claims;
pub(super) mod mail_lanes;
pub(super) mod mail_queue;
pub(super) mod notices;
pub(super) mod rate_limits;
pub(super) mod sent_and_queued_mail;
pub(super) mod tokens;
pub(super) mod verification_mail;
