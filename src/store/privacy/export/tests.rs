use super::*;
use crate::store::sqlite::connection;
use crate::store::sqlite::session::SqliteSession;

#[test]
fn dropped_mail_from_after_the_first_step_is_not_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.db");
    connection::create(&path).expect("a file");
    connection::migrate(&path).expect("a schema");
    let session = SqliteSession::writing(&path).expect("a database");
    let tx: &Tx = &session;
    let sql = "INSERT INTO ledger (n, id, received_at, recipient, verdict, rule, revision, sender,
             domain, copy_key, facts, envelope, standing)
         SELECT value, randomblob(16), 0, 'it-help@corp.example', 'dropped', 6, 1,
             'ann@corp.example', 'corp.example', 0, '{}', '{}', '{}'
         FROM json_each('[6, 8]')";
    tx.run(sql, &[]).expect("two entries");
    let ann = EmailAddress::parse("ann@corp.example").expect("an address");
    let found = entries_of(tx, &ann, &[], 7).expect("read");
    let entry = PersonEntry { n: 6, is_own: true };
    assert_eq!(found.into_list(), [entry]);
}
