//! The real binary, whole: started on ports of its own, spoken to over SMTP and HTTP, killed.

mod access;
mod activation;
mod answers;
mod canary;
mod client;
mod clock;
mod contract;
mod demo;
mod filters;
mod house;
mod journey;
mod kill;
mod metrics;
mod mta;
mod old_databases;
mod ours;
mod port;
mod postfix;
mod raw_url;
mod restore;
mod routing;
mod secrets;
mod signals;
mod swaks;
mod through_postfix;
mod weight;
