//! Access tokens of OAuth 2 for the login at a mail server (XOAUTH2). In: a file that another program keeps up to
//! date, or a program that prints a token. Out: the current token.
//!
//! A file is read for each login. A program is run when there is no token, when the token expires, and when the
//! server refuses it; at most once every ten seconds. Its output is bounded in size and time, and appears in no
//! log.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::process_group::ProcessGroup;
use crate::config::{TokenLogin, TokenSource};

/// Maximum octets of a token file or of a program's output.
const MAX_OCTETS: u64 = 64 * 1024;

/// Time limit of the program.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Time before the expiry of a token from which it is no longer used.
const RESERVE: Duration = Duration::from_mins(1);

/// Minimum interval between two runs of the program.
const PAUSE: Duration = Duration::from_secs(10);

/// The tokens of one login.
pub struct AccessTokens {
    login: TokenLogin,
    kept: Mutex<Kept>,
}

/// The token of the last run of the program, and the time of that run.
#[derive(Default)]
struct Kept {
    token: Option<AccessToken>,
    asked: Option<Instant>,
}

#[derive(Clone)]
struct AccessToken {
    text: SecretString,
    /// `None`: unknown; the token is used until the server refuses it.
    ends: Option<Instant>,
}

/// No token is available: the reason in one line, without the output of the program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TokenFailure(String);

/// An answer in JSON, as token endpoints give it (RFC 6749 5.1).
#[derive(Deserialize)]
struct JsonToken {
    access_token: String,
    expires_in: Option<serde_json::Value>,
}

impl AccessTokens {
    pub fn new(login: &TokenLogin) -> Self {
        Self {
            login: login.clone(),
            kept: Mutex::default(),
        }
    }

    pub fn user(&self) -> &str {
        &self.login.user
    }

    /// # Errors
    /// The file cannot be read, or the program fails, or neither gives a token.
    pub async fn get(&self) -> Result<SecretString, TokenFailure> {
        let (program, args) = match &self.login.source {
            TokenSource::File(path) => return read_file(path).await,
            TokenSource::Command(program, args) => (program, args),
        };
        let mut kept = self.kept.lock().await;
        if let Some(token) = &kept.token
            && token.ends.is_none_or(|ends| Instant::now() < ends)
        {
            return Ok(token.text.clone());
        }
        let shown = program.display();
        if kept.asked.is_some_and(|asked| asked.elapsed() < PAUSE) {
            return Err(TokenFailure(format!(
                "{shown} ran a moment ago; its token was refused, or it printed none"
            )));
        }
        kept.token = None;
        kept.asked = Some(Instant::now());
        let token = run(program, args).await.and_then(|output| parse(&output));
        let token = token.map_err(|cause| TokenFailure(format!("{shown}: {cause}")))?;
        let text = token.text.clone();
        kept.token = Some(token);
        Ok(text)
    }

    /// Records that the server refused this token. Returns another one, if there is one now.
    pub async fn replace(&self, token: &SecretString) -> Option<SecretString> {
        let is_same = |other: &SecretString| other.expose_secret() == token.expose_secret();
        {
            let mut kept = self.kept.lock().await;
            if kept.token.as_ref().is_some_and(|own| is_same(&own.text)) {
                kept.token = None;
            }
        }
        self.get().await.ok().filter(|fresh| !is_same(fresh))
    }
}

async fn read_file(path: &Path) -> Result<SecretString, TokenFailure> {
    let shown = path.display();
    let read = async {
        let file = tokio::fs::File::open(path).await?;
        let mut octets = Vec::new();
        file.take(MAX_OCTETS + 1).read_to_end(&mut octets).await?;
        Ok::<_, std::io::Error>(octets)
    };
    let octets = read.await.map_err(|error| error.to_string());
    let token = octets.and_then(|octets| parse(&octets));
    let token = token.map_err(|cause| TokenFailure(format!("{shown}: {cause}")))?;
    Ok(token.text)
}

/// Runs the program without a shell and returns what it wrote. After the time limit its whole group is killed.
async fn run(program: &Path, args: &[String]) -> Result<Vec<u8>, String> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| error.to_string())?;
    let group = ProcessGroup::of(&child);
    let (stdout, mut output) = (child.stdout.take(), Vec::new());
    let ended = {
        let reading = read_output(stdout, &mut output);
        tokio::pin!(reading);
        let running = async {
            tokio::select! {
                status = child.wait() => {
                    // Reads the rest of the output. A process that the program left running may keep the pipe open.
                    let _ = timeout(Duration::from_millis(100), &mut reading).await;
                    status
                }
                read = &mut reading => {
                    read?;
                    child.wait().await
                }
            }
        };
        timeout(TIME_LIMIT, running).await
    };
    let status = ended
        .map_err(|_| format!("not finished within {} s", TIME_LIMIT.as_secs()))?
        .map_err(|error| error.to_string())?;
    group.disarm();
    // A program that writes too much may end by SIGPIPE; then its output says more than its status.
    if !status.success() && output.len() as u64 <= MAX_OCTETS {
        return Err(format!("{status}; run it by hand to see why"));
    }
    Ok(output)
}

/// Reads the output to its end, or to one octet beyond the limit.
async fn read_output(
    stdout: Option<impl AsyncRead + Unpin>,
    output: &mut Vec<u8>,
) -> std::io::Result<()> {
    if let Some(stdout) = stdout {
        stdout.take(MAX_OCTETS + 1).read_to_end(output).await?;
    }
    Ok(())
}

/// Parses one line with the token, or the JSON of a token endpoint.
fn parse(octets: &[u8]) -> Result<AccessToken, String> {
    if octets.len() as u64 > MAX_OCTETS {
        return Err(format!("longer than {} KiB", MAX_OCTETS / 1024));
    }
    let text = std::str::from_utf8(octets)
        .map_err(|_| "not UTF-8 text")?
        .trim();
    let (token, seconds) = if text.starts_with('{') {
        // The parser's error could quote the text, which holds the token.
        let json: JsonToken =
            serde_json::from_str(text).map_err(|_| "JSON without access_token")?;
        let seconds = json.expires_in.and_then(|value| {
            let written = value.as_str().and_then(|text| text.parse().ok());
            value.as_u64().or(written)
        });
        (json.access_token, seconds)
    } else {
        (text.to_owned(), None)
    };
    // RFC 6750 2.1 allows fewer characters, but providers use others. A control character would break the SASL
    // response.
    if token.is_empty() || !token.bytes().all(|octet| octet.is_ascii_graphic()) {
        return Err("no token found; expected one line, or JSON with access_token".to_owned());
    }
    let ends = seconds.map(|seconds| {
        let usable = Duration::from_secs(seconds.min(31_536_000)).saturating_sub(RESERVE);
        Instant::now() + usable
    });
    Ok(AccessToken {
        text: token.into(),
        ends,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(script: &str) -> AccessTokens {
        AccessTokens::new(&TokenLogin {
            user: "vestibule@corp.example".to_owned(),
            source: TokenSource::Command(
                "/bin/sh".into(),
                vec!["-c".to_owned(), script.to_owned()],
            ),
        })
    }

    /// Sets the time of the last run of the program to now, however long ago it was.
    async fn ran_now(tokens: &AccessTokens) {
        tokens.kept.lock().await.asked = Some(Instant::now());
    }

    #[test]
    fn a_token_is_a_line_or_json() {
        for (text, token, has_end) in [
            ("ya29.abc-_~+/=\n", Some("ya29.abc-_~+/="), false),
            (r#"{"access_token": "abc"}"#, Some("abc"), false),
            (
                r#"{"access_token": "abc", "expires_in": 3599}"#,
                Some("abc"),
                true,
            ),
            (
                r#"{"access_token": "abc", "expires_in": "3599"}"#,
                Some("abc"),
                true,
            ),
            (
                r#"{"access_token": "abc", "expires_in": "soon"}"#,
                Some("abc"),
                false,
            ),
            ("", None, false),
            ("two words", None, false),
            ("two\nlines", None, false),
            ("a\u{1}auth=Bearer b", None, false),
            ("größe", None, false),
            (r#"{"access_token": ""}"#, None, false),
            (r#"{"access_token": "a\u0001b"}"#, None, false),
            (r#"{"error": "hunter2"}"#, None, false),
        ] {
            match (parse(text.as_bytes()), token) {
                (Ok(found), Some(token)) => {
                    assert_eq!(found.text.expose_secret(), token);
                    assert_eq!(found.ends.is_some(), has_end, "{text}");
                }
                (Err(cause), None) => assert!(!cause.contains("hunter2"), "{cause}"),
                (found, _) => panic!("{text}: {:?}", found.err()),
            }
        }
        assert!(parse(&vec![b'a'; 70_000]).is_err());
    }

    #[tokio::test]
    async fn a_program_is_run_when_a_token_is_needed_and_not_more_often() {
        let folder = tempfile::tempdir().expect("a folder");
        let runs = folder.path().join("runs");
        let script = format!("echo x >> {0}; wc -l < {0}", runs.display());
        let tokens = command(&script);
        for _ in 0..3 {
            assert_eq!(tokens.get().await.expect("a token").expose_secret(), "1");
        }
        // After a refusal, a new token is fetched, but not at once.
        ran_now(&tokens).await;
        assert!(tokens.replace(&"1".into()).await.is_none());
        let cause = tokens.get().await.expect_err("too soon");
        assert!(cause.to_string().contains("ran a moment ago"), "{cause}");
        tokio::time::pause();
        tokio::time::advance(PAUSE).await;
        tokio::time::resume();
        assert_eq!(tokens.get().await.expect("a token").expose_secret(), "2");
        // A refusal of an older token says nothing about this one.
        let other = tokens.replace(&"1".into()).await;
        assert_eq!(other.expect("another").expose_secret(), "2");
        assert_eq!(tokens.get().await.expect("a token").expose_secret(), "2");
        // An expired token is not used.
        let short = command(r#"echo '{"access_token": "abc", "expires_in": 60}'"#);
        assert!(short.get().await.is_ok());
        ran_now(&short).await;
        assert!(short.get().await.is_err(), "it is requested again");
    }

    #[tokio::test]
    async fn a_program_that_fails_reveals_no_secret() {
        for (script, cause) in [
            ("echo hunter2 >&2; echo hunter2; exit 3", "exit status: 3"),
            ("printf 'hunter2 hunter2'", "no token found"),
            (
                "head -c 100000 /dev/zero | tr '\\0' a",
                "longer than 64 KiB",
            ),
            ("kill -9 $$", "signal: 9"),
        ] {
            let failure = command(script).get().await.expect_err(script).to_string();
            assert!(failure.contains(cause), "{failure}");
            assert!(!failure.contains("hunter2"), "{failure}");
        }
        let missing = AccessTokens::new(&TokenLogin {
            user: String::new(),
            source: TokenSource::Command("/nowhere/token".into(), Vec::new()),
        });
        let failure = missing.get().await.expect_err("none").to_string();
        assert!(failure.starts_with("/nowhere/token: "), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hung_program_is_killed_with_its_children() {
        let folder = tempfile::tempdir().expect("a folder");
        let pid = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pid.display());
        let failure = command(&script).get().await.expect_err("no token");
        assert!(
            failure.to_string().contains("not finished within 20 s"),
            "{failure}"
        );
        // In paused time the limit may pass before the shell has written.
        if let Ok(text) = std::fs::read_to_string(&pid)
            && let Ok(pid) = text.trim().parse::<i32>()
        {
            let process = std::path::PathBuf::from(format!("/proc/{pid}/stat"));
            let begin = std::time::Instant::now();
            while std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z ")) {
                assert!(begin.elapsed() < Duration::from_mins(1), "it still runs");
                std::thread::yield_now();
            }
        }
    }
}
