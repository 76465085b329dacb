//! Strings of the configuration, as TOML writes them.

/// Quotes a text, with an escape or another quote where it needs one.
pub fn quote_as_toml(text: &impl ToString) -> String {
    toml::Value::String(text.to_string()).to_string()
}
