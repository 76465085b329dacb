//! Finds and reads the file. Out: a [`Config`], or all mistakes at once.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::DeTable;

use super::document::Document;
use super::mistake::ConfigErrors;
use super::secret::Secrets;
use super::{Config, sections};
use crate::access::AccessSettings;

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
    /// All mistakes of the file, up to 100, each with its place; of a file above 64 KiB that is not TOML, the first one.
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
        let document = Document::new(strip_byte_order_mark(text), file, secrets);
        read(&document).ok_or_else(|| ConfigErrors::new(document.into_mistakes()))
    }
}

/// Parses access settings in a file of their own, as `vestibule access export` writes them. `file` names it in
/// mistakes.
///
/// # Errors
/// As [`Config::load`].
pub fn parse_access_settings(text: &str, file: &Path) -> Result<AccessSettings, ConfigErrors> {
    let document = Document::new(strip_byte_order_mark(text), file, Secrets::Leave);
    read_access_settings(&document).ok_or_else(|| ConfigErrors::new(document.into_mistakes()))
}

/// Removes a byte order mark (RFC 3629 6), which has no meaning here, but some editors write it.
fn strip_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The parser's words for a key or a section that is there twice.
const DUPLICATE: &str = "duplicate key";

/// Sections that are lists of tables.
const LISTS: [&str; 2] = ["portal", "hook"];

/// Records the mistakes of the parser, which names neither the key that is there twice nor the remedy.
fn refuse_syntax(document: &Document<'_>, errors: &[toml::de::Error]) {
    let key_of = |error: &toml::de::Error| {
        let key = error.span().and_then(|span| document.text().get(span));
        key.unwrap_or_default().to_owned()
    };
    let is_list = |key: &String| LISTS.contains(&key.as_str());
    let duplicates = errors.iter().filter(|error| error.message() == DUPLICATE);
    let has_list = duplicates.map(key_of).any(|key| is_list(&key));
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        let key = key_of(error);
        match error.message() {
            DUPLICATE if is_list(&key) => document.refuse_text(
                at,
                &format!("{DUPLICATE} {key}; write [[{key}]], with two brackets, above each one"),
            ),
            // A key of the second [portal], which the parser takes for one of the first.
            DUPLICATE if has_list => {}
            DUPLICATE => {
                document.refuse_text(at, &format!("{DUPLICATE} {key}; keep one of the two"));
            }
            message => document.refuse_text(at, message),
        }
    }
}

/// Maximum octets of a text of which all mistakes of syntax are found. Each takes hundreds of octets of memory, and text
/// of another kind has one in every second octet.
const MAX_RECOVERED: usize = 64 * 1024;

/// The table of the whole document; `None` if it is not TOML: reading a part would report false mistakes.
fn parse_toml<'d>(document: &Document<'d>) -> Option<Spanned<DeTable<'d>>> {
    let text = document.text();
    let errors = match DeTable::parse(text) {
        Ok(table) => return Some(table),
        Err(_) if text.len() <= MAX_RECOVERED => DeTable::parse_recoverable(text).1,
        Err(first) => vec![first],
    };
    refuse_syntax(document, &errors);
    None
}

/// `None` if there is any mistake.
fn read_access_settings(document: &Document<'_>) -> Option<AccessSettings> {
    let table = parse_toml(document)?;
    let settings = sections::access::document(&document.root(table.get_ref()));
    (!document.has_mistakes()).then_some(settings)
}

/// `None` if there is any mistake.
pub(super) fn read(document: &Document<'_>) -> Option<Config> {
    let table = parse_toml(document)?;
    let config = sections::read(&document.root(table.get_ref()));
    config.filter(|_| !document.has_mistakes())
}
