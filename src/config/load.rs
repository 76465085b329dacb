//! Finds and reads the file. Out: a [`Config`], or all mistakes at once.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::document::Document;
use super::mistake::ConfigErrors;
use super::secret::Secrets;
use super::{Config, sections};

const STANDARD: &str = "/etc/vestibule/vestibule.toml";

/// The standard path. In debug builds, tests override it by `VESTIBULE_STANDARD_CONFIG`, because they must not
/// depend on the machine.
fn standard_path() -> PathBuf {
    #[cfg(debug_assertions)]
    if let Some(path) = std::env::var_os("VESTIBULE_STANDARD_CONFIG") {
        return path.into();
    }
    STANDARD.into()
}

impl Config {
    /// The path of the file: the given one, else `$VESTIBULE_CONFIG`, else the standard one.
    #[must_use]
    pub fn path(given: Option<&Path>) -> PathBuf {
        if let Some(path) = given {
            return path.to_owned();
        }
        std::env::var_os("VESTIBULE_CONFIG")
            .filter(|path| !path.is_empty())
            .map_or_else(standard_path, PathBuf::from)
    }

    /// Reads the configuration with its secrets, for commands that send or listen.
    ///
    /// # Errors
    /// All mistakes of the file, each with its place.
    pub fn load(given: Option<&Path>) -> Result<Self, ConfigErrors> {
        Self::load_with(given, Secrets::of_the_environment())
    }

    /// [`load`](Self::load) with a given source of secrets.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(given: Option<&Path>, secrets: Secrets) -> Result<Self, ConfigErrors> {
        let path = Self::path(given);
        let text = std::fs::read(&path).map_err(|cause| {
            let remedy = match cause.kind() {
                ErrorKind::NotFound => {
                    "; write one with vestibule init, or name another with --config"
                }
                ErrorKind::PermissionDenied => "; run the command as root or as the service's user",
                _ => "",
            };
            ConfigErrors::of_file(&path, format_args!("{}{remedy}", super::why(&cause)))
        })?;
        let text = String::from_utf8(text)
            .map_err(|_| ConfigErrors::of_file(&path, "is not UTF-8, as TOML must be"))?;
        Self::parse_with(&text, &path, secrets)
    }

    /// Parses a configuration that is already in memory. `file` names it in mistakes, and paths are relative
    /// to its folder.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, file, Secrets::of_the_environment())
    }

    /// [`parse`](Self::parse) with a given source of secrets.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse_with(text: &str, file: &Path, secrets: Secrets) -> Result<Self, ConfigErrors> {
        // RFC 3629 6: a byte order mark has no meaning here, but some editors write it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = Document::new(text, file, secrets);
        read(&document).ok_or_else(|| ConfigErrors::new(document.into_mistakes()))
    }
}

/// `None` if there is any mistake.
pub(super) fn read(document: &Document<'_>) -> Option<Config> {
    let (table, errors) = DeTable::parse_recoverable(document.text());
    if !errors.is_empty() {
        // Reading a partial document would report false mistakes.
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            document.refuse_text(at, error.message());
        }
        return None;
    }
    let config = sections::read(&document.root(table.get_ref()));
    config.filter(|_| !document.has_mistakes())
}
