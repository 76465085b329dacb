//! Tests of the plans of what people, workers and housekeeping look up in tables that grow with the mail: links,
//! offered messages, counts of verification mail, and stored answers.

use super::{check, is_large, open_database, plans};
use crate::domain::{OperatorName, PortalName, Token};
use crate::store::claims::holder::Holder;
use crate::store::engine::driver::WriterSession;
use crate::store::operators::idempotency::{AnswerKey, find_answer};
use crate::store::requests::{hold_quota, refused_messages};
use crate::store::rows::account_rows;
use crate::store::sql::Tx;
use crate::store::sql::sql_types::Millis;
use crate::store::sqlite::session::SqliteSession;
use crate::store::upkeep::retention;
use crate::store::verification::mail_lanes::{Lane, QueuePlace};
use crate::store::verification::{mail_queue, rate_limits, tokens};
use crate::store::{Result, TokenHashes};
use crate::verification::tests::sample;

/// Sorts are allowed: of the rows of one account, of which the quota bounds the number.
fn check_scans<T>(name: &str, session: &SqliteSession, operation: impl Fn(&Tx) -> Result<T>) {
    let plans = plans(session, operation);
    assert!(!plans.is_empty(), "{name} runs a query");
    for (sql, plan) in plans {
        let scan = plan
            .iter()
            .find(|line| line.starts_with("SCAN") && is_large(line));
        assert_eq!(scan, None, "{name}:\n{sql}\n{plan:#?}");
    }
}

/// A database with a pending account, number 1, that waits for its mail.
fn open_with_account(folder: &std::path::Path) -> SqliteSession {
    let session = open_database(folder);
    let filled = session.connection.execute_batch(
        "INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed, groups,
             created_at, created_by)
         VALUES (1, randomblob(16), 'a@x.example', 'a@x.example', 'x.example', 'external',
             'pending', 1, '[]', 0, 'mail');
         INSERT INTO letter (id, account, kind, cause, state, created_at, due_at)
         VALUES (randomblob(16), 1, 'verification', 'resend', 'waiting', 0, 0);",
    );
    filled.expect("filled");
    session
}

#[test]
fn a_mail_is_claimed_and_its_link_is_followed_by_indexes() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_with_account(folder.path());
    let verification = sample::config("").verification;
    let link = Token::generate().expect("random bytes").hash();
    let hashes = TokenHashes::from(link);
    let holder = Holder::of_node("");
    // A claim takes a number.
    session.begin().expect("begun");
    check_scans("a claim", session, |c| {
        let (limits, token_ttl) = (verification.limits, verification.token_ttl);
        mail_queue::claim(c, &[hashes], &holder, limits, token_ttl, Millis(1))
    });
    let tx: &Tx = session;
    for table in ["token", "letter_claim"] {
        let rows: i64 = tx
            .one(&format!("SELECT count(*) FROM {table}"), &[])
            .expect("a number");
        assert_eq!(rows, 1, "{table}");
    }
    let address = sample::verification_mail().address;
    let place = QueuePlace {
        lane: Lane::Others,
        flow: 1,
    };
    check("a link", session, |c| tokens::find_token(c, link));
    check("unsent", session, |c| tokens::delete_tokens(c, hashes));
    check("a returned share", session, |c| {
        rate_limits::give_back(c, &address, 1, place, Millis(1))
    });
    check("forgotten counts", session, |c| {
        rate_limits::erase_claims(c, 1)
    });
}

#[test]
fn the_messages_of_an_account_are_looked_up_by_indexes() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_with_account(folder.path());
    let portal = PortalName::parse("it").expect("a name");
    let now = Millis(1);
    check("a sender", session, |c| {
        account_rows::find_sender_at(c, "a@x.example", Some(&portal))
    });
    check_scans("offers", session, |c| hold_quota::offers(c, 1, now));
    check("a withdrawn offer", session, |c| hold_quota::withdraw(c, 7));
    check_scans("refused", session, |c| {
        refused_messages::list_last_refused(c, 1)
    });
    check_scans("not me", session, |c| {
        refused_messages::refuse_waiting(c, 1, Millis(2), now)
    });
    check("decided", session, |c| {
        refused_messages::end_protection(c, 1)
    });
    check("a release", session, |c| {
        refused_messages::check_operator_may_release(c, 7, "it", now)
    });
}

#[test]
fn expired_links_counts_and_answers_are_found_by_indexes() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_with_account(folder.path());
    check("expired", session, |c| {
        retention::delete_expired_traces(c, Millis(2), Millis(1), 100)
    });
    let asked = AnswerKey {
        operator: OperatorName::parse("ann").expect("a name"),
        key: "1".to_owned(),
        request: [0; 32],
    };
    check("an answer", session, |c| find_answer(c, 1, &asked));
}
