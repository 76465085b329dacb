//! Both engines have the same tables, columns, keys, indexes and triggers: each database reports its own.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use vestibule::store::Store;

use crate::support::postgres::{Schema, server};

/// Lines about one kind of object, as one database reports them.
type Told = BTreeMap<String, Vec<String>>;

/// A new database of SQLite.
fn sqlite() -> (tempfile::TempDir, Connection) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("vestibule.db");
    drop(Store::open(&path).expect("a store"));
    let connection = Connection::open(path).expect("a database");
    (folder, connection)
}

/// A new schema, created from the migration files, with plain index builds.
fn postgres() -> Schema {
    let schema = server().schema();
    server().run(&schema.name, &format!("CREATE SCHEMA {}", schema.name));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/postgres/schema");
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    for file in files {
        let sql = std::fs::read_to_string(file).expect("a text");
        server().run(&schema.name, &sql.replace(" CONCURRENTLY", ""));
    }
    schema
}

fn ask_sqlite(connection: &Connection, sql: &str) -> Vec<Vec<String>> {
    let mut statement = connection.prepare(sql).expect(sql);
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        (0..columns)
            .map(|column| {
                let value: Option<rusqlite::types::Value> = row.get(column)?;
                Ok(match value {
                    None | Some(rusqlite::types::Value::Null) => String::new(),
                    Some(rusqlite::types::Value::Integer(number)) => number.to_string(),
                    Some(rusqlite::types::Value::Text(text)) => text,
                    Some(other) => format!("{other:?}"),
                })
            })
            .collect()
    });
    let rows = rows.expect(sql).collect::<Result<_, _>>();
    rows.expect(sql)
}

fn ask_postgres(schema: &Schema, sql: &str) -> Vec<Vec<String>> {
    let sql = sql.replace("$schema", &format!("'{}'", schema.name));
    let rows = server().run(&schema.name, &sql);
    let cut = |row: &String| row.split('|').map(str::to_owned).collect();
    rows.iter().map(cut).collect()
}

/// Groups rows by their first column; the others become one line.
fn group(rows: Vec<Vec<String>>) -> Told {
    let mut told = Told::new();
    for row in rows {
        told.entry(row[0].clone())
            .or_default()
            .push(row[1..].join(" "));
    }
    told
}

/// A condition without the notation that only one of the engines uses.
fn plain(condition: &str) -> String {
    let text = condition.replace("::text", "").replace(['(', ')'], "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Columns in their order: name, type, whether NULL is refused, and default.
#[test]
fn tables_have_the_same_columns() {
    let (_folder, connection) = sqlite();
    let here = ask_sqlite(
        &connection,
        "SELECT m.name, c.name,
             CASE c.type WHEN 'INTEGER' THEN 'bigint' WHEN 'TEXT' THEN 'text/C' WHEN 'BLOB' THEN 'bytea' END,
             c.\"notnull\" OR c.pk > 0, c.dflt_value
         FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
         WHERE m.type = 'table' AND m.name <> 'sqlite_sequence' ORDER BY m.name, c.cid",
    );
    let there = ask_postgres(
        &postgres(),
        "SELECT table_name, column_name,
             data_type || coalesce('/' || collation_name, ''),
             CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END, column_default
         FROM information_schema.columns WHERE table_schema = $schema
         ORDER BY table_name, ordinal_position",
    );
    let (here, there) = (group(here), group(there));
    assert!(here.len() > 30, "{here:?}");
    assert_eq!(here, there);
}

/// Primary keys, unique keys and indexes: columns, order and condition.
#[test]
fn tables_have_the_same_keys_and_indexes() {
    let (_folder, connection) = sqlite();
    // The primary key of a table with row ids is not among its indexes.
    let keys = ask_sqlite(
        &connection,
        "SELECT m.name, 'primary', group_concat(c.name, ', ' ORDER BY c.pk)
         FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
         WHERE m.type = 'table' AND c.pk > 0 AND m.name <> 'sqlite_sequence' GROUP BY m.name",
    );
    let unique = ask_sqlite(
        &connection,
        "SELECT m.name, 'unique', (SELECT group_concat(c.name, ', ' ORDER BY c.seqno)
             FROM pragma_index_info(i.name) AS c)
         FROM sqlite_schema AS m, pragma_index_list(m.name) AS i
         WHERE m.type = 'table' AND i.origin = 'u'",
    );
    let indexes = ask_sqlite(
        &connection,
        "SELECT m.name, i.name || CASE i.\"unique\" WHEN 1 THEN ' unique' ELSE '' END,
             (SELECT group_concat(c.name || CASE c.desc WHEN 1 THEN ' DESC' ELSE '' END, ', ' ORDER BY c.seqno)
              FROM pragma_index_xinfo(i.name) AS c WHERE c.key = 1),
             (SELECT substr(sql, instr(sql || 'WHERE', 'WHERE') + 6) FROM sqlite_schema WHERE name = i.name)
         FROM sqlite_schema AS m, pragma_index_list(m.name) AS i
         WHERE m.type = 'table' AND i.origin = 'c'",
    );
    let schema = postgres();
    let there = ask_postgres(
        &schema,
        "SELECT t.relname,
             CASE WHEN i.indisprimary THEN 'primary' WHEN k.oid IS NOT NULL THEN 'unique'
                 ELSE x.relname || CASE WHEN i.indisunique THEN ' unique' ELSE '' END END,
             (SELECT string_agg(a.attname || CASE i.indoption[c - 1] & 1 WHEN 1 THEN ' DESC' ELSE '' END, ', '
                  ORDER BY c)
              FROM generate_series(1, i.indnkeyatts) AS c
                  JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = i.indkey[c - 1]),
             coalesce(pg_get_expr(i.indpred, t.oid), '')
         FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid
             JOIN pg_class AS x ON x.oid = i.indexrelid
             JOIN pg_namespace AS s ON s.oid = t.relnamespace
             LEFT JOIN pg_constraint AS k ON k.conindid = x.oid AND k.contype = 'u'
         WHERE s.nspname = $schema AND t.relkind = 'r'",
    );
    let sorted = |rows: Vec<Vec<String>>| {
        let mut lines: Vec<String> = rows.into_iter().map(|row| plain(&row.join(" "))).collect();
        lines.sort();
        lines
    };
    let here = [keys, unique, indexes].concat();
    assert!(here.len() > 70, "{}", here.len());
    assert_eq!(sorted(here), sorted(there));
}

#[test]
fn rows_refer_to_the_same_tables() {
    let (_folder, connection) = sqlite();
    let here = ask_sqlite(
        &connection,
        "SELECT m.name, k.\"from\", k.\"table\", k.\"to\", k.on_delete
         FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS k
         WHERE m.type = 'table' ORDER BY m.name, k.\"from\"",
    );
    let there = ask_postgres(
        &postgres(),
        "SELECT t.relname, a.attname, o.relname, b.attname,
             CASE k.confdeltype WHEN 'a' THEN 'NO ACTION' WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' END
         FROM pg_constraint AS k JOIN pg_class AS t ON t.oid = k.conrelid
             JOIN pg_class AS o ON o.oid = k.confrelid
             JOIN pg_namespace AS s ON s.oid = t.relnamespace
             JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.conkey[1]
             JOIN pg_attribute AS b ON b.attrelid = o.oid AND b.attnum = k.confkey[1]
         WHERE s.nspname = $schema AND k.contype = 'f' ORDER BY t.relname, a.attname",
    );
    assert!(here.len() > 15, "{}", here.len());
    assert_eq!(group(here), group(there));
}

/// Triggers of PostgreSQL that count new entries. On SQLite, the writer counts them.
const COUNTING: [&str; 2] = ["ledger_counted", "ledger_shut_out"];

#[test]
fn triggers_and_checks_are_the_same() {
    let (_folder, connection) = sqlite();
    let schema = postgres();
    let here = ask_sqlite(
        &connection,
        "SELECT tbl_name, name FROM sqlite_schema WHERE type = 'trigger' ORDER BY tbl_name, name",
    );
    let mut there = ask_postgres(
        &schema,
        "SELECT t.relname, g.tgname FROM pg_trigger AS g JOIN pg_class AS t ON t.oid = g.tgrelid
             JOIN pg_namespace AS s ON s.oid = t.relnamespace
         WHERE s.nspname = $schema AND NOT g.tgisinternal ORDER BY t.relname, g.tgname",
    );
    let all = there.len();
    there.retain(|row| !COUNTING.contains(&row[1].as_str()));
    assert_eq!(there.len(), all - COUNTING.len());
    assert!(here.len() > 10, "{}", here.len());
    assert_eq!(group(here), group(there));

    // SQLite keeps only the text of its checks; comparing their number has to suffice.
    let here = ask_sqlite(
        &connection,
        "SELECT name, (length(sql) - length(replace(sql, 'CHECK (', ''))) / 7 AS checks FROM sqlite_schema
         WHERE type = 'table' AND checks > 0 ORDER BY name",
    );
    let there = ask_postgres(
        &schema,
        "SELECT t.relname, count(*) FROM pg_constraint AS k JOIN pg_class AS t ON t.oid = k.conrelid
             JOIN pg_namespace AS s ON s.oid = t.relnamespace
         WHERE s.nspname = $schema AND k.contype = 'c' GROUP BY t.relname ORDER BY t.relname",
    );
    assert_eq!(group(here), group(there));
}

#[test]
fn a_new_database_has_the_same_rows() {
    let (_folder, connection) = sqlite();
    let schema = postgres();
    let tables = ask_sqlite(
        &connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence'",
    );
    let mut rows = 0;
    for table in tables.iter().map(|row| &row[0]) {
        let sql = format!("SELECT * FROM {table} ORDER BY 1");
        let here = ask_sqlite(&connection, &sql);
        rows += here.len();
        assert_eq!(here, ask_postgres(&schema, &sql), "{table}");
    }
    assert!(rows > 20, "{rows}");
}
