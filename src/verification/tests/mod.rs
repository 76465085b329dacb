//! Fixtures for the tests of verification mail, of the mailer and of the pages.

pub mod sample;
