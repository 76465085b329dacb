//! Common state of most commands: the configuration, the database, and the operator.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use clap::Args;

use super::failure::CommandError;
use crate::config::{Config, Destination, Secrets};
use crate::daemon::refuse_lone_mount;
use crate::domain::{Actor, DestinationName, Interface, PortalName, Timestamp, join};
use crate::operations::is_former_portal;
use crate::store::{Location, Store};

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options for every command")]
pub struct Global {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "The configuration [default: $VESTIBULE_CONFIG, else /etc/vestibule/vestibule.toml]"
    )]
    pub config: Option<PathBuf>,
    /// One JSON object a line instead of a table
    #[arg(long, global = true)]
    pub json: bool,
}

/// The configuration and the open database.
pub struct Context {
    pub config: Config,
    pub store: Store,
}

impl Global {
    /// The configuration without its secrets, which the operator may not be allowed to read.
    pub fn config(&self) -> Result<Config, CommandError> {
        Ok(Config::load_with(self.config.as_deref(), Secrets::Leave)?)
    }

    /// Opens the database of this configuration, the same one as the daemon's. Only the daemon creates it:
    /// otherwise it would belong to the user of the first command.
    pub async fn open(&self) -> Result<Context, CommandError> {
        let config = self.config()?;
        let database = database_of(&config)?;
        if !database.exists() {
            return Err(CommandError::Failed(anyhow::anyhow!(
                "there is no database at {database} yet; start vestibule serve once"
            )));
        }
        let store = Store::open_existing(database)?;
        store
            .seed_access(config.access.clone(), Timestamp::now())
            .await?;
        Ok(Context { config, store })
    }
}

impl Context {
    /// A destination of the configuration; an unknown name is a usage error.
    pub fn destination(&self, name: &DestinationName) -> Result<&Destination, CommandError> {
        self.config.destinations.get(name).ok_or_else(|| {
            CommandError::Usage(format!(
                "there is no destination {name}; the destinations are {}",
                join(self.config.destinations.keys(), ", ")
            ))
        })
    }

    /// The portal that an option names.
    pub fn portal(&self, name: Option<PortalName>) -> Result<Option<PortalName>, CommandError> {
        match name {
            Some(name) if self.config.public_portal(&name).is_none() => {
                Err(unknown_portal(&self.config, &name))
            }
            name => Ok(name),
        }
    }

    /// The portal by which a list is filtered: also one that the configuration does not have any more.
    pub async fn listed_portal(
        &self,
        name: Option<PortalName>,
    ) -> Result<Option<PortalName>, CommandError> {
        if let Some(former) = &name
            && is_former_portal(&self.store, &self.config, former).await?
        {
            return Ok(name);
        }
        self.portal(name)
    }
}

/// The database of a configuration, for a command that writes to it or copies it: not one that is mounted without its
/// write-ahead log.
pub fn database_of(config: &Config) -> Result<Location, CommandError> {
    let database = Location::of(config);
    if let Location::File(file) = &database {
        refuse_lone_mount(file)?;
    }
    Ok(database)
}

/// The error of an option that names a portal which the configuration does not have.
pub fn unknown_portal(config: &Config, name: &PortalName) -> CommandError {
    let known = config.portals.iter().map(|portal| &portal.name);
    CommandError::Usage(format!(
        "there is no portal {name}; the portals are {}",
        join(known, ", ")
    ))
}

/// Name of the user at the terminal, even under `sudo`.
pub fn operator() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|name| !name.trim().is_empty() && !name.contains(char::is_control));
    // A service manager or a container sets none of these variables.
    named.unwrap_or_else(|| {
        let uid = std::fs::metadata("/proc/self").map_or(0, |process| process.uid());
        name_of(uid).unwrap_or_else(|| format!("uid-{uid}"))
    })
}

/// User name in passwd(5).
fn name_of(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

/// The operator as an actor.
pub fn actor() -> Actor {
    Actor::operator(&operator(), Interface::CommandLine)
}
