//! SQL as the operations speak it: column types, pages and conditions of lists.

pub(super) mod pagination;
pub(super) mod sql_types;
