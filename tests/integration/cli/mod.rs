//! The real binary, as an operator runs it: its output, as tables and as JSON, and its exit status.

mod access;
mod automatic_mail;
mod check;
mod customers;
mod data_protection;
mod explain;
mod find;
mod harness;
mod help;
mod import;
mod narrow;
mod operators;
mod replay;
mod requests;
mod send;
mod tail;
mod templates;
mod transfer;
mod upkeep;
mod waiting_requests;
