//! The pages in a real browser: Chromium, driven through `WebDriver`, on the real binary.
//!
//! Each test has its own browser and runs its cases in order. Cases that need no browser use HTTP, in
//! `session`.

mod ask;
mod axe;
mod browser;
#[path = "../daemon/client.rs"]
#[allow(
    dead_code,
    reason = "belongs to the daemon's tests; not all of it is needed here"
)]
mod client;
#[path = "../daemon/harness.rs"]
#[allow(
    dead_code,
    reason = "belongs to the daemon's tests; not all of it is needed here"
)]
mod harness;
mod help_desk;
mod hostile;
mod journey;
mod look;
mod pages;
#[path = "../daemon/port.rs"]
mod port;
mod session;
mod uninvited;
