//! One function for each event. Their arguments are the only data that may be logged: ids, addresses, names,
//! codes and causes. None takes a token, a subject or a body, so none can be logged by mistake.
//!
//! `docs/events.md` describes the events; a test compares it with this module.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use super::{TARGET, metrics};
use crate::domain::{
    AccountId, AccountKind, AccountOrigin, DestinationName, EmailAddress, HookCallId, LedgerId,
    OperatorName, PortalName, RequestId, Timestamp, Verdict, join,
};
use crate::store::{ArrivalOutcome, SetAside};

macro_rules! event {
    ($level:ident $name:literal) => {{
        metrics::event($name);
        tracing::event!(target: TARGET, tracing::Level::$level, $name);
    }};
    ($level:ident $name:literal, $($fields:tt)+) => {{
        metrics::event($name);
        tracing::event!(target: TARGET, tracing::Level::$level, $($fields)+, $name);
    }};
}

/// A permitted peer connected.
pub fn smtp_connected(peer: IpAddr) {
    event!(INFO "smtp.connected", peer = %peer);
}

/// A command of a peer was refused. `code` as in `554 5.7.1`; `recipient` as it was given.
pub fn smtp_rejected(peer: IpAddr, code: &str, cause: &str, recipient: Option<&str>) {
    event!(INFO "smtp.rejected", peer = %peer, code, cause, recipient);
}

macro_rules! message {
    ($name:literal, $entry:ident, $peer:ident) => {
        event!(INFO $name,
            ledger = %$entry.ledger,
            request = $entry.request.map(display),
            account = $entry.account.map(|(id, _)| display(id)),
            sender = $entry.sender.as_ref().map(display),
            domain = $entry.sender.as_ref().map(|sender| display(sender.domain())),
            portal = $entry.portal.as_ref().map(display),
            reason = $entry.reason.as_str(),
            rule = $entry.rule,
            message_id = $entry.message_id.as_deref(),
            peer = $peer.map(display)
        )
    };
}

/// The verdict on a message for one portal.
pub fn message_decided(entry: &ArrivalOutcome, peer: Option<IpAddr>) {
    metrics::message(entry.verdict, entry.reason);
    match entry.verdict {
        Verdict::Accepted => message!("message.accepted", entry, peer),
        Verdict::Held => message!("message.held", entry, peer),
        Verdict::Dropped => message!("message.dropped", entry, peer),
    }
}

pub fn account_created(
    account: AccountId,
    address: &EmailAddress,
    kind: AccountKind,
    origin: AccountOrigin,
) {
    event!(INFO "account.created", account = %account, address = %address,
        domain = %address.domain(), kind = kind.as_str(), origin = origin.as_str());
}

/// `by` is `link`, `reply`, `sso` or `operator:NAME`. For an operator, `origin` is the interface: `command line`,
/// `page` or `api`.
pub fn account_verified(
    account: AccountId,
    address: &EmailAddress,
    by: &str,
    origin: Option<&str>,
) {
    event!(INFO "account.verified", account = %account, address = %address,
        domain = %address.domain(), by, origin);
}

pub fn account_blocked(account: AccountId, address: &EmailAddress, by: &str, origin: Option<&str>) {
    event!(INFO "account.blocked", account = %account, address = %address,
        domain = %address.domain(), by, origin);
}

pub fn account_unblocked(
    account: AccountId,
    address: &EmailAddress,
    by: &str,
    origin: Option<&str>,
) {
    event!(INFO "account.unblocked", account = %account, address = %address,
        domain = %address.domain(), by, origin);
}

/// An operator changed whether automatic mail of the account is accepted. `setting` is `on` or `off`.
pub fn account_takes_automatic(
    account: AccountId,
    address: &EmailAddress,
    setting: Option<&str>,
    by: &str,
    origin: Option<&str>,
) {
    event!(INFO "account.takes_automatic", account = %account, address = %address,
        domain = %address.domain(), setting, by, origin);
}

/// Nobody verified the address in time.
pub fn account_expired(account: AccountId, address: &EmailAddress) {
    event!(INFO "account.expired", account = %account, address = %address,
        domain = %address.domain());
}

/// An operator erased a person's data. The event does not say whose.
pub fn account_forgotten(by: &str) {
    event!(INFO "account.forgotten", by);
}

pub fn verification_sent(account: AccountId, address: &EmailAddress, attempt: u32) {
    event!(INFO "verification.sent", account = %account, address = %address,
        domain = %address.domain(), attempt);
}

/// A limit or a server delayed the mail.
pub fn verification_deferred(
    account: AccountId,
    address: &EmailAddress,
    until: Timestamp,
    cause: &str,
) {
    event!(WARN "verification.deferred", account = %account, address = %address,
        domain = %address.domain(), until = %format_args!("{until:.3}"), cause);
}

/// The mail cannot reach the address: it bounced (`ledger`), our relay does not know the address, or it was given up.
pub fn verification_bounced(
    account: AccountId,
    address: Option<&EmailAddress>,
    ledger: Option<LedgerId>,
    cause: &str,
) {
    event!(WARN "verification.bounced", account = %account, address = address.map(display),
        domain = address.map(|address| display(address.domain())),
        ledger = ledger.map(display), cause);
}

/// A person or a scanner opened the link. Nothing has changed.
pub fn verification_opened(account: AccountId, address: &EmailAddress) {
    event!(INFO "verification.opened", account = %account, address = %address,
        domain = %address.domain());
}

/// `by` is `link`, `reply` or `sso`.
pub fn verification_confirmed(account: AccountId, address: &EmailAddress, by: &str) {
    event!(INFO "verification.confirmed", account = %account, address = %address,
        domain = %address.domain(), by);
}

/// "This was not me" was pressed.
pub fn verification_refused(account: AccountId, address: &EmailAddress) {
    event!(INFO "verification.refused", account = %account, address = %address,
        domain = %address.domain());
}

/// "This was not me" was withdrawn; `restored` requests are held again.
pub fn verification_taken_back(account: AccountId, address: &EmailAddress, restored: usize) {
    event!(INFO "verification.taken_back", account = %account, address = %address,
        domain = %address.domain(), restored = restored);
}

/// A sender was notified that their mail is not accepted.
pub fn sender_told(ledger: Option<LedgerId>, address: &EmailAddress, portal: &PortalName) {
    event!(INFO "sender.told", ledger = ledger.map(display),
        address = %address, domain = %address.domain(), portal = %portal);
}

/// The request may be delivered. `by` is `link`, `reply`, `sso` or `operator:NAME`.
pub fn request_released(
    request: RequestId,
    account: AccountId,
    portal: &PortalName,
    by: &str,
    origin: Option<&str>,
) {
    event!(INFO "request.released", request = %request, account = %account, portal = %portal, by, origin);
}

pub fn request_discarded(request: RequestId, by: &str, origin: Option<&str>) {
    event!(INFO "request.discarded", request = %request, by, origin);
}

/// The address was not verified in time.
pub fn request_expired(request: RequestId) {
    event!(INFO "request.expired", request = %request);
}

/// A dropped message became a request.
pub fn request_recovered(request: RequestId, ledger: LedgerId, by: &str, origin: Option<&str>) {
    event!(INFO "request.recovered", request = %request, ledger = %ledger, by, origin);
}

/// One attempt to deliver a request.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryAttempt<'a> {
    pub request: RequestId,
    pub ledger: LedgerId,
    pub account: AccountId,
    pub portal: &'a PortalName,
    pub destination: &'a DestinationName,
    /// Counts from 1.
    pub attempt: u32,
}

pub fn delivery_succeeded(delivery: DeliveryAttempt) {
    event!(INFO "delivery.succeeded", request = %delivery.request, ledger = %delivery.ledger,
        account = %delivery.account, portal = %delivery.portal, destination = %delivery.destination,
        attempt = delivery.attempt);
}

/// The attempt failed; the next one is at `next`.
pub fn delivery_deferred(delivery: DeliveryAttempt, next: Timestamp, cause: &str) {
    event!(WARN "delivery.deferred", request = %delivery.request, ledger = %delivery.ledger,
        account = %delivery.account, portal = %delivery.portal, destination = %delivery.destination,
        attempt = delivery.attempt, next = %format_args!("{next:.3}"), cause);
}

/// The last attempt failed; an operator can retry.
pub fn delivery_failed(delivery: DeliveryAttempt, cause: &str) {
    event!(ERROR "delivery.failed", request = %delivery.request, ledger = %delivery.ledger,
        account = %delivery.account, portal = %delivery.portal, destination = %delivery.destination,
        attempt = delivery.attempt, cause);
}

/// One call of a hook.
#[derive(Debug, Clone, Copy)]
pub struct HookCallFields<'a> {
    pub hook: &'a DestinationName,
    pub call: HookCallId,
    /// The event that the call reports.
    pub about: &'a str,
    /// `None` if the event concerns no account.
    pub account: Option<AccountId>,
    /// Counts from 1.
    pub attempt: u32,
}

pub fn hook_succeeded(call: HookCallFields) {
    event!(INFO "hook.succeeded", hook = %call.hook, call = %call.call, about = call.about,
        account = call.account.map(display), attempt = call.attempt);
}

/// The attempt failed; the next one is at `next`.
pub fn hook_deferred(call: HookCallFields, next: Timestamp, cause: &str) {
    event!(WARN "hook.deferred", hook = %call.hook, call = %call.call, about = call.about,
        account = call.account.map(display), attempt = call.attempt,
        next = %format_args!("{next:.3}"), cause);
}

/// The last attempt failed; an operator can retry.
pub fn hook_failed(call: HookCallFields, cause: &str) {
    event!(ERROR "hook.failed", hook = %call.hook, call = %call.call, about = call.about,
        account = call.account.map(display), attempt = call.attempt, cause);
}

/// Every attempt at a destination or hook fails; one attempt is made from time to time.
pub fn destination_down(destination: &DestinationName, cause: &str) {
    event!(WARN "destination.down", destination = %destination, cause);
}

/// A destination or hook works again, or is no longer considered down.
pub fn destination_up(destination: &DestinationName) {
    event!(INFO "destination.up", destination = %destination);
}

/// A wrong password, an unknown name, or a client that is locked out. `by` is the operator of that name, if
/// there is one.
pub fn operator_login_failed(peer: IpAddr, by: Option<&OperatorName>, cause: &str) {
    event!(WARN "operator.login_failed", peer = %peer, by = by.map(display), cause);
}

/// A sign-in at the provider did not verify an address. `cause` is for the operator.
pub fn sso_failed(cause: &dyn Display) {
    event!(WARN "verification.sso_failed", cause = %cause);
}

/// `origin` is the interface: `command line`, `page`, `api`, `configuration`.
pub fn access_changed(revision: u64, by: &str, origin: &str) {
    event!(INFO "access.changed", revision, by, origin);
}

pub fn config_reloaded(file: &std::path::Path) {
    event!(INFO "config.reloaded", file = %file.display());
}

/// A reload found mistakes, so the old settings stay. `cause` lists the mistakes.
pub fn config_refused(file: &std::path::Path, cause: &str) {
    event!(ERROR "config.refused", file = %file.display(), cause);
}

/// Held or released requests wait for a portal that the configuration does not have.
pub fn portal_missing(portal: &PortalName, requests: u64) {
    event!(WARN "portal.missing", portal = %portal, requests);
}

/// The system's clock jumped `ahead` or `back` by this much. Nothing is deleted while it is ahead.
pub fn clock_jumped(direction: &str, by: std::time::Duration) {
    event!(WARN "clock.jumped", direction, seconds = by.as_secs());
}

/// The canary did not arrive.
pub fn canary_failed(cause: &str) {
    event!(ERROR "canary.failed", cause);
}

/// The canary arrived again after a failure.
pub fn canary_recovered() {
    event!(INFO "canary.recovered");
}

/// The free space on the disk with the database comes close to the reserve. In octets.
pub fn disk_low(free: u64, reserve: u64) {
    event!(WARN "disk.low", free, reserve);
}

/// There is enough free space again.
pub fn disk_recovered(free: u64) {
    event!(INFO "disk.recovered", free);
}

/// All listeners are up.
pub fn daemon_started(smtp: &[SocketAddr], http: SocketAddr, admin: SocketAddr) {
    event!(INFO "daemon.started", version = env!("CARGO_PKG_VERSION"),
        smtp = join(smtp, ","), http = %http, admin = %admin);
}

/// The drain begins. `cause` is the signal.
pub fn daemon_stopping(cause: &str) {
    event!(INFO "daemon.stopping", cause);
}

pub fn daemon_stopped() {
    event!(INFO "daemon.stopped");
}

/// A damaged row was set aside, so that the others can proceed.
pub fn set_aside(damaged: &SetAside) {
    let cause = format!(
        "{} was set aside as failed: {}; `vestibule doctor` lists the damage",
        damaged.what, damaged.cause
    );
    fault("store", &cause);
}

/// An internal error. `place` is the module or the job, as in `store` or `smtp.accept`.
pub fn fault(place: &str, cause: &dyn Display) {
    event!(ERROR "fault", place, cause = %cause);
}

#[cfg(test)]
pub(crate) mod tests;
