//! Operations that overwrite all space that they free, so that it keeps nothing of what it held: for the erasure of a
//! person.
//!
//! The setting is that of the writer's session, which all operations of a process share. It lasts for one operation:
//! so an erasure that ends does not end it for another, and a session that is opened again after a failure has it.

use crate::store::engine::job::Work;
use crate::store::sql::Tx;
use crate::store::{Result, Store};

/// The setting of a session until this is dropped, also by a panic.
struct Overwriting<'a>(&'a Tx);

impl<'a> Overwriting<'a> {
    fn begin(tx: &'a Tx) -> Result<Self> {
        tx.overwrite_what_is_freed(true)?;
        Ok(Self(tx))
    }
}

impl Drop for Overwriting<'_> {
    fn drop(&mut self) {
        // After a failure here, more is overwritten than has to be.
        let _ = self.0.overwrite_what_is_freed(false);
    }
}

impl Store {
    /// Like [`write`](Self::write), for an operation that overwrites all that it frees.
    pub(in crate::store) async fn write_overwriting<T: Send + 'static>(
        &self,
        mut run: impl FnMut(&mut Work) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.write(move |work| {
            let _overwriting = Overwriting::begin(work.tx)?;
            run(work)
        })
        .await
    }
}
