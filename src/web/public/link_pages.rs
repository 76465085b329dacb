//! Pages that a link opens: the waiting requests, the outcome of a verification, and refusals.

use std::collections::BTreeSet;

use minijinja::{Value, context};

use super::super::display::one_line;
use super::sso::is_offered;
use super::{WebPage, resend};
use crate::config::{Config, Portal};
use crate::domain::{EmailAddress, PortalName, RequestId, Timestamp, Token};
use crate::operations::WaitingCauses;
use crate::store::{Offer, Refusal, WaitingRequest};

/// The page of an open link. `taken_back`: the refusal was withdrawn just now.
pub(super) fn waiting(
    config: &Config,
    address: &EmailAddress,
    (requests, offers): (&[WaitingRequest], &[Offer]),
    taken_back: bool,
) -> WebPage {
    let requests: Vec<Value> = requests
        .iter()
        .map(|request| describe(config, request))
        .collect();
    let (discarded, offers): (Vec<&Offer>, Vec<&Offer>) =
        offers.iter().partition(|offer| offer.discarded);
    WebPage::new(
        "verify.html",
        context! {
            address => address.to_string(),
            requests => requests,
            offers => choices(config, offers),
            discarded => choices(config, discarded),
            taken_back => taken_back,
            sso => is_offered(config, address),
        },
    )
}

/// Offers with their tick boxes.
fn choices<'a>(config: &Config, offers: impl IntoIterator<Item = &'a Offer>) -> Vec<Value> {
    let shown = offers.into_iter().map(|offer| {
        context! {
            ticked => offer.authenticated,
            ..describe(config, &offer.request)
        }
    });
    shown.collect()
}

/// Released requests, described as far as they are among `known`: those that are delivered now, and those that wait,
/// for example because their destination is paused.
pub(super) fn list_released(
    causes: &WaitingCauses<'_>,
    known: &[WaitingRequest],
    released: &[(RequestId, PortalName)],
) -> Value {
    let (now, later): (Vec<_>, Vec<_>) = released
        .iter()
        .partition(|(_, portal)| causes.of_portal(portal).is_none());
    let config = causes.config();
    let describe_all = |requests: Vec<&(RequestId, PortalName)>| -> Vec<Value> {
        let shown = requests.into_iter().map(|(id, portal)| {
            known.iter().find(|request| request.id == *id).map_or_else(
                || context! { portal => title(config, portal), subject => "", received_at => "" },
                |request| describe(config, request),
            )
        });
        shown.collect()
    };
    context! { released => describe_all(now), later => describe_all(later) }
}

pub(super) fn page_after_verification(
    causes: &WaitingCauses<'_>,
    address: &EmailAddress,
    held: &[WaitingRequest],
    released: &[(RequestId, PortalName)],
    discarded: usize,
) -> WebPage {
    let portals: BTreeSet<_> = released.iter().map(|(_, portal)| portal).collect();
    verified_page(
        causes.config(),
        address,
        context! {
            now => true,
            discarded => discarded,
            ..list_released(causes, held, released)
        },
        portals.into_iter(),
    )
}

pub(super) fn page_if_verified_before(
    config: &Config,
    address: &EmailAddress,
    portal: Option<&PortalName>,
) -> WebPage {
    verified_page(
        config,
        address,
        context! {
            now => false,
            released => Vec::<Value>::new(),
            later => Vec::<Value>::new(),
            discarded => 0,
        },
        portal.into_iter(),
    )
}

/// The page of a link whose address was verified before: the holder of the link may object to the verification, and
/// may release what they refused before an operator verified the address.
pub(super) fn page_of_verified_link(
    config: &Config,
    address: &EmailAddress,
    portal: Option<&PortalName>,
    refused: &[Offer],
) -> WebPage {
    page_if_verified_before(config, address, portal).with(context! {
        may_object => true,
        refused => choices(config, refused),
    })
}

/// The page of a verified address, with links to the portals concerned, or to the only one there is.
fn verified_page<'a>(
    config: &Config,
    address: &EmailAddress,
    what: Value,
    portals: impl Iterator<Item = &'a PortalName>,
) -> WebPage {
    let mut concerned: Vec<&Portal> = portals.filter_map(|name| config.portal(name)).collect();
    if let ([], [only]) = (concerned.as_slice(), config.portals.as_slice()) {
        concerned.push(only);
    }
    let onward: Vec<Value> = concerned
        .iter()
        .filter_map(|portal| {
            let url = portal.url.as_deref()?;
            Some(context! { title => portal.title.as_str(), url => url })
        })
        .collect();
    WebPage::new("proved.html", what).with(context! {
        address => address.to_string(),
        onward => onward,
    })
}

/// The page that asks to confirm "This was not me", with the number of waiting messages.
pub(super) fn ask_not_me(address: &EmailAddress, waiting: usize) -> WebPage {
    WebPage::new(
        "not_me.html",
        context! { address => address.to_string(), waiting => waiting },
    )
}

/// The page of a recorded refusal: when it ends, how to withdraw it, and where mail was passed on nevertheless.
pub(super) fn refusal_page(config: &Config, refusal: &Refusal) -> WebPage {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    let passed_on = refusal.passed_on.iter().map(|name| {
        context! {
            title => title(config, name),
            contact => config.contact(config.portal(name)).unwrap_or_default(),
        }
    });
    WebPage::new(
        "refused.html",
        context! {
            address => refusal.address.to_string(),
            quiet_until => time(refusal.quiet_until),
            valid_until => time(refusal.valid_until),
            protected_until => time(refusal.protected_until),
            restores => refusal.restores,
            may_ask => refusal.may_ask,
            passed_on => passed_on.collect::<Vec<Value>>(),
        },
    )
}

/// The same without the form that withdraws the refusal, which only the page of the link itself can send.
pub(super) fn refusal_page_without_token(config: &Config, refusal: Refusal) -> WebPage {
    let refusal = Refusal {
        valid_until: None,
        ..refusal
    };
    refusal_page(config, &refusal)
}

/// The page for a refusal that came too late: the address stays verified. Names the contact of the portal concerned
/// or of the only one, else that of the site. `denied`: a deny list matches the address.
pub(super) fn page_if_refused_too_late(
    config: &Config,
    address: &EmailAddress,
    portal: Option<&PortalName>,
    denied: bool,
) -> WebPage {
    let portal = match (portal, config.portals.as_slice()) {
        (Some(name), _) => config.portal(name),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let contact = config.contact(portal);
    let whom = match contact {
        Some(_) => "refused.too_late_contact",
        None => "refused.too_late_nobody",
    };
    let lead = if denied {
        "refused.too_late_denied"
    } else {
        "refused.too_late"
    };
    WebPage::message("refused.title", &[lead, whom]).with(context! {
        address => address.to_string(),
        contact => contact.unwrap_or_default(),
    })
}

pub(super) fn expired_link_page(token: &Token) -> WebPage {
    WebPage::new("expired.html", context! { token => token.reveal() })
}

/// The same where the token is not known: the form asks for the address.
pub(super) fn expired_page_without_token() -> WebPage {
    resend::form("", None).with(context! { title => "expired.title" })
}

fn describe(config: &Config, request: &WaitingRequest) -> Value {
    context! {
        id => request.id.to_string(),
        portal => title(config, &request.portal),
        subject => one_line(request.subject.as_deref().unwrap_or_default()),
        received_at => request.received_at.to_string(),
    }
}

/// Display name of a portal; its plain name if it is not configured any more.
fn title(config: &Config, name: &PortalName) -> String {
    config
        .portal(name)
        .map_or_else(|| name.to_string(), |portal| portal.title.clone())
}
