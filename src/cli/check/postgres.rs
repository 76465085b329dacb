//! Findings about the PostgreSQL server that holds the store: Vestibule is only as durable as that server.

use super::{Finding, nodes};
use crate::config::{Config, StoreConfig};
use crate::store::{self, Location, MAX_CLOCK_OFFSET, ServerFacts, StoreError};

/// The oldest version that is supported: 14.
const MIN_VERSION: u32 = 140_000;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let StoreConfig::Postgres(server) = &config.store else {
        return Vec::new();
    };
    match store::inspect_server(server) {
        Ok(facts) => {
            let mut findings = vec![of_place(&Location::of(config), &facts)];
            findings.extend(of_settings(&facts));
            findings.push(of_standbys(&facts));
            findings.push(of_clock(facts.clock_offset));
            findings.extend(nodes::findings(config));
            findings
        }
        Err(error @ StoreError::Away(_)) => vec![Finding::problem(
            "store",
            error.to_string(),
            "start the server, or correct url in [store]; until then mail is answered 451",
        )],
        Err(error @ StoreError::Refused(_)) => vec![Finding::problem(
            "store",
            error.to_string(),
            "correct [store], or the server: the daemon does not start",
        )],
        Err(error) => vec![Finding::problem(
            "store",
            error.to_string(),
            "see the server's log",
        )],
    }
}

fn of_place(place: &Location, facts: &ServerFacts) -> Finding {
    let (major, minor) = (facts.version / 10_000, facts.version % 10_000);
    let detail = format!("{place}: version {major}.{minor}, {}", facts.encoding);
    if facts.version < MIN_VERSION {
        return Finding::problem("store", detail, "upgrade the server to 14 or newer");
    }
    if facts.encoding != "UTF8" {
        return Finding::problem(
            "store",
            detail,
            "create the database with another encoding: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
        );
    }
    match facts.schema {
        0 => Finding::warning(
            "store",
            format!("{detail}; it has no tables yet"),
            "the first start of the daemon creates them, or `vestibule migrate`",
        ),
        found if found < facts.known_schema => Finding::warning(
            "store",
            format!(
                "{detail}; schema {found}, this program's is {}",
                facts.known_schema
            ),
            "make a backup; the next start of the daemon brings it up to date, or `vestibule migrate`",
        ),
        found => Finding::ok("store", format!("{detail}, schema {found}")),
    }
}

/// Checks the settings without which an acknowledged message may be lost.
fn of_settings(facts: &ServerFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, is_on) in [
        ("fsync", facts.fsync),
        ("full_page_writes", facts.full_page_writes),
    ] {
        if !is_on {
            findings.push(Finding::problem(
                format!("store.{name}"),
                "is off on the server: a power failure may lose or damage acknowledged messages",
                format!("ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()"),
            ));
        }
    }
    let check = "store.synchronous_commit";
    match facts.synchronous_commit.as_str() {
        "on" | "remote_apply" => {}
        "off" => findings.push(Finding::problem(
            check,
            "is off: messages are acknowledged before they are on disk",
            "set it to on for the server, the database and the role",
        )),
        // These levels do not wait for the standby to flush to disk.
        other => findings.push(Finding::warning(
            check,
            format!("is {other}: a failover to a standby may lose acknowledged messages"),
            "set it to on for the server, the database and the role",
        )),
    }
    findings
}

fn of_standbys(facts: &ServerFacts) -> Finding {
    let check = "store.standbys";
    let (names, count) = (&facts.synchronous_standbys, facts.standbys);
    if names.is_empty() {
        return Finding::warning(
            check,
            "a commit waits for no standby: one disk has the only copy of acknowledged messages",
            "set up a synchronous standby (synchronous_standby_names; with Patroni synchronous_mode \
             and synchronous_mode_strict)",
        );
    }
    if count == 0 {
        return Finding::problem(
            check,
            format!(
                "a commit waits for {names}, and no standby is connected: mail is answered 451"
            ),
            "start the standby",
        );
    }
    Finding::ok(
        check,
        format!("a commit waits for {names}; {count} connected"),
    )
}

fn of_clock(offset: i64) -> Finding {
    let seconds = offset.unsigned_abs() / 1000;
    let side = if offset < 0 { "behind" } else { "ahead of" };
    let detail = format!("this machine is {seconds} s {side} the server");
    if offset.unsigned_abs() > MAX_CLOCK_OFFSET.as_millis().try_into().unwrap_or(u64::MAX) {
        return Finding::problem(
            "store.clock",
            format!("{detail}: it is not ready, and claims no work"),
            "synchronize both clocks with NTP",
        );
    }
    Finding::ok("store.clock", detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::check::State;

    type Change = fn(&mut ServerFacts);

    fn sound() -> ServerFacts {
        ServerFacts {
            version: 150_004,
            encoding: "UTF8".to_owned(),
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".to_owned(),
            synchronous_standbys: "b".to_owned(),
            standbys: 1,
            clock_offset: 300,
            schema: 30,
            known_schema: 30,
        }
    }

    fn states(facts: &ServerFacts) -> Vec<(String, State)> {
        let place = Location::from(std::path::Path::new("x"));
        let mut findings = vec![of_place(&place, facts)];
        findings.extend(of_settings(facts));
        findings.extend([of_standbys(facts), of_clock(facts.clock_offset)]);
        let not_ok = findings.into_iter().filter(|one| one.state != State::Ok);
        not_ok.map(|one| (one.check, one.state)).collect()
    }

    #[test]
    fn settings_that_break_a_promise_are_found() {
        assert_eq!(states(&sound()), []);
        let cases: &[(&str, State, Change)] = &[
            ("store", State::Problem, |facts| {
                facts.version = 139_999;
            }),
            ("store", State::Problem, |facts| {
                facts.encoding = "SQL_ASCII".to_owned();
            }),
            ("store", State::Warning, |facts| {
                facts.schema = 0;
            }),
            ("store", State::Warning, |facts| {
                facts.schema = 29;
            }),
            ("store.fsync", State::Problem, |facts| {
                facts.fsync = false;
            }),
            ("store.full_page_writes", State::Problem, |facts| {
                facts.full_page_writes = false;
            }),
            ("store.synchronous_commit", State::Problem, |facts| {
                facts.synchronous_commit = "off".to_owned();
            }),
            ("store.synchronous_commit", State::Warning, |facts| {
                facts.synchronous_commit = "local".to_owned();
            }),
            ("store.synchronous_commit", State::Warning, |facts| {
                facts.synchronous_commit = "remote_write".to_owned();
            }),
            ("store.standbys", State::Warning, |facts| {
                facts.synchronous_standbys.clear();
            }),
            ("store.standbys", State::Problem, |facts| {
                facts.standbys = 0;
            }),
            ("store.clock", State::Problem, |facts| {
                facts.clock_offset = -5001;
            }),
            ("store.clock", State::Problem, |facts| {
                facts.clock_offset = 6000;
            }),
        ];
        for (check, state, change) in cases {
            let mut facts = sound();
            change(&mut facts);
            assert_eq!(states(&facts), [((*check).to_owned(), *state)], "{facts:?}");
        }
    }
}
