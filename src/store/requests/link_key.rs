//! The key that signs links to messages: created on first use, the same from then on.

use rusqlite::{Connection, OptionalExtension};

use crate::domain::LinkKey;
use crate::store::{Store, StoreError};

const KEY: &str = "SELECT key FROM link_key";

fn find(connection: &Connection) -> Result<Option<LinkKey>, StoreError> {
    let key = connection
        .prepare_cached(KEY)?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(key.map(LinkKey::from_bytes))
}

impl Store {
    /// The key; None if no link was ever made.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn find_link_key(&self) -> Result<Option<LinkKey>, StoreError> {
        self.read(find).await
    }

    /// The key, created if there is none.
    ///
    /// # Errors
    /// The database cannot be read or written, or there are no random numbers.
    pub async fn link_key(&self) -> Result<LinkKey, StoreError> {
        if let Some(key) = self.find_link_key().await? {
            return Ok(key);
        }
        let new = LinkKey::generate().map_err(|error| StoreError::Other(error.to_string()))?;
        self.write(move |work| {
            work.connection.execute(
                "INSERT INTO link_key (n, key) VALUES (1, ?) ON CONFLICT DO NOTHING",
                [new.as_bytes()],
            )?;
            find(work.connection)?
                .ok_or_else(|| StoreError::Other("the key of links was not kept".to_owned()))
        })
        .await
    }
}
