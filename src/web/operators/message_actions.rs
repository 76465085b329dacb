//! The buttons on the page of a message, and their actions.

use axum::extract::Path;
use axum::response::Redirect;
use minijinja::{Value, context};

use super::auth::PageCall;
use super::error::Error;
use super::form_fields::{Fields, FormFields};
use super::message::{find, find_account};
use crate::access::AccessSettings;
use crate::domain::{Account, EmailAddress, PortalName, Reason, Role, Verdict};
use crate::operations::{
    CustomerAction, DenyAction, GrantAction, RequestAction, SenderChoice, act_on_customer,
    act_on_request, deny_access, grant_access, is_recoverable, needs_portal, recover,
    release_dropped,
};
use crate::store::{LedgerEntry, Request, SeenRequest, SeenState};
use crate::web::display::one_line;
use crate::web::page::portal_choices;

/// The buttons of the page: only those that can do something, for this operator.
pub(super) fn actions(
    call: &PageCall,
    entry: &LedgerEntry,
    request: Option<&Request>,
    account: Option<&Account>,
    settings: &AccessSettings,
) -> Value {
    let may = |role: Role| call.operator.role >= role;
    let applies =
        |action: RequestAction| request.is_some_and(|request| action.applies_to_request(request));
    let config = call.app.config();
    let (is_dropped, needs_portal) = (is_recoverable(entry, &config), needs_portal(entry));
    let can_return = is_dropped || needs_portal;
    let grant = GrantAction::of(entry, account).filter(|_| is_dropped || account.is_some());
    let deny = DenyAction::of(entry, account, settings);
    let domain = entry
        .sender
        .as_ref()
        .map(|sender| sender.domain().to_string());
    context! {
        any => may(Role::Agent),
        release => can_return || applies(RequestAction::Release),
        forced => can_return,
        portals => needs_portal.then(|| portal_choices(&config)),
        sender_choice => match SenderChoice::of(entry, &config) {
            SenderChoice::Required if can_return => Some("required"),
            SenderChoice::ByPortal if can_return => Some("by_portal"),
            _ => None,
        },
        recover => can_return,
        is_decided_again => is_dropped,
        retry => applies(RequestAction::Retry),
        discard => applies(RequestAction::Discard),
        person => grant.filter(|grant| may(grant.role())).map(|grant| match grant {
            GrantAction::Verify(_) => "verify",
            GrantAction::Unblock(_) => "unblock",
            GrantAction::Allow(_) => "allow",
        }),
        domain => domain.filter(|_| {
            may(Role::Admin) && entry.verdict == Verdict::Dropped && account.is_none()
                && entry.reason == Reason::DomainNotAllowed
        }),
        block => deny.filter(|deny| may(deny.role())).map(|deny| match deny {
            DenyAction::Block => "block",
            DenyAction::Deny => "deny",
        }),
        admin => grant.is_some_and(|grant| !may(grant.role())),
        sender => entry.sender.as_ref().map(ToString::to_string),
    }
}

/// Carries out the action of a button, with the operator's note for the audit, and returns to the page.
pub(super) async fn act(
    call: PageCall,
    Path(id): Path<String>,
    FormFields(form): FormFields,
) -> Result<Redirect, Error> {
    let entry = find(&call.app, &id).await?;
    let account = find_account(&call.app, &entry).await?;
    let (store, config) = (call.app.store(), call.app.config());
    let note = form
        .one("note")
        .map(one_line)
        .filter(|note| !note.is_empty());
    let by = call.operator.actor().with_note(note.as_deref());
    let require = |role: Role| {
        if call.operator.role >= role {
            Ok(())
        } else {
            Err(Error::Role(role))
        }
    };
    let action = form.one("action").unwrap_or_default();
    let done = match action {
        "release" if entry.request.is_none() => {
            let named = read_named_sender(&form)?;
            let portal = read_named_portal(&form)?;
            release_dropped(store, &config, entry.ledger, named, portal.as_ref(), by).await?;
            "released"
        }
        "release" | "discard" | "retry" => {
            let id = entry.request.ok_or(Error::NotFound("request"))?;
            let action = RequestAction::from_name(action).ok_or_else(Error::unknown_action)?;
            let state = form.read("seen", SeenState::from_name)?;
            let request = SeenRequest { id, state };
            act_on_request(store, &config, action, request, by).await?;
            action.outcome()
        }
        "recover" => {
            let portal = read_named_portal(&form)?;
            let recovered = recover(store, &config, entry.ledger, portal.as_ref(), by).await?;
            if recovered.is_request() {
                "recovered"
            } else {
                "still_dropped"
            }
        }
        "person" => {
            let grant = GrantAction::of(&entry, account.as_ref());
            require(grant.map_or(Role::Agent, GrantAction::role))?;
            grant_access(store, &config, &entry, account.as_ref(), by).await?;
            "let_in"
        }
        "block" => {
            let deny = if account.is_some() {
                DenyAction::Block
            } else {
                DenyAction::Deny
            };
            require(deny.role())?;
            deny_access(store, &entry, account.as_ref(), by).await?;
            match deny {
                DenyAction::Block => "blocked",
                DenyAction::Deny => "denied",
            }
        }
        "unblock" => {
            let account = account.ok_or(Error::NotFound("customer"))?;
            act_on_customer(store, CustomerAction::Unblock, &account, by).await?;
            "unblocked"
        }
        _ => return Err(Error::unknown_action()),
    };
    Ok(Redirect::to(&format!(
        "/messages/{}?done={done}",
        entry.ledger
    )))
}

/// The sender that an operator names for a message that has none.
pub(super) fn read_named_sender(form: &Fields) -> Result<Option<EmailAddress>, Error> {
    let named = form.one("as").map(|text| {
        EmailAddress::parse_customer(text)
            .map_err(|error| Error::NotAllowed(format!("{text:?}: {error}")))
    });
    named.transpose()
}

/// The portal that an operator names for a message that came for none.
fn read_named_portal(form: &Fields) -> Result<Option<PortalName>, Error> {
    form.read("portal", |text| PortalName::parse(text).ok())
}
