//! Statements of the pages of a link: each is true of the messages that the page is about.

use super::super::link_pages;
use super::pages::{pages, refusal, rendered, waiting_requests};
use super::*;
use crate::domain::{DestinationName, LanguagePriority, PortalName};
use crate::operations::WaitingCauses;
use crate::store::{DownDestination, Refusal, WaitingRequest};
use crate::templates::Language;

/// The question names the number of messages, in the plural form of the language, and mentions no messages if none
/// is waiting.
#[test]
fn the_question_counts_the_messages() {
    let ann = EmailAddress::parse("ann@corp.example").expect("an address");
    let templates = built_in();
    for (tag, waiting, expected) in [
        ("en", 1, "One waiting message will be discarded."),
        ("en", 2, "2 waiting messages will be discarded."),
        ("cs", 3, "3 čekající zprávy budou vyřazeny."),
        ("pl", 5, "5 oczekujących wiadomości zostanie odrzuconych."),
        ("ar", 2, "ستُستبعد رسالتان منتظرتان."),
    ] {
        let language = templates.choose(&LanguagePriority::parse(tag));
        let html = rendered(
            &link_pages::ask_not_me(&ann, waiting),
            &language.unwrap_or_default(),
        );
        assert!(html.contains(expected), "{html}");
    }
    let html = rendered(&link_pages::ask_not_me(&ann, 0), &Language::default());
    assert!(!html.contains("waiting message"), "{html}");
}

#[test]
fn a_request_for_a_removed_portal_is_not_said_to_be_passed_on_now() {
    let config = sample::config("");
    let causes = WaitingCauses::new(&config, Vec::new(), Vec::new());
    let ann = EmailAddress::parse("ann@corp.example").expect("an address");
    let held = waiting_requests();
    let of = |request: &WaitingRequest| (request.id, request.portal.clone());
    let (here, removed) = (of(&held[0]), of(&held[2]));
    for (released, is_now, is_later) in [
        (vec![here.clone()], true, false),
        (vec![removed.clone()], false, true),
        (vec![here, removed], true, true),
    ] {
        let page = link_pages::page_after_verification(&causes, &ann, &held, &released, 0);
        let html = rendered(&page, &Language::default());
        let now = html.contains("This message is being passed on now");
        let later = html.contains("To be passed on later");
        assert_eq!((now, later), (is_now, is_later), "{html}");
    }
}

#[test]
fn a_request_that_waits_for_its_destination_is_not_said_to_be_passed_on_now() {
    let config = sample::config("");
    let ann = EmailAddress::parse("ann@corp.example").expect("an address");
    let held = waiting_requests();
    let released = [(held[0].id, held[0].portal.clone())];
    let name = DestinationName::parse("helpdesk").expect("a name");
    let down = |is_requested| DownDestination {
        name: name.clone(),
        since: Timestamp::now(),
        next_try_at: Timestamp::now(),
        last_error: "503".to_owned(),
        is_requested,
    };
    for (paused, down, is_now) in [
        (vec![], vec![], true),
        (vec![name.clone()], vec![], false),
        (vec![], vec![down(false)], false),
        (vec![], vec![down(true)], false),
    ] {
        let causes = WaitingCauses::new(&config, paused, down);
        let page = link_pages::page_after_verification(&causes, &ann, &held, &released, 0);
        let html = rendered(&page, &Language::default());
        let now = html.contains("This message is being passed on now");
        let later = html.contains("To be passed on later");
        assert_eq!((now, later), (is_now, !is_now), "{html}");
    }
}

/// The page of a refusal claims nothing that other mail of the address contradicts: mail that was passed on, and
/// messages that nobody protects.
#[test]
fn the_page_of_a_refusal_says_what_happened() {
    let portal = |name: &str| PortalName::parse(name).expect("a name");
    let soon = "2026-12-24T18:00:00Z".parse::<Timestamp>().expect("a time");
    let refused = refusal(Some(soon), Some(soon), false);
    let config = sample::config("");
    let page = |refusal: &Refusal| {
        let page = link_pages::refusal_page(&config, refusal);
        rendered(&page, &Language::default())
    };
    let plain = page(&refused);
    assert!(plain.contains("Nothing was passed on"), "{plain}");
    assert!(plain.contains("nobody can pass on"), "{plain}");
    let passed_on = page(&Refusal {
        passed_on: vec![portal("it"), portal("gone")],
        ..refused.clone()
    });
    assert!(!passed_on.contains("Nothing was passed on"), "{passed_on}");
    assert!(
        passed_on.contains("What was waiting has been discarded."),
        "{passed_on}"
    );
    assert!(passed_on.contains("passed on to gone."), "{passed_on}");
    assert_eq!(
        passed_on.matches("If it was not you who wrote it").count(),
        2,
        "{passed_on}"
    );
    let nothing = page(&Refusal {
        protected_until: None,
        restores: false,
        ..refused
    });
    assert!(!nothing.contains("nobody can pass on"), "{nothing}");
    let again = "wait for you again";
    assert!(plain.contains(again), "{plain}");
    assert!(
        nothing.contains("you can undo it until") && !nothing.contains(again),
        "{nothing}"
    );
}

/// Sentences about later mail are left out if a deny list matches the address.
#[test]
fn pages_promise_nothing_to_a_denied_address() {
    let english = Language::default();
    let pages = pages();
    let find = |name: &str| {
        let (_, page) = pages.iter().find(|(found, _)| found == name).expect(name);
        rendered(page, &english)
    };
    for (name, denied, promise) in [
        ("proved", "proved-denied", "no longer waits"),
        ("proved-link", "proved-before-denied", "All is well"),
        ("verify-none", "verify-none-denied", "you can write to us"),
        (
            "refused-too-late",
            "refused-too-late-denied",
            "mail from it is passed on",
        ),
    ] {
        let (page, denied) = (find(name), find(denied));
        assert!(page.contains(promise), "{name}: {page}");
        assert!(!denied.contains(promise), "{name}: {denied}");
    }
}
