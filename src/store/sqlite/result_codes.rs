//! Errors of the embedded engine (<https://www.sqlite.org/rescode.html>).

use rusqlite::{Error, ErrorCode};

use crate::store::StoreError;

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full(text),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(text),
            Some(
                ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::CannotOpen
                | ErrorCode::SystemIoFailure,
            ) => Self::ReadOnly(text),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(text),
            _ if is_of_row(&error) => Self::DamagedRow(text),
            _ => Self::Other(text),
        }
    }
}

/// True for a value of the wrong type for its column. `SQLite` reports invalid JSON only by the text of its
/// message (<https://www.sqlite.org/json1.html>).
fn is_of_row(error: &Error) -> bool {
    match error {
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..)
        | Error::InvalidColumnType(..) => true,
        Error::SqliteFailure(failure, Some(text)) => {
            failure.code == ErrorCode::Unknown && text == "malformed JSON"
        }
        _ => false,
    }
}
