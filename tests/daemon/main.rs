//! The real binary, whole: started on ports of its own, spoken to over SMTP and HTTP, killed.

mod activation;
mod answers;
mod client;
mod clock;
mod house;
mod journey;
mod kill;
mod metrics;
mod mta;
mod postfix;
mod restore;
mod signals;
mod swaks;
mod through_postfix;
mod weight;
