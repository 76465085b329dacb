//! The routes of the API: the operation behind each path, the role that it requires, and its summary for the
//! document.

use super::api_route::ApiRoute;
use super::problem::ProblemKind;
use super::{
    access, customers, deliveries, dropped, find, import, ledger, mail, nodes, operators, person,
    requests, stats,
};
use crate::domain::Role;
use crate::operations::{CustomerAction, RequestAction};

/// All routes. Reading requires a viewer; acting on customers, requests and dropped messages an agent;
/// changing settings an admin.
pub(super) fn routes() -> Vec<ApiRoute> {
    use Role::{Admin, Agent, Viewer};
    vec![
        ApiRoute::document("/openapi.json").with_summary("readDocument", "This document"),
        ApiRoute::get("/access", Viewer, access::show)
            .with_summary(
                "showAccess",
                "Show what is in force, and where each value comes from",
            )
            .may(&[ProblemKind::NotFound]),
        ApiRoute::get("/access/history", Viewer, access::history)
            .with_summary("listRevisions", "List the revisions, newest first"),
        ApiRoute::get("/access/diff", Viewer, access::diff)
            .with_summary(
                "compareRevisions",
                "Show what differs between two revisions",
            )
            .may(&[ProblemKind::NotFound]),
        ApiRoute::get("/access/test", Viewer, access::test).with_summary(
            "testAddress",
            "Tell what would become of ordinary mail from an address",
        ),
        ApiRoute::post("/access/simulate", Viewer, access::simulate)
            .with_summary(
                "simulateAccess",
                "Tell what a draft would have changed for the mail of the last days",
            )
            .with_description(
                "Each message is decided again with the account that its sender had when it came. Nothing \
                 is changed.",
            ),
        ApiRoute::post("/access/set", Admin, access::set)
            .with_summary("setAccess", "Change settings")
            .may(&[ProblemKind::SettingsChanged]),
        ApiRoute::post("/access/approve", Admin, access::approve)
            .with_summary("approveDomains", "Add approved domains")
            .with_description("Their senders become internal customers.")
            .may(&[ProblemKind::SettingsChanged]),
        ApiRoute::post("/access/allow", Admin, access::allow)
            .with_summary("allowDomains", "Add domains to the allow list")
            .with_description("Their senders may become external customers.")
            .may(&[ProblemKind::SettingsChanged]),
        ApiRoute::post("/access/deny", Admin, access::deny)
            .with_summary("denySenders", "Add domains and addresses to the deny list")
            .with_description("Their mail is never taken, whoever has an account. A dry run tells which accounts that stops.")
            .may(&[ProblemKind::SettingsChanged]),
        ApiRoute::post("/access/remove", Admin, access::remove)
            .with_summary("removeDomains", "Take domains and addresses off all lists")
            .may(&[ProblemKind::SettingsChanged]),
        ApiRoute::post("/access/apply", Admin, access::apply)
            .with_summary("applyAccess", "Replace all settings by those of a file")
            .with_description("The file has the form that `vestibule access export` writes.")
            .may(&[ProblemKind::SettingsChanged]),
        ApiRoute::get("/customers", Viewer, customers::list)
            .with_summary("listCustomers", "List accounts, by address"),
        ApiRoute::post("/customers", Agent, customers::create)
            .with_summary(
                "createCustomer",
                "Make an account, as far as the access settings allow it",
            )
            .with_description("The address gets a verification mail, unless the access settings let its mail pass without verification.")
            .may(&[ProblemKind::AccessSettings]),
        ApiRoute::post("/customers/import", Admin, import::import)
            .with_summary("importCustomers", "Create or update up to 1000 accounts")
            .with_description("An import takes nothing away: it lifts no block, and makes no internal account external and no verified address unverified. The same people again change nothing."),
        ApiRoute::get("/customers/{customer}", Viewer, customers::show)
            .with_summary("showCustomer", "Show one account"),
        ApiRoute::post(
            "/customers/{customer}/verify",
            Agent,
            customers::act(CustomerAction::Verify),
        )
        .with_summary("verifyCustomer", "Vouch for an address")
        .with_description("The account becomes active and its held requests are released.")
        .may(&[ProblemKind::NotPossible]),
        ApiRoute::post(
            "/customers/{customer}/block",
            Agent,
            customers::act(CustomerAction::Block),
        )
        .with_summary(
            "blockCustomer",
            "Shut an account out: its mail is dropped from now on",
        ),
        ApiRoute::post(
            "/customers/{customer}/unblock",
            Agent,
            customers::act(CustomerAction::Unblock),
        )
        .with_summary("unblockCustomer", "Let a blocked account in again"),
        ApiRoute::post(
            "/customers/{customer}/resend",
            Agent,
            customers::act(CustomerAction::Resend),
        )
        .with_summary(
            "resendVerification",
            "Send the verification mail again, within the limits",
        )
        .may(&[ProblemKind::NotPossible]),
        ApiRoute::get("/customers/{customer}/export", Admin, person::export)
            .with_summary("exportCustomer", "All data about a person, without the messages themselves")
            .with_description("For a person who asks for their data. It works for an address without an account."),
        ApiRoute::post("/customers/{customer}/forget", Admin, person::forget)
            .with_summary("forgetCustomer", "Erase a person's data; it cannot be undone")
            .with_description("An erasure that was cut off is finished by the same request.")
            .may(&[ProblemKind::NotPossible]),
        ApiRoute::get("/requests", Viewer, requests::list)
            .with_summary("listRequests", "List requests, newest first"),
        ApiRoute::post(
            "/requests/release",
            Agent,
            requests::act_on_many(RequestAction::Release),
        )
        .with_summary(
            "releaseRequests",
            "Let many go without verification of the address",
        ),
        ApiRoute::post(
            "/requests/discard",
            Agent,
            requests::act_on_many(RequestAction::Discard),
        )
        .with_summary("discardRequests", "Throw many away"),
        ApiRoute::post("/requests/retry", Agent, requests::retry_many)
            .with_summary("retryRequests", "Try to deliver many again, at once"),
        ApiRoute::get("/requests/{request}", Viewer, requests::show)
            .with_summary("showRequest", "Show one request"),
        ApiRoute::get("/requests/{request}/raw", Viewer, requests::raw)
            .with_summary("readRequest", "The message as it came"),
        ApiRoute::post(
            "/requests/{request}/release",
            Agent,
            requests::act(RequestAction::Release),
        )
        .with_summary("releaseRequest", "Let it go without verification of the address")
        .may(&[ProblemKind::NotPossible]),
        ApiRoute::post(
            "/requests/{request}/discard",
            Agent,
            requests::act(RequestAction::Discard),
        )
        .with_summary("discardRequest", "Discard a held, released or failed request")
        .may(&[ProblemKind::NotPossible]),
        ApiRoute::post(
            "/requests/{request}/retry",
            Agent,
            requests::act(RequestAction::Retry),
        )
        .with_summary("retryRequest", "Try to deliver it again, at once")
        .may(&[ProblemKind::NotPossible]),
        ApiRoute::get("/dropped", Viewer, dropped::list)
            .with_summary("listDropped", "List dropped messages, newest first"),
        ApiRoute::get("/dropped/domains", Viewer, dropped::domains)
            .with_summary(
                "rankDropped",
                "Rank the domains that the access settings kept out",
            )
            .with_description("Each with the nearest one that may."),
        ApiRoute::post("/dropped/recover", Agent, dropped::recover_many)
            .with_summary("recoverMany", "Decide many again by the settings of now, or release them")
            .with_description("With `force`, the entries named are released as they are."),
        ApiRoute::post("/dropped/{ledger}/recover", Agent, dropped::recover)
            .with_summary("recoverOne", "Decide one again by the settings of now, or release it")
            .with_description("With `force`, it is released as it is, whatever the reason.")
            .may(&[ProblemKind::NotPossible]),
        ApiRoute::get("/ledger", Viewer, ledger::list)
            .with_summary("listLedger", "List what was taken, newest first, with why"),
        ApiRoute::get("/ledger/{ledger}", Viewer, ledger::show).with_summary(
            "explainEntry",
            "Tell why, rule by rule, and all that happened since",
        ),
        ApiRoute::get("/ledger/{ledger}/raw", Viewer, ledger::raw)
            .with_summary("readEntry", "The message as it came"),
        ApiRoute::get("/find", Viewer, find::find)
            .with_summary("find", "Find messages by address, name, subject, domain or id")
            .with_description(
                "A message can be found a second after it came. Newest first; in the order in which they came.",
            ),
        ApiRoute::get("/explain", Viewer, ledger::explain).with_summary(
            "explain",
            "The same for a ledger id, a Message-ID or an address",
        ),
        ApiRoute::get("/deliveries", Viewer, deliveries::list).with_summary(
            "listDeliveries",
            "List destinations and what waits for each",
        ),
        ApiRoute::post(
            "/deliveries/{destination}/pause",
            Admin,
            deliveries::pause(true),
        )
        .with_summary("pauseDelivery", "Deliver nothing for now; requests wait"),
        ApiRoute::post(
            "/deliveries/{destination}/resume",
            Admin,
            deliveries::pause(false),
        )
        .with_summary("resumeDelivery", "Go on with a paused destination"),
        ApiRoute::post("/deliveries/{destination}/retry", Admin, deliveries::retry)
            .with_summary(
                "retryDelivery",
                "Try at once all that waits for a destination, and all that failed",
            )
            .with_description("A destination that is down is tried at once, too."),
        ApiRoute::get(
            "/deliveries/{destination}/failed",
            Viewer,
            deliveries::list_failed_calls,
        )
        .with_summary("listFailedCalls", "List calls of a hook that failed for good"),
        ApiRoute::get("/mail", Viewer, mail::list)
            .with_summary("listWaitingMail", "List verification mail that waits to be sent"),
        ApiRoute::get("/operators", Admin, operators::list)
            .with_summary("listOperators", "List who may use the pages and the API"),
        ApiRoute::get("/operators/{operator}/tokens", Admin, operators::tokens)
            .with_summary("listTokens", "List the valid tokens of an operator, without their secrets"),
        ApiRoute::post("/operators/{operator}/revoke", Admin, operators::revoke)
            .with_summary("revokeOperator", "End all sessions and tokens of an operator"),
        ApiRoute::post(
            "/operators/{operator}/tokens/{token}/end",
            Admin,
            operators::end,
        )
        .with_summary("endToken", "End one token or session of an operator"),
        ApiRoute::post("/operators/{operator}/remove", Admin, operators::remove)
            .with_summary("removeOperator", "Remove an operator, with all sessions and tokens"),
        ApiRoute::get("/nodes", Viewer, nodes::list).with_summary(
            "listNodes",
            "List the nodes that share the store, and how they differ",
        ),
        ApiRoute::get("/stats", Viewer, stats::show)
            .with_summary("countMessages", "Count messages and requests"),
        ApiRoute::get("/audit", Viewer, stats::audit)
            .with_summary("listAudit", "List what operators did, newest first"),
    ]
}

/// Every route with its method, for a comparison with the pages and the command line.
#[cfg(test)]
pub(in crate::web) fn route_names() -> Vec<String> {
    let routes = routes().into_iter();
    routes
        .map(|route| format!("{} {}", route.method, route.path))
        .collect()
}
