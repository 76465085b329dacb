//! Content of messages: `testdata/mail/content.jsonl`, and a comparison with `CPython`'s `email` over all of
//! `testdata/mail` and, if `VESTIBULE_CORPORA` names a folder, over every `.eml` below it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use vestibule::mail::{Content, Structure, decode_text};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn all_content_of_a_message_is_found() {
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
        } else if path
            .extension()
            .is_some_and(|it| it == "eml" || it == "txt")
        {
            found.push(path);
        }
    }
}

/// The folder of `VESTIBULE_CORPORA`, or `../shared/corpora` beside the project.
fn corpora() -> Option<PathBuf> {
    let Some(named) = std::env::var_os("VESTIBULE_CORPORA") else {
        let beside = root().join("../shared/corpora");
        return Some(beside).filter(|folder| folder.is_dir());
    };
    let folder = PathBuf::from(named);
    let path = folder.display();
    assert!(
        folder.is_dir(),
        "VESTIBULE_CORPORA: there is no folder {path}"
    );
    Some(folder)
}

/// The words of a text in order, in every script; ASCII words only if the other side could not decode it.
fn words(text: &str, ascii_only: bool) -> Vec<&str> {
    let is_part = |c: char| {
        if ascii_only {
            c.is_ascii_alphanumeric()
        } else {
            c.is_alphanumeric()
        }
    };
    text.split(|c| !is_part(c))
        .filter(|word| !word.is_empty())
        .collect()
}

/// Compares the parts of one message that `CPython` finds with those that we find: each octet and each word in
/// order.
fn differences(leaves: &[Value], raw: &[u8]) -> Vec<String> {
    let structure = Structure::of(raw);
    let ours: Vec<_> = structure.leaves().collect();
    let mut found = Vec::new();
    if ours.len() != leaves.len() {
        found.push(format!("{} parts, {} of ours", leaves.len(), ours.len()));
    }
    for (number, (theirs, part)) in leaves.iter().zip(&ours).enumerate() {
        let octets = part.decode();
        let digest = STANDARD.encode(Sha256::digest(&octets));
        if !theirs["sha256"].is_null() && theirs["sha256"] != digest {
            found.push(format!(
                "part {number}: {} octets, {} of ours",
                theirs["size"],
                octets.len()
            ));
        }
        let Some(text) = theirs["text"].as_str() else {
            continue;
        };
        let ascii_only = theirs["exact"] == false;
        let read = decode_text(part);
        let (theirs, ours) = (words(text, ascii_only), words(&read, ascii_only));
        if theirs != ours {
            let place = theirs.iter().zip(&ours).take_while(|(a, b)| a == b).count();
            found.push(format!(
                "part {number}: the words {:?}, {:?} of ours",
                theirs.iter().skip(place).take(3).collect::<Vec<_>>(),
                ours.iter().skip(place).take(3).collect::<Vec<_>>()
            ));
        }
    }
    found
}

/// Content of the leaves of a message that is missing from its text, its HTML and its attachments, and text of
/// HTML without a plain form that is missing from its text. An attached message is one attachment.
fn missing(leaves: &[Value], raw: &[u8]) -> Vec<String> {
    let content = Content::of(raw);
    let line = |text: Option<&str>| words(text.unwrap_or_default(), false).join(" ");
    let (text, html) = (line(content.text.as_deref()), line(content.html.as_deref()));
    let structure = Structure::of(raw);
    let has_same_leaves = structure.leaves().count() == leaves.len();
    let mut missing = Vec::new();
    for (number, part) in structure.leaves().enumerate() {
        if part.is_within_message() {
            continue;
        }
        let octets = part.decode();
        if content.attachments.iter().any(|one| one.octets == octets) {
            continue;
        }
        let read = words(&decode_text(&part), false).join(" ");
        if !part.media().kind().starts_with("text/")
            || !(text.contains(&read) || html.contains(&read))
        {
            missing.push(format!(
                "{} of {} octets",
                part.media().kind(),
                octets.len()
            ));
        }
        let shown = leaves.get(number).and_then(|leaf| leaf["shown"].as_str());
        if let Some(shown) = shown.filter(|_| has_same_leaves) {
            let shown = words(shown, false).join(" ");
            if !text.contains(&shown) {
                missing.push(format!("{shown:?} of HTML in {text:?}"));
            }
        }
    }
    missing
}

/// Every part that `CPython` finds, we find in the same place, with the same octets and the same words.
#[test]
fn no_content_that_cpython_reads_is_lost() {
    let mut files = Vec::new();
    messages_below(&root().join("testdata/mail"), &mut files);
    let of_ours = files.len();
    if let Some(corpora) = corpora() {
        messages_below(&corpora, &mut files);
    }
    let has_corpora = files.len() > of_ours;
    let mut wrong = Vec::new();
    let mut differing = BTreeSet::new();
    let mut count = 0;
    for some in files.chunks(500) {
        let script = root().join("tests/system/mail_content.py");
        let python = Command::new("python3").arg(script).args(some).output();
        let python = python.expect("python3 is installed");
        let errors = String::from_utf8_lossy(&python.stderr);
        assert!(python.status.success(), "{errors}");
        for line in String::from_utf8(python.stdout).expect("UTF-8").lines() {
            count += 1;
            let theirs: Value = serde_json::from_str(line).expect("JSON");
            let file = theirs["file"].as_str().expect("a file");
            let name = Path::new(file).file_name().expect("a name");
            let name = name.to_string_lossy().into_owned();
            let leaves = theirs["leaves"].as_array().expect("leaves");
            let raw = std::fs::read(file).expect(file);
            for what in missing(leaves, &raw) {
                wrong.push(format!("{name}: {what} is nowhere"));
            }
            let found = differences(leaves, &raw);
            if found.is_empty() {
                continue;
            }
            if !DIFFERENCES.iter().any(|(known, _)| *known == name) {
                wrong.push(format!("{name}: {}", found.join("; ")));
            }
            differing.insert(name);
        }
    }
    assert_eq!(count, files.len());
    for (name, reason) in DIFFERENCES {
        assert!(!reason.is_empty());
        let is_there = has_corpora || files.iter().any(|file| file.ends_with(name));
        if is_there && !differing.contains(*name) {
            wrong.push(format!("{name} is read as CPython does, and no difference"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const LINE_IN_HEADER: &str =
    "a line that is not a field ends a header for CPython, and for few other programs";
const NO_END: &str = "without a closing delimiter CPython cuts the last line end off";
const BASE64_PIECES: &str = "CPython reads base64 up to the first padding; another piece follows";

/// Messages that `CPython` parses differently, and the reason why our result is right.
const DIFFERENCES: &[(&str, &str)] = &[
    (
        "050-bare-cr-in-from.eml",
        "a bare CR ends a line for CPython, and so the header; RFC 5322 2.2 knows only CRLF",
    ),
    ("052-from-behind-garbage.eml", LINE_IN_HEADER),
    ("053-garbage-behind-from.eml", LINE_IN_HEADER),
    (
        "055-quoted-mbox-line.eml",
        "a quoted line of an mbox on top ends the header for CPython; it is not part of the message",
    ),
    (
        "063-unterminated-mime.eml",
        "CPython takes no boundary whose closing quote is missing; the part in it is found all the same",
    ),
    ("064-deep-mime.eml", NO_END),
    ("dsn_03.txt", NO_END),
    (
        "205-boundary-empty.eml",
        "an empty boundary is none (RFC 2046 5.1.1), and all of it is text",
    ),
    ("213-base64-two-pieces.eml", BASE64_PIECES),
    (
        "215-quoted-printable-broken.eml",
        "CPython takes blanks behind a soft line break for text; RFC 2045 6.7 (3) deletes them",
    ),
    (
        "242-charset-no-charset-2022jp.eml",
        "ISO-2022-JP without a charset is ASCII for CPython",
    ),
    (
        "257-charset-bom-as-latin1.eml",
        "CPython trusts the label, and shows the byte order mark of UTF-8 as letters",
    ),
    (
        "258-charset-utf16-as-utf8.eml",
        "UTF-16 is invalid UTF-8 for CPython, whatever its byte order mark says",
    ),
    (
        "260-charset-2022jp-as-utf8.eml",
        "the octets of ISO-2022-JP are ASCII, and so valid UTF-8, for CPython",
    ),
    (
        "261-charset-sjis-as-2022jp.eml",
        "the second octets of Shift_JIS are ASCII for CPython, which cannot decode the rest",
    ),
    ("264-line-in-header.eml", LINE_IN_HEADER),
    ("265-fold-without-blank.eml", LINE_IN_HEADER),
    (
        "boolean_decoded_content.eml",
        "base64 with noise in it: CPython leaves it as it is, and we read the letters of base64",
    ),
];
