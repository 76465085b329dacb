//! Every page in every language, without a database.

use minijinja::Value;

use axum::response::IntoResponse;

use super::super::super::render::Renderer;
use super::super::{PageError, WebPage, assets, home, link_pages, resend, sign_up};
use super::*;
use crate::domain::PortalName;
use crate::operations::WaitingCauses;
use crate::store::{Offer, Refusal, WaitingRequest};
use crate::templates::Language;
use crate::verification::tests::sample;

fn renderer() -> Renderer {
    let templates = built_in();
    Renderer {
        version: assets::version(&templates),
        templates,
    }
}

pub(super) fn waiting_requests() -> Vec<WaitingRequest> {
    let request = |portal: &str, subject: Option<&str>, at: &str| WaitingRequest {
        id: RequestId::new(),
        portal: PortalName::parse(portal).expect("a name"),
        subject: subject.map(ToOwned::to_owned),
        received_at: at.parse::<Timestamp>().expect("an instant"),
    };
    vec![
        request(
            "it",
            Some("Printer on the third floor is out of paper again"),
            "2025-03-09T14:05:00Z",
        ),
        request(
            "hr",
            Some("<script>alert(1)</script>\u{202e} \"'&"),
            "2025-03-09T15:21:00Z",
        ),
        request("gone", None, "2025-03-10T07:30:00Z"),
    ]
}

/// Offered requests: one that the quota dropped and a domain vouches for, another, and one that the person
/// discarded.
fn offers() -> Vec<Offer> {
    let mut first = true;
    waiting_requests()
        .into_iter()
        .map(|request| Offer {
            discarded: request.subject.is_none(),
            authenticated: std::mem::take(&mut first),
            request,
        })
        .collect()
}

/// The state of a refused link, whose messages are protected for as long as it is valid.
pub(super) fn refusal(
    quiet_until: Option<Timestamp>,
    valid_until: Option<Timestamp>,
    may_ask: bool,
) -> Refusal {
    Refusal {
        address: EmailAddress::parse("ann.bartholomew@corp.example").expect("an address"),
        quiet_until,
        valid_until,
        protected_until: valid_until,
        restores: valid_until.is_some(),
        may_ask,
        passed_on: Vec::new(),
    }
}

/// Every page, with a name for it.
pub(super) fn pages() -> Vec<(String, WebPage)> {
    let config = sample::config("");
    let causes = WaitingCauses::new(&config, Vec::new(), Vec::new());
    let ann = EmailAddress::parse("ann.bartholomew@corp.example").expect("an address");
    let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let held = waiting_requests();
    let released: Vec<_> = held[..2]
        .iter()
        .map(|request| (request.id, request.portal.clone()))
        .collect();
    // The configuration does not have its portal.
    let removed = [(held[2].id, held[2].portal.clone())];
    let it = PortalName::parse("it").expect("a name");
    let soon = "2026-12-24T18:00:00Z".parse::<Timestamp>().expect("a time");
    let mut pages = vec![
        ("home".to_owned(), home::page(&config, true)),
        ("home-closed".to_owned(), home::page(&config, false)),
        (
            "sign-up".to_owned(),
            sign_up::form(&config, Some("hr"), "", None),
        ),
        (
            "sign-up-fault".to_owned(),
            sign_up::form(&config, None, "\"><b>", Some("sign_up.invalid")),
        ),
        (
            "sign-up-sent".to_owned(),
            sign_up::sent_page(&config, &ann, None),
        ),
        (
            "sign-up-closed".to_owned(),
            sign_up::closed_page(&config, &ann, config.portals.first()),
        ),
        (
            "sign-up-closed-no-contact".to_owned(),
            sign_up::closed_page(&config, &ann, None),
        ),
        (
            "verify".to_owned(),
            link_pages::waiting(&config, &ann, (&held, &[]), false),
        ),
        (
            "verify-one".to_owned(),
            link_pages::waiting(&config, &ann, (&held[..1], &[]), false),
        ),
        (
            "verify-offers".to_owned(),
            link_pages::waiting(&config, &ann, (&held[..1], &offers()), false),
        ),
        (
            "verify-none".to_owned(),
            link_pages::waiting(&config, &ann, (&[], &[]), false),
        ),
        (
            "proved".to_owned(),
            link_pages::page_after_verification(&causes, &ann, &held, &released, 1),
        ),
        (
            "proved-late".to_owned(),
            link_pages::page_after_verification(&causes, &ann, &[], &released, 0),
        ),
        (
            "proved-later".to_owned(),
            link_pages::page_after_verification(&causes, &ann, &held, &removed, 0),
        ),
        (
            "proved-before".to_owned(),
            link_pages::page_if_verified_before(&config, &ann, Some(&it)),
        ),
        (
            "proved-link".to_owned(),
            link_pages::page_of_verified_link(&config, &ann, Some(&it), &[]),
        ),
        (
            "proved-refused".to_owned(),
            link_pages::page_of_verified_link(&config, &ann, Some(&it), &offers()),
        ),
        (
            "verify-taken-back".to_owned(),
            link_pages::waiting(&config, &ann, (&held, &[]), true),
        ),
        (
            "verify-taken-back-nothing".to_owned(),
            link_pages::waiting(&config, &ann, (&[], &[]), true)
                .with(minijinja::context! { restored => false }),
        ),
        (
            "verify-none-denied".to_owned(),
            link_pages::waiting(&config, &ann, (&[], &[]), false)
                .with(minijinja::context! { denied => true }),
        ),
        (
            "proved-denied".to_owned(),
            link_pages::page_after_verification(&causes, &ann, &held, &released, 1)
                .with(minijinja::context! { denied => true }),
        ),
        (
            "proved-before-denied".to_owned(),
            link_pages::page_of_verified_link(&config, &ann, Some(&it), &[])
                .with(minijinja::context! { denied => true }),
        ),
        ("not-me".to_owned(), link_pages::ask_not_me(&ann, 2)),
        ("not-me-none".to_owned(), link_pages::ask_not_me(&ann, 0)),
        (
            "refused".to_owned(),
            link_pages::refusal_page(&config, &refusal(Some(soon), Some(soon), false)),
        ),
        (
            "refused-nothing".to_owned(),
            link_pages::refusal_page(
                &config,
                &Refusal {
                    protected_until: None,
                    restores: false,
                    ..refusal(Some(soon), Some(soon), false)
                },
            ),
        ),
        (
            "refused-passed-on".to_owned(),
            link_pages::refusal_page(
                &config,
                &Refusal {
                    passed_on: held.iter().map(|request| request.portal.clone()).collect(),
                    ..refusal(Some(soon), Some(soon), false)
                },
            ),
        ),
        (
            "refused-expired".to_owned(),
            link_pages::refusal_page(&config, &refusal(Some(soon), None, true)),
        ),
        (
            "refused-before".to_owned(),
            link_pages::refusal_page(&config, &refusal(None, None, false)),
        ),
        (
            "refused-too-late".to_owned(),
            link_pages::page_if_refused_too_late(&config, &ann, Some(&it), false),
        ),
        (
            "refused-too-late-denied".to_owned(),
            link_pages::page_if_refused_too_late(&config, &ann, Some(&it), true),
        ),
        (
            "refused-too-late-no-contact".to_owned(),
            link_pages::page_if_refused_too_late(&config, &ann, None, false),
        ),
        ("expired".to_owned(), link_pages::expired_link_page(&token)),
        (
            "expired-without-token".to_owned(),
            link_pages::expired_page_without_token(),
        ),
        ("resend".to_owned(), resend::form("", None)),
        (
            "resend-fault".to_owned(),
            resend::form("x", Some("sign_up.invalid")),
        ),
        ("resend-sent".to_owned(), resend::sent_page(&config)),
        ("invalid-link".to_owned(), page_of(PageError::InvalidLink)),
        ("not-found".to_owned(), page_of(PageError::NotFound)),
    ];
    for status in [400, 401, 403, 404, 405, 408, 413, 429, 500, 502, 503] {
        let status = StatusCode::from_u16(status).expect("a status");
        pages.push((
            format!("error-{}", status.as_u16()),
            WebPage::of_status(status),
        ));
    }
    pages
}

fn page_of(fault: PageError) -> WebPage {
    let mut response = fault.into_response();
    response
        .extensions_mut()
        .remove::<WebPage>()
        .expect("a page")
}

pub(super) fn rendered(page: &WebPage, language: &Language) -> String {
    let context =
        minijinja::context! { site => "Corp Help", version => "0", ..page.context.clone() };
    renderer()
        .templates
        .render(page.template, language, &context)
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_page_is_whole_in_every_language() {
    let languages: Vec<Language> = renderer().templates.languages().cloned().collect();
    assert_eq!(languages.len(), crate::domain::BUILT_IN_LANGUAGES.len());
    for (name, page) in pages() {
        for language in &languages {
            let html = rendered(&page, language);
            let lang = language.as_str();
            assert!(html.starts_with("<!DOCTYPE html>\n"), "{name}");
            let dir = if lang == "ar" { "rtl" } else { "ltr" };
            assert!(
                html.contains(&format!("<html lang=\"{lang}\" dir=\"{dir}\">")),
                "{name}"
            );
            assert!(
                !html.contains('{') && !html.contains('}'),
                "{name} {lang}: {html}"
            );
            assert_eq!(html.matches("<h1>").count(), 1, "{name}");
            for forbidden in ["script", "style=", "javascript:", " on", "\u{202e}"] {
                let tags = html
                    .split('<')
                    .map(|part| part.split('>').next().unwrap_or_default())
                    .collect::<Vec<_>>()
                    .join("><");
                assert!(!tags.contains(forbidden), "{name}: {forbidden}");
            }
        }
    }
}

/// A page opened by a link has a form for an objection; the same page after a sign-in has none, since its URL
/// accepts no form.
#[test]
fn only_the_page_of_a_verified_link_offers_an_objection() {
    let config = sample::config("");
    let ann = EmailAddress::parse("ann@corp.example").expect("an address");
    for (page, expected) in [
        (
            link_pages::page_of_verified_link(&config, &ann, None, &[]),
            true,
        ),
        (
            link_pages::page_if_verified_before(&config, &ann, None),
            false,
        ),
    ] {
        let html = rendered(&page, &Language::default());
        assert_eq!(html.contains(r#"value="not-me""#), expected, "{html}");
    }
}

#[test]
fn an_expired_link_without_its_token_leads_to_the_form_for_the_address() {
    let page = link_pages::expired_page_without_token();
    let html = rendered(&page, &Language::default());
    assert!(html.contains("<h1>This link has expired</h1>"), "{html}");
    assert!(
        html.contains("Enter the address that you wrote from"),
        "{html}"
    );
    assert!(html.contains(r#"name="email""#), "{html}");
}

#[test]
fn the_page_of_the_link() {
    let (_, page) = pages()
        .into_iter()
        .find(|(name, _)| name == "verify")
        .expect("the page");
    let html = rendered(&page, &Language::default());
    let ids = count_of_ids(&html);
    assert_eq!(ids, 6, "a tick box and a hidden field for each of three");
    insta::assert_snapshot!(without_ids(&html));
}

/// Number of values that are ids of requests.
fn count_of_ids(html: &str) -> usize {
    html.split("value=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|value| value.parse::<RequestId>().is_ok())
        .count()
}

fn without_ids(html: &str) -> String {
    html.split('"')
        .map(|part| match part.parse::<RequestId>() {
            Ok(_) => "ID",
            Err(_) => part,
        })
        .collect::<Vec<_>>()
        .join("\"")
}

#[test]
fn a_page_keeps_what_is_added_to_it() {
    let page = WebPage::message("error.404", &[]).with(minijinja::context! {
        links => vec![minijinja::context! { to => "/", text => "action.home" }],
    });
    let links = page.context.get_attr("links").unwrap_or(Value::UNDEFINED);
    assert_eq!(links.len(), Some(1));
}
