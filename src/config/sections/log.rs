//! `[log]`: format, level and redaction.

use crate::config::document::TomlSection;
use crate::config::{Log, LogFormat};

pub(super) fn read(section: &TomlSection<'_>) -> Log {
    Log {
        format: section
            .entry("format")
            .and_then(|entry| entry.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]))
            .unwrap_or(LogFormat::Text),
        level: section
            .entry("level")
            .and_then(|entry| {
                entry.choice(&[
                    ("error", tracing::Level::ERROR),
                    ("warn", tracing::Level::WARN),
                    ("info", tracing::Level::INFO),
                    ("debug", tracing::Level::DEBUG),
                    ("trace", tracing::Level::TRACE),
                ])
            })
            .unwrap_or(tracing::Level::INFO),
        redact: section.switch("redact", false),
    }
}
