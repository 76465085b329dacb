//! `operators`: accounts of the operators' pages and the API.

use std::io::{BufRead, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use jiff::SignedDuration;

use super::context::{Global, actor};
use super::failure::{CommandError, CommandResult};
use super::output::{Output, TableColumn, columns, note, or_dash, time};
use super::time_range::age;
use super::value_parser::word;
use crate::domain::{OperatorName, Password, Role, Timestamp, TokenScope};
use crate::operations::{
    AccessEnded, TokenRequest, add_operator, change_password, end_all_keys, end_token,
    find_operator, make_token, remove_operator, reset_second_factor,
};
use crate::store::{IssuedToken, NameReuse, Operator, Store};

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  vestibule operators add ann --role admin
  vestibule operators list
  vestibule operators token ann --role agent --note 'nightly report'
  vestibule operators revoke ann")]
pub enum Command {
    /// Add an operator: asks for a password
    #[command(after_help = "\
Examples:
  vestibule operators add ann --role admin
  vestibule operators add bob --role agent --password-file bob.password
  pwgen -s 24 1 | tee bob.password | vestibule operators add bob")]
    Add(AddOperator),
    /// List operators and how many sessions and tokens each has
    #[command(after_help = "\
Examples:
  vestibule operators list
  vestibule operators list --json")]
    List,
    /// Set a new password; ends the operator's sessions and tokens
    #[command(after_help = "\
Examples:
  vestibule operators password ann")]
    Password(PasswordArgs),
    /// Turn off the second factor of an operator who has lost it
    #[command(after_help = "\
Examples:
  vestibule operators reset-totp ann")]
    ResetTotp(OperatorArg),
    /// Remove an operator immediately
    #[command(after_help = "\
Examples:
  vestibule operators remove bob")]
    Remove(OperatorArg),
    /// Create a token for the API and print it once
    #[command(after_help = "\
Examples:
  vestibule operators token ann
  vestibule operators token ann --role agent --expires 365d --note 'our desk'
  export TOKEN=$(vestibule operators token ann)
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8081/api/v1/stats")]
    Token(TokenArgs),
    /// List the valid tokens, without their secrets
    #[command(after_help = "\
Examples:
  vestibule operators tokens
  vestibule operators tokens ann --json")]
    Tokens(TokenFilter),
    /// End all sessions and tokens of an operator, or one token
    #[command(after_help = "\
Examples:
  vestibule operators revoke ann
  vestibule operators revoke ann --token 3f9a0c1d2e")]
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(flatten)]
    who: OperatorArg,
    /// The role: viewer reads, agent acts on customers and requests, admin changes the settings
    #[arg(long, default_value = "viewer", value_parser = word(Role::ALL, Role::as_str))]
    role: Role,
    /// A token for the directory: it opens /scim/v2, for an operator who is admin, and nothing else
    #[arg(long, conflicts_with = "role")]
    scim: bool,
    /// The lifetime, such as 90d
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = age)]
    expires: Duration,
    /// The purpose, as the list shows it
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

#[derive(Debug, Args)]
pub struct TokenFilter {
    /// Only tokens of this operator
    #[arg(value_name = "NAME")]
    name: Option<OperatorName>,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    who: OperatorArg,
    /// Only the token with this id, as `operators tokens` lists it
    #[arg(long, value_name = "ID")]
    token: Option<String>,
}

#[derive(Debug, Args)]
pub struct OperatorArg {
    /// The operator's name
    #[arg(value_name = "NAME")]
    name: OperatorName,
}

#[derive(Debug, Args)]
pub struct PasswordArgs {
    #[command(flatten)]
    who: OperatorArg,
    /// Read the password from the first line of this file instead of asking
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AddOperator {
    #[command(flatten)]
    secret: PasswordArgs,
    /// The role: viewer reads, agent acts on customers and requests, admin changes the settings
    #[arg(long, default_value = "viewer", value_parser = word(Role::ALL, Role::as_str))]
    role: Role,
    /// Reuse the name of a removed operator who is the same person: the audit tells operators apart by name
    #[arg(long)]
    same_person: bool,
}

const COLUMNS: &[TableColumn<Operator>] = columns! { operator: Operator;
    "name" Whole => operator.name,
    "role" Word => operator.role,
    "signs in with" Word 3 => operator.sign_in.as_str().replace('_', " "),
    "sessions" Number => operator.sessions,
    "tokens" Number => operator.tokens,
    "created" Time => time(operator.created_at),
    "by" Text 2 => operator.created_by,
};

const TOKENS: &[TableColumn<IssuedToken>] = columns! { token: IssuedToken;
    "id" Whole => token.id,
    "operator" Whole => token.operator,
    "role" Word => token.scope.map_or(token.role.as_str(), TokenScope::as_str),
    "created" Time 1 => time(token.created_at),
    "expires" Time => time(token.expires_at),
    "note" Text => or_dash(token.note.as_ref()),
};

pub async fn run(command: Command, global: &Global, out: &mut Output) -> CommandResult {
    let store = global.open().await?.store;
    let now = Timestamp::now();
    match command {
        Command::List => out.list(&store.operators(now).await?, None, COLUMNS),
        Command::Add(AddOperator {
            secret,
            role,
            same_person,
        }) => {
            let hash = hash(&secret.read()?)?;
            let name = secret.who.name;
            let reuse = if same_person {
                NameReuse::SamePerson
            } else {
                NameReuse::Refused
            };
            add_operator(&store, name.clone(), role, hash, reuse, actor()).await?;
            print_operator(&store, &name, &format!("may log in as {role}"), out).await
        }
        Command::Password(secret) => {
            let password = secret.read()?;
            let name = secret.who.name;
            change_password(&store, name.clone(), hash(&password)?, actor()).await?;
            let what = "has a new password; all sessions and tokens were ended";
            print_operator(&store, &name, what, out).await
        }
        Command::ResetTotp(OperatorArg { name }) => {
            reset_second_factor(&store, name.clone(), actor()).await?;
            let what = "logs in with the password alone, and can set up a new second factor";
            print_operator(&store, &name, what, out).await
        }
        Command::Remove(OperatorArg { name }) => {
            let removed = remove_operator(&store, name, actor()).await?;
            let text = format!("{} is no longer an operator", removed.operator);
            print_ended(&removed, &text, out)
        }
        Command::Token(wanted) => make(&store, wanted, out).await,
        Command::Tokens(TokenFilter { name }) => {
            out.list(&store.tokens(name, now).await?, None, TOKENS)
        }
        Command::Revoke(RevokeArgs { who, token }) => {
            let name = who.name;
            if let Some(id) = token {
                let ended = end_token(&store, name.clone(), id.clone(), actor()).await?;
                return print_ended(&ended, &format!("{name}: token {id} was revoked"), out);
            }
            let ended = end_all_keys(&store, name.clone(), actor()).await?;
            let text = match ended.ended {
                1 => format!("{name}: 1 session or token was revoked"),
                keys => format!("{name}: {keys} sessions and tokens were revoked"),
            };
            print_ended(&ended, &text, out)
        }
    }
}

/// Prints what was done, or the operator in the new state.
async fn print_operator(
    store: &Store,
    name: &OperatorName,
    what: &str,
    out: &mut Output,
) -> CommandResult {
    if out.is_json() {
        return out.object(&find_operator(store, name).await?);
    }
    out.line(format_args!("{name} {what}"))
}

/// Prints what was done, or the number of sessions and tokens that it ended.
fn print_ended(ended: &AccessEnded, text: &str, out: &mut Output) -> CommandResult {
    if out.is_json() {
        return out.object(ended);
    }
    out.line(text)
}

async fn make(store: &Store, wanted: TokenArgs, out: &mut Output) -> CommandResult {
    let name = wanted.who.name;
    let (role, scope) = if wanted.scim {
        (Role::Admin, Some(TokenScope::Scim))
    } else {
        (wanted.role, None)
    };
    let operator = find_operator(store, &name).await?;
    if role > operator.role {
        return Err(CommandError::Usage(format!(
            "{name} is {}, so a token cannot have the role {role}; create it for another operator or another role",
            operator.role
        )));
    }
    let request = TokenRequest {
        operator: name,
        role,
        lifetime: wanted.expires.try_into().unwrap_or(SignedDuration::MAX),
        scope,
        note: wanted.note,
    };
    let made = make_token(store, request, actor()).await?;
    if out.is_json() {
        return out.object(&made);
    }
    out.line(&made.token)?;
    out.flush()?;
    note(format_args!(
        "token {} of {}, {}, until {}; it is shown only once",
        made.issued.id,
        made.issued.operator,
        scope.map_or(role.as_str(), TokenScope::as_str),
        time(made.issued.expires_at)
    ));
    Ok(())
}

fn hash(password: &Password) -> Result<crate::domain::PasswordHash, CommandError> {
    Ok(password.hash().map_err(anyhow::Error::from)?)
}

impl PasswordArgs {
    fn read(&self) -> Result<Password, CommandError> {
        let text = match &self.password_file {
            Some(file) => first_line_of(file)?,
            None if std::io::stdin().is_terminal() => ask(&self.who.name)?,
            None => first_line(&mut std::io::stdin().lock())?,
        };
        Password::new(&text).map_err(|error| CommandError::Usage(error.to_string()))
    }
}

/// Limit in octets when a password is read: longer than any password, and a bound if the wrong file is named.
const MAX_READ: u64 = 64 * 1024;

pub(super) fn first_line_of(file: &Path) -> Result<String, CommandError> {
    let unreadable =
        |error: std::io::Error| CommandError::Usage(format!("{}: {error}", file.display()));
    let opened = std::fs::File::open(file).map_err(unreadable)?;
    first_line(&mut std::io::BufReader::new(opened))
}

fn first_line(from: &mut dyn BufRead) -> Result<String, CommandError> {
    let mut line = String::new();
    from.take(MAX_READ).read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks for the password twice, without echo.
fn ask(name: &OperatorName) -> Result<String, CommandError> {
    let silence = Silence::new();
    if silence.is_none() {
        note("cannot turn off echo: your input will be visible");
    }
    let once = prompt(&format!("Password for {name}: "))?;
    let twice = prompt("Repeat the password: ")?;
    if once == twice {
        Ok(once)
    } else {
        Err(CommandError::Usage("the passwords do not match".to_owned()))
    }
}

fn prompt(text: &str) -> Result<String, CommandError> {
    let mut err = std::io::stderr().lock();
    write!(err, "{text}")?;
    err.flush()?;
    let line = first_line(&mut std::io::stdin().lock())?;
    writeln!(err)?;
    Ok(line)
}

/// Guard that disables the terminal's echo until it is dropped.
pub(super) struct Silence(rustix::termios::Termios);

impl Silence {
    pub(super) fn new() -> Option<Self> {
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
