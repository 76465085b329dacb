//! Emits every event once. Tests that each is documented, and that no line holds secret data.

use super::*;
use crate::access::number_of;
use crate::config::LogFormat;
use crate::domain::{Reason, Token, VerificationMethod};
use crate::observe::line::{self, Style};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const DOCUMENTED: &str = include_str!("../../../docs/events.md");

/// Records every event as a line.
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

/// The lines of the events that `run` emits.
pub(crate) fn capture(format: LogFormat, redact: bool, run: impl FnOnce()) -> Vec<String> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let layer = Captured {
        lines: Arc::clone(&lines),
        style: Style {
            format,
            redact,
            priority: false,
        },
    };
    // A second subscriber. With only one, an event that another test's thread emits first would be cached as
    // disabled, since that thread has no subscriber.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), run);
    std::mem::take(&mut lines.lock().expect("a lock"))
}

fn an_entry(verdict: Verdict) -> ArrivalOutcome {
    ArrivalOutcome {
        ledger: LedgerId::new(),
        portal: Some(PortalName::parse("it").expect("a name")),
        verdict,
        reason: Reason::AccountPending,
        rule: 13,
        sender: Some(ann()),
        account: Some((AccountId::new(), AccountKind::Internal)),
        account_created: false,
        request: Some(RequestId::new()),
        message_id: Some("1 \r\nforged=\"yes\"".to_owned()),
        undeliverable: None,
        verification: None,
    }
}

fn ann() -> EmailAddress {
    EmailAddress::parse("ann@corp.example").expect("an address")
}

/// Emits every event once.
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
    account_created(
        account,
        &address,
        AccountKind::Internal,
        AccountOrigin::Mail,
    );
    account_verified(account, &address, "operator:root", Some("page"));
    account_blocked(account, &address, "operator:root", Some("api"));
    account_unblocked(account, &address, "operator:root", Some("api"));
    account_takes_automatic(account, &address, Some("on"), "operator:root", Some("page"));
    account_expired(account, &address);
    account_forgotten("operator:root");
    verification_sent(account, &address, 1);
    verification_deferred(account, &address, soon, "one an hour");
    verification_bounced(account, Some(&address), Some(ledger), "5.1.1");
    verification_opened(account, &address);
    verification_confirmed(account, &address, "link");
    verification_refused(account, &address);
    verification_taken_back(account, &address, 2);
    sender_told(Some(ledger), &address, &portal);
    request_released(request, account, &portal, "operator:root", Some("api"));
    request_discarded(request, "operator:root", Some("api"));
    request_expired(request);
    request_recovered(request, ledger, "operator:root", Some("command line"));
    delivery_succeeded(delivery);
    delivery_deferred(delivery, soon, "451 later");
    delivery_failed(delivery, "550 no");
    let call = HookCallFields {
        hook: &destination,
        call: HookCallId::new(),
        about: "account.verified",
        account: Some(account),
        attempt: 1,
    };
    hook_succeeded(call);
    hook_deferred(call, soon, "503 later");
    hook_failed(call, "410 gone");
    destination_down(&destination, "connection refused");
    destination_up(&destination);
    let operator = OperatorName::parse("root").expect("a name");
    operator_login_failed(peer, Some(&operator), "wrong password");
    access_changed(2, "operator:root", "command line");
    config_reloaded(file);
    config_refused(file, "2 mistakes");
    portal_missing(&portal, 3);
    canary_failed("it did not arrive within 30 s");
    canary_recovered();
    sso_failed(&"the provider does not confirm that the address is the person's");
    clock_jumped("ahead", std::time::Duration::from_hours(1));
    disk_low(1 << 29, 1 << 29);
    disk_recovered(1 << 31);
    daemon_started(&[listener], listener, listener);
    daemon_stopping("SIGTERM");
    daemon_stopped();
    fault("store", &"the disk is full");
}

#[test]
fn the_documentation_lists_these_events_levels_and_fields_and_no_others() {
    let emitted: BTreeSet<String> = capture(LogFormat::Json, false, everything)
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
            let mut fields: Vec<_> = cells[3].split(", ").map(|f| f.trim_matches('`')).collect();
            fields.sort_unstable();
            let name = cells[1].trim_matches('`');
            format!("{name} {} {}", cells[2], fields.join(" "))
        })
        .collect();
    assert_eq!(emitted, documented);
}

#[test]
fn the_line_in_the_documentation_has_the_rule_of_its_reason() {
    let line = DOCUMENTED
        .lines()
        .find(|line| line.contains(" message.held "));
    let fields: BTreeMap<&str, &str> = line
        .expect("an example")
        .split_whitespace()
        .filter_map(|field| field.split_once('='))
        .collect();
    let reason = Reason::from_name(fields["reason"]).expect("a reason");
    assert_eq!(fields["rule"], number_of(reason).to_string());
}

#[test]
fn the_documentation_has_every_method_of_verification() {
    let token = || Token::generate().expect("a token").hash();
    let row = DOCUMENTED
        .lines()
        .find(|line| line.starts_with("| `account.verified` |"))
        .expect("a row");
    for method in [
        VerificationMethod::Link(token()),
        VerificationMethod::Reply(token()),
        VerificationMethod::Sso(token(), Vec::new()),
    ] {
        let name = format!("`{}`", method.name());
        assert!(row.contains(&name), "{name}: {row}");
    }
    assert!(row.contains("`operator:NAME`"), "{row}");
}

#[test]
fn times_in_fields_have_milliseconds() {
    let soon: Timestamp = "2026-11-30T19:17:59.60887795Z".parse().expect("a time");
    let lines = capture(LogFormat::Text, false, || {
        verification_deferred(AccountId::new(), &ann(), soon, "limit");
    });
    let until = " until=2026-11-30T19:17:59.608Z cause=limit\n";
    assert!(lines.concat().ends_with(until), "{lines:?}");
}

#[test]
fn a_sender_cannot_forge_a_line_or_a_field() {
    let lines = capture(LogFormat::Text, false, || {
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
fn a_value_that_could_be_read_as_more_is_quoted() {
    for (cause, written) in [
        ("full", "full"),
        ("ü@x", "ü@x"),
        ("", r#""""#),
        ("a b", r#""a b""#),
        ("a=b", r#""a=b""#),
        (r#"a\""#, r#""a\\\"""#),
        ("a\u{2028}b", r#""a\u{2028}b""#),
        ("a\nb c=d", r#""a\nb c=d""#),
    ] {
        let lines = capture(LogFormat::Text, false, || fault("store", &cause));
        let expected = format!(" ERROR fault place=store cause={written}\n");
        assert!(lines.concat().ends_with(&expected), "{lines:?}");
    }
}

#[test]
fn unsafe_characters_are_escaped_in_json() {
    let cause = "a\n\"\\\u{7f}\u{85}\u{9b}\u{200e}\u{2028}\u{202e}\u{2066}\u{feff}\u{fc}";
    let lines = capture(LogFormat::Json, false, || fault("store", &cause));
    let written = r#""cause":"a\n\"\\\u007f\u0085\u009b\u200e\u2028\u202e\u2066\ufeffü"}"#;
    let line = lines.concat();
    assert!(line.ends_with(&format!("{written}\n")), "{line}");
}

#[test]
fn redaction_leaves_no_local_part() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let lines = capture(format, true, everything).concat();
        assert!(!lines.contains("ann@"), "{lines}");
        assert!(lines.contains("…@corp.example"));
    }
}
