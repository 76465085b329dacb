//! What the tests of letters, of the mailer and of the pages begin with.

pub mod sample;
