//! The entry point. In: arguments. Out: the exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    vestibule::cli::run(std::env::args_os())
}
