//! The journey of a message.

pub mod access;
pub mod authentication;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod domain;
pub mod mail;
pub mod observe;
pub mod smtp;
pub mod store;
pub mod verification;
pub mod web;
pub mod wording;
