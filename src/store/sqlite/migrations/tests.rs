//! Migrations of rows.

use super::*;

/// Number of the migration that ended the sweep of forgotten persons' rows.
const EXPIRED_ACCOUNTS: usize = 38;

#[test]
fn rows_of_forgotten_persons_that_nothing_needs_are_deleted() {
    let mut connection = Connection::open_in_memory().expect("a database");
    let before = MIGRATIONS.to_version(&mut connection, EXPIRED_ACCOUNTS - 1);
    before.expect("the schema of before");
    connection
        .execute_batch(
            "INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed, groups,
                 created_at, created_by, forgotten_at)
             SELECT value, randomblob(16), value, 'a@x.example', 'x.example', 'external', 'pending', 1,
                 '[]', 0, 'mail', nullif(value, 3) FROM json_each('[1, 2, 3]');
             INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision,
                 copy_key, facts, envelope, standing)
             VALUES (1, randomblob(16), 0, 'it', 'it@corp.example', 'held', 12, 1, 0, '{}', '{}', '{}');
             INSERT INTO request (ledger, account, portal, size, received_at, state, settled_at)
             VALUES (1, 2, 'it', 1, 0, 'expired', 1);
             INSERT INTO letter (n, id, account, kind, cause, state, created_at, due_at)
             SELECT value, randomblob(16), value, 'verification', 'operator', 'waiting', 0, 1
             FROM json_each('[2, 3]');
             INSERT INTO token (hash, account, letter, expires_at)
             SELECT randomblob(32), account, n, 1 FROM letter;",
        )
        .expect("rows");
    let after = MIGRATIONS.to_version(&mut connection, EXPIRED_ACCOUNTS);
    after.expect("migrated");
    let left = "SELECT group_concat(n || ' ' || status, ', ' ORDER BY n) FROM account";
    let left: String = connection
        .query_row(left, [], |row| row.get(0))
        .expect("a text");
    assert_eq!(left, "2 blocked, 3 pending");
    for table in ["letter", "token"] {
        let accounts = format!("SELECT group_concat(account) FROM {table}");
        let accounts: String = connection
            .query_row(&accounts, [], |row| row.get(0))
            .expect("a text");
        assert_eq!(accounts, "3", "{table}");
    }
}
