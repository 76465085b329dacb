//! The pages in a real browser: Chromium, driven through `WebDriver`, on the real binary.
//!
//! Each test has its own browser and runs its cases in order. Cases that need no browser use HTTP, in
//! `session`.

mod appearance;
mod axe;
mod browser;
mod employee;
mod help_desk;
mod hostile;
mod journey;
mod operator;
mod pages;
mod raw_http;
mod scanners_and_frames;
mod session;
mod unwanted_mail_warning;

#[path = "../support/mod.rs"]
mod support;
