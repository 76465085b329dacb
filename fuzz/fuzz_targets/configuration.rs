//! Any text, parsed as the configuration: settings or mistakes, each mistake with a place, in one line.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use vestibule::config::{Config, Secrets};

fuzz_target!(|text: &str| {
    let file = Path::new("/nowhere/vestibule.toml");
    match Config::parse_with(text, file, Secrets::Leave) {
        Ok(config) => {
            assert!(!config.portals.is_empty());
            for portal in &config.portals {
                assert!(config.destinations.contains_key(&portal.destination));
            }
        }
        Err(mistakes) => {
            assert!(!mistakes.mistakes().is_empty());
            for mistake in mistakes.mistakes() {
                let line = mistake.to_string();
                assert!(line.contains("vestibule.toml"), "{line}");
            }
        }
    }
});
