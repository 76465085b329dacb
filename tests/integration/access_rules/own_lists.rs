//! Tests of messages that came through a mailing list, whose address is in From.

use super::{Case, patterns, usable};
use vestibule::mail::{AuthenticationResult, ListAuthor};

#[test]
fn after_a_list_of_the_portal_the_author_is_the_sender() {
    let mut case = Case::new();
    case.facts.sender = usable("it@groups.example");
    case.facts.author_behind_list = Some(ListAuthor {
        list: "it.groups.example".to_owned(),
        author: usable("ann@corp.example"),
        field: "X-Original-From".to_owned(),
    });
    case.settings.internal.approved_domains = patterns(&["corp.example"]);
    assert_eq!(
        case.decide().rule,
        17,
        "a foreign list is who it says it is"
    );
    case.circumstances.own_list = Some("hr.groups.example".to_owned());
    assert_eq!(case.decide().rule, 17, "From is another list's");
    case.circumstances.own_list = Some("it.groups.example".to_owned());
    assert_eq!(case.decide().rule, 10, "nobody vouches for the author");
    case.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    assert_eq!(case.decide().rule, 14);
    case.settings.denied = patterns(&["groups.example"]);
    assert_eq!(case.decide().rule, 14, "the list is not the sender");
    case.settings.denied = patterns(&["ann@corp.example"]);
    assert_eq!(case.decide().rule, 5);
}

#[test]
fn a_list_of_the_portal_that_names_no_author_is_no_sender() {
    let mut case = Case::new();
    case.facts.sender = usable("it@groups.example");
    case.facts.from_is_list = true;
    assert_eq!(
        case.decide().rule,
        17,
        "a foreign list is who it says it is"
    );
    case.circumstances.own_list = Some("it.groups.example".to_owned());
    assert_eq!(case.decide().rule, 4);
    case.facts.from_is_list = false;
    assert_eq!(case.decide().rule, 17, "From is not rewritten");
}
