//! Each folder of `testdata/bad-configs` is a configuration with a mistake, and the full error text.

use std::fmt::Write;
use std::path::Path;

use vestibule::config::{Config, Secrets};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/bad-configs");

/// The error text for one folder's configuration, with paths relative to the folder.
fn said_of(folder: &Path) -> String {
    let file = folder.join("vestibule.toml");
    let text = std::fs::read_to_string(&file).expect("a configuration");
    let nobody = Secrets::Read { credentials: None };
    match Config::parse_with(&text, &file, nobody) {
        Ok(_) => "nothing is wrong with it\n".to_owned(),
        Err(mistakes) => format!("{mistakes}\n").replace(&format!("{}/", folder.display()), ""),
    }
}

/// With `UPDATE_EXPECTED=1` the texts are rewritten; review the difference before you commit it.
#[test]
fn every_mistake_has_the_expected_message() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut folders: Vec<_> = std::fs::read_dir(FOLDER)
        .expect(FOLDER)
        .map(|entry| entry.expect("an entry").path())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    let mut differences = String::new();
    for folder in folders {
        let expected_file = folder.join("expected.txt");
        let said = said_of(&folder);
        if update {
            std::fs::write(&expected_file, &said).expect("expected.txt");
        }
        let expected = std::fs::read_to_string(&expected_file).unwrap_or_default();
        if said != expected {
            let name = folder.file_name().expect("a name").display().to_string();
            let _ = write!(
                differences,
                "--- {name}\nexpected:\n{expected}said:\n{said}"
            );
        }
        assert!(!said.contains("hunter2"), "a secret is repeated: {said}");
    }
    assert!(differences.is_empty(), "\n{differences}");
}

#[test]
fn a_missing_file_is_named_with_a_remedy() {
    let mistakes = Config::load(Some(Path::new("/nowhere/vestibule.toml"))).expect_err("no file");
    assert_eq!(
        mistakes.to_string(),
        "/nowhere/vestibule.toml: there is no such file; write one with vestibule init, \
         or name another with --config"
    );
}
