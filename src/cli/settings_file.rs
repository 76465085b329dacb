//! Access settings in a file: the output of `export`, or a whole configuration with its `[access]`.

use std::io::ErrorKind;
use std::path::Path;

use super::failure::CommandError;
use crate::access::AccessSettings;
use crate::config::{Config, Secrets, parse_access_settings};

/// Reads the settings of a draft.
///
/// # Errors
/// A file that cannot be read, or has an invalid setting; with its place.
pub fn read(file: &Path) -> Result<AccessSettings, CommandError> {
    let text = std::fs::read_to_string(file).map_err(|cause| match cause.kind() {
        ErrorKind::NotFound => CommandError::not_found("file", file.display()),
        _ => CommandError::Usage(format!("{}: {cause}", file.display())),
    })?;
    let is_configuration = text
        .parse::<toml::Table>()
        .is_ok_and(|table| table.contains_key("access") || table.contains_key("hostname"));
    if is_configuration {
        return Ok(Config::parse_with(&text, file, Secrets::Leave)?.access);
    }
    Ok(parse_access_settings(&text, file)?)
}
