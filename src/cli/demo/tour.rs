//! The operator of the demo, and the tour that is printed: five steps that can be pasted.

use std::path::Path;

use anyhow::Context;

use crate::cli::failure::CommandResult;
use crate::cli::output::Output;
use crate::cli::shell_path::quote_for_shell;
use crate::daemon::Daemon;
use crate::domain::{Actor, Interface, OperatorName, Password, Role, Token};
use crate::operations;
use crate::store::{NameReuse, Store};

/// Name of the operator.
pub(super) const NAME: &str = "demo";

/// Adds the operator, and returns its password.
pub(super) async fn add_operator(store: &Store) -> anyhow::Result<String> {
    let secret = Token::generate()?.reveal();
    let password: String = secret
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(20)
        .collect();
    let hash = Password::new(&password)?.hash()?;
    let name = OperatorName::parse(NAME).map_err(anyhow::Error::msg)?;
    let by = Actor::operator(NAME, Interface::CommandLine);
    let reuse = NameReuse::Refused;
    operations::add_operator(store, name, Role::Admin, hash, reuse, by).await?;
    Ok(password)
}

/// Places that the tour leads to.
pub(super) struct Tour<'a> {
    pub daemon: &'a Daemon,
    pub config: &'a Path,
    pub help_desk: &'a Path,
    pub link: &'a str,
    pub password: &'a str,
}

impl Tour<'_> {
    pub fn print(&self, out: &mut Output) -> CommandResult {
        let bound = self.daemon.bound_addresses();
        let program = this_program()?;
        let config = quote_for_shell(self.config);
        let command = |arguments: &str| format!("     {program} --config {config} {arguments}");
        out.line("\nA tour in five steps:\n")?;
        out.line("1. Be Ann: open the link, press the button, and see her two requests arrive.\n")?;
        out.line(format_args!("     {}", self.link))?;
        out.line(format_args!(
            "     ls {}\n",
            quote_for_shell(self.help_desk)
        ))?;
        out.line("2. Be the operator: log in and look at the messages.\n")?;
        out.line(format_args!("     http://{}/", bound.admin))?;
        out.line(format_args!(
            "     name {NAME}, password {}\n",
            self.password
        ))?;
        out.line("3. Ask, in another terminal, why a mail was dropped.\n")?;
        out.line(command("explain eve@elsewhere.example\n"))?;
        out.line("4. Allow its domain, and recover what was dropped.\n")?;
        out.line(command("access allow elsewhere.example --recover\n"))?;
        out.line("5. Watch, and write a mail yourself from a third terminal.\n")?;
        out.line(command("tail"))?;
        out.line(format_args!(
            "     swaks --server {} --to it-help@corp.example --from you@corp.example\n",
            bound.smtp[0]
        ))?;
        out.line(format_args!(
            "Public pages: http://{}/.  Outgoing mail: {}.",
            bound.http,
            self.config.with_file_name("letters").display()
        ))?;
        out.line("Ctrl-C ends the demo and removes its folder.")?;
        out.flush()
    }
}

/// The path of this program quoted for a shell.
pub(super) fn this_program() -> anyhow::Result<String> {
    let path = std::env::current_exe().context("the path of this program is unknown")?;
    Ok(quote_for_shell(&path))
}
