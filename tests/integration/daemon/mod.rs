//! The real binary as a whole: started on its own ports, used over SMTP and HTTP, killed.

mod access;
mod canary;
mod clock;
mod damaged;
mod demo;
mod journey;
mod kill;
mod languages;
mod mail_replies;
mod memory;
mod metrics;
mod not_me;
mod old_databases;
mod own_addresses;
mod raw_url;
mod readme_steps;
mod recovered;
mod refusal_notices;
mod restore;
mod secrets;
mod signals;
mod subjects;
