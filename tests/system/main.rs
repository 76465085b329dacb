//! Vestibule with the programs that it meets in production: mail servers, filters, systemd, help desks, and
//! whatever kills it, fills its disk or floods it. `tests/run` installs what they need.

mod activation;
mod api;
mod container;
mod filters;
mod mail_content;
mod mta;
mod postfix;
mod prometheus;
mod proof;
mod proxy;
mod recipes;
mod release;
mod routing;
mod scim;
mod sso;
mod submission;
#[path = "../support/mod.rs"]
mod support;
mod swaks;
mod systemd;
mod through_postfix;
