//! The harness of all integration tests: the real binary in a folder of its own, mail that arrives at it, and
//! small clients.
#![allow(dead_code, reason = "each binary of tests uses a part")]

pub mod arrival;
pub mod claims;
pub mod client;
pub mod harness;
pub mod port;
pub mod postgres;
pub mod program;
