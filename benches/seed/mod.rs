//! A large database for measurements: accounts, a ledger and requests, as if after months of mail, built in a few
//! minutes.
//!
//! ```ignore
//! #[path = "../seed/mod.rs"]
//! mod seed;
//!
//! let path = folder.join("vestibule.db");
//! seed::seed(&path, &seed::Size::LARGE, Timestamp::now());
//! let store = Store::open(&path)?;
//! ```
//!
//! The schema is the store's own, and the rows are those that intake would have written: facts and standing
//! that can be read and decided again, mostly verified accounts, mostly delivered requests. The same size
//! makes the same database, except for the ids and the time of its end. Delivered requests have lost their
//! content, as after the retention period; the newest ones have it. Only the syncs are omitted, so a crash of
//! the machine meanwhile leaves no database.

use std::path::Path;

use jiff::SignedDuration;
use rusqlite::{Connection, params};
use ulid::Ulid;
use vestibule::access::{AccessSettings, Key};
use vestibule::domain::{
    Actor, DomainPattern, Interface, OperatorName, Password, Role, Timestamp, Token,
};
use vestibule::store::{KeyKind, NameReuse, OperatorKey, Store, TokenTerms};

/// Number of rows of each kind.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub accounts: i64,
    /// Each has an entry of the ledger, too.
    pub requests: i64,
    /// Entries without a request.
    pub dropped: i64,
    /// All mail arrived during this many days before the end, evenly.
    pub days: i64,
}

impl Size {
    /// A million requests, three hundred thousand dropped messages and two hundred thousand accounts.
    pub const LARGE: Self = Self {
        accounts: 200_000,
        requests: 1_000_000,
        dropped: 300_000,
        days: 90,
    };
    /// A small database, to try out a measurement.
    pub const SMALL: Self = Self {
        accounts: 2_000,
        requests: 10_000,
        dropped: 3_000,
        days: 90,
    };
}

/// A domain whose senders may become customers under the settings of the large database.
#[allow(dead_code, reason = "not every bench sends mail")]
pub const CUSTOMERS: &str = "d1.customer.example";

/// Keeps everything, so that housekeeping finds nothing to do.
#[allow(dead_code, reason = "not every bench runs a daemon")]
pub const KEEP: &str = "\n[retention]\nledger = \"3650d\"\ndelivered_content = \"3650d\"\n";

const DAY: i64 = 24 * 60 * 60 * 1000;

/// Number of the newest entries, which have their content.
const WITH_CONTENT: i64 = 20_000;

/// Domains of accounts, and of dropped messages.
const DOMAINS: i64 = 5_000;
const STRANGERS: i64 = 3_000;

/// Creates a session or a token of an admin.
///
/// # Panics
/// If that is not possible.
#[allow(dead_code, reason = "not every bench opens the operators' pages")]
pub async fn make_key(store: &Store, kind: KeyKind, token: &Token) {
    let name = OperatorName::parse("bench").expect("a name");
    let password = Password::new("correct horse battery").expect("long enough");
    let hash = password.hash().expect("a hash");
    let by = Actor::operator("root", Interface::CommandLine);
    let now = Timestamp::now();
    // The operator exists already in an existing database.
    let _ = store
        .add_operator(
            name.clone(),
            Role::Admin,
            hash,
            NameReuse::Refused,
            by.clone(),
            now,
        )
        .await;
    let key = OperatorKey {
        hash: token.hash(),
        kind,
        role: Role::Admin,
        expires_at: now + SignedDuration::from_hours(1),
    };
    let terms = TokenTerms::default();
    let made = store.make_key(name, key, terms, by, now).await;
    made.expect("a key");
}

/// Builds the database.
///
/// # Panics
/// If that is not possible.
pub fn seed(path: &Path, size: &Size, end: Timestamp) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = Store::open(path).expect("a database");
        let begin = end.as_millisecond() - size.days * DAY;
        let begin = Timestamp::from_millisecond(begin).expect("a time");
        store
            .seed_access(settings(), begin)
            .await
            .expect("settings");
        store.close().await;
    });
    let mut connection = Connection::open(path).expect("opened");
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144;")
        .expect("set");
    let batch = connection.transaction().expect("begun");
    let end = end.as_millisecond();
    accounts(&batch, size, end);
    entries(&batch, size, end);
    count(&batch);
    batch
        .execute(
            "UPDATE writer SET next_number = 1 + max(
                 (SELECT max(n) FROM ledger), (SELECT max(n) FROM account),
                 (SELECT max(n) FROM event)
             )",
            [],
        )
        .expect("the next number");
    batch.commit().expect("committed");
    connection
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE);")
        .expect("copied");
}

/// `corp.example` is internal; of the others only those of the list are allowed.
fn settings() -> AccessSettings {
    let pattern = |text: &str| DomainPattern::parse(text).expect("a pattern");
    let mut settings = AccessSettings::default();
    settings.site.external.restrict_domains = true;
    let allowed: Vec<_> = (0..200).map(|n| pattern(&domain(n))).collect();
    settings
        .with_domains(
            None,
            Key::InternalApprovedDomains,
            &[pattern("corp.example")],
        )
        .with_domains(None, Key::ExternalAllowedDomains, &allowed)
}

fn domain(n: i64) -> String {
    format!("d{n}.customer.example")
}

/// An id with this timestamp.
fn id(at: i64, n: i64) -> [u8; 16] {
    let at = u64::try_from(at).unwrap_or(0);
    Ulid::from_parts(at, u128::from(n.unsigned_abs()) * 0x9e37_79b9_7f4a_7c15).to_bytes()
}

/// Pseudo-random numbers, the same in every run.
fn jump(n: i64, of: i64) -> i64 {
    let mixed = n.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    i64::try_from(mixed).unwrap_or(0) % of
}

fn address(account: i64) -> (String, String) {
    let domain = if account % 4 == 0 {
        "corp.example".to_owned()
    } else {
        domain(jump(account, DOMAINS))
    };
    (format!("person{account}@{domain}"), domain)
}

/// Account `n` is blocked, pending or active; held requests belong to the pending ones.
fn status(n: i64) -> &'static str {
    match n % 50 {
        7 => "blocked",
        1 | 11 | 21 | 31 => "pending",
        _ => "active",
    }
}

fn accounts(connection: &Connection, size: &Size, end: i64) {
    let mut insert = connection
        .prepare(
            "INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed,
                 verified_by, verified_at, groups, created_at, created_by)
             VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, '[]', ?, 'mail')",
        )
        .expect("a statement");
    let mut event = connection
        .prepare("INSERT INTO event (at, name, account, actor, detail) VALUES (?, ?, ?, ?, NULL)")
        .expect("a statement");
    for n in 1..=size.accounts {
        let (address, domain) = address(n);
        let created = end - size.days * DAY + n * size.days * DAY / (size.accounts + 1);
        let status = status(n);
        let verified = (status != "pending").then(|| created + 60_000 * (1 + jump(n, 3000)));
        let by = verified.map(|_| if n % 9 == 0 { "operator:root" } else { "link" });
        let kind = if domain == "corp.example" {
            "internal"
        } else {
            "external"
        };
        insert
            .execute(params![
                n,
                id(created, n),
                address,
                address,
                domain,
                kind,
                status,
                by,
                verified,
                created
            ])
            .expect("an account");
        event
            .execute(params![created, "account.created", n, "daemon"])
            .expect("an event");
        if n % 9 == 0 {
            event
                .execute(params![created, "account.verified", n, "operator:root"])
                .expect("an event");
        }
    }
}

/// Properties of one entry.
struct Kept {
    n: i64,
    at: i64,
    account: Option<i64>,
    sender: String,
    domain: String,
    portal: &'static str,
    verdict: &'static str,
    rule: u8,
}

fn entries(connection: &Connection, size: &Size, end: i64) {
    let mut ledger = connection
        .prepare(
            "INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision,
                 sender, domain, forget_at, message_key, copy_key, facts, envelope, circumstances,
                 standing)
             VALUES (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .expect("a statement");
    let mut request = connection
        .prepare(
            "INSERT INTO request (ledger, account, portal, size, received_at, state, due_at,
                 attempts, released_at, released_by, settled_at, kept, last_error)
             VALUES (?, ?, ?, 5120, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .expect("a statement");
    let mut content = connection
        .prepare("INSERT INTO content (ledger, raw) VALUES (?, ?)")
        .expect("a statement");
    let raw = format!(
        "From: x\r\nSubject: x\r\n\r\n{}\r\n",
        "It is on fire. ".repeat(60)
    );
    let all = size.requests + size.dropped;
    for n in 1..=all {
        let entry = entry(n, all, size, end);
        let is_new = n > all - WITH_CONTENT;
        let forget = (is_new && entry.verdict == "dropped").then_some(entry.at + 7 * DAY);
        ledger
            .execute(params![
                n,
                id(entry.at, n),
                entry.at,
                entry.portal,
                format!("{}-help@corp.example", entry.portal),
                entry.verdict,
                entry.rule,
                entry.sender,
                entry.domain,
                forget,
                jump(n, i64::MAX),
                jump(n + 1, i64::MAX),
                facts(&entry),
                ENVELOPE,
                circumstances(entry.portal),
                standing(&entry)
            ])
            .expect("an entry");
        if let Some(account) = entry.account {
            let state = state(&entry, account, is_new);
            let (at, released) = (entry.at, entry.at + 60_000);
            let waits = matches!(state, "held" | "released");
            let was_released = matches!(state, "released" | "delivered" | "failed");
            request
                .execute(params![
                    n,
                    account,
                    entry.portal,
                    at,
                    state,
                    waits.then_some(at + 14 * DAY),
                    u8::from(was_released),
                    was_released.then_some(released),
                    was_released.then_some("proof"),
                    (!waits).then_some(released),
                    is_new || waits || state == "failed",
                    (state == "failed").then_some("connection refused")
                ])
                .expect("a request");
        }
        let waits = entry.account.is_some_and(|account| {
            matches!(
                state(&entry, account, is_new),
                "held" | "released" | "failed"
            )
        });
        if is_new || waits {
            content
                .execute(params![n, raw.as_bytes()])
                .expect("a content");
        }
    }
}

/// Counts the entries as intake does.
fn count(connection: &Connection) {
    connection
        .execute_batch(
            "INSERT INTO day_count
                 SELECT received_at / 86400000 * 86400000, portal, verdict, rule, count(*)
                 FROM ledger GROUP BY 1, 2, 3, 4;
             INSERT INTO shut_out
                 SELECT received_at / 86400000 * 86400000, domain, count(*)
                 FROM ledger WHERE rule IN (12, 13) GROUP BY 1, 2;",
        )
        .expect("counted");
}

fn entry(n: i64, all: i64, size: &Size, end: i64) -> Kept {
    let at = end - size.days * DAY + n * (size.days * DAY / (all + 1));
    let portal = ["it", "hr", "facilities"][usize::try_from(jump(n, 10)).unwrap_or(0).min(2)];
    // Evenly distributed: `dropped` of every `all` entries.
    let is_dropped = (n * size.dropped) / all != ((n - 1) * size.dropped) / all;
    if is_dropped {
        let place = jump(n, STRANGERS);
        // A few domains send most of it.
        let domain = format!("s{}.stranger.example", place * place / STRANGERS);
        let rule = match jump(n, 20) {
            0..=11 => 13,
            12..=15 => 6,
            16..=17 => 7,
            18 => 8,
            _ => 2,
        };
        return Kept {
            n,
            at,
            account: None,
            sender: format!("someone{}@{domain}", jump(n, 40)),
            domain,
            portal,
            verdict: "dropped",
            rule,
        };
    }
    let account = 1 + jump(n, size.accounts);
    let (sender, domain) = address(account);
    let (verdict, rule) = match status(account) {
        "pending" => ("held", 10),
        _ if n % 17 == 0 => ("held", 11),
        _ => ("accepted", 9),
    };
    Kept {
        n,
        at,
        account: Some(account),
        sender,
        domain,
        portal,
        verdict,
        rule,
    }
}

fn state(entry: &Kept, account: i64, is_new: bool) -> &'static str {
    match (status(account), entry.n % 1000) {
        ("pending", _) if is_new => "held",
        ("pending", n) if n % 2 == 0 => "expired",
        ("pending", _) => "discarded",
        (_, 3) => "failed",
        _ => "delivered",
    }
}

const ENVELOPE: &str = r#"{"reverse_path":{"mailbox":"x@y.example"},"recipients":[],"helo":"mta.corp.example","peer":"127.0.0.1","tls":false,"smtputf8":false}"#;

fn facts(entry: &Kept) -> String {
    let Kept { n, sender, .. } = entry;
    let more = match entry.rule {
        6 => r#""automatic":{"field":"Auto-Submitted","value":"auto-generated"},"#,
        7 => r#""bulk":{"field":"Precedence","value":"bulk"},"#,
        2 => {
            r#""report":{"kind":"dsn","evidence":{"field":"Content-Type","value":"multipart/report"}},"#
        }
        _ => "",
    };
    let dmarc = if entry.rule == 8 { "fail" } else { "pass" };
    format!(
        r#"{{"sender":{{"usable":{{"address":"{sender}","written":"{sender}"}}}},"subject":"Number {n}: the printer on the third floor is on fire again","message_id":"{n}.{n}@mail.example",{more}"received_fields":3,"authentication":{{"dmarc":"{dmarc}","spf":"pass","dkim":"pass","evidence":{{"field":"Authentication-Results","value":"mx.corp.example; dkim=pass header.d=mail.example; spf=pass smtp.mailfrom=mail.example; dmarc={dmarc}"}}}},"fingerprint":"{n:064x}","size":5120}}"#
    )
}

fn circumstances(portal: &str) -> String {
    format!(
        r#"{{"portal":"{portal}","takes_automatic":false,"sender_is_ours":false,"enforcement":"report"}}"#
    )
}

fn standing(entry: &Kept) -> &'static str {
    match entry.rule {
        9 => {
            r#"{"account":{"kind":"external","status":"active","takes_automatic":false,"quota_reached":false}}"#
        }
        10 => {
            r#"{"account":{"kind":"external","status":"pending","takes_automatic":false,"quota_reached":false}}"#
        }
        _ => "{}",
    }
}
