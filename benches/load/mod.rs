//! The example `load` as a separate program: built once, then run as often as needed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// The program, built with the profile of this bench.
pub struct Load {
    program: PathBuf,
}

/// A running load.
pub struct Running(Child);

/// Results of a load.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Messages a second.
    pub rate: f64,
    /// From the end of a message to its reply, in microseconds: the median, and the 99th percentile.
    pub median: f64,
    pub late: f64,
}

impl Load {
    pub fn build() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo)
            .args(["build", "--quiet", "--locked", "--release"])
            .args(["--example", "load"])
            .status()
            .expect("cargo runs");
        assert!(status.success(), "the example load was not built");
        let daemon = Path::new(env!("CARGO_BIN_EXE_vestibule"));
        let program = daemon.with_file_name("examples").join("load");
        Self { program }
    }

    /// Sends to the portal `it`; `more` are arguments of `load`.
    pub fn start(&self, server: SocketAddr, more: &[&str]) -> Running {
        let child = Command::new(&self.program)
            .arg(server.to_string())
            .args(["--to", "it-help@corp.example"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("load runs");
        Running(child)
    }

    pub fn run(&self, server: SocketAddr, more: &[&str]) -> Report {
        self.start(server, more).report()
    }
}

impl Running {
    /// Waits for the end.
    pub fn report(self) -> Report {
        let output = self.0.wait_with_output().expect("load ends");
        assert!(output.status.success(), "load failed");
        let report: Value = serde_json::from_slice(&output.stdout).expect("a report in JSON");
        let number = |name: &str| report[name].as_f64().expect(name);
        Report {
            rate: number("per_second"),
            median: number("p50_us"),
            late: number("p99_us"),
        }
    }
}
