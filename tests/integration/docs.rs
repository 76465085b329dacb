//! The documentation: links, anchors, paths and commands in it exist, every page is in the book, and each sentence
//! has a line of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::program::run;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Markdown files below `docs`.
fn pages() -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                below(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below(&root().join("docs"), &mut found);
    found.sort();
    found
}

/// The pages, and the documents beside them that GitHub shows.
fn documents() -> Vec<PathBuf> {
    let mut documents = pages();
    documents.extend(["README.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root().join(name)));
    documents
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("UTF-8")
}

/// Name of a document for messages.
fn name(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Number, from 1, and text of each line, and true if it is in a fenced block.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str, bool)> {
    let mut fenced = false;
    text.lines().zip(1..).map(move |(line, number)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (number, line, fenced || fence)
    })
}

/// Text of a line without its code spans.
fn prose(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("`")
}

/// Targets of the links and pictures of a document, each with its line.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line, _) in lines(text).filter(|(_, _, fenced)| !fenced) {
        for (opening, end) in [("](", ')'), ("src=\"", '"'), ("href=\"", '"')] {
            for (place, _) in line.match_indices(opening) {
                let rest = &line[place + opening.len()..];
                let target = rest.split(end).next().unwrap_or_default();
                found.push((number, target.to_owned()));
            }
        }
    }
    found
}

/// Anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    let mut anchors = BTreeSet::new();
    for (_, line, _) in lines(text).filter(|(_, _, fenced)| !fenced) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let anchor: String = title
            .trim()
            .chars()
            .filter_map(|c| match c {
                c if c.is_alphanumeric() || "-_".contains(c) => Some(c.to_ascii_lowercase()),
                c if c.is_whitespace() => Some('-'),
                _ => None,
            })
            .collect();
        let times = seen.entry(anchor.clone()).or_default();
        anchors.insert(match *times {
            0 => anchor,
            n => format!("{anchor}-{n}"),
        });
        *times += 1;
    }
    anchors
}

/// A link leads to a file and, if it has an anchor, to a heading of that file. Links of the book stay in the book.
#[test]
fn links_and_anchors_exist() {
    let docs = root().join("docs");
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in documents() {
        let text = read(&page);
        for (number, target) in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            let (path, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = match path {
                "" => page.clone(),
                path => page.parent().expect("a folder").join(path),
            };
            let place = format!("{}:{number}: {target}", name(&page));
            let Ok(real) = file.canonicalize() else {
                wrong.push(format!("{place}: no such file"));
                continue;
            };
            if page.starts_with(&docs) && !real.starts_with(docs.canonicalize().expect("docs")) {
                wrong.push(format!("{place}: leads out of the book"));
            }
            if !anchor.is_empty() && !anchors(&read(&real)).contains(anchor) {
                wrong.push(format!("{place}: no such heading"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 100, "{checked}");
}

#[test]
fn every_page_is_in_the_summary_once() {
    let docs = root().join("docs");
    let mut listed: Vec<_> = links(&read(&docs.join("SUMMARY.md")))
        .into_iter()
        .map(|(_, target)| docs.join(target))
        .collect();
    listed.sort();
    let mut expected = pages();
    expected.retain(|page| !page.ends_with("SUMMARY.md"));
    assert_eq!(listed, expected);
}

#[test]
fn the_readme_has_at_most_100_lines() {
    let lines = read(&root().join("README.md")).lines().count();
    assert!(lines <= 100, "{lines}");
}

/// True if a line begins a block: a heading, a list item, a row, a quotation, a picture or a tag.
fn begins_block(line: &str) -> bool {
    let text = line.trim_start();
    let item = text.split_once(' ').is_some_and(|(mark, _)| {
        mark == "-" || mark == "*" || mark.strip_suffix('.').is_some_and(is_number)
    });
    item || text.starts_with(['#', '|', '<', '>', '!'])
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// True if a line ends a sentence or introduces the next block.
fn ends_sentence(line: &str) -> bool {
    line.trim_end()
        .trim_end_matches([')', '"', '*', '_', '”'])
        .ends_with(['.', '!', '?', ':'])
}

/// No sentence is broken over two lines, and no line has two sentences.
#[test]
fn a_sentence_has_a_line_of_its_own() {
    let mut wrong = Vec::new();
    for page in documents() {
        let text = read(&page);
        let all: Vec<_> = lines(&text).collect();
        for pair in all.windows(2) {
            let [(number, line, fenced), (_, next, next_fenced)] = pair else {
                continue;
            };
            if *fenced || line.trim().is_empty() || line.trim_start().starts_with(['|', '#']) {
                continue;
            }
            let place = format!("{}:{number}", name(&page));
            let continued = !next_fenced && !next.trim().is_empty() && !begins_block(next);
            let indented = line.starts_with("    ");
            if continued && !indented && !begins_block_without_text(line) && !ends_sentence(line) {
                wrong.push(format!("{place}: breaks within a sentence"));
            }
            if !indented && has_two_sentences(line) {
                wrong.push(format!("{place}: has two sentences"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// True for pictures and tags, which are not sentences.
fn begins_block_without_text(line: &str) -> bool {
    line.trim_start().starts_with(['<', '!'])
}

/// True if the line has a full stop outside of parentheses and emphasis, with a capital after it.
fn has_two_sentences(line: &str) -> bool {
    let text = prose(line);
    let text = match text.trim_start().split_once(". ") {
        Some((number, rest)) if is_number(number) => rest.to_owned(),
        _ => text,
    };
    text.match_indices(". ").any(|(place, _)| {
        let before = &text[..place];
        let balanced = before.matches('(').count() == before.matches(')').count()
            && before.matches('[').count() == before.matches(']').count()
            && before.matches("**").count() % 2 == 0;
        let after = text[place + 2..].trim_start();
        balanced && after.starts_with(|c: char| c.is_uppercase())
    })
}

/// Code spans of a document, each with its line.
fn spans(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line, fenced) in lines(text) {
        if !fenced {
            for span in line.split('`').skip(1).step_by(2) {
                found.push((number, span.to_owned()));
            }
        }
    }
    found
}

/// A file or folder of the repository in a code span exists. The changelog may name files that no longer exist.
#[test]
fn paths_exist() {
    const FOLDERS: [&str; 11] = [
        "src/",
        "tests/",
        "testdata/",
        "benches/",
        "config/",
        "docs/",
        "examples/",
        "fuzz/",
        "packaging/",
        "systemd/",
        ".cargo/",
    ];
    let mut wrong = Vec::new();
    let mut checked = 0;
    for page in documents() {
        if page.ends_with("CHANGELOG.md") {
            continue;
        }
        for (number, span) in spans(&read(&page)) {
            let path = span.split_whitespace().next().unwrap_or_default();
            let is_pattern =
                path.contains(['*', '{']) || path.contains("TAG") || path.contains("N-");
            if is_pattern || !FOLDERS.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            checked += 1;
            if !root().join(path).exists() {
                wrong.push(format!("{}:{number}: {path}", name(&page)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 50, "{checked}");
}

/// Command lines of the program: in code spans, and in blocks that show a shell.
fn command_lines(text: &str) -> Vec<(usize, String)> {
    let mut found = spans(text);
    let mut shell = false;
    for (number, line, fenced) in lines(text) {
        if let Some(kind) = line.trim_start().strip_prefix("```") {
            shell = kind == "sh";
        } else if fenced && shell {
            let line = line.split(" # ").next().unwrap_or_default();
            found.extend(line.split("&&").map(|part| (number, part.to_owned())));
        }
    }
    found
}

/// The words after `vestibule`, if the line calls that program. A group of commands may stand alone.
fn arguments(line: &str) -> Option<Vec<&str>> {
    const GROUPS: [&str; 7] = [
        "access",
        "customers",
        "deliveries",
        "dropped",
        "operators",
        "requests",
        "templates",
    ];
    let words: Vec<_> = line.split_whitespace().collect();
    if words.len() > 1 && GROUPS.contains(&words[0]) {
        return Some(words);
    }
    let place = words.iter().rposition(|word| *word == "vestibule")?;
    let called = words[..place]
        .iter()
        .all(|word| ["sudo", "-u", "vestibule"].contains(word) || word.contains('='));
    called.then(|| words[place + 1..].to_vec())
}

/// Each `vestibule …` in the documentation is a command with these options.
#[test]
fn commands_and_options_exist() {
    let mut help = BTreeMap::<Vec<&str>, Option<String>>::new();
    let mut wrong = Vec::new();
    let found: Vec<_> = documents()
        .into_iter()
        .filter(|page| !page.ends_with("CHANGELOG.md"))
        .flat_map(|page| {
            let file = name(&page);
            command_lines(&read(&page))
                .into_iter()
                .map(|(number, line)| (format!("{file}:{number}"), line))
                .collect::<Vec<_>>()
        })
        .collect();
    for (place, line) in &found {
        let Some(words) = arguments(line) else {
            continue;
        };
        let command: Vec<_> = words
            .iter()
            .copied()
            .take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
            .take(2)
            .collect();
        let Some(known) = help.entry(command.clone()).or_insert_with(|| ask(&command)) else {
            wrong.push(format!("{place}: no such command: {line}"));
            continue;
        };
        for word in words.iter().filter(|word| word.starts_with("--")) {
            let option = word.split('=').next().unwrap_or_default();
            if !known.contains(option) {
                wrong.push(format!("{place}: no such option: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(help.len() > 20, "{}", help.len());
}

/// `--help` of a command; `None` if there is no such command.
fn ask(command: &[&str]) -> Option<String> {
    let ran = run(&[command, &["--help"]].concat(), &[]);
    (ran.status == 0).then_some(ran.out)
}

/// Files and images of a release are named with the version of this program, and the changelog begins with this
/// version or with unreleased changes.
#[test]
fn the_documents_name_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let mut named = 0;
    for path in pages() {
        let text = read(&path);
        for mark in ["vestibule-", "vestibule_", "vestibule:"] {
            let rests = text
                .match_indices(mark)
                .map(|(at, _)| &text[at + mark.len()..]);
            for rest in rests.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
                assert!(
                    rest.starts_with(version),
                    "{}: {mark}{rest:.20}",
                    name(&path)
                );
                named += 1;
            }
        }
    }
    assert!(named > 0, "no page names a file of a release");
    let changes = read(&root().join("CHANGELOG.md"));
    let first = changes.lines().find(|line| line.starts_with("## "));
    let first = first.expect("a version");
    assert!(
        first.starts_with(&format!("## {version}")) || first == "## Unreleased",
        "{first}"
    );
}
