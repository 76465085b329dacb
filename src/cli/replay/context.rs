//! What a replay decides by: a configuration, the settings, and what is known of the senders.

use std::path::{Path, PathBuf};

use crate::access::AccessSettings;
use crate::cli::context::Global;
use crate::cli::failure::Failure;
use crate::cli::settings_file;
use crate::config::{Config, Secrets};
use crate::domain::Timestamp;
use crate::store::Store;

/// Where there is no configuration at all.
const DEFAULT: &str = include_str!("default.toml");

/// The configuration that a folder of messages may bring along.
const BESIDE: &str = "vestibule.toml";

pub struct Ground {
    pub config: Config,
    pub settings: AccessSettings,
    /// Who has an account already; None where no database belongs to the configuration.
    pub store: Option<Store>,
    /// Where all this was found, for people.
    pub origin: String,
}

/// Which configuration is meant.
enum Found {
    /// The one an operator runs with, database and all.
    InUse(Option<PathBuf>),
    /// The one beside the messages, which stands for itself.
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

impl Ground {
    /// The configuration that was named, or is beside the messages, or is the standard one, or the
    /// built-in one; and the settings of the draft, or of the database, or of the configuration.
    pub async fn new(
        global: &Global,
        messages: &[PathBuf],
        access: Option<&Path>,
    ) -> Result<Self, Failure> {
        let draft = access.map(settings_file::read).transpose()?;
        let (config, database, origin) = match find(global, messages) {
            Found::InUse(file) => {
                let config = Config::load_without_secrets(file.as_deref())?;
                let origin = Config::path(file.as_deref()).display().to_string();
                let database = Some(config.database()).filter(|database| database.exists());
                (config, database, origin)
            }
            Found::Beside(file) => {
                let config = Config::load_without_secrets(Some(&file))?;
                (config, None, file.display().to_string())
            }
            Found::Nowhere => {
                let config = Config::parse_with(DEFAULT, Path::new("built-in"), Secrets::Leave)?;
                let origin = "the built-in configuration with one portal for everything".to_owned();
                (config, None, origin)
            }
        };
        let store = database
            .map(|path| Store::open_existing(&path))
            .transpose()?;
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
