//! Tests of the triggers that an operation runs.

use rusqlite::trace::TraceEventCodes;

use super::{ASKED, note, open_database};
use crate::store::sql::Tx;
use crate::store::sqlite::session::SqliteSession;

/// Statements of one operation, and the triggers that it ran, as the trace reports them.
fn trace(session: &SqliteSession, operation: impl Fn(&Tx)) -> Vec<String> {
    ASKED.with_borrow_mut(Vec::clear);
    let codes = TraceEventCodes::SQLITE_TRACE_STMT;
    session.connection.trace_v2(codes, Some(note));
    operation(session);
    session.connection.trace_v2(TraceEventCodes::empty(), None);
    ASKED.take()
}

#[test]
fn recording_a_message_runs_no_trigger() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = &open_database(folder.path());
    let of_triggers = |mut traced: Vec<String>| {
        traced.retain(|sql| sql.starts_with("--"));
        traced
    };
    let recorded = trace(session, |tx| {
        tx.run(
            "INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision,
                 copy_key, facts, envelope, standing)
             VALUES (1, randomblob(16), 0, 'it', 'it@corp.example', 'dropped', 12, 1, 0, '{}', '{}',
                 '{}')",
            &[],
        )
        .expect("an entry");
        tx.run("INSERT INTO content (ledger, raw) VALUES (1, x'00')", &[])
            .expect("a content");
        // As for a repeated message.
        tx.run(
            "UPDATE ledger SET message = 1, forget_at = 7 WHERE n = 1",
            &[],
        )
        .expect("an update");
    });
    assert_eq!(of_triggers(recorded), [""; 0]);
    // The trace would report them.
    let rewritten = trace(session, |tx| {
        tx.run("UPDATE ledger SET facts = '{}' WHERE n = 1", &[])
            .expect("an update");
    });
    assert!(!of_triggers(rewritten).is_empty());
}
