//! What a message says: `testdata/mail/content.jsonl`, and a comparison with `CPython`'s `email` over all of
//! `testdata/mail` and, where `VESTIBULE_CORPORA` names a folder, over every `.eml` below it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use vestibule::mail::{Content, Structure};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn all_that_was_written_is_read() {
    let folder = root().join("testdata/mail");
    let text = std::fs::read_to_string(folder.join("content.jsonl")).expect("content.jsonl");
    let mut differences = Vec::new();
    for line in text.lines() {
        let expected: Value = serde_json::from_str(line).expect(line);
        let file = expected["file"].as_str().expect("a file");
        let content = Content::of(&std::fs::read(folder.join(file)).expect(file));
        let files = &content.attachments;
        let found = serde_json::json!({
            "file": file,
            "text": content.text,
            "html": content.html,
            "attachments": files.iter().map(|one| &one.content_type).collect::<Vec<_>>(),
            "attachment_octets": files.iter().map(|one| one.octets.len()).collect::<Vec<_>>(),
            "names": files.iter().map(|one| &one.name).collect::<Vec<_>>(),
        });
        for (field, value) in expected.as_object().expect("an object") {
            if found[field] != *value {
                differences.push(format!(
                    "{file} {field}: {value} expected, {}",
                    found[field]
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn messages_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            messages_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            found.push(path);
        }
    }
}

/// Words of ASCII: what both read the same whatever they make of a charset.
fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| word.len() > 2)
        .map(str::to_owned)
        .collect()
}

/// No word of a text part that `CPython` finds is missing from what we read of the same message.
#[test]
fn nothing_is_lost_that_cpython_reads() {
    let mut files = Vec::new();
    messages_below(&root().join("testdata/mail"), &mut files);
    if let Some(corpora) = std::env::var_os("VESTIBULE_CORPORA") {
        messages_below(Path::new(&corpora), &mut files);
    }
    let script = root().join("tests/mail_content.py");
    let python = Command::new("python3").arg(script).args(&files).output();
    let python = python.expect("python3 is installed");
    let errors = String::from_utf8_lossy(&python.stderr);
    assert!(python.status.success(), "{errors}");
    let lines = String::from_utf8(python.stdout).expect("UTF-8");
    let mut lost = Vec::new();
    let mut count = 0;
    for line in lines.lines() {
        count += 1;
        let theirs: Value = serde_json::from_str(line).expect("JSON");
        let file = theirs["file"].as_str().expect("a file");
        let name = Path::new(file)
            .file_name()
            .expect("a name")
            .to_string_lossy();
        let raw = std::fs::read(file).expect(file);
        let structure = Structure::of(&raw);
        let mut ours = BTreeSet::new();
        for part in structure.leaves() {
            let text = vestibule::mail::decode_text(&part);
            ours.extend(words(&text));
        }
        let texts = theirs["texts"].as_array().into_iter().flatten();
        for text in texts.filter_map(Value::as_str) {
            let missing: Vec<_> = words(text).difference(&ours).take(5).cloned().collect();
            if !missing.is_empty() && !DIFFERENCES.iter().any(|(known, _)| *known == name) {
                lost.push(format!("{name}: {missing:?}"));
            }
        }
    }
    assert_eq!(count, files.len());
    assert!(lost.is_empty(), "{}", lost.join("\n"));
}

/// Messages that `CPython` reads otherwise, and why ours is right.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "050-bare-cr-in-from.eml",
        "a bare CR ends a line for CPython, and so the header; RFC 5322 2.2 knows only CRLF",
    ),
    (
        "055-quoted-mbox-line.eml",
        "a quoted line of an mbox on top ends the header for CPython; it is no part of the message",
    ),
];
