//! A function for each event. Their arguments are what may be logged: ids, addresses, names, codes
//! and causes. None takes a token, a subject or a body, so none can be logged by mistake.
//!
//! `docs/events.md` describes them; a test compares it with what is emitted here.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};

use super::{TARGET, metrics};
use crate::domain::{
    AccountId, DestinationName, EmailAddress, HookCallId, Kind, LedgerId, Origin, PortalName,
    RequestId, Timestamp, Verdict,
};
use crate::store::Entry;

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

/// A peer that may talk to us did connect.
pub fn smtp_connected(peer: IpAddr) {
    event!(INFO "smtp.connected", peer = %peer);
}

/// Something a peer wanted was refused. `code` as in `554 5.7.1`; `recipient` as it was given.
pub fn smtp_rejected(peer: IpAddr, code: &str, cause: &str, recipient: Option<&str>) {
    event!(INFO "smtp.rejected", peer = %peer, code, cause, recipient);
}

/// What became of a message for one portal: one of the three that follow.
pub fn message_decided(entry: &Entry, peer: Option<IpAddr>) {
    metrics::message(entry.verdict, entry.reason);
    match entry.verdict {
        Verdict::Accepted => message_accepted(entry, peer),
        Verdict::Held => message_held(entry, peer),
        Verdict::Dropped => message_dropped(entry, peer),
    }
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

pub fn message_accepted(entry: &Entry, peer: Option<IpAddr>) {
    message!("message.accepted", entry, peer);
}

pub fn message_held(entry: &Entry, peer: Option<IpAddr>) {
    message!("message.held", entry, peer);
}

pub fn message_dropped(entry: &Entry, peer: Option<IpAddr>) {
    message!("message.dropped", entry, peer);
}

pub fn account_created(account: AccountId, address: &EmailAddress, kind: Kind, origin: Origin) {
    event!(INFO "account.created", account = %account, address = %address,
        domain = %address.domain(), kind = kind.as_str(), origin = origin.as_str());
}

/// `by` is `link`, `reply` or `operator:NAME`; of an operator, `origin` is from where: `command line`,
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

/// An operator had a person forgotten; whom, nobody is told any more.
pub fn account_forgotten(by: &str) {
    event!(INFO "account.forgotten", by);
}

pub fn verification_sent(account: AccountId, address: &EmailAddress, attempt: u32) {
    event!(INFO "verification.sent", account = %account, address = %address,
        domain = %address.domain(), attempt);
}

/// A limit or a server made the mail wait.
pub fn verification_deferred(
    account: AccountId,
    address: &EmailAddress,
    until: Timestamp,
    cause: &str,
) {
    event!(WARN "verification.deferred", account = %account, address = %address,
        domain = %address.domain(), until = display(until), cause);
}

/// The mail cannot reach the address: a report came back (`ledger`), or our server refused it.
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

/// Somebody, or a scanner, looked at the link. Nothing has changed.
pub fn verification_opened(account: AccountId, address: &EmailAddress) {
    event!(INFO "verification.opened", account = %account, address = %address,
        domain = %address.domain());
}

/// `by` is `link` or `reply`.
pub fn verification_confirmed(account: AccountId, address: &EmailAddress, by: &str) {
    event!(INFO "verification.confirmed", account = %account, address = %address,
        domain = %address.domain(), by);
}

/// "This was not me" was pressed.
pub fn verification_refused(account: AccountId, address: &EmailAddress) {
    event!(INFO "verification.refused", account = %account, address = %address,
        domain = %address.domain());
}

/// The request may go to its destination. `by` is `link`, `reply` or `operator:NAME`.
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

/// Nobody proved the address in time.
pub fn request_expired(request: RequestId) {
    event!(INFO "request.expired", request = %request);
}

/// What was dropped became a request after all.
pub fn request_recovered(request: RequestId, ledger: LedgerId, by: &str, origin: Option<&str>) {
    event!(INFO "request.recovered", request = %request, ledger = %ledger, by, origin);
}

/// One attempt to hand a request over.
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

/// It will be tried again at `next`.
pub fn delivery_deferred(delivery: DeliveryAttempt, next: Timestamp, cause: &str) {
    event!(WARN "delivery.deferred", request = %delivery.request, ledger = %delivery.ledger,
        account = %delivery.account, portal = %delivery.portal, destination = %delivery.destination,
        attempt = delivery.attempt, next = display(next), cause);
}

/// It was given up; an operator can retry.
pub fn delivery_failed(delivery: DeliveryAttempt, cause: &str) {
    event!(ERROR "delivery.failed", request = %delivery.request, ledger = %delivery.ledger,
        account = %delivery.account, portal = %delivery.portal, destination = %delivery.destination,
        attempt = delivery.attempt, cause);
}

/// One attempt to tell a hook of something.
#[derive(Debug, Clone, Copy)]
pub struct HookCall<'a> {
    pub hook: &'a DestinationName,
    pub call: HookCallId,
    /// The event that is told.
    pub about: &'a str,
    pub account: AccountId,
    /// Counts from 1.
    pub attempt: u32,
}

pub fn hook_succeeded(call: HookCall) {
    event!(INFO "hook.succeeded", hook = %call.hook, call = %call.call, about = call.about,
        account = %call.account, attempt = call.attempt);
}

/// It will be tried again at `next`.
pub fn hook_deferred(call: HookCall, next: Timestamp, cause: &str) {
    event!(WARN "hook.deferred", hook = %call.hook, call = %call.call, about = call.about,
        account = %call.account, attempt = call.attempt, next = display(next), cause);
}

/// It was given up; an operator can retry.
pub fn hook_failed(call: HookCall, cause: &str) {
    event!(ERROR "hook.failed", hook = %call.hook, call = %call.call, about = call.about,
        account = %call.account, attempt = call.attempt, cause);
}

/// `origin` is from where: `command line`, `page`, `api`, `configuration`.
pub fn access_changed(revision: u64, by: &str, origin: &str) {
    event!(INFO "access.changed", revision, by, origin);
}

pub fn config_reloaded(file: &std::path::Path) {
    event!(INFO "config.reloaded", file = %file.display());
}

/// A reload found mistakes, and the old settings stay. `cause` tells the mistakes.
pub fn config_refused(file: &std::path::Path, cause: &str) {
    event!(ERROR "config.refused", file = %file.display(), cause);
}

/// The system's clock went `ahead` or `back`, by so much. Nothing is forgotten by one that went ahead.
pub fn clock_jumped(direction: &str, by: std::time::Duration) {
    event!(WARN "clock.jumped", direction, seconds = by.as_secs());
}

/// Our own message did not come through.
pub fn canary_failed(cause: &str) {
    event!(ERROR "canary.failed", cause);
}

/// It does again.
pub fn canary_recovered() {
    event!(INFO "canary.recovered");
}

/// All listeners are up.
pub fn daemon_started(smtp: &[SocketAddr], http: SocketAddr, admin: SocketAddr) {
    let smtp: Vec<_> = smtp.iter().map(ToString::to_string).collect();
    event!(INFO "daemon.started", version = env!("CARGO_PKG_VERSION"),
        smtp = smtp.join(","), http = %http, admin = %admin);
}

/// The drain begins. `cause` is the signal.
pub fn daemon_stopping(cause: &str) {
    event!(INFO "daemon.stopping", cause);
}

pub fn daemon_stopped() {
    event!(INFO "daemon.stopped");
}

/// Something of our own failed. `place` is the module or the job, as in `store` or `smtp.accept`.
pub fn fault(place: &str, cause: &dyn Display) {
    event!(ERROR "fault", place, cause = %cause);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LogFormat;
    use crate::domain::Reason;
    use crate::observe::line::{self, Style};
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    const DOCUMENTED: &str = include_str!("../../docs/events.md");

    /// Writes every event down as a line.
    struct Captured {
        lines: Arc<Mutex<Vec<String>>>,
        style: Style,
    }

    impl<S: tracing::Subscriber> Layer<S> for Captured {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            let mut text = String::new();
            line::write(&mut text, event, Timestamp::UNIX_EPOCH, self.style);
            self.lines.lock().expect("a lock").push(text);
        }
    }

    fn captured(format: LogFormat, redact: bool, run: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let layer = Captured {
            lines: Arc::clone(&lines),
            style: Style {
                format,
                redact,
                priority: false,
            },
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
        std::mem::take(&mut lines.lock().expect("a lock"))
    }

    fn an_entry(verdict: Verdict) -> Entry {
        Entry {
            ledger: LedgerId::new(),
            portal: Some(PortalName::parse("it").expect("a name")),
            verdict,
            reason: Reason::AccountPending,
            rule: 10,
            sender: Some(ann()),
            account: Some((AccountId::new(), Kind::Internal)),
            account_created: false,
            request: Some(RequestId::new()),
            message_id: Some("1 \r\nforged=\"yes\"".to_owned()),
            undeliverable: None,
            proved: None,
        }
    }

    fn ann() -> EmailAddress {
        EmailAddress::parse("ann@corp.example").expect("an address")
    }

    /// Every function of this file, once.
    fn everything() {
        let (account, request, ledger) = (AccountId::new(), RequestId::new(), LedgerId::new());
        let (address, peer) = (ann(), IpAddr::from([192, 0, 2, 1]));
        let (soon, listener) = (Timestamp::UNIX_EPOCH, SocketAddr::from((peer, 25)));
        let portal = PortalName::parse("it").expect("a name");
        let destination = DestinationName::parse("helpdesk").expect("a name");
        let file = std::path::Path::new("vestibule.toml");
        let delivery = DeliveryAttempt {
            request,
            ledger,
            account,
            portal: &portal,
            destination: &destination,
            attempt: 1,
        };
        smtp_connected(peer);
        smtp_rejected(peer, "550 5.1.1", "no such portal", Some("x@corp.example"));
        for verdict in Verdict::ALL {
            message_decided(&an_entry(*verdict), Some(peer));
        }
        account_created(account, &address, Kind::Internal, Origin::Mail);
        account_verified(account, &address, "operator:root", Some("page"));
        account_blocked(account, &address, "operator:root", Some("api"));
        account_unblocked(account, &address, "operator:root", Some("api"));
        account_forgotten("operator:root");
        verification_sent(account, &address, 1);
        verification_deferred(account, &address, soon, "one an hour");
        verification_bounced(account, Some(&address), Some(ledger), "5.1.1");
        verification_opened(account, &address);
        verification_confirmed(account, &address, "link");
        verification_refused(account, &address);
        request_released(request, account, &portal, "operator:root", Some("api"));
        request_discarded(request, "operator:root", Some("api"));
        request_expired(request);
        request_recovered(request, ledger, "operator:root", Some("command line"));
        delivery_succeeded(delivery);
        delivery_deferred(delivery, soon, "451 later");
        delivery_failed(delivery, "550 no");
        let call = HookCall {
            hook: &destination,
            call: HookCallId::new(),
            about: "account.verified",
            account,
            attempt: 1,
        };
        hook_succeeded(call);
        hook_deferred(call, soon, "503 later");
        hook_failed(call, "410 gone");
        access_changed(2, "operator:root", "command line");
        config_reloaded(file);
        config_refused(file, "2 mistakes");
        canary_failed("it did not arrive within 30 s");
        canary_recovered();
        clock_jumped("ahead", std::time::Duration::from_hours(1));
        daemon_started(&[listener], listener, listener);
        daemon_stopping("SIGTERM");
        daemon_stopped();
        fault("store", &"the disk is full");
    }

    #[test]
    fn the_documentation_lists_these_events_levels_and_fields_and_no_others() {
        let emitted: BTreeSet<String> = captured(LogFormat::Json, false, everything)
            .iter()
            .map(|line| {
                let object: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(line).expect("an object");
                let mut fields: Vec<_> = object
                    .keys()
                    .filter(|key| !["time", "level", "event"].contains(&key.as_str()))
                    .cloned()
                    .collect();
                fields.sort();
                let word = |key: &str| object[key].as_str().expect("a text").to_owned();
                format!("{} {} {}", word("event"), word("level"), fields.join(" "))
            })
            .collect();
        let documented: BTreeSet<String> = DOCUMENTED
            .lines()
            .filter(|line| line.starts_with("| `") && !line.contains("`log.lost`"))
            .map(|line| {
                let cells: Vec<_> = line.split('|').map(str::trim).collect();
                let mut fields: Vec<_> =
                    cells[3].split(", ").map(|f| f.trim_matches('`')).collect();
                fields.sort_unstable();
                let name = cells[1].trim_matches('`');
                format!("{name} {} {}", cells[2], fields.join(" "))
            })
            .collect();
        assert_eq!(emitted, documented);
    }

    #[test]
    fn a_sender_cannot_forge_a_line_or_a_field() {
        let lines = captured(LogFormat::Text, false, || {
            message_decided(&an_entry(Verdict::Held), None);
        });
        let line = lines.concat();
        assert!(line.starts_with("1970-01-01T00:00:00.000Z INFO message.held ledger="));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(
            line.contains(r#" message_id="1 \r\nforged=\"yes\"""#),
            "{line}"
        );
        assert!(line.contains(" sender=ann@corp.example domain=corp.example portal=it"));
        assert!(!line.contains("peer="));
    }

    #[test]
    fn redaction_leaves_no_local_part() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = captured(format, true, everything).concat();
            assert!(!lines.contains("ann@"), "{lines}");
            assert!(lines.contains("…@corp.example"));
        }
    }
}
