//! Rows that wait to be inserted: those of the same statement together, and each table after the tables that it
//! references.
//!
//! For a small row the server spends most of its time on the statement: it reads the constraints of the table, opens
//! its indexes and prepares its triggers. So rows share a statement.

use super::parameters::Parameters;
use crate::store::sql::{DeferredInsert, DeferredTable, InsertQueue};

/// Maximum number of rows of a statement. One statement is prepared for each power of two up to this.
const MAX_ROWS: usize = 16;

/// Maximum number of octets of waiting rows; the last row may exceed it.
const MAX_OCTETS: usize = 256 * 1024;

/// Rows of the same statement.
#[derive(Debug)]
pub(super) struct InsertBatch {
    table: DeferredTable,
    pub(super) sql: Box<str>,
    pub(super) parameters: Parameters,
    rows: usize,
}

impl InsertBatch {
    /// Number of parameters of a row.
    pub(super) fn width(&self) -> usize {
        self.parameters.len() / self.rows
    }

    /// Sizes of the statements that insert the batch, in rows: powers of two, the largest first.
    pub(super) fn statement_sizes(&self) -> impl Iterator<Item = usize> + use<> {
        let mut left = self.rows;
        std::iter::from_fn(move || {
            let size = left.checked_ilog2().map(|power| 1 << power);
            left -= size.unwrap_or(0);
            size
        })
    }

    /// True if the batch has an earlier row of the same queue.
    fn has_row_of_queue(&self, row: &Parameters, queue: InsertQueue) -> bool {
        let width = self.width();
        (0..self.rows).any(|earlier| {
            let value = |index: &usize| self.parameters.value(earlier * width + index);
            let mut indexes = queue.key.iter();
            indexes.all(|index| value(index) == row.value(*index))
        })
    }
}

/// Waiting rows.
#[derive(Debug, Default)]
pub(super) struct InsertBatches {
    /// In the order of their tables.
    batches: Vec<InsertBatch>,
}

impl InsertBatches {
    /// False if the waiting rows must be written before another row of this statement is added.
    pub(super) fn have_room_for(&self, sql: &str) -> bool {
        let octets: usize = self
            .batches
            .iter()
            .map(|batch| batch.parameters.size())
            .sum();
        let is_full = |batch: &InsertBatch| *batch.sql == *sql && batch.rows == MAX_ROWS;
        octets < MAX_OCTETS && !self.batches.iter().any(is_full)
    }

    /// Adds a row. A statement does not see the rows that it inserts itself, so a row whose queue already has one in
    /// the batch loses its due time here.
    pub(super) fn push(&mut self, insert: DeferredInsert<'_>, mut row: Parameters) {
        let mut batches = self.batches.iter_mut();
        if let Some(batch) = batches.find(|batch| *batch.sql == *insert.sql) {
            if let Some(queue) = insert.queue
                && batch.has_row_of_queue(&row, queue)
            {
                row.set_null(queue.due);
            }
            batch.parameters.append(&row);
            batch.rows += 1;
            return;
        }
        let place = self
            .batches
            .partition_point(|batch| batch.table <= insert.table);
        let batch = InsertBatch {
            table: insert.table,
            sql: insert.sql.into(),
            parameters: row,
            rows: 1,
        };
        self.batches.insert(place, batch);
    }

    pub(super) fn take(&mut self) -> Vec<InsertBatch> {
        std::mem::take(&mut self.batches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sql::ToSql;

    const ENTRY: DeferredInsert = DeferredInsert {
        table: DeferredTable::Ledger,
        sql: "an entry",
        queue: None,
    };
    const REQUEST: DeferredInsert = DeferredInsert {
        table: DeferredTable::Request,
        sql: "a request",
        queue: Some(InsertQueue {
            key: &[0, 1],
            due: 2,
        }),
    };

    fn push(rows: &mut InsertBatches, insert: DeferredInsert, row: &[&dyn ToSql]) {
        rows.push(insert, Parameters::of(row).expect("values"));
    }

    #[test]
    fn tables_come_in_the_order_of_their_references() {
        let mut rows = InsertBatches::default();
        push(&mut rows, REQUEST, &[&1_i64, &"it", &7_i64]);
        push(&mut rows, ENTRY, &[&1_i64]);
        push(&mut rows, ENTRY, &[&2_i64]);
        let batches = rows.take();
        let found: Vec<_> = batches
            .iter()
            .map(|batch| (&*batch.sql, batch.rows, batch.width()))
            .collect();
        assert_eq!(found, [("an entry", 2, 1), ("a request", 1, 3)]);
        assert!(rows.take().is_empty());
    }

    #[test]
    fn only_the_first_of_a_queue_is_due() {
        let mut rows = InsertBatches::default();
        push(&mut rows, REQUEST, &[&1_i64, &"it", &7_i64]);
        push(&mut rows, REQUEST, &[&1_i64, &"hr", &7_i64]);
        push(&mut rows, REQUEST, &[&2_i64, &"it", &7_i64]);
        push(&mut rows, REQUEST, &[&1_i64, &"it", &7_i64]);
        let batches = rows.take();
        let due = |row: usize| batches[0].parameters.value(row * 3 + 2);
        let seven = Some(&b"7"[..]);
        assert_eq!([0, 1, 2, 3].map(due), [seven, seven, seven, None]);
    }

    #[test]
    fn a_statement_has_a_power_of_two_of_rows_and_no_more_than_fit() {
        let mut rows = InsertBatches::default();
        for count in 0..MAX_ROWS {
            assert!(rows.have_room_for(ENTRY.sql), "{count}");
            push(&mut rows, ENTRY, &[&1_i64]);
        }
        assert!(!rows.have_room_for(ENTRY.sql) && rows.have_room_for(REQUEST.sql));
        let sizes = |rows: &mut InsertBatches| rows.take()[0].statement_sizes().collect::<Vec<_>>();
        assert_eq!(sizes(&mut rows), [MAX_ROWS]);
        for _ in 0..11 {
            push(&mut rows, ENTRY, &[&1_i64]);
        }
        assert_eq!(sizes(&mut rows), [8, 2, 1]);
        push(&mut rows, ENTRY, &[&vec![0_u8; MAX_OCTETS]]);
        assert!(!rows.have_room_for(REQUEST.sql));
    }
}
