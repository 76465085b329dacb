//! Message content, read piece by piece, so that a large message is never in memory as a whole.

use crate::domain::LedgerId;
use crate::store::sql::Tx;
use crate::store::{Result, Store, StoreError};

/// Octets of a message that are read at a time.
pub const PIECE: u64 = 64 * 1024;

/// A stored message. Its octets never change while an entry refers to them.
#[derive(Debug, Clone)]
pub struct MessageContent {
    store: Store,
    /// Row that holds the octets.
    row: i64,
    size: u64,
}

impl MessageContent {
    /// Size in octets.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Opens the content of an entry, with up to `most` of its first octets; None once it has expired. The query
    /// that finds a short message also reads all of it.
    pub(crate) fn open(
        store: &Store,
        tx: &Tx,
        entry: i64,
        most: u64,
    ) -> Result<Option<(Self, Vec<u8>)>> {
        let found: Option<(i64, u64, Option<Vec<u8>>)> =
            tx.maybe(OF_ENTRY, &[&entry, &most.min(PIECE)])?;
        let Some((row, size, whole)) = found else {
            return Ok(None);
        };
        let first = match whole {
            Some(whole) => whole,
            None => part(tx, row, 0, size.min(most))?,
        };
        let store = store.clone();
        Ok(Some((Self { store, row, size }, first)))
    }

    /// Reads up to `most` octets starting at `from`; returns none after the end.
    ///
    /// # Errors
    /// The content is gone, or the disk cannot be read.
    pub async fn read(&self, from: u64, most: u64) -> Result<Vec<u8>> {
        let row = self.row;
        let length = most.min(self.size.saturating_sub(from));
        self.store.read(move |tx| part(tx, row, from, length)).await
    }
}

/// Reads one piece. Each has its own transaction, so that a slow destination does not keep the write-ahead log from
/// shrinking.
fn part(tx: &Tx, row: i64, from: u64, length: u64) -> Result<Vec<u8>> {
    let wrong = |_| StoreError::Other("a message larger than the address space".to_owned());
    let mut part = vec![0; usize::try_from(length).map_err(wrong)?];
    tx.read_content(row, usize::try_from(from).map_err(wrong)?, &mut part)?;
    Ok(part)
}

const OF_ENTRY: &str = "SELECT c.ledger, length(c.raw),
         CASE WHEN length(c.raw) <= CAST(?2 AS bigint) THEN c.raw END
     FROM ledger AS l LEFT JOIN ledger AS o ON o.n = l.original
     JOIN content AS c ON c.ledger = coalesce(o.message, o.n, l.message, l.n)
     WHERE l.n = ?1";

impl Store {
    /// The message of an entry with up to `most` of its first octets; None once its content has expired.
    pub async fn content(
        &self,
        ledger: LedgerId,
        most: u64,
    ) -> Result<Option<(MessageContent, Vec<u8>)>> {
        let store = self.clone();
        self.read(move |tx| {
            let entry = tx.maybe("SELECT n FROM ledger WHERE id = ?", &[&ledger])?;
            entry.map_or(Ok(None), |n| MessageContent::open(&store, tx, n, most))
        })
        .await
    }

    /// The message as received, octet for octet; None once its content has expired.
    pub async fn raw(&self, ledger: LedgerId) -> Result<Option<Vec<u8>>> {
        let whole = self.content(ledger, u64::MAX).await?;
        Ok(whole.map(|(_, raw)| raw))
    }
}
