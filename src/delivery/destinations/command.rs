//! In: a message. Out: the outcome of a program that reads the message from its standard input.
//!
//! The program runs without a shell, in its own process group. Its environment holds only the configured
//! variables and the facts about the request. After the timeout the whole group is killed.
//!
//! | exit status | outcome |
//! |---|---|
//! | 0 | delivered |
//! | 65, 66, 67, 68, 77: the message, its input, its user, its host, its rights | refused |
//! | 70, 75, 76, or ended by a signal | retry |
//! | 64, 69, 71, 72, 73, 74, 78, 126, 127: its own set-up or system | retry, destination |
//! | any other | refused |

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin};
use tokio::time::timeout;

use crate::config::CommandDestination;
use crate::delivery::message::ReadPosition;
use crate::delivery::{OutgoingMessage, added_headers};
use crate::domain::EmailAddress;
use crate::outbound::process_group::ProcessGroup;
use crate::outbound::{AttemptOutcome, Cause, Scope};
use crate::store::StoreError;

/// Time between SIGTERM and SIGKILL.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// Maximum octets of standard error that are kept.
const MAX_STDERR: usize = 400;

/// A program that takes messages.
#[derive(Debug)]
pub(in crate::delivery) struct CommandRunner {
    config: CommandDestination,
}

impl CommandRunner {
    pub(in crate::delivery) fn new(config: &CommandDestination) -> Self {
        Self {
            config: config.clone(),
        }
    }

    pub(in crate::delivery) async fn attempt(&self, outgoing: &OutgoingMessage) -> AttemptOutcome {
        let program = self.config.program.display();
        let mut child = match self.start(outgoing) {
            Ok(child) => child,
            Err(e) => {
                return AttemptOutcome::Retry(Cause::of_destination(&format!("{program}: {e}")));
            }
        };
        let group = ProcessGroup::of(&child);
        let (mut stdin, stderr) = (child.stdin.take(), child.stderr.take());
        let mut stderr_text = Vec::new();
        let ended = {
            let reading = async {
                read_stderr(stderr, &mut stderr_text).await;
                Ok(())
            };
            let exchange = async { tokio::try_join!(feed(&mut stdin, outgoing), reading) };
            tokio::pin!(exchange);
            let running = async {
                tokio::select! {
                    status = child.wait() => {
                        // Reads the rest of standard error. A process that the program left running may keep the
                        // pipe open.
                        let _ = timeout(Duration::from_millis(100), &mut exchange).await;
                        Ok(status)
                    }
                    done = &mut exchange => match done {
                        Ok(_) => Ok(child.wait().await),
                        Err(error) => Err(error),
                    },
                }
            };
            timeout(self.config.timeout, running).await
        };
        match ended {
            Ok(Ok(Ok(status))) => {
                group.disarm();
                outcome(status, &String::from_utf8_lossy(&stderr_text))
            }
            Ok(Ok(Err(e))) => AttemptOutcome::Retry(Cause::of_request(&format!("{program}: {e}"))),
            Ok(Err(unread)) => {
                // The program must not take a truncated message for a whole one, so it is killed before its input
                // ends.
                group.signal(Signal::KILL);
                let _ = child.wait().await;
                unread.into()
            }
            Err(_) => {
                group.signal(Signal::TERM);
                let _ = timeout(TERM_GRACE, child.wait()).await;
                AttemptOutcome::Retry(Cause::of_request(&format!(
                    "{program}: not finished within {} s",
                    self.config.timeout.as_secs_f32()
                )))
            }
        }
    }

    fn start(&self, outgoing: &OutgoingMessage) -> std::io::Result<Child> {
        tokio::process::Command::new(&self.config.program)
            .args(&self.config.args)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs(&self.config.environment)
            .envs(facts(outgoing))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// Environment variables with the facts about the request. Scripts pass them on as arguments, so neither an
/// address nor a Message-ID begins with a `-`.
fn facts(outgoing: &OutgoingMessage) -> [(&'static str, String); 12] {
    let claim = outgoing.claim();
    // A value cannot contain a line break, so it cannot forge another value.
    let line = |text: &str| text.replace(char::is_control, " ");
    [
        ("VESTIBULE_REQUEST", claim.request().to_string()),
        ("VESTIBULE_LEDGER", claim.ledger.to_string()),
        ("VESTIBULE_ATTEMPT", claim.attempt.to_string()),
        ("VESTIBULE_PORTAL", claim.portal.to_string()),
        (
            "VESTIBULE_RECIPIENT",
            EmailAddress::parse(&claim.recipient)
                .map_or_else(|_| line(&claim.recipient), |address| address.as_argument()),
        ),
        ("VESTIBULE_SENDER", claim.address.as_argument()),
        ("VESTIBULE_ACCOUNT", claim.kind.to_string()),
        (
            "VESTIBULE_VERIFIED",
            added_headers::format_verification(claim),
        ),
        (
            "VESTIBULE_SENDER_BY",
            added_headers::sender_by(claim)
                .unwrap_or_default()
                .to_owned(),
        ),
        (
            "VESTIBULE_AUTHENTICATED",
            added_headers::name_authentication(claim).to_owned(),
        ),
        ("VESTIBULE_GROUPS", outgoing.groups()),
        (
            "VESTIBULE_MESSAGE_ID",
            claim
                .message_id
                .as_deref()
                .map(line)
                .filter(|id| !id.trim_start().starts_with('-'))
                .unwrap_or_default(),
        ),
    ]
}

/// Writes the message and closes the pipe. The program need not read all of it: only its exit status counts. If the
/// message cannot be read to its end, the pipe stays open.
async fn feed(
    stdin: &mut Option<ChildStdin>,
    outgoing: &OutgoingMessage,
) -> Result<(), StoreError> {
    let mut place = ReadPosition::default();
    while let Some(pipe) = stdin {
        match outgoing.message().piece(&mut place).await? {
            Some(piece) if pipe.write_all(&piece).await.is_ok() => {}
            _ => *stdin = None,
        }
    }
    Ok(())
}

/// Reads standard error to its end and keeps the beginning.
async fn read_stderr(stderr: Option<ChildStderr>, kept: &mut Vec<u8>) {
    let Some(mut stderr) = stderr else { return };
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let wanted = MAX_STDERR.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&buffer[..wanted]);
    }
}

fn outcome(status: ExitStatus, stderr_text: &str) -> AttemptOutcome {
    // Shells and many wrappers exit with 126 and 127 if a program cannot be run or found.
    let (is_refused, scope) = match status.code() {
        Some(0) => return AttemptOutcome::Delivered,
        None | Some(70 | 75 | 76) => (false, Scope::Request),
        Some(64 | 69 | 71..=74 | 78 | 126 | 127) => (false, Scope::Destination),
        Some(_) => (true, Scope::Request),
    };
    let cause = Cause::new(&format!("{status} {stderr_text}"), scope);
    if is_refused {
        AttemptOutcome::Refused(cause)
    } else {
        AttemptOutcome::Retry(cause)
    }
}
