//! Maintenance of the database, as far as the server does not do it itself.

use super::migrations;
use super::session::PostgresSession;
use crate::store::Result;
use crate::store::sql::{Maintenance, TableShape, Tx};

impl Maintenance for PostgresSession {
    fn size(&self) -> Result<u64> {
        let tx: &Tx = self;
        tx.one(
            "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'",
            &[],
        )
    }

    fn schema(&self) -> Result<(usize, usize)> {
        let tx: &Tx = self;
        Ok((
            tx.one("SELECT version FROM schema_version", &[])?,
            migrations::newest(),
        ))
    }

    /// Invalid indexes: their build failed, so the server does not use them.
    fn find_damage(&self, most: usize) -> Result<Vec<String>> {
        let tx: &Tx = self;
        tx.all(
            "SELECT 'index ' || indexrelid::regclass::text || ' is not valid' FROM pg_index AS i
             WHERE NOT indisvalid
                 AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS b
                     WHERE b.index_relid = i.indexrelid)
                 AND (SELECT relnamespace FROM pg_class WHERE oid = indrelid)
                     = current_schema()::regnamespace
             LIMIT ?",
            &[&most],
        )
    }

    /// Foreign keys that are not validated. The server checks the references of all others when they are written.
    fn find_orphans(&self) -> Result<Vec<String>> {
        let tx: &Tx = self;
        tx.all(
            "SELECT conrelid::regclass::text || ' ' || conname::text FROM pg_constraint
             WHERE contype = 'f' AND NOT convalidated
                 AND connamespace = current_schema()::regnamespace",
            &[],
        )
    }

    fn columns_that_cascade(&self, table: &str) -> Result<Vec<(String, String)>> {
        let tx: &Tx = self;
        tx.all(
            "SELECT relname, attname
             FROM pg_constraint
             JOIN pg_class ON pg_class.oid = conrelid
             JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
             WHERE contype = 'f' AND confdeltype = 'c' AND confrelid = to_regclass(?)
             ORDER BY relname DESC",
            &[&table],
        )
    }

    fn tables(&self) -> Result<Vec<TableShape>> {
        TableShape::of_tables(
            self,
            "SELECT relname FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
                 AND relname <> 'schema_version'
             ORDER BY relname",
            "SELECT attname FROM pg_attribute
             WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            "SELECT attname FROM pg_index
             JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
             WHERE indrelid = to_regclass(?) AND indisprimary
             ORDER BY array_position(indkey::smallint[], attnum)",
            "SELECT DISTINCT relname FROM pg_constraint JOIN pg_class ON pg_class.oid = confrelid
             WHERE contype = 'f' AND conrelid = to_regclass(?)",
        )
    }
}
