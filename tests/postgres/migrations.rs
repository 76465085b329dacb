//! Migrations of a database with nodes at work: what they wait for, what they block, and what a failure leaves
//! behind.

use std::process::{Child, Output, Stdio};

use crate::held_transaction::Held;
use crate::nodes::{configuration, number};
use crate::pooler::Pooler;
use crate::support::harness::{Harness, wait_for};
use crate::support::postgres::{Schema, server};

/// A migration of the next release, whose statements run one by one.
const APART: &str = "\
-- Apart.
ALTER TABLE ledger ADD COLUMN IF NOT EXISTS upgraded bigint;
UPDATE ledger SET upgraded = 2 WHERE n IN (SELECT n FROM ledger WHERE upgraded IS NULL ORDER BY n LIMIT 50);
CREATE INDEX CONCURRENTLY IF NOT EXISTS ledger_upgraded ON ledger (upgraded, n);
";

/// A schema with all migrations, and a configuration for it in a folder.
fn migrated() -> (Schema, Harness) {
    let schema = server().schema();
    let node = Harness::at_rest(&configuration(&schema.url));
    node.json(&["migrate"]);
    (schema, node)
}

/// Takes a database back to the migration before the lists got their indexes.
fn go_back(schema: &Schema) {
    server().run(
        &schema.name,
        "DROP INDEX event_operator_time, event_operator_actor, event_operator_name, account_created,
             letter_asked, letter_claimed, hook_call_failed, hook_call_failed_event, hook_call_failed_account,
             letter_refused, request_stopped;
         ALTER TABLE node DROP COLUMN sections;
         UPDATE schema_version SET version = 33",
    );
}

/// Runs `migrate` of a program whose next release has these migrations.
fn migrate_to(node: &Harness, next: &str) -> Output {
    let next = node.write("next.sql", next);
    let mut command = node.command(&["migrate", "--json"]);
    command.env("VESTIBULE_NEXT_MIGRATIONS", &next);
    command.output().expect("it runs")
}

/// Waits until a migration builds an index, and writes meanwhile as nodes do.
fn write_while_an_index_is_built(schema: &Schema, migration: &mut Child) {
    let builds = format!(
        "SELECT count(*) FROM pg_stat_progress_create_index
         WHERE command = 'CREATE INDEX CONCURRENTLY' AND lockers_total > lockers_done
             AND relid IN (SELECT oid FROM pg_class WHERE relnamespace = '{}'::regnamespace)",
        schema.name
    );
    wait_for("a build that waits", || {
        assert!(migration.try_wait().expect("a child").is_none(), "it ended");
        (number(schema, &builds) == 1).then_some(())
    });
    for _ in 0..3 {
        let write = "BEGIN; SET LOCAL lock_timeout = '500ms';
             UPDATE writer SET next_number = next_number + 1;
             INSERT INTO event (n, at, name, actor, origin)
                 SELECT next_number - 1, 1, 'x', 'operator:ann', 'cli' FROM writer;
             COMMIT";
        server().run(&schema.name, write);
    }
    assert_eq!(number(schema, &builds), 1, "it still waits");
}

#[test]
fn lists_get_their_indexes_while_nodes_write() {
    let (schema, node) = migrated();
    let valid = "SELECT count(*) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
         WHERE indisvalid AND relnamespace = current_schema()::regnamespace";
    let indexes = number(&schema, valid);
    go_back(&schema);
    // A transaction that has written and stays open: the build waits for it.
    let slow = Held::begin(&schema, "LOCK TABLE event IN ROW EXCLUSIVE MODE");
    let mut migration = node
        .command(&["migrate", "--json"])
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    write_while_an_index_is_built(&schema, &mut migration);
    slow.end();
    assert!(migration.wait().expect("it ends").success());
    assert_eq!(number(&schema, valid), indexes);
    assert_eq!(number(&schema, "SELECT count(*) FROM event"), 3);
}

/// A report that reads for minutes keeps no writer waiting behind the migration.
#[test]
fn the_migration_to_counting_by_statement_does_not_wait_for_readers() {
    let (schema, node) = migrated();
    let run = |sql: &str| server().run(&schema.name, sql);
    run("DROP TRIGGER ledger_counted ON ledger; DROP FUNCTION count_entries;
         CREATE TRIGGER ledger_counted AFTER INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION count_entry();
         UPDATE schema_version SET version = 36");
    let report = Held::begin(&schema, "SELECT count(*) FROM ledger");
    node.json(&["migrate"]);
    report.end();
    let of_statements = "SELECT count(*) FROM pg_trigger
         WHERE tgname = 'ledger_counted' AND tgrelid = 'ledger'::regclass AND tgtype & 1 = 0";
    assert_eq!(number(&schema, of_statements), 1);
}

#[test]
fn rows_of_forgotten_persons_that_nothing_needs_are_deleted() {
    let (schema, node) = migrated();
    // More than one statement of the migration deletes.
    server().run(
        &schema.name,
        "ALTER TABLE account DROP COLUMN former_key, DROP COLUMN last_active_at;
         INSERT INTO account (n, id, key, address, domain, kind, status, proof_needed, groups, created_at,
             created_by, forgotten_at)
         SELECT n, decode(lpad(n::text, 32, '0'), 'hex'), n, 'a@x.example', 'x.example', 'external',
             'pending', 1, '[]', 0, 'mail', nullif(n, 300) FROM generate_series(1, 300) AS n;
         INSERT INTO ledger (n, id, received_at, portal, recipient, verdict, rule, revision, copy_key, facts,
             envelope, standing)
         VALUES (1, decode(lpad('1', 32, '0'), 'hex'), 0, 'it', 'it@corp.example', 'held', 12, 1, 0, '{}',
             '{}', '{}');
         INSERT INTO request (ledger, account, portal, size, received_at, state, settled_at)
         VALUES (1, 1, 'it', 1, 0, 'expired', 1);
         INSERT INTO letter (n, id, account, kind, cause, state, created_at, settled_at)
         SELECT n, decode(lpad(n::text, 32, '0'), 'hex'), CASE n WHEN 300 THEN 300 ELSE 1 END,
             'verification', 'operator', 'sent', 0, 1 FROM generate_series(1, 300) AS n;
         UPDATE schema_version SET version = 37",
    );
    node.json(&["migrate"]);
    let left = "SELECT coalesce(sum(n), 0) FROM account";
    assert_eq!(number(&schema, left), 301);
    let of = "SELECT coalesce(sum(account), 0) FROM letter";
    assert_eq!(number(&schema, of), 300);
}

#[test]
fn an_index_is_built_concurrently_behind_a_pooler() {
    let (schema, _) = migrated();
    let pooler = Pooler::start();
    let place =
        configuration(&pooler.url(&schema.name)).replace("\nurl =", "\npooler = true\nurl =");
    let node = Harness::at_rest(&place);
    let next =
        "-- Apart.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS added ON ledger (received_at, n);\n";
    let next = node.write("next.sql", next);
    let slow = Held::begin(&schema, "LOCK TABLE ledger IN ROW EXCLUSIVE MODE");
    let mut migration = node.command(&["migrate", "--json"]);
    let mut migration = migration
        .env("VESTIBULE_NEXT_MIGRATIONS", &next)
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    write_while_an_index_is_built(&schema, &mut migration);
    slow.end();
    assert!(migration.wait().expect("it ends").success());
    let valid = "SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid = 'added'::regclass";
    assert_eq!(number(&schema, valid), 1);
}

/// An index that was being built when the migration was interrupted is neither used nor kept. An operator's index
/// is left alone.
#[test]
fn an_interrupted_migration_is_resumed() {
    let (schema, node) = migrated();
    server().run(
        &schema.name,
        "ALTER TABLE ledger ADD COLUMN upgraded bigint; CREATE INDEX ledger_upgraded ON ledger (n);
         CREATE INDEX own ON ledger (received_at);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('ledger_upgraded'::regclass, 'own'::regclass)",
    );
    for _ in 0..2 {
        assert!(migrate_to(&node, APART).status.success());
    }
    let columns = "SELECT count(*) FROM pg_index WHERE indisvalid AND indnatts = 2
         AND indexrelid = 'ledger_upgraded'::regclass";
    assert_eq!(number(&schema, columns), 1);
    let own = "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indexrelid = 'own'::regclass";
    assert_eq!(number(&schema, own), 1);
}

/// A build that was interrupted after the version was written, or by hand, counts as built until it is found.
#[test]
fn an_invalid_index_is_found_and_rebuilt() {
    let (schema, node) = migrated();
    server().run(
        &schema.name,
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'letter_asked'::regclass",
    );
    let finding = |node: &Harness| {
        let told = node.run(&["doctor", "--offline", "--json"]).out;
        let line = told
            .lines()
            .find(|line| line.contains("\"check\":\"database\""));
        line.expect("a finding").to_owned()
    };
    let told = finding(&node);
    assert!(
        told.contains("problem") && told.contains("letter_asked"),
        "{told}"
    );
    assert!(told.contains("vestibule migrate"), "{told}");
    node.json(&["migrate"]);
    let told = finding(&node);
    assert!(told.contains("\"state\":\"ok\""), "{told}");
}

/// After a failure, the migrations before it stay applied, and so do the finished statements of one whose
/// statements run one by one.
#[test]
fn a_failed_migration_reports_how_far_it_got() {
    let (schema, node) = migrated();
    let version = || number(&schema, "SELECT version FROM schema_version");
    let before = version();
    let first = "ALTER TABLE ledger ADD COLUMN added bigint;\n-- Next.\n";
    for faulty in ["SELECT 1 / 0;\n", &format!("{APART}SELECT 1 / 0;\n")] {
        let failed = migrate_to(&node, &format!("{first}{faulty}"));
        assert_eq!(failed.status.code(), Some(1));
        let said = String::from_utf8_lossy(&failed.stderr).into_owned();
        let number = before + 1;
        assert!(
            said.contains(&format!("migration {} failed", number + 1)),
            "{said}"
        );
        assert!(
            said.contains(&format!("the schema is {number} now")),
            "{said}"
        );
        assert_eq!(version(), number);
    }
    let built = "SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid = to_regclass('ledger_upgraded')";
    assert_eq!(number(&schema, built), 1, "it stays");
    assert!(
        migrate_to(&node, &format!("{first}{APART}"))
            .status
            .success()
    );
    assert_eq!(version(), before + 2);
}
