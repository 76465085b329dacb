//! Users of the directory, as SCIM maintains them.

use super::customers::NOT_A_CUSTOMER;
use crate::config::Config;
use crate::domain::{Actor, Timestamp, UserId};
use crate::store::{DirectoryUser, NewDirectoryUser, Result, Store, StoreError, UserRefusal};

/// Reason why a user cannot be stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum UserError {
    #[error("{0}")]
    Refused(#[from] UserRefusal),
    #[error("{0} {NOT_A_CUSTOMER}")]
    Ours(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn check(config: &Config, new: &NewDirectoryUser) -> Result<(), UserError> {
    if config.is_ours(&new.address) {
        return Err(UserError::Ours(new.address.to_string()));
    }
    Ok(())
}

/// Creates a user, and the account of its address as far as the access settings permit it.
///
/// # Errors
/// The reason for the refusal; nothing has changed then.
pub async fn create_user(
    store: &Store,
    config: &Config,
    new: NewDirectoryUser,
    by: Actor,
) -> Result<DirectoryUser, UserError> {
    check(config, &new)?;
    Ok(store.create_user(new, by, Timestamp::now()).await??)
}

/// Replaces a user if its version is still `version`.
///
/// # Errors
/// The reason for the refusal; nothing has changed then.
pub async fn replace_user(
    store: &Store,
    config: &Config,
    id: UserId,
    version: i64,
    new: NewDirectoryUser,
    by: Actor,
) -> Result<DirectoryUser, UserError> {
    check(config, &new)?;
    let now = Timestamp::now();
    Ok(store.replace_user(id, version, new, by, now).await??)
}

/// Removes a user if its version is still `version`. Its account loses its access, and stays with everything that
/// belongs to it.
///
/// # Errors
/// `NotFound`; the user was changed.
pub async fn remove_user(
    store: &Store,
    id: UserId,
    version: i64,
    by: Actor,
) -> Result<(), UserError> {
    store
        .remove_user(id, version, by, Timestamp::now())
        .await??;
    Ok(())
}
