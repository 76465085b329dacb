//! The real binary as a whole: started on its own ports, used over SMTP and HTTP, killed.

mod access;
mod answers;
mod canary;
mod clock;
mod damaged;
mod demo;
mod journey;
mod kill;
mod languages;
mod metrics;
mod newcomer;
mod not_me;
mod old_databases;
mod ours;
mod raw_url;
mod recovered;
mod restore;
mod secrets;
mod signals;
mod subjects;
mod told;
mod weight;
