//! Warns about a Postfix on this machine that routes by the local part.
//!
//! Runs `postconf` from PATH. If it is missing or fails, there is no finding: the Postfix in front may be on
//! another machine.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Finding;

/// Parameters by which Postfix finds a domain in a local part (postconf(5)), both `yes` by default.
const ROUTING: [&str; 2] = ["allow_percent_hack", "swap_bangpath"];

const TIMEOUT: Duration = Duration::from_secs(5);

/// A warning if one of the parameters is on.
pub(super) fn finding() -> Option<Finding> {
    reminder(&postconf()?)
}

fn reminder(answer: &str) -> Option<Finding> {
    let is_on = |name: &&str| {
        answer.lines().any(|line| {
            line.split_once('=')
                .is_some_and(|(key, value)| key.trim() == *name && value.trim() == "yes")
        })
    };
    let on: Vec<&str> = ROUTING.into_iter().filter(is_on).collect();
    if on.is_empty() {
        return None;
    }
    let off: Vec<String> = on.iter().map(|name| format!("{name}=no")).collect();
    Some(Finding::warning(
        "Postfix",
        format!(
            "Postfix on this machine has {} enabled, and so treats user%domain@here and \
             domain!user@here as mail to that domain",
            on.join(" and ")
        ),
        format!(
            "postconf -e {} && postfix reload (docs/mta.md)",
            off.join(" ")
        ),
    ))
}

/// Output of `postconf` for the parameters. `None` without the program, after an error, or after a timeout.
fn postconf() -> Option<String> {
    let mut child = Command::new("postconf")
        .args(ROUTING)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begin = Instant::now();
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if begin.elapsed() < TIMEOUT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                break false;
            }
        }
    };
    let mut answer = String::new();
    let read = child.stdout.take()?.take(4096).read_to_string(&mut answer);
    (ended && read.is_ok()).then_some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_enabled_parameters_are_reported() {
        for (answer, remedy) in [
            (
                "allow_percent_hack = yes\nswap_bangpath = yes\n",
                Some("allow_percent_hack=no swap_bangpath=no"),
            ),
            (
                "allow_percent_hack = no\nswap_bangpath = yes\n",
                Some("-e swap_bangpath=no"),
            ),
            ("allow_percent_hack = no\nswap_bangpath = no\n", None),
            ("", None),
            ("yes", None),
        ] {
            let found = reminder(answer).and_then(|finding| finding.remedy);
            assert_eq!(found.is_some(), remedy.is_some(), "{answer}");
            let found = found.unwrap_or_default();
            assert!(found.contains(remedy.unwrap_or_default()), "{found}");
        }
    }
}
