//! Migrations of rows.

use super::*;

/// Number of the migration that ended the sweep of forgotten persons' rows.
const EXPIRED_ACCOUNTS: usize = 38;

/// Number of the migration from which on offered messages can be refused.
const REFUSED_OFFERS: usize = 40;

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

#[test]
fn messages_that_were_offered_before_an_objection_are_refused() {
    let mut connection = Connection::open_in_memory().expect("a database");
    let before = MIGRATIONS.to_version(&mut connection, REFUSED_OFFERS - 1);
    before.expect("the schema of before");
    // Account 1 objected at 100; 2 did so and was verified; 3 took it back; 4 never objected; of 5, no link is left.
    connection
        .execute_batch(
            "INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed, groups,
                 created_at, created_by, verified_by, verified_at, refused_at)
             SELECT value, randomblob(16), value, 'a@x.example', 'x.example', 'external',
                 iif(value = 2, 'active', 'pending'), 1, '[]', 0, 'mail',
                 iif(value = 2, 'link', NULL), iif(value = 2, 150, NULL),
                 iif(value IN (1, 2, 5), 100, NULL)
             FROM json_each('[1, 2, 3, 4, 5]');
             INSERT INTO letter (n, id, account, kind, cause, state, created_at, settled_at)
             SELECT value, randomblob(16), (value + 1) / 2, 'verification', 'mail', 'sent', 0, 1
             FROM json_each('[1, 2, 3, 4, 5, 6, 7, 8]');
             INSERT INTO token (hash, account, letter, expires_at, refused_at)
             SELECT randomblob(32), account, n, 200 + n, iif(account <= 2 AND n <> 2, 100, NULL) FROM letter;
             INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision,
                 copy_key, facts, envelope, standing, forget_at)
             SELECT value, randomblob(16), iif(value = 6, 101, 100), 'it', 'it@corp.example', 'dropped',
                 13, 1, 0, '{}', '{}', '{}', iif(value = 7, 900, 150)
             FROM json_each('[1, 2, 3, 4, 5, 6, 7]');
             INSERT INTO offer (n, ledger, account, authenticated, octets, kept_otherwise_until)
             SELECT n, n, iif(n >= 6, 1, n), 0, 1, 150 FROM ledger;",
        )
        .expect("rows");
    let after = MIGRATIONS.to_version(&mut connection, REFUSED_OFFERS);
    after.expect("migrated");
    let mut statement = connection
        .prepare(
            "SELECT o.ledger, o.refused_at, o.restorable_until, l.forget_at
             FROM offer AS o JOIN ledger AS l ON l.n = o.ledger ORDER BY o.ledger",
        )
        .expect("a statement");
    let rows = statement.query_map([], |row| {
        <(i64, Option<i64>, Option<i64>, i64)>::try_from(row)
    });
    let rows: Vec<_> = rows.expect("rows").map(|row| row.expect("a row")).collect();
    // The link that was sent to account 1 after the objection protects nothing; entry 6 arrived afterwards.
    let expected = [
        (1, Some(100), Some(201), 201),
        (2, None, None, 150),
        (3, None, None, 150),
        (4, None, None, 150),
        (5, None, None, 150),
        (6, None, None, 150),
        (7, Some(100), Some(201), 900),
    ];
    assert_eq!(rows, expected);
}
