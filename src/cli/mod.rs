//! The command line: arguments in, output and an exit status out.

pub mod check;
pub mod init;
