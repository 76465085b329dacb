//! Arguments in, exit status out.

use std::process::ExitCode;

/// Messages are made on one thread and dropped on another, which the system's allocator pays for with
/// locks and with memory that it gives back and takes again (`docs/performance.md`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vestibule::cli::run(std::env::args_os())
}
