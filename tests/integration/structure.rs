//! Structure of the code: dependencies between modules, access to the outside, and documentation that agrees with
//! the code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::program::run;

/// Each module, and our modules that it may use. Other uses are forbidden; a module that is not listed at all
/// fails the test, so that every new one is considered.
const USES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("mail", &["domain"]),
    ("access", &["domain", "mail"]),
    ("config", &["access", "domain", "mail"]),
    ("observe", &["config", "domain", "store"]),
    ("sender_auth", &["config", "domain", "mail", "panics"]),
    ("smtp", &["domain", "observe"]),
    (
        "store",
        &[
            "access",
            "config",
            "domain",
            "failpoint",
            "mail",
            "panics",
            "server_trust",
        ],
    ),
    ("clock", &["domain"]),
    ("failpoint", &[]),
    ("server_trust", &[]),
    ("panics", &[]),
    (
        "intake",
        &[
            "access",
            "sender_auth",
            "config",
            "domain",
            "failpoint",
            "mail",
            "observe",
            "smtp",
            "store",
            "verification",
        ],
    ),
    (
        "verification",
        &[
            "config",
            "domain",
            "failpoint",
            "mail",
            "observe",
            "outbound",
            "store",
            "templates",
        ],
    ),
    (
        "delivery",
        &[
            "sender_auth",
            "clock",
            "config",
            "domain",
            "failpoint",
            "mail",
            "observe",
            "outbound",
            "panics",
            "smtp",
            "store",
        ],
    ),
    ("sso", &["config", "domain", "outbound"]),
    (
        "outbound",
        &[
            "config",
            "domain",
            "observe",
            "panics",
            "server_trust",
            "store",
        ],
    ),
    (
        "housekeeping",
        &["clock", "config", "domain", "observe", "store"],
    ),
    ("canary", &["config", "domain", "observe", "store"]),
    (
        "web",
        &[
            "access",
            "config",
            "delivery",
            "domain",
            "mail",
            "observe",
            "operations",
            "panics",
            "sso",
            "store",
            "verification",
            "templates",
        ],
    ),
    (
        "operations",
        &[
            "access", "config", "domain", "intake", "mail", "sso", "store",
        ],
    ),
    (
        "daemon",
        &[
            "access",
            "sender_auth",
            "canary",
            "clock",
            "config",
            "delivery",
            "domain",
            "housekeeping",
            "intake",
            "observe",
            "operations",
            "smtp",
            "store",
            "verification",
            "web",
            "templates",
        ],
    ),
    (
        "cli",
        &[
            "access",
            "config",
            "daemon",
            "outbound",
            "domain",
            "intake",
            "mail",
            "observe",
            "operations",
            "smtp",
            "store",
            "verification",
            "web",
            "templates",
        ],
    ),
    ("templates", &["domain"]),
    ("lib", &[]),
    ("main", &[]),
];

/// Words that only these modules may contain.
const CONFINED: &[(&str, &[&str])] = &[
    ("rusqlite", &["store"]),
    ("postgres_protocol", &["store"]),
    ("mailin::", &["smtp"]),
    ("axum", &["web"]),
    (
        "lettre::Async",
        &["verification", "outbound", "canary", "cli"],
    ),
    (
        "AsyncSmtpTransport",
        &["verification", "outbound", "canary", "cli"],
    ),
    ("reqwest::", &["outbound", "delivery", "cli"]),
    ("TcpStream::connect", &["outbound", "cli", "store"]),
    ("TcpListener", &["smtp", "web", "daemon", "cli"]),
    ("clap::", &["cli", "main"]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path, extension));
        } else if path.extension().is_some_and(|own| own == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every source file with its top-level module, without its own tests.
fn sources() -> Vec<(String, PathBuf, String)> {
    let src = root().join("src");
    files_below(&src, "rs")
        .into_iter()
        .filter(|path| !is_test(path))
        .map(|path| {
            let below = path.strip_prefix(&src).expect("below src");
            let first = below.iter().next().expect("a name").to_string_lossy();
            let module = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).expect("UTF-8");
            let code: String = text
                .split("#[cfg(test)]")
                .next()
                .unwrap_or_default()
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            (module, path.clone(), code)
        })
        .collect()
}

/// Unit tests in a file or folder of their own, which is always named `tests`.
fn is_test(path: &Path) -> bool {
    let below = path.strip_prefix(root()).expect("below the root");
    below.iter().any(|part| {
        let part = part.to_string_lossy();
        part == "tests" || part == "tests.rs"
    })
}

/// The modules named after each `crate::`, one or several in braces.
fn uses(code: &str) -> BTreeSet<String> {
    names_after(code, "crate::")
}

/// The names after each `prefix`, one or several in braces.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (place, _) in code.match_indices(prefix) {
        let rest = &code[place + prefix.len()..];
        let word = |text: &str| -> String {
            text.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        };
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (at, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && c.is_alphabetic() => {
                        names.insert(word(&list[at..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            names.insert(word(rest));
        }
    }
    names
}

#[test]
fn every_module_uses_only_what_it_may() {
    let allowed: BTreeMap<_, _> = USES.iter().copied().collect();
    let modules: BTreeSet<_> = USES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        let Some(may) = allowed.get(module.as_str()) else {
            wrong.push(format!("{}: {module} has no row in USES", path.display()));
            continue;
        };
        for used in uses(&code) {
            if used != module && modules.contains(&used) && !may.contains(&used.as_str()) {
                wrong.push(format!("{}: {module} uses {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_allowed_modules_use_network_and_processes() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        for (word, may) in CONFINED {
            if code.contains(word) && !may.contains(&module.as_str()) {
                wrong.push(format!("{}: {module} writes {word}", path.display()));
            }
        }
        // Within the store, each engine's client belongs to its folder.
        for (word, folder) in [
            ("rusqlite", "src/store/sqlite"),
            ("postgres_protocol", "src/store/postgres"),
            ("TcpStream", "src/store/postgres"),
        ] {
            let is_engine = path.starts_with(root().join(folder));
            if module == "store" && code.contains(word) && !is_engine {
                wrong.push(format!("{}: only {folder} may use {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The package denies `unsafe`, and one file allows it (decision 13).
#[test]
fn one_file_is_unsafe() {
    let allowing: Vec<_> = ["src", "tests", "benches", "examples"]
        .into_iter()
        .flat_map(|folder| files_below(&root().join(folder), "rs"))
        .filter(|path| {
            let text = fs::read_to_string(path).expect("UTF-8");
            text.contains(concat!("(unsafe", "_code"))
        })
        .collect();
    assert_eq!(allowing, [root().join("src/store/sqlite/vfs.rs")]);
}

/// Only the harness names the binary, so that every test runs it without the environment of the machine.
#[test]
fn only_the_harness_runs_the_binary() {
    let naming: Vec<_> = files_below(&root().join("tests"), "rs")
        .into_iter()
        .filter(|path| !path.ends_with("support/program.rs"))
        .filter(|path| {
            let text = fs::read_to_string(path).expect("UTF-8");
            text.contains(concat!("CARGO_BIN", "_EXE"))
        })
        .collect();
    assert!(naming.is_empty(), "{naming:?}");
}

/// Unit tests are in `mod tests`, at the end of the file or, when they are long, in `tests.rs` or `tests/`
/// below the folder of the module.
#[test]
fn unit_tests_have_one_place() {
    let mut wrong = Vec::new();
    for path in files_below(&root().join("src"), "rs") {
        let text = fs::read_to_string(&path).expect("UTF-8");
        if is_test(&path) {
            continue;
        }
        let (code, tests) = text.split_once("mod tests {").unwrap_or((&text, ""));
        let is_scattered = code.contains("#[test]") || code.contains("#[tokio::test]");
        let has_code_behind = tests.contains("\n}\n\n");
        if is_scattered || has_code_behind || code.contains("_tests;") {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Folders of the store, from the bottom to the top: each may use those before it.
const STORE_FOLDERS: &[&str] = &[
    "sql",
    "engine",
    "sqlite",
    "postgres",
    "claims",
    "hooks",
    "audit",
    "rows",
    "verification",
    "requests",
    "accounts",
    "intake",
    "ledger",
    "operators",
    "privacy",
    "upkeep",
];

/// Public names of the store with the folders that define them: `pub use folder::file::{Name, …};`.
fn store_names() -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join("src/store/mod.rs")).expect("UTF-8");
    let mut names = BTreeMap::new();
    for export in text.split("pub use ").skip(1) {
        let export = export.split(';').next().unwrap_or_default();
        let folder = export.split("::").next().unwrap_or_default();
        for name in export.split(|c: char| !c.is_alphanumeric() && c != '_') {
            names.insert(name.to_owned(), folder.to_owned());
        }
    }
    names
}

#[test]
fn no_folder_of_the_store_uses_one_above_it() {
    let store = root().join("src/store");
    let names = store_names();
    let position = |folder: &str| STORE_FOLDERS.iter().position(|one| *one == folder);
    let (mut wrong, mut arrows) = (Vec::new(), 0);
    for (module, path, code) in sources() {
        let below = path.strip_prefix(&store).ok();
        let folder = below.and_then(|below| below.parent()?.iter().next()?.to_str());
        let (true, Some(folder)) = (module == "store", folder) else {
            continue;
        };
        let Some(own) = position(folder) else {
            wrong.push(format!("{folder} has no place in STORE_FOLDERS"));
            continue;
        };
        for used in names_after(&code, "crate::store::") {
            let other = position(&used).or_else(|| position(names.get(&used)?));
            if let Some(other) = other {
                arrows += 1;
                if other > own {
                    wrong.push(format!("{}: {folder} uses {used}", path.display()));
                }
            }
        }
    }
    assert!(arrows > 100, "{arrows}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<_> = files_below(&root().join("src"), "rs")
        .into_iter()
        .filter(|path| !is_test(path))
        .filter(|path| !fs::read_to_string(path).expect("UTF-8").starts_with("//! "))
        .collect();
    assert!(silent.is_empty(), "no module comment: {silent:?}");
}

/// Writes of the store that pages and commands call themselves, because no operator acts: those for people with a
/// link, for the API's protocol and for the configuration.
const OTHER_WRITES: &[(&str, &str)] = &[
    ("src/cli/", "seed_access"),
    // It writes nothing of its own.
    ("src/cli/init/first_operator.rs", "close"),
    // Without a running daemon, nothing else indexes.
    ("src/cli/find.rs", "index_entries"),
    ("src/web/api/idempotency.rs", "claim_answer"),
    ("src/web/api/idempotency.rs", "give_up_answer"),
    ("src/web/api/idempotency.rs", "keep_answer"),
    ("src/web/public/", "choose_language"),
    ("src/web/public/", "refuse"),
    ("src/web/public/", "renew_expired_link"),
    ("src/web/public/", "renew_link_for"),
    ("src/web/public/", "sign_up"),
    // This is `accept` of the listener, not of the store.
    ("src/web/serve.rs", "accept"),
];

/// Names of the store's public functions that write.
fn store_writes() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (module, _, code) in sources() {
        if module != "store" {
            continue;
        }
        for function in code.split("pub async fn ").skip(1) {
            let body = function.split("\n    }\n").next().unwrap_or_default();
            if body.contains("self.write(") || body.contains(".writer") {
                let name = function.split(['(', '<']).next().unwrap_or_default();
                names.insert(name.to_owned());
            }
        }
    }
    names
}

/// Pages, API and command line write through `operations`.
#[test]
fn only_operations_writes_for_operators() {
    let writes = store_writes();
    assert!(writes.contains("release_request") && writes.contains("change_access"));
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        if !["web", "cli"].contains(&module.as_str()) {
            continue;
        }
        let path = path.strip_prefix(root()).expect("below the root");
        let path = path.to_string_lossy();
        for name in &writes {
            let is_own = OTHER_WRITES
                .iter()
                .any(|(place, write)| path.starts_with(place) && write == name);
            if code.contains(&format!(".{name}(")) && !is_own {
                wrong.push(format!("{path} calls {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The text between backticks.
fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// Each row `| case | file | test |` of the documented promises names a test that the file has.
#[test]
fn the_tests_that_the_docs_name_exist() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).expect("UTF-8");
    let mut rows = 0;
    for line in page.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, _, file, test, _] = cells[..] else {
            continue;
        };
        let (Some(file), Some(test)) = (code(file), code(test)) else {
            continue;
        };
        let source = fs::read_to_string(root().join(file)).expect(file);
        let place = source.find(&format!("fn {test}("));
        let before = &source[..place.unwrap_or_else(|| panic!("{file}: {test}"))];
        let above = before.trim_end().lines().rev();
        let is_test = above
            .take_while(|line| !line.trim().is_empty())
            .any(|line| line.contains("test]") || line.contains("::test("));
        assert!(is_test, "{file}: {test} is not a test");
        rows += 1;
    }
    assert!(rows > 20, "{rows}");
}

/// The commands in the README exist: the scripts as files, the subcommands in `--help`.
#[test]
fn the_commands_in_the_readme_are_true() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    assert!(readme.contains("cargo run --release -- demo"));
    assert!(root().join("tests/run").exists());
    let mut asked = BTreeSet::new();
    for (place, _) in readme.match_indices("vestibule ") {
        let words: Vec<_> = readme[place..]
            .split(['`', '\n', '#', '|'])
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .take_while(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
            .take(2)
            .collect();
        if readme[..place].ends_with('`')
            || readme[..place].ends_with("   ")
            || readme[..place].ends_with("sudo ")
        {
            asked.insert(words.join(" "));
        }
    }
    assert!(asked.len() > 5, "commands were found: {asked:?}");
    for command in asked {
        let words: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
        let ran = run(&words, &[]);
        assert_eq!(ran.status, 0, "README: vestibule {command}");
    }
}

/// Modules that each module's code names.
fn arrows() -> BTreeMap<String, BTreeSet<String>> {
    let modules: BTreeSet<_> = USES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut arrows = BTreeMap::<_, BTreeSet<_>>::new();
    for (module, _, code) in sources() {
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let mut used = uses(&code);
        used.retain(|name| *name != module && modules.contains(name));
        arrows.entry(module).or_default().extend(used);
    }
    arrows
}

/// True if arrows lead from one module to another.
fn reaches(arrows: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    arrows.get(from).is_some_and(|used| {
        used.iter()
            .any(|next| next == to || reaches(arrows, next, to))
    })
}

/// The diagram in the architecture page is that of the code, and has no cycle.
#[test]
fn the_diagram_of_the_modules_is_true() {
    let arrows = arrows();
    // `reaches` would not terminate for a cycle, so cycles are searched level by level.
    let mut left: BTreeSet<_> = arrows.keys().cloned().collect();
    while let Some(leaf) = left
        .iter()
        .find(|module| arrows[*module].is_disjoint(&left))
        .cloned()
    {
        left.remove(&leaf);
    }
    assert!(
        left.is_empty(),
        "modules depend on each other in a cycle: {left:?}"
    );

    let mut lines = vec!["```mermaid".to_owned(), "flowchart TD".to_owned()];
    for (module, used) in &arrows {
        let direct = used.iter().filter(|name| {
            !used
                .iter()
                .any(|other| other != *name && reaches(&arrows, other, name))
        });
        lines.extend(direct.map(|name| format!("    {module} --> {name}")));
    }
    lines.push("```\n".to_owned());
    let diagram = lines.join("\n");

    let path = root().join("docs/ARCHITECTURE.md");
    let page = fs::read_to_string(&path).expect("UTF-8");
    let (head, rest) = page
        .split_once("<!-- diagram -->\n")
        .expect("the beginning of the diagram");
    let (shown, tail) = rest
        .split_once("<!-- end of diagram -->")
        .expect("the end of the diagram");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let page = format!("{head}<!-- diagram -->\n{diagram}<!-- end of diagram -->{tail}");
        fs::write(&path, page).expect("written");
        return;
    }
    assert!(shown == diagram, "{diagram}");
}

/// Words that the glossary replaced, in the singular; no item and no variable is named by one.
const RETIRED: &[&str] = &[
    "house",
    "desk",
    "seat",
    "reception",
    "receipt",
    "happening",
    "deed",
    "bell",
    "whereabouts",
    "mailbag",
    "letter",
    "postman",
    "parcel",
    "patience",
    "wardrobe",
    "herald",
    "mending",
    "wording",
    "dawdle",
];

/// The words of a name in snake case or camel case, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    for part in name.split('_') {
        let mut word = String::new();
        for letter in part.chars() {
            if letter.is_uppercase() && word.ends_with(|last: char| last.is_lowercase()) {
                words.push(std::mem::take(&mut word));
            }
            word.push(letter);
        }
        words.push(word);
    }
    words.iter().map(|word| word.to_lowercase()).collect()
}

#[test]
fn no_name_has_a_word_that_the_glossary_replaced() {
    const KEYWORDS: &[&str] = &[
        "struct", "enum", "trait", "type", "fn", "mod", "const", "static", "let", "mut",
    ];
    let mut named = 0;
    for (_, path, code) in sources() {
        let mut tokens = code.split_whitespace();
        while let Some(token) = tokens.next() {
            if !KEYWORDS.contains(&token) {
                continue;
            }
            let Some(name) = tokens.clone().next() else {
                break;
            };
            let name: String = name
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            named += 1;
            let words = words_of(&name);
            for (place, word) in words.iter().enumerate() {
                let is_help_desk = word == "desk" && place > 0 && words[place - 1] == "help";
                let singular = word.strip_suffix('s').unwrap_or(word);
                assert!(
                    is_help_desk
                        || !(RETIRED.contains(&singular) || RETIRED.contains(&word.as_str())),
                    "{}: {name}",
                    path.display()
                );
            }
        }
    }
    assert!(named > 5000, "{named} names looked at");
}
/// The word after `keyword` in each line of a source that has one, without generics and arguments.
fn items<'a>(code: &'a str, keyword: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    code.lines().filter_map(move |line| {
        let (before, after) = line.split_once(keyword)?;
        let name = after.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        Some((before.trim(), name.into_iter().next()?))
    })
}

/// Argument types of commands, which may share names because each is found in the module of its command.
const ARGUMENTS: &[&str] = &["Args", "Command"];

#[test]
fn no_name_of_a_public_type_is_used_twice() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (module, path, code) in sources() {
        for keyword in ["struct ", "enum ", "trait ", "type "] {
            for (before, name) in items(&code, keyword) {
                let is_argument = module == "cli" && ARGUMENTS.contains(&name);
                // In a macro the name may be a parameter.
                if before.starts_with("pub") && !is_argument && !name.is_empty() {
                    let place = path.strip_prefix(root()).expect("below the root");
                    places
                        .entry(name.to_owned())
                        .or_default()
                        .push(place.display().to_string());
                }
            }
        }
    }
    assert!(places.len() > 400, "{} types looked at", places.len());
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

/// Participles that do not end in "ed".
const IRREGULAR: &[&str] = &[
    "shown", "found", "told", "made", "known", "said", "held", "kept", "sent", "taken", "given",
    "written", "built", "done", "gone", "left", "lost", "met", "seen", "drawn", "thrown", "begun",
    "spoken", "broken", "chosen", "hidden", "bound", "sought", "brought", "caught", "named",
];

/// Methods of traits that are not ours, and words that only look like participles.
const OTHERS_NAMES: &[&str] = &[
    "enabled", "need", "feed", "seed", "embed", "speed", "exceed", "proceed",
];

#[test]
fn no_function_is_named_by_a_participle() {
    let mut found = Vec::new();
    for (_, path, code) in sources() {
        for (_, name) in items(&code, "fn ") {
            let participle = name.ends_with("ed") || IRREGULAR.contains(&name);
            if participle && !name.contains('_') && !OTHERS_NAMES.contains(&name) {
                found.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
