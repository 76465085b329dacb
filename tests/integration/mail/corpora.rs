//! The mail of other projects, parsed as those projects expect, except for a list of differences, each with
//! its rule in `docs/reading-mail.md`.
//!
//! The folder is named by `VESTIBULE_CORPORA`, or it is `../shared/corpora` beside the project. Without
//! either, there is nothing to compare. In it, each corpus is a folder with `expected.jsonl` and `mail/`;
//! `score.py` beside them compares in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use vestibule::domain::{Domain, Envelope};
use vestibule::mail::{self, Facts, Identity};

/// The corpora, and the compared fields of each.
const CORPORA: [(&str, &[&str]); 5] = [
    ("addresses", &["from"]),
    ("addresses-invalid", &["from"]),
    ("flufl-bounce", &["from", "subject", "class"]),
    ("mime4j", &["from", "subject", "class"]),
    ("webklex", &["from", "subject", "class"]),
];

const WHOLE_FIELD: &str = "the expected value is the whole field; the address in it is the sender";
const NO_BRACKET: &str = "the one address in a field that lacks the closing bracket is the sender";
const ROUTING: &str =
    "a local part has atext without % and !, and dots; no other character, in quotes or not";
const DOTS: &str =
    "dots stand in any place of a local part, as some Japanese mobile addresses have them";
const NO_FORM: &str = "a text report needs a subject and a phrase of a known form";
const NO_MAILER: &str = "a text report needs a null reverse-path or a mailer's name";

/// Differences from the expected result: corpus, file and the rule.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("addresses-invalid", "flanker-103.eml", NO_BRACKET),
    ("addresses-invalid", "flanker-106.eml", NO_BRACKET),
    ("addresses", "flanker-133.eml", ROUTING),
    ("addresses", "flanker-134.eml", ROUTING),
    ("addresses", "flanker-valid-014.eml", ROUTING),
    ("addresses", "flanker-valid-015.eml", ROUTING),
    ("addresses", "flanker-valid-016.eml", ROUTING),
    ("addresses", "flanker-valid-019.eml", ROUTING),
    ("addresses", "flanker-valid-020.eml", ROUTING),
    ("addresses", "flanker-valid-021.eml", ROUTING),
    ("addresses", "flanker-valid-040.eml", ROUTING),
    ("addresses", "flanker-valid-041.eml", ROUTING),
    ("addresses", "flanker-valid-043.eml", ROUTING),
    ("addresses", "flanker-valid-049.eml", ROUTING),
    ("addresses", "flanker-valid-060.eml", ROUTING),
    ("addresses", "flanker-valid-061.eml", ROUTING),
    ("addresses", "flanker-valid-062.eml", ROUTING),
    ("addresses", "flanker-valid-063.eml", ROUTING),
    ("addresses", "flanker-valid-072.eml", ROUTING),
    ("addresses", "flanker-valid-073.eml", ROUTING),
    ("addresses", "flanker-valid-091.eml", ROUTING),
    ("addresses", "flanker-valid-092.eml", ROUTING),
    ("addresses", "flanker-valid-094.eml", ROUTING),
    ("addresses", "flanker-valid-095.eml", ROUTING),
    ("addresses", "flanker-valid-099.eml", ROUTING),
    ("addresses", "flanker-valid-103.eml", ROUTING),
    ("addresses", "flanker-valid-112.eml", ROUTING),
    ("addresses", "flanker-valid-116.eml", ROUTING),
    ("addresses", "flanker-valid-126.eml", ROUTING),
    ("addresses", "flanker-valid-130.eml", ROUTING),
    ("addresses", "flanker-valid-133.eml", ROUTING),
    ("addresses", "flanker-valid-142.eml", ROUTING),
    ("addresses", "flanker-valid-144.eml", ROUTING),
    ("addresses", "flanker-valid-169.eml", ROUTING),
    ("addresses", "flanker-valid-170.eml", ROUTING),
    ("addresses", "flanker-valid-175.eml", ROUTING),
    ("addresses", "flanker-valid-177.eml", ROUTING),
    ("addresses", "flanker-valid-210.eml", ROUTING),
    ("addresses", "flanker-valid-211.eml", ROUTING),
    ("addresses", "flanker-valid-212.eml", ROUTING),
    ("addresses", "flanker-valid-213.eml", ROUTING),
    ("addresses", "isemail-019.eml", ROUTING),
    ("addresses", "isemail-043.eml", ROUTING),
    ("addresses", "isemail-046.eml", ROUTING),
    ("addresses", "isemail-048.eml", ROUTING),
    ("addresses", "isemail-055.eml", ROUTING),
    ("addresses-invalid", "flanker-142.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-023.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-024.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-025.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-046.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-047.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-048.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-053.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-054.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-055.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-070.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-071.eml", DOTS),
    ("addresses-invalid", "flanker-invalid-072.eml", DOTS),
    ("addresses-invalid", "isemail-015.eml", DOTS),
    ("addresses-invalid", "isemail-016.eml", DOTS),
    ("addresses", "flanker-valid-066.eml", WHOLE_FIELD),
    ("addresses", "flanker-valid-067.eml", WHOLE_FIELD),
    ("addresses", "flanker-valid-068.eml", WHOLE_FIELD),
    ("addresses", "flanker-valid-069.eml", WHOLE_FIELD),
    ("addresses", "flanker-valid-199.eml", WHOLE_FIELD),
    ("addresses", "flanker-valid-200.eml", WHOLE_FIELD),
    ("addresses", "flanker-valid-201.eml", WHOLE_FIELD),
    ("addresses", "flanker-valid-202.eml", WHOLE_FIELD),
    ("flufl-bounce", "bounce_02.txt", NO_MAILER),
    ("flufl-bounce", "dumbass_01.txt", NO_MAILER),
    ("flufl-bounce", "llnl_01.txt", NO_FORM),
    ("flufl-bounce", "microsoft_03.txt", NO_MAILER),
    ("flufl-bounce", "simple_01.txt", NO_MAILER),
    ("flufl-bounce", "simple_20.txt", NO_MAILER),
    ("flufl-bounce", "simple_22.txt", NO_MAILER),
    ("flufl-bounce", "simple_26.txt", NO_FORM),
    ("flufl-bounce", "simple_27.txt", NO_MAILER),
    ("flufl-bounce", "simple_35.txt", NO_MAILER),
    ("flufl-bounce", "simple_36.txt", NO_MAILER),
    ("flufl-bounce", "simple_43.txt", NO_MAILER),
    ("flufl-bounce", "sina_01.txt", NO_FORM),
    ("flufl-bounce", "yahoo_12.txt", NO_FORM),
];

fn folder() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("VESTIBULE_CORPORA") {
        let folder = PathBuf::from(named);
        let there = folder.is_dir();
        assert!(
            there,
            "VESTIBULE_CORPORA: there is no folder {}",
            folder.display()
        );
        Some(folder)
    } else {
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
        Some(beside).filter(|folder| folder.is_dir())
    }
}

fn read(path: &Path) -> Facts {
    let raw = std::fs::read(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let own = Identity {
        hostname: Domain::parse("gate.corp.example").expect("a domain"),
        authserv_id: None,
        spam: [].into(),
    };
    let envelope = Envelope::of_file(mail::read_recorded(&raw).reverse_path);
    mail::read(&raw, &envelope, &own)
}

fn found(facts: &Facts, field: &str) -> Option<String> {
    match field {
        "from" => facts.sender.addr_spec().map(str::to_owned),
        "subject" => facts.subject.clone(),
        _ => Some(facts.class().as_str().to_owned()),
    }
}

fn normalised(field: &str, value: Option<&str>) -> Option<String> {
    let value = value?;
    if field == "from" {
        return Some(value.trim().trim_matches(['<', '>']).to_lowercase());
    }
    let words: Vec<&str> = value.split_whitespace().collect();
    Some(words.join(" ")).filter(|text| !text.is_empty())
}

/// True if one of the expected values was found; `auto` is automatic or bulk mail, `list` is bulk.
fn agrees(field: &str, expected: &Value, found: Option<&str>) -> bool {
    let any = match expected {
        Value::Array(any) => any.as_slice(),
        one => std::slice::from_ref(one),
    };
    let also: &[&str] = match (field, found) {
        ("class", Some("automatic")) => &["auto"],
        ("class", Some("bulk")) => &["auto", "list"],
        _ => &[],
    };
    let found = normalised(field, found);
    any.iter().any(|value| {
        normalised(field, value.as_str()) == found
            || value.as_str().is_some_and(|word| also.contains(&word))
    })
}

/// The differences in one corpus, by file.
fn differences(folder: &Path, fields: &[&str]) -> BTreeMap<String, String> {
    let path = folder.join("expected.jsonl");
    let text = std::fs::read_to_string(&path);
    let text = text.unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
    let mut differences = BTreeMap::new();
    let mut messages = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let entry: Value = serde_json::from_str(line).expect(line);
        let file = entry["file"].as_str().expect("a file name");
        let facts = read(&folder.join("mail").join(file));
        messages += 1;
        for field in fields {
            let literal = format!("{field}_literal");
            let Some(expected) = entry.get(*field).or_else(|| entry.get(&literal)) else {
                continue;
            };
            let found = found(&facts, field);
            if !agrees(field, expected, found.as_deref()) {
                let what = format!("{field}: {expected} expected, {found:?} found; ");
                differences
                    .entry(file.to_owned())
                    .or_insert_with(String::new)
                    .push_str(&what);
            }
        }
    }
    assert!(messages > 0, "{} names no message", path.display());
    differences
}

#[test]
fn mail_of_other_projects_is_read_as_they_expect() {
    let Some(folder) = folder() else {
        println!(
            "VESTIBULE_CORPORA is not set and there is no ../shared/corpora: nothing compared"
        );
        return;
    };
    let mut wrong = Vec::new();
    for (corpus, fields) in CORPORA {
        let differences = differences(&folder.join(corpus), fields);
        let listed: BTreeSet<&str> = EXCEPTIONS
            .iter()
            .filter(|(of, ..)| *of == corpus)
            .map(|(_, file, _)| *file)
            .collect();
        for (file, what) in &differences {
            if !listed.contains(file.as_str()) {
                wrong.push(format!("{corpus}/{file} {what}"));
            }
        }
        for file in listed {
            if !differences.contains_key(file) {
                wrong.push(format!(
                    "{corpus}/{file} is read as expected, and no exception"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_exception_has_a_rule_and_is_listed_once() {
    let files: BTreeSet<_> = EXCEPTIONS
        .iter()
        .map(|(corpus, file, _)| (corpus, file))
        .collect();
    assert_eq!(files.len(), EXCEPTIONS.len());
    assert!(EXCEPTIONS.iter().all(|(.., rule)| !rule.is_empty()));
}
