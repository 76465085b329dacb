//! Plays `testdata/dialogues/*.smtp` against the real listener, each twice: as written, with adjacent client
//! lines in one write, and again byte by byte. `README` beside them explains the notation.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::harness::{self, Client, Harness, Outcome};
use anyhow::{Context, Result, bail, ensure};
use vestibule::smtp::ServerSettings;

/// One line of a dialogue.
enum Step {
    Send(Vec<u8>),
    Expect(String),
    /// The client sends nothing for longer than any timeout.
    Silent,
    StartTls,
    Closed,
    Message(String),
}

struct Dialogue {
    settings: ServerSettings,
    outcome: Outcome,
    /// True if the dialogue has the same result when it is sent byte by byte.
    cut: bool,
    steps: Vec<(usize, Step)>,
}

fn read(text: &str) -> Result<Dialogue> {
    let mut dialogue = Dialogue {
        settings: harness::settings(),
        outcome: Outcome::Stored,
        cut: true,
        steps: Vec::new(),
    };
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        let step = match key {
            "set" => {
                set(&mut dialogue, value).with_context(|| format!("line {number}"))?;
                continue;
            }
            "C:" => Step::Send(format!("{value}\r\n").into_bytes()),
            "C-raw:" => Step::Send(unescape(value)?),
            "S:" => Step::Expect(value.to_owned()),
            "C-silent" => Step::Silent,
            "S-closed" => Step::Closed,
            "TLS" => Step::StartTls,
            "M:" => Step::Message(value.to_owned()),
            _ => bail!("line {number} begins with {key:?}, which is unknown"),
        };
        dialogue.steps.push((number, step));
    }
    Ok(dialogue)
}

fn set(dialogue: &mut Dialogue, assignment: &str) -> Result<()> {
    let (name, value) = assignment.split_once(' ').context("set NAME VALUE")?;
    let settings = &mut dialogue.settings;
    match name {
        "max_message_size" => settings.max_message_size = value.parse()?,
        "max_connections" => settings.max_connections = value.parse()?,
        "max_recipients" => settings.max_recipients = value.parse()?,
        "max_errors" => settings.max_errors = value.parse()?,
        "trusted_peers" => settings.trusted_peers = vec![value.parse()?],
        "tls" => settings.tls = Some(harness::tls(value == "required")?),
        "outcome" => dialogue.outcome = Outcome::parse(value)?,
        "cut" => dialogue.cut = value.parse()?,
        _ => bail!("unknown setting {name}"),
    }
    Ok(())
}

/// `\r`, `\n`, `\0`, `\\`, `\xNN`, and `\{5000}a` for five thousand times `a`.
fn unescape(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let escape = rest[at + 1..].chars().next().context("a lone \\")?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        match escape {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            'x' => {
                let (digits, after) = rest.split_at_checked(2).context("\\xNN")?;
                bytes.push(u8::from_str_radix(digits, 16)?);
                rest = after;
            }
            '{' => {
                let (count, after) = rest.split_once('}').context("\\{N}c")?;
                let repeated = after.as_bytes().first().context("\\{N}c")?;
                bytes.extend(std::iter::repeat_n(*repeated, count.parse()?));
                rest = &after[1..];
            }
            other => bail!("unknown escape \\{other}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// True if the line matches the pattern, in which `*` stands for any text.
fn matches(pattern: &str, line: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == line,
        Some((head, tail)) => line.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(tail, &rest[at..]))
        }),
    }
}

async fn play(dialogue: &Dialogue, byte_by_byte: bool) -> Result<()> {
    let harness = Harness::open(dialogue.settings.clone(), dialogue.outcome).await?;
    let mut client = Client::connect(harness.address).await?;
    let mut messages = 0;
    let mut unsent = Vec::new();
    for (number, step) in &dialogue.steps {
        let place = || format!("line {number}");
        if !matches!(step, Step::Send(_)) && !unsent.is_empty() {
            // The server may close before everything is sent.
            client.send(&unsent, byte_by_byte).await;
            unsent.clear();
        }
        match step {
            Step::Send(bytes) => unsent.extend_from_slice(bytes),
            Step::Expect(pattern) => {
                let line = client.line().await.with_context(place)?;
                ensure!(
                    matches(pattern, &line),
                    "line {number}: expected {pattern:?}, got {line:?}"
                );
            }
            Step::Silent => {
                // Only time has to pass here, and paused time passes instantly.
                tokio::time::pause();
                tokio::time::sleep(Duration::from_hours(1)).await;
                tokio::time::resume();
            }
            Step::StartTls => client = client.start_tls().await.with_context(place)?,
            Step::Closed => client.closed().await.with_context(place)?,
            Step::Message(expected) => {
                let taken = harness.handler.message(messages).with_context(place)?;
                ensure!(
                    matches(expected, &taken),
                    "line {number}: expected the message\n{expected}\ngot\n{taken}"
                );
                messages += 1;
            }
        }
    }
    ensure!(
        harness.handler.count() == messages,
        "{} messages were accepted, {messages} expected",
        harness.handler.count()
    );
    drop(client);
    harness.close().await
}

fn dialogues() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/dialogues");
    let mut files: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|path| path.extension().is_some_and(|e| e == "smtp"));
    files.sort();
    Ok(files)
}

#[tokio::test]
async fn dialogues_go_as_written() -> Result<()> {
    let files = dialogues()?;
    ensure!(files.len() >= 20, "only {} dialogues", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let name = file
            .file_name()
            .context("a file")?
            .to_string_lossy()
            .into_owned();
        let dialogue = read(&fs::read_to_string(&file)?).context(name.clone())?;
        let modes: &[bool] = if dialogue.cut {
            &[false, true]
        } else {
            &[false]
        };
        for &byte_by_byte in modes {
            if let Err(error) = play(&dialogue, byte_by_byte).await {
                let how = if byte_by_byte {
                    "byte by byte"
                } else {
                    "whole"
                };
                wrong.push(format!("{name}, {how}: {error:#}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn the_notation_is_read() -> Result<()> {
    assert_eq!(unescape(r"a\r\n\0\xff\\\{3}b.")?, b"a\r\n\0\xff\\bbb.");
    assert!(unescape(r"\q").is_err());
    assert!(matches("250 * as *!", "250 queued as 1!"));
    assert!(!matches("250 *", "251 a"));
    assert!(read("X: y").is_err());
    assert!(Arc::new(read("# nothing")?).steps.is_empty());
    Ok(())
}
