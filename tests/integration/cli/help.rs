//! Commands without a configuration: help, completions, manual pages, and usage errors.

use insta::assert_snapshot;

use crate::support::program::run;

#[test]
fn help_is_shown_and_usage_errors_exit_with_2() {
    assert_snapshot!("help", run(&["--help"], &[]).shown());
    assert_eq!(run(&["help-me"], &[]).status, 2);
    assert_eq!(run(&[], &[]).status, 2);
    assert_eq!(run(&["--version"], &[]).status, 0);
}

#[test]
fn a_missing_configuration_is_named() {
    let ran = run(&["customers", "list", "--config", "/nonexistent.toml"], &[]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("/nonexistent.toml"), "{}", ran.err);
    assert!(ran.err.contains("vestibule init"), "{}", ran.err);
}

#[test]
fn shells_and_man_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell], &[]);
        assert_eq!(script.status, 0);
        assert!(script.out.contains("replay"), "{shell}");
    }
    let page = run(&["man"], &[]);
    assert!(page.out.contains(".TH vestibule 1"), "{}", page.out);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display().to_string();
    assert_eq!(run(&["man", "--dir", &path], &[]).status, 0);
    assert!(folder.path().join("vestibule-access-approve.1").exists());
    let nowhere = run(&["man", "--dir", "/dev/null/man1"], &[]);
    assert_eq!(nowhere.status, 1);
    assert!(nowhere.err.contains("/dev/null/man1"), "{}", nowhere.err);
}
