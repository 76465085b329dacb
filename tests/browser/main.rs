//! The pages in a real browser: Chromium, driven through `WebDriver`, on the real binary.
//!
//! Each test has its own browser and runs its cases in order. Cases that need no browser use HTTP, in
//! `session`.

mod ask;
mod axe;
mod browser;
mod employee;
mod help_desk;
mod hostile;
mod journey;
mod look;
mod operator;
mod pages;
mod quiet;
mod session;
mod uninvited;

#[path = "../support/mod.rs"]
mod support;
