//! What all integration tests share: a harness that runs the real binary, and small clients.
#![allow(dead_code, reason = "each binary of tests uses a part")]

pub mod client;
pub mod harness;
pub mod port;
