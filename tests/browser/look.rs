//! Appearance of every page: no violation that axe-core finds, light and dark, wide and narrow, and nothing
//! that extends beyond the edge of the window.
//!
//! With `SCREENSHOTS=FOLDER` pictures of each page are stored there.

use std::fs;
use std::path::{Path, PathBuf};

use vestibule::domain::BUILT_IN_LANGUAGES;

use crate::axe::{self, Asked};
use crate::browser::{Browser, Setup};
use crate::client::Smtp;
use crate::harness::wait_for;
use crate::help_desk::HelpDesk;
use crate::pages::{PAGES, Side};

/// Widths of a desktop's screen and a phone's.
const WIDE: u32 = 1280;
const NARROW: u32 = 390;

/// Checks of a page at each width and colour scheme. An ordinary run applies axe-core only to the first two,
/// which cover both widths and both schemes; a long run to all.
const LOOKS: &[(u32, &str, Asked)] = &[
    (WIDE, "dark", Asked::Colours),
    (NARROW, "light", Asked::Everything),
    (NARROW, "dark", Asked::Colours),
    (WIDE, "light", Asked::Everything),
];

/// Number of looks that axe-core checks.
fn asked_of_axe() -> usize {
    if std::env::var_os("VESTIBULE_LONG").is_some() {
        LOOKS.len()
    } else {
        2
    }
}

/// Pages whose dark picture is stored, too.
const DARK: &[&str] = &["verify", "overview", "message"];

/// Pages whose German picture is stored, too.
const GERMAN: &[&str] = &["verify", "verify-done"];

#[tokio::test]
async fn every_page_is_open_to_all_and_keeps_within_its_window() {
    let help_desk = HelpDesk::open();
    let browser = Browser::start(Setup::default()).await;
    browser.run_first(&axe::source()).await;
    let mut wrong = Vec::new();
    for page in PAGES {
        browser.visit(&help_desk, page).await;
        wrong.extend(looked_at(&browser, page.name, asked_of_axe()).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_public_pages_are_as_good_in_german() {
    let help_desk = HelpDesk::open();
    let german = Setup {
        languages: "de-DE,de",
        ..Setup::default()
    };
    let browser = Browser::start(german).await;
    browser.run_first(&axe::source()).await;
    let mut wrong = Vec::new();
    for page in PAGES.iter().filter(|page| page.side == Side::Public) {
        browser.go(&help_desk, page).await;
        assert_eq!(
            browser.run("return document.documentElement.lang").await,
            "de"
        );
        let name = format!("{}-de", page.name);
        wrong.extend(looked_at(&browser, &name, asked_of_axe()).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Pages that are checked in every language: together they have all kinds of elements.
const IN_EVERY_LANGUAGE: &[&str] = &["home", "signup", "resend", "verify", "not-found"];

/// axe-core finds nothing, nothing extends beyond the edge, and Arabic is mirrored: elements at one side in
/// other languages are at the other. With `SCREENSHOTS_OF_LANGUAGES=FOLDER` pictures of the link's page and
/// the mail are stored there, as `verify-TAG.png` and `mail-TAG.png`.
#[tokio::test]
async fn the_public_pages_are_as_good_in_every_language() {
    let help_desk = HelpDesk::open();
    let browser = Browser::start(Setup::default()).await;
    browser.run_first(&axe::source()).await;
    let mut wrong = Vec::new();
    for tag in BUILT_IN_LANGUAGES {
        for page in PAGES
            .iter()
            .filter(|page| IN_EVERY_LANGUAGE.contains(&page.name))
        {
            browser.go(&help_desk, page).await;
            let place = browser.place().await;
            browser.open(&format!("{place}?lang={tag}")).await;
            let seen = browser
                .run("return [document.documentElement.lang, getComputedStyle(document.body).direction]")
                .await;
            let direction = if tag == "ar" { "rtl" } else { "ltr" };
            assert_eq!(seen, serde_json::json!([tag, direction]), "{}", page.name);
            browser.dress(NARROW, "light").await;
            let name = format!("{} in {tag}", page.name);
            let found = axe::violations(&browser, Asked::Everything).await;
            wrong.extend(found.iter().map(|line| format!("{name}: {line}")));
            let beyond = beyond_the_edge(&browser).await;
            wrong.extend(beyond.map(|what| format!("{name}: {what} reaches beyond the edge")));
            if page.name == "verify" {
                let side = "
                    const box = document.querySelector('input[type=checkbox]').getBoundingClientRect();
                    return box.left < document.documentElement.clientWidth / 2;";
                assert_eq!(browser.run(side).await, tag != "ar", "{tag}");
                keep(
                    &browser,
                    "SCREENSHOTS_OF_LANGUAGES",
                    &format!("verify-{tag}"),
                )
                .await;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same for the mail: it is in the language, has readable colours, and is mirrored for Arabic.
#[tokio::test]
async fn the_mail_is_as_good_in_every_language() {
    let help_desk = HelpDesk::open();
    let folder = tempfile::tempdir().expect("a folder");
    let browser = Browser::start(Setup::default()).await;
    browser.run_first(&axe::source()).await;
    let mut wrong = Vec::new();
    for tag in BUILT_IN_LANGUAGES {
        let from = format!("reader-{tag}@corp.example").to_lowercase();
        let raw = format!(
            "From: {from}\r\nTo: it-help@corp.example\r\nSubject: {tag}\r\n\
             Message-ID: <{from}>\r\nContent-Language: {tag}\r\n\r\nHello.\r\n"
        );
        let reply = Smtp::connect(help_desk.harness.smtp)
            .and_then(|mut client| client.send(&from, "it-help@corp.example", raw.as_bytes()))
            .expect("an answer");
        assert!(reply.starts_with("250"), "{reply}");
        let verification_mail = wait_for(&format!("a mail to {from}"), || {
            let mut verification_mails = help_desk.harness.verification_mails().into_iter();
            verification_mails
                .find(|verification_mail| verification_mail.contains(&format!("To: {from}\r\n")))
        });
        let parsed = mail_parser::MessageParser::default();
        let parsed = parsed.parse(verification_mail.as_bytes()).expect("a mail");
        let file = folder.path().join(format!("{tag}.html"));
        let html = parsed.body_html(0).expect("an HTML part");
        fs::write(&file, html.as_bytes()).expect("a file");
        browser.dress(WIDE / 2, "light").await;
        browser.open(&format!("file://{}", file.display())).await;
        let seen = browser
            .run(
                "return [document.documentElement.lang, getComputedStyle(document.body).direction]",
            )
            .await;
        let direction = if tag == "ar" { "rtl" } else { "ltr" };
        assert_eq!(seen, serde_json::json!([tag, direction]));
        let found = axe::violations(&browser, Asked::Colours).await;
        wrong.extend(found.iter().map(|line| format!("mail in {tag}: {line}")));
        let beyond = beyond_the_edge(&browser).await;
        wrong.extend(beyond.map(|what| format!("mail in {tag}: {what} reaches beyond the edge")));
        keep(&browser, "SCREENSHOTS_OF_LANGUAGES", &format!("mail-{tag}")).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Both checks do find violations.
#[tokio::test]
async fn a_bad_page_is_found_out() {
    let browser = Browser::start(Setup::default()).await;
    browser.run_first(&axe::source()).await;
    let bad = "<!DOCTYPE html><title>Bad</title><p style='color:%23aaa'>Pale<img src='x'><input>\
               <p style='width:2000px'>Wide";
    browser.open(&format!("data:text/html,{bad}")).await;
    let wrong = looked_at(&browser, "bad", LOOKS.len()).await;
    for fault in [
        "1280 light: color-contrast",
        "390 dark: color-contrast",
        "390 light: image-alt",
        "1280 light: label",
        "390: <p style=\"width:2000px\">Wide",
    ] {
        assert!(
            wrong.iter().any(|line| line.contains(fault)),
            "{fault}: {wrong:?}"
        );
    }
}

/// Violations on the page in all looks.
async fn looked_at(browser: &Browser, name: &str, asked_of_axe: usize) -> Vec<String> {
    let mut wrong = Vec::new();
    for (place, &(width, scheme, asked)) in LOOKS.iter().enumerate() {
        browser.dress(width, scheme).await;
        let found = if place < asked_of_axe {
            axe::violations(browser, asked).await
        } else {
            Vec::new()
        };
        wrong.extend(
            found
                .iter()
                .map(|line| format!("{name} {width} {scheme}: {line}")),
        );
        if scheme == "light" {
            let beyond = beyond_the_edge(browser).await;
            wrong.extend(
                beyond.map(|what| format!("{name} {width}: {what} reaches beyond the edge")),
            );
        }
        if let Some(folder) = std::env::var_os("SCREENSHOTS") {
            keep_picture(browser, Path::new(&folder), name, width, scheme).await;
        }
    }
    wrong
}

/// Stores a picture of the page in the folder of an environment variable, if it is set.
async fn keep(browser: &Browser, folder: &str, name: &str) {
    if let Some(folder) = std::env::var_os(folder) {
        let path = Path::new(&folder).join(format!("{name}.png"));
        fs::write(&path, browser.picture().await).expect("a picture");
    }
}

/// The docs show the current look of every page, on a desktop's screen and on a phone.
#[test]
fn the_docs_have_pictures_of_every_page() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let text = fs::read_to_string(docs.join("pages.md")).expect("docs/pages.md");
    for page in PAGES {
        for picture in [
            format!("screens/{}.png", page.name),
            format!("screens/{}-{NARROW}.png", page.name),
        ] {
            assert!(text.contains(&picture), "docs/pages.md shows no {picture}");
            assert!(
                docs.join(&picture).exists(),
                "docs/{picture}: run just screens"
            );
        }
    }
    let kept = fs::read_dir(docs.join("screens")).expect("docs/screens");
    for entry in kept {
        let name = entry.expect("an entry").file_name();
        let name = name.to_string_lossy();
        assert!(
            text.contains(&*name),
            "docs/screens/{name} is shown nowhere"
        );
    }
}

/// The first element that causes horizontal scrolling, unless it is in a region that scrolls by itself.
async fn beyond_the_edge(browser: &Browser) -> Option<String> {
    let script = "
        const width = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= width) return null;
        const beyond = [...document.body.querySelectorAll('*')].find(element =>
            element.getBoundingClientRect().right > width && !element.closest('.scroll'));
        return beyond ? beyond.outerHTML.slice(0, 200) : 'something';";
    browser.run(script).await.as_str().map(str::to_owned)
}

async fn keep_picture(browser: &Browser, folder: &Path, name: &str, width: u32, scheme: &str) {
    let kept = match name.strip_suffix("-de") {
        Some(page) => scheme == "light" && GERMAN.contains(&page),
        None if scheme == "dark" => DARK.contains(&name),
        None => PAGES.iter().any(|page| page.name == name),
    };
    let name = match (scheme, width) {
        _ if !kept => return,
        ("light", WIDE) => format!("{name}.png"),
        ("light", _) => format!("{name}-{width}.png"),
        (_, WIDE) => format!("{name}-{scheme}.png"),
        _ => return,
    };
    fs::create_dir_all(folder).expect("a folder");
    let path: PathBuf = folder.join(name);
    fs::write(&path, browser.picture().await).expect("a picture");
}
