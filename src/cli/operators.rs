//! `operators`: who may use the pages and the API.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::customers::word;
use super::failure::{Failure, Outcome};
use super::house::{Global, by};
use super::output::{Column, Layout, Output, note, time};
use super::requests::age;
use crate::domain::{OperatorName, Password, Role, Timestamp, Token};
use crate::store::{Key, KeyKind, Operator};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule operators add ann --role admin
  vestibule operators list
  vestibule operators token ann --role viewer --expires 90d")]
pub enum Command {
    /// Let somebody in: asks for a password
    #[command(after_help = "\
Examples:
  vestibule operators add ann --role admin
  vestibule operators add bob --role agent --password-file bob.password
  pwgen -s 24 1 | tee bob.password | vestibule operators add bob")]
    Add(Add),
    /// List operators and how many sessions and tokens each has
    #[command(after_help = "\
Examples:
  vestibule operators list
  vestibule operators list --json")]
    List,
    /// Set another password; ends the operator's sessions and tokens
    #[command(after_help = "\
Examples:
  vestibule operators password ann")]
    Password(Secret),
    /// Shut somebody out, at once
    #[command(after_help = "\
Examples:
  vestibule operators remove bob")]
    Remove(Who),
    /// Make a token for the API, and print it once
    #[command(after_help = "\
Examples:
  vestibule operators token ann
  vestibule operators token ann --role viewer --expires 30d
  curl -H \"Authorization: Bearer $(cat token)\" http://127.0.0.1:8081/api/v1/stats")]
    Token(MakeToken),
    /// End all sessions and tokens of an operator
    #[command(after_help = "\
Examples:
  vestibule operators revoke ann")]
    Revoke(Who),
}

#[derive(Debug, Args)]
pub struct Who {
    /// The operator's name
    #[arg(value_name = "NAME")]
    name: OperatorName,
}

#[derive(Debug, Args)]
pub struct Secret {
    #[command(flatten)]
    who: Who,
    /// Read the password from the first line of this file instead of asking
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Add {
    #[command(flatten)]
    secret: Secret,
    /// viewer looks, agent acts on customers and requests, admin changes the settings
    #[arg(long, default_value = "viewer", value_parser = word(Role::ALL, Role::as_str))]
    role: Role,
}

#[derive(Debug, Args)]
pub struct MakeToken {
    #[command(flatten)]
    who: Who,
    /// What the token may do; never more than the operator
    #[arg(long, value_parser = word(Role::ALL, Role::as_str))]
    role: Option<Role>,
    /// How long it is valid
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = age)]
    expires: Duration,
}

#[derive(Serialize)]
struct Made {
    operator: OperatorName,
    role: Role,
    token: String,
    expires_at: Timestamp,
}

const COLUMNS: &[Column<Operator>] = &[
    Column::new("name", Layout::Whole, |operator| operator.name.to_string()),
    Column::new("role", Layout::Word, |operator| operator.role.to_string()),
    Column::new("sessions", Layout::Number, |operator| {
        operator.sessions.to_string()
    }),
    Column::new("tokens", Layout::Number, |operator| {
        operator.tokens.to_string()
    }),
    Column::new("created", Layout::Whole, |operator| {
        time(operator.created_at)
    }),
    Column::new("by", Layout::Text, |operator| operator.created_by.clone()),
];

pub async fn run(command: Command, global: &Global, out: &mut Output) -> Outcome {
    let store = global.open().await?.store;
    let now = Timestamp::now();
    match command {
        Command::List => out.list(&store.operators(now).await?, None, COLUMNS),
        Command::Add(Add { secret, role }) => {
            let password = secret.read()?;
            let name = secret.who.name;
            store
                .add_operator(name.clone(), role, hash(&password)?, by(), now)
                .await?;
            out.line(format_args!("{name} may log in as {role}"))
        }
        Command::Password(secret) => {
            let password = secret.read()?;
            let name = secret.who.name;
            store
                .change_password(name.clone(), hash(&password)?, by(), now)
                .await?;
            out.line(format_args!(
                "{name} has another password; the sessions and tokens have ended"
            ))
        }
        Command::Remove(Who { name }) => {
            store.remove_operator(name.clone(), by(), now).await?;
            out.line(format_args!("{name} is not an operator any more"))
        }
        Command::Revoke(Who { name }) => {
            let ended = store.end_keys_of(name.clone(), by(), now).await?;
            out.line(format_args!(
                "{name}: {ended} sessions and tokens have ended"
            ))
        }
        Command::Token(wanted) => {
            let name = wanted.who.name;
            let operators = store.operators(now).await?;
            let operator = operators
                .into_iter()
                .find(|operator| operator.name == name)
                .ok_or_else(|| Failure::not_found("operator", &name))?;
            let role = wanted.role.unwrap_or(operator.role).min(operator.role);
            let token = Token::generate().map_err(anyhow::Error::from)?;
            let expires_at = now
                .checked_add(wanted.expires)
                .map_err(|_| Failure::Usage("--expires: that is too far off".to_owned()))?;
            let key = Key {
                hash: token.hash(),
                kind: KeyKind::Token,
                role,
                expires_at,
            };
            store.make_key(name.clone(), key, by(), now).await?;
            if out.is_json() {
                return out.object(&Made {
                    operator: name,
                    role,
                    token: token.reveal(),
                    expires_at,
                });
            }
            out.line(token.reveal())?;
            out.hint(format_args!(
                "for {name} as {role}, until {}; it is not shown again",
                time(expires_at)
            ))
        }
    }
}

fn hash(password: &Password) -> Result<crate::domain::PasswordHash, Failure> {
    Ok(password.hash().map_err(anyhow::Error::from)?)
}

impl Secret {
    fn read(&self) -> Result<Password, Failure> {
        let text = match &self.password_file {
            Some(file) => first_line_of(file)?,
            None if std::io::stdin().is_terminal() => ask(&self.who.name)?,
            None => first_line(&mut std::io::stdin().lock())?,
        };
        Password::new(&text).map_err(|error| Failure::Usage(error.to_string()))
    }
}

/// No password is nearly so long; a wrong file may be.
const MOST_READ: u64 = 64 * 1024;

fn first_line_of(file: &Path) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| Failure::Usage(format!("{}: {error}", file.display()));
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    first_line(&mut std::io::BufReader::new(opened))
}

fn first_line(from: &mut dyn BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    from.take(MOST_READ).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks twice, without an echo.
fn ask(name: &OperatorName) -> Result<String, Failure> {
    let silence = Silence::new();
    if silence.is_none() {
        note("the terminal cannot be silenced: what you type will be seen");
    }
    let once = prompt(&format!("Password for {name}: "))?;
    let twice = prompt("The same again: ")?;
    if once == twice {
        Ok(once)
    } else {
        Err(Failure::Usage("the two are not the same".to_owned()))
    }
}

fn prompt(text: &str) -> Result<String, Failure> {
    let mut err = std::io::stderr().lock();
    write!(err, "{text}")?;
    err.flush()?;
    let line = first_line(&mut std::io::stdin().lock())?;
    writeln!(err)?;
    Ok(line)
}

/// The terminal without an echo, as long as this lives.
struct Silence(rustix::termios::Termios);

impl Silence {
    fn new() -> Option<Self> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let terminal = std::io::stdin();
        let before = tcgetattr(&terminal).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&terminal, OptionalActions::Flush, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Flush, &self.0);
    }
}
