//! The first operator: asks for a name and a password, and creates the database for them.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::service;
use crate::cli::context::actor;
use crate::cli::failure::CommandError;
use crate::cli::operators::{Silence, first_line_of};
use crate::cli::shell_path::quote_for_shell;
use crate::config::Config;
use crate::domain::{OperatorName, Password, Role};
use crate::operations;
use crate::store::{NameReuse, Store};

/// Options for the first operator.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct FirstOperator {
    /// Create the first operator for the pages, an admin
    #[arg(long, value_name = "NAME", help_heading = "First operator")]
    operator: Option<OperatorName>,
    /// Read the operator's password from the first line of this file instead of asking
    #[arg(
        long,
        value_name = "FILE",
        requires = "operator",
        help_heading = "First operator"
    )]
    operator_password_file: Option<PathBuf>,
}

impl FirstOperator {
    /// The operator's name and password; `None` if there is to be none. With `interactive`, asks for missing
    /// values.
    pub fn read(
        &self,
        interactive: bool,
        input: &mut impl BufRead,
        output: &mut impl Write,
    ) -> Result<Option<(OperatorName, Password)>, CommandError> {
        let name = match &self.operator {
            Some(name) => name.clone(),
            None if !interactive => return Ok(None),
            None => match ask_name(input, output)? {
                Some(name) => name,
                None => return Ok(None),
            },
        };
        if let Some(file) = &self.operator_password_file {
            let text = first_line_of(file)?;
            let password =
                Password::new(&text).map_err(|cause| CommandError::Usage(cause.to_string()))?;
            return Ok(Some((name, password)));
        }
        if !interactive {
            return Err(CommandError::Usage(
                "--operator without questions needs --operator-password-file".to_owned(),
            ));
        }
        let password = ask_password(&name, input, output)?;
        Ok(Some((name, password)))
    }
}

fn ask_name(
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Result<Option<OperatorName>, CommandError> {
    loop {
        write!(
            output,
            "Name of the first operator of the pages, or none [none]: "
        )?;
        output.flush()?;
        let line = super::read_line(input)?;
        match line.trim() {
            "" | "none" => return Ok(None),
            text => match OperatorName::parse(text) {
                Ok(name) => return Ok(Some(name)),
                Err(cause) => writeln!(output, "  {cause}")?,
            },
        }
    }
}

/// Asks until a password follows the rule and is repeated.
fn ask_password(
    name: &OperatorName,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Result<Password, CommandError> {
    writeln!(
        output,
        "A password has at least {} characters, of any kind; several words are best.",
        Password::MIN_LENGTH
    )?;
    let _silence = std::io::stdin().is_terminal().then(Silence::new);
    let mut ask = |text: &str| -> Result<String, CommandError> {
        write!(output, "{text}")?;
        output.flush()?;
        let line = super::read_line(input)?;
        // With echo off, the terminal does not show the end of the line either.
        writeln!(output)?;
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    };
    let mut text = format!("Password for {name}: ");
    loop {
        let once = ask(&text)?;
        let refusal = match Password::new(&once) {
            Ok(password) if ask("Repeat the password: ")? == once => return Ok(password),
            Ok(_) => "The passwords do not match".to_owned(),
            Err(cause) => cause.to_string(),
        };
        text = format!("{refusal}; try again: ");
    }
}

/// Adds the operator to the database, which is created first if there is none.
///
/// # Errors
/// A service whose user does not exist yet: the database would belong to root.
pub(super) async fn add(
    config: &Config,
    path: &Path,
    (name, password): (OperatorName, Password),
) -> Result<(), CommandError> {
    let later = || {
        format!(
            "create the operator after the first start: vestibule operators add {name} --role admin \
             --config {}",
            quote_for_shell(path)
        )
    };
    let is_usable = service::create_data_folder(&config.data_dir)
        .with_context(|| format!("{} was not created; {}", config.data_dir.display(), later()))?;
    if !is_usable {
        return Err(CommandError::Failed(anyhow::anyhow!(
            "the user vestibule, who must own the database, does not exist yet; {}",
            later()
        )));
    }
    let database = config.database();
    let is_new = !database.exists();
    let store = if is_new {
        Store::open(&database)?
    } else {
        Store::open_existing(&database)?
    };
    let hash = password.hash().map_err(anyhow::Error::from)?;
    let reuse = NameReuse::Refused;
    let added = operations::add_operator(&store, name, Role::Admin, hash, reuse, actor()).await;
    // From now on, the database's files do not change.
    store.close().await;
    if is_new {
        service::give_to_owner(&database)
            .with_context(|| format!("{} belongs to another user", database.display()))?;
    }
    Ok(added?)
}
