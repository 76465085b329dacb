//! Input of a replay's decisions: a configuration, the settings, and the known senders.

use std::path::{Path, PathBuf};

use crate::access::AccessSettings;
use crate::cli::context::Global;
use crate::cli::failure::CommandError;
use crate::cli::settings_file;
use crate::config::{Config, Secrets};
use crate::domain::Timestamp;
use crate::store::{Location, Store};

/// Configuration that is used if there is none at all.
const DEFAULT: &str = include_str!("default.toml");

/// Name of a configuration beside the messages.
const BESIDE: &str = "vestibule.toml";

pub struct DecisionContext {
    pub config: Config,
    pub settings: AccessSettings,
    /// Existing accounts; `None` if the configuration has no database.
    pub store: Option<Store>,
    /// Description of the source of all this, for people.
    pub origin: String,
}

/// Source of the configuration.
enum Found {
    /// The configuration of the installation, with its database.
    InUse(Option<PathBuf>),
    /// The configuration beside the messages, without a database.
    Beside(PathBuf),
    Nowhere,
}

fn find(global: &Global, messages: &[PathBuf]) -> Found {
    let named = std::env::var_os("VESTIBULE_CONFIG").is_some_and(|path| !path.is_empty());
    if global.config.is_some() || named {
        return Found::InUse(global.config.clone());
    }
    let beside = messages
        .iter()
        .filter(|path| path.is_dir())
        .map(|folder| folder.join(BESIDE))
        .find(|file| file.is_file());
    match beside {
        Some(file) => Found::Beside(file),
        None if Config::path(None).exists() => Found::InUse(None),
        None => Found::Nowhere,
    }
}

impl DecisionContext {
    /// Loads the named configuration, or the one beside the messages, or the standard one, or the built-in
    /// one; and the settings of the draft, or of the database, or of the configuration.
    pub async fn new(
        global: &Global,
        messages: &[PathBuf],
        access: Option<&Path>,
    ) -> Result<Self, CommandError> {
        let draft = access.map(settings_file::read).transpose()?;
        let (config, database, origin) = match find(global, messages) {
            Found::InUse(file) => {
                let config = Config::load_with(file.as_deref(), Secrets::Leave)?;
                let origin = Config::path(file.as_deref()).display().to_string();
                let database = Some(Location::of(&config)).filter(Location::exists);
                (config, database, origin)
            }
            Found::Beside(file) => {
                let config = Config::load_with(Some(&file), Secrets::Leave)?;
                (config, None, file.display().to_string())
            }
            Found::Nowhere => {
                let config = Config::parse_with(DEFAULT, Path::new("built-in"), Secrets::Leave)?;
                let origin = "the built-in configuration with one portal for everything".to_owned();
                (config, None, origin)
            }
        };
        let store = database.map(Store::open_existing).transpose()?;
        let (settings, which) = match (draft, &store) {
            (Some(draft), _) => (draft, "the draft".to_owned()),
            (None, None) => (config.access.clone(), "its own access settings".to_owned()),
            (None, Some(store)) => {
                store
                    .seed_access(config.access.clone(), Timestamp::now())
                    .await?;
                let revision = store.access().await?;
                let which = format!("revision {} of the access settings", revision.number);
                ((*revision.settings).clone(), which)
            }
        };
        Ok(Self {
            config,
            settings,
            store,
            origin: format!("{origin}, {which}"),
        })
    }
}
