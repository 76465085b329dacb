//! The key that signs links to messages: created on first use, the same from then on.

use crate::domain::LinkKey;
use crate::store::sql::{Tx, insert};
use crate::store::{Result, Store, StoreError};

const KEY: &str = "SELECT key FROM link_key";

fn find(tx: &Tx) -> Result<Option<LinkKey>> {
    let key = tx.maybe(KEY, &[])?;
    Ok(key.map(LinkKey::from_bytes))
}

impl Store {
    /// The key; None if no link was ever made.
    pub async fn find_link_key(&self) -> Result<Option<LinkKey>> {
        self.read(find).await
    }

    /// The key, created if there is none.
    ///
    /// # Errors
    /// The database cannot be read or written, or there are no random numbers.
    pub async fn link_key(&self) -> Result<LinkKey> {
        if let Some(key) = self.find_link_key().await? {
            return Ok(key);
        }
        let new = LinkKey::generate().map_err(StoreError::other)?;
        self.write(move |work| {
            insert!(
                work.tx,
                link_key {
                    n: 1_i64,
                    key: new.as_bytes()
                },
                "ON CONFLICT (n) DO NOTHING"
            )?;
            find(work.tx)?
                .ok_or_else(|| StoreError::Other("the link key was not stored".to_owned()))
        })
        .await
    }
}
