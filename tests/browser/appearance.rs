//! Appearance of every page, on the screen of a phone, a tablet and a desktop and on a large one, light and dark:
//! no violation that axe-core finds, nothing that extends beyond the edge of the window, and no value in a card
//! without the name of its column.
//!
//! With `SCREENSHOTS=FOLDER` the pictures of the docs are stored there, and with
//! `SCREENSHOTS_OF_ALL_LOOKS=FOLDER` a picture of every page in every look.

use std::fs;
use std::path::{Path, PathBuf};

use vestibule::domain::BUILT_IN_LANGUAGES;

use crate::axe::{self, Asked};
use crate::browser::{Browser, Setup};
use crate::help_desk::HelpDesk;
use crate::pages::{PAGES, Side};
use crate::support::client::Smtp;
use crate::support::harness::wait_for;

/// Widths of the screens of a desktop and a phone, whose pictures are in the docs.
const WIDE: u32 = 1280;
const NARROW: u32 = 390;
/// A tablet held upright, and a large screen.
const TABLET: u32 = 820;
const LARGE: u32 = 1920;

/// Looks of a page: width, colour scheme, the rules of axe-core, and the runs that apply them. Layout is
/// checked in every look of every run.
const LOOKS: &[(u32, &str, Asked, Runs)] = &[
    (NARROW, "light", Asked::Everything, Runs::All),
    (NARROW, "dark", Asked::Colours, Runs::Long),
    (TABLET, "dark", Asked::Colours, Runs::Long),
    (TABLET, "light", Asked::Everything, Runs::Long),
    (LARGE, "light", Asked::Everything, Runs::Long),
    (LARGE, "dark", Asked::Colours, Runs::Long),
    (WIDE, "dark", Asked::Everything, Runs::All),
    // Last, so that the next page opens on a desktop's screen.
    (WIDE, "light", Asked::Colours, Runs::Long),
];

/// Test runs in which axe-core checks a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Runs {
    All,
    /// With `VESTIBULE_LONG`.
    Long,
}

impl Runs {
    fn include_this_one(self) -> bool {
        self == Self::All || std::env::var_os("VESTIBULE_LONG").is_some()
    }
}

/// Pages whose dark picture is stored, too.
const DARK: &[&str] = &["verify", "overview", "message"];

/// Pages whose German picture is stored, too.
const GERMAN: &[&str] = &["verify", "verify-done"];

#[tokio::test]
async fn every_page_is_accessible_and_fits_its_window() {
    let help_desk = HelpDesk::open();
    let browser = Browser::start(Setup::default()).await;
    browser.run_first(&axe::source()).await;
    let mut wrong = Vec::new();
    for page in PAGES.iter().filter(|page| is_asked_for(page.name)) {
        browser.visit(&help_desk, page).await;
        wrong.extend(looked_at(&browser, page.name).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn the_public_pages_pass_all_checks_in_german() {
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
        wrong.extend(looked_at(&browser, &name).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Pages that are checked in every language: together they have all kinds of elements.
const IN_EVERY_LANGUAGE: &[&str] = &["home", "signup", "resend", "verify", "not-found"];

/// axe-core finds nothing, nothing extends beyond the edge, and Arabic is mirrored: elements are on the side
/// opposite to that of other languages. With `SCREENSHOTS_OF_LANGUAGES=FOLDER` pictures of the link's page and the
/// mail are stored there, as `verify-TAG.png` and `mail-TAG.png`.
#[tokio::test]
async fn the_public_pages_pass_all_checks_in_every_language() {
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
            wrong.extend(beyond.iter().map(|line| format!("{name}: {line}")));
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

/// The mail is in the language, has readable colours, and is mirrored for Arabic.
#[tokio::test]
async fn the_mail_passes_all_checks_in_every_language() {
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
        wrong.extend(beyond.iter().map(|line| format!("mail in {tag}: {line}")));
        keep(&browser, "SCREENSHOTS_OF_LANGUAGES", &format!("mail-{tag}")).await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Both checks find violations.
#[tokio::test]
async fn the_checks_detect_a_bad_page() {
    let browser = Browser::start(Setup::default()).await;
    browser.run_first(&axe::source()).await;
    let bad = "<!DOCTYPE html><title>Bad</title><p style='color:%23aaa'>Pale<img src='x'><input>\
               <p style='width:2000px'>Wide<div style='overflow:auto;width:99px'><b>Unbreakableasitis\
               </b></div><style>td{display:block}</style><table class='cards'><thead><tr><th>Sender\
               <tbody><tr><td data-label='Wrong'>ann</table>";
    browser.open(&format!("data:text/html,{bad}")).await;
    let wrong = looked_at(&browser, "bad").await;
    for fault in [
        "1280 dark: color-contrast",
        "390 light: color-contrast",
        "390 light: image-alt",
        "1280 dark: label",
        "390 light: <p style=\"width:2000px\">Wide",
        "1920 dark: <p style=\"width:2000px\">Wide",
        "820 light: <div style=\"overflow:auto",
        "390 light: <td data-label=\"Wrong",
    ] {
        assert!(
            wrong.iter().any(|line| line.contains(fault)),
            "{fault}: {wrong:?}"
        );
    }
}

/// True if the page is to be checked. With `PAGES=NAME,NAME` only those pages are, for work on them.
fn is_asked_for(name: &str) -> bool {
    std::env::var("PAGES").map_or(true, |names| names.split(',').any(|own| own == name))
}

/// Violations on the page in all looks.
async fn looked_at(browser: &Browser, name: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for &(width, scheme, asked, runs) in LOOKS {
        browser.dress(width, scheme).await;
        let mut found = if runs.include_this_one() {
            axe::violations(browser, asked).await
        } else {
            Vec::new()
        };
        found.extend(beyond_the_edge(browser).await);
        found.extend(unlabelled(browser).await);
        let place = format!("{name} {width} {scheme}");
        wrong.extend(found.iter().map(|line| format!("{place}: {line}")));
        if let Some(folder) = std::env::var_os("SCREENSHOTS") {
            keep_picture(browser, Path::new(&folder), name, width, scheme).await;
        }
        if let Some(folder) = std::env::var_os("SCREENSHOTS_OF_ALL_LOOKS") {
            let path = Path::new(&folder).join(format!("{name}-{width}-{scheme}.png"));
            fs::write(path, browser.picture().await).expect("a picture");
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
        assert!(text.contains(&*name), "docs/screens/{name} is not used");
    }
}

/// Elements that reach beyond the edge of the window to either side, and those that would have to be scrolled
/// sideways. Text for screen readers only has no size, and the text of a mail may be as wide as its sender wrote
/// it.
async fn beyond_the_edge(browser: &Browser) -> Vec<String> {
    let script = "
        const width = document.documentElement.clientWidth;
        const outside = box => box.width > 1 && (box.right > width + 0.5 || box.left < -0.5);
        const scrolls = element => element.scrollWidth > element.clientWidth
            && ['auto', 'scroll'].includes(getComputedStyle(element).overflowX);
        return [...document.body.querySelectorAll('*')]
            .filter(element => !element.closest('pre'))
            .filter(element => element.checkVisibility() && element.tagName !== 'OPTION')
            .filter(element => outside(element.getBoundingClientRect()) || scrolls(element))
            .slice(0, 3)
            .map(element => element.outerHTML.slice(0, 200));";
    let found = browser.run(script).await;
    let elements = found.as_array().expect("a list").iter();
    elements
        .map(|element| {
            let element = element.as_str().unwrap_or_default();
            format!("{element} reaches beyond the edge")
        })
        .collect()
}

/// Values in the cards of a table that do not stand under the name of their column.
async fn unlabelled(browser: &Browser) -> Vec<String> {
    let script = "
        return [...document.querySelectorAll('table')].flatMap(table => {
            const names = [...table.querySelectorAll('thead th')].map(name => name.textContent.trim());
            const cells = [...table.querySelectorAll('tbody td')];
            return cells
                .filter(cell => getComputedStyle(cell).display === 'block')
                .filter(cell => getComputedStyle(cell, '::before').content
                    !== JSON.stringify(names[cell.cellIndex]))
                .slice(0, 3)
                .map(cell => cell.outerHTML.slice(0, 200));
        });";
    let found = browser.run(script).await;
    let cells = found.as_array().expect("a list").iter();
    cells
        .map(|cell| format!("{} has no name", cell.as_str().unwrap_or_default()))
        .collect()
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
        ("light", NARROW) => format!("{name}-{width}.png"),
        (_, WIDE) => format!("{name}-{scheme}.png"),
        _ => return,
    };
    fs::create_dir_all(folder).expect("a folder");
    let path: PathBuf = folder.join(name);
    fs::write(&path, browser.picture().await).expect("a picture");
}
