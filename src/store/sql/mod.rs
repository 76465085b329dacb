//! The SQL interface of the store's operations: a few methods on the session of an engine, with value and row types
//! of our own. No operation knows which engine runs its statements.

mod conditions;
mod maintenance;
pub(super) mod page_builder;
pub(super) mod pagination;
mod row;
mod session;
pub(super) mod sql_types;
pub(super) mod time_cursor;
mod value;

pub(super) use conditions::Conditions;
pub(super) use maintenance::{Maintenance, TableShape};
pub(super) use row::{Columns, FromRow, Row};
pub(super) use session::{
    CountedEntry, DeferredInsert, DeferredTable, EngineSession, InsertQueue, Receive, Tx, insert,
    insert_deferred,
};
pub(super) use value::{Bind, FromSql, SqlValue, ToSql, list_of};
