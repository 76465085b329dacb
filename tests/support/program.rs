//! The real binary, isolated from the environment of this machine: its configuration, home, proxy and terminal.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use vestibule::domain::{LedgerId, Timestamp};

/// The path of the binary. `tests/integration/structure.rs` checks that it is named nowhere else.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_vestibule");

/// Programs of this machine that Vestibule may find. Those of an MTA are in `/usr/sbin`.
const PATH: &str = "/usr/bin:/bin";

/// The binary in a folder. Its environment contains only what the tests set.
pub fn vestibule(folder: &Path) -> Command {
    program_in(Path::new(PROGRAM), folder)
}

/// As [`vestibule`], with another build of the binary.
pub fn program_in(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_clear()
        .env("PATH", PATH)
        .env("TZ", "UTC")
        .env("USER", "carol")
        .env("VESTIBULE_STANDARD_CONFIG", folder.join("no-such-file"));
    command
}

/// Runs the binary to its end in the root of the repository.
pub fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    run_in(root, arguments, environment)
}

/// As [`run`], in another folder.
pub fn run_in(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = vestibule(folder);
    command.args(arguments).envs(environment.iter().copied());
    Ran::of(&mut command)
}

/// Output of a command, and its exit status.
pub struct Ran {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the binary runs");
        Self {
            status: output.status.code().expect("an exit status"),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Both outputs and the status, with ids and times normalized, so that they are the same in every run.
    pub fn shown(&self) -> String {
        let mut text = steady(&self.out);
        if !self.err.is_empty() {
            text.push_str("--- standard error\n");
            text.push_str(&steady(&self.err));
        }
        if self.status != 0 {
            text.push_str("--- exit status ");
            text.push_str(&self.status.to_string());
        }
        text
    }

    /// The objects of `--json` of a command that succeeded.
    pub fn objects(&self) -> Vec<Value> {
        assert_eq!(self.status, 0, "{}{}", self.out, self.err);
        self.lines()
    }

    /// The objects of `--json`, whatever the exit status is.
    pub fn lines(&self) -> Vec<Value> {
        self.out
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect()
    }
}

/// Numbers ids in the order of their appearance, and replaces times by a fixed one; their width stays.
fn steady(text: &str) -> String {
    let mut ids = HashMap::new();
    let mut steady = String::with_capacity(text.len());
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let end = rest[start..]
            .find(|c| !is_word(c))
            .map_or(rest.len(), |end| start + end);
        steady.push_str(&rest[..start]);
        let word = &rest[start..end];
        let bare = word.trim_end_matches(['.', ':']);
        if bare.len() == 26 && bare.starts_with("01") && bare.parse::<LedgerId>().is_ok() {
            let next = ids.len() + 1;
            let number = *ids.entry(bare).or_insert(next);
            let _ = write!(steady, "01{number:0>24}{}", &word[bare.len()..]);
        } else if bare.parse::<Timestamp>().is_ok() {
            // Times in JSON have a fraction, except for the one in a thousand that falls on a full second.
            let has_fraction = bare.contains('.') || steady.ends_with('"');
            let fraction = if has_fraction { ".000Z" } else { "Z" };
            let _ = write!(
                steady,
                "2026-01-01T00:00:00{fraction}{}",
                &word[bare.len()..]
            );
        } else {
            steady.push_str(word);
        }
        rest = &rest[end..];
    }
    steady.push_str(rest);
    steady
}
