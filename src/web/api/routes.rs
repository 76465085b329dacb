//! The routes of the API: the operation behind each path, the role that it requires, and its summary for the
//! document.

use axum::http::Method;

use super::api_route::ApiRoute;
use super::problem::ProblemKind;
use super::{
    access, customers, deliveries, dropped, find, import, ledger, mail, nodes, operators, person,
    requests, stats,
};
use crate::access::Key;
use crate::domain::Role;
use crate::operations::{CustomerAction, RequestAction};

/// A table of routes. A row has the method, the path, the least role, the handler, the id of the operation,
/// optionally a problem that not every route returns, a summary, and optionally a description.
macro_rules! routes {
    ($($method:ident $path:literal, $role:ident, $handler:expr, $id:literal $(, may $kind:ident)?,
        $summary:literal $(, $description:literal)?;)+) => {
        vec![
            ApiRoute::document("/openapi.json").with_summary("readDocument", "This document"),
            $(ApiRoute::new(Method::$method, $path, $role, $handler)
                .with_summary($id, $summary)
                $(.with_description($description))?
                $(.may(ProblemKind::$kind))?,)+
        ]
    };
}

/// All routes. Reading requires a viewer; acting on customers, requests and dropped messages an agent;
/// changing settings an admin.
pub(super) fn routes() -> Vec<ApiRoute> {
    use Role::{Admin, Agent, Viewer};
    routes! {
        GET "/access", Viewer, access::show, "showAccess", may NotFound,
            "Show the current settings and the source of each value";
        GET "/access/history", Viewer, access::history, "listRevisions",
            "List the revisions, newest first";
        GET "/access/diff", Viewer, access::diff, "compareRevisions", may NotFound,
            "Compare two revisions";
        GET "/access/test", Viewer, access::test, "testAddress",
            "Show the verdict on ordinary mail from an address";
        POST "/access/simulate", Viewer, access::simulate, "simulateAccess",
            "Simulate a draft against the mail of the last days",
            "Each message is decided again with the account that its sender had when it arrived. \
             Nothing is changed.";
        POST "/access/set", Admin, access::set, "setAccess", may SettingsChanged, "Change settings";
        POST "/access/approve", Admin, access::add(Key::InternalApprovedDomains),
            "approveDomains", may SettingsChanged,
            "Add approved domains",
            "Their senders become internal customers.";
        POST "/access/allow", Admin, access::add(Key::ExternalAllowedDomains),
            "allowDomains", may SettingsChanged,
            "Add domains to the allow list",
            "Their senders may become external customers.";
        POST "/access/deny", Admin, access::add(Key::Denied), "denySenders", may SettingsChanged,
            "Add domains and addresses to the deny list",
            "Their mail is never accepted, even if they have an account. A dry run lists the \
             accounts that this stops.";
        POST "/access/remove", Admin, access::remove, "removeDomains", may SettingsChanged,
            "Remove domains and addresses from all lists";
        POST "/access/apply", Admin, access::apply, "applyAccess", may SettingsChanged,
            "Replace all settings with those of a file",
            "The file has the form that `vestibule access export` writes.";
        GET "/customers", Viewer, customers::list, "listCustomers", "List accounts, by address";
        POST "/customers", Agent, customers::create, "createCustomer", may AccessSettings,
            "Create an account, if the access settings allow it",
            "The address gets a verification mail, unless the access settings let its mail pass \
             without verification.";
        POST "/customers/import", Admin, import::import, "importCustomers",
            "Create or update up to 1000 accounts",
            "An import removes nothing: it does not unblock an account, make an internal account \
             external or reset a verification. Importing the same people again changes nothing.";
        GET "/customers/{customer}", Viewer, customers::show, "showCustomer", "Show one account";
        POST "/customers/{customer}/verify", Agent, customers::act(CustomerAction::Verify),
            "verifyCustomer", may NotPossible,
            "Vouch for an address",
            "The account becomes active and its held requests are released.";
        POST "/customers/{customer}/block", Agent, customers::act(CustomerAction::Block),
            "blockCustomer",
            "Block an account: its mail is dropped from now on";
        POST "/customers/{customer}/unblock", Agent, customers::act(CustomerAction::Unblock),
            "unblockCustomer",
            "Unblock an account";
        POST "/customers/{customer}/take-automatic", Agent,
            customers::act(CustomerAction::TakeAutomatic),
            "takeAutomaticMail",
            "Accept automatic mail of an account",
            "Automatic mail of the account is accepted as if a person wrote it, while the account is \
             active. Delivery reports and mail loops are dropped all the same.";
        POST "/customers/{customer}/drop-automatic", Agent,
            customers::act(CustomerAction::DropAutomatic),
            "dropAutomaticMail",
            "Drop automatic mail of an account again, except at portals that accept it";
        POST "/customers/{customer}/resend", Agent, customers::act(CustomerAction::Resend),
            "resendVerification", may NotPossible,
            "Send the verification mail again, within the limits";
        GET "/customers/{customer}/export", Admin, person::export, "exportCustomer",
            "Export all data about a person, without the messages themselves",
            "For a person who requests their data. Also works for an address without an account.";
        POST "/customers/{customer}/forget", Admin, person::forget, "forgetCustomer",
            may NotPossible,
            "Erase a person's data permanently",
            "To complete an interrupted erasure, repeat the request until it answers 404.";
        GET "/requests", Viewer, requests::list, "listRequests", "List requests, newest first";
        POST "/requests/release", Agent, requests::act_on_many(RequestAction::Release),
            "releaseRequests",
            "Release several requests without verification of their senders' addresses";
        POST "/requests/discard", Agent, requests::act_on_many(RequestAction::Discard),
            "discardRequests",
            "Discard several requests";
        POST "/requests/retry", Agent, requests::retry_many, "retryRequests",
            "Retry the delivery of several requests immediately";
        GET "/requests/{request}", Viewer, requests::show, "showRequest", "Show one request";
        GET "/requests/{request}/raw", Viewer, requests::raw, "readRequest",
            "Download the raw message of a request";
        POST "/requests/{request}/release", Agent, requests::act(RequestAction::Release),
            "releaseRequest", may NotPossible,
            "Release a request without verification of the address";
        POST "/requests/{request}/discard", Agent, requests::act(RequestAction::Discard),
            "discardRequest", may NotPossible,
            "Discard a held, released or failed request";
        POST "/requests/{request}/retry", Agent, requests::act(RequestAction::Retry),
            "retryRequest", may NotPossible,
            "Retry the delivery of a request immediately";
        GET "/dropped", Viewer, dropped::list, "listDropped", "List dropped messages, newest first";
        GET "/dropped/domains", Viewer, dropped::domains, "rankDropped",
            "Rank the domains that the access settings kept out",
            "Each with the most similar domain that is allowed.";
        POST "/dropped/recover", Agent, dropped::recover_many, "recoverMany",
            "Decide several messages again under the current settings, or release them",
            "With `force`, the named entries are released whatever the reason.";
        POST "/dropped/{ledger}/recover", Agent, dropped::recover, "recoverOne", may NotPossible,
            "Decide a message again under the current settings, or release it",
            "With `force`, it is released whatever the reason.";
        GET "/ledger", Viewer, ledger::list, "listLedger",
            "List all received messages with their verdicts and reasons, newest first";
        GET "/ledger/{ledger}", Viewer, ledger::show, "explainEntry",
            "Explain the verdict rule by rule, and list all later events";
        GET "/ledger/{ledger}/raw", Viewer, ledger::raw, "readEntry",
            "Download the raw message of a ledger entry";
        GET "/find", Viewer, find::find, "find",
            "Find messages and customers by address, name, subject, domain or id",
            "A message can be found one second after it arrived. Messages are sorted by the time of \
             arrival, newest first.";
        GET "/explain", Viewer, ledger::explain, "explain",
            "Explain messages by ledger id, Message-ID or address";
        GET "/deliveries", Viewer, deliveries::list, "listDeliveries",
            "List destinations and their queues";
        POST "/deliveries/{destination}/pause", Admin, deliveries::pause(true), "pauseDelivery",
            "Pause a destination; its requests wait";
        POST "/deliveries/{destination}/resume", Admin, deliveries::pause(false), "resumeDelivery",
            "Resume a paused destination";
        POST "/deliveries/{destination}/retry", Admin, deliveries::retry, "retryDelivery",
            "Retry everything that waits or has failed for a destination, immediately",
            "This includes a destination that is down.";
        GET "/deliveries/{destination}/failed", Viewer, deliveries::list_failed_calls,
            "listFailedCalls",
            "List calls of a hook that failed for good";
        GET "/mail", Viewer, mail::list, "listWaitingMail",
            "List verification mail that waits to be sent, or was given up";
        GET "/operators", Admin, operators::list, "listOperators",
            "List operators";
        GET "/operators/{operator}/tokens", Admin, operators::tokens, "listTokens",
            "List the valid tokens of an operator, without their secrets";
        POST "/operators/{operator}/revoke", Admin, operators::revoke, "revokeOperator",
            "End all sessions and tokens of an operator";
        POST "/operators/{operator}/tokens/{token}/end", Admin, operators::end, "endToken",
            "End one token or session of an operator";
        POST "/operators/{operator}/remove", Admin, operators::remove, "removeOperator",
            "Remove an operator, with all sessions and tokens";
        GET "/nodes", Viewer, nodes::list, "listNodes",
            "List the nodes that share the store, and how they differ";
        GET "/stats", Viewer, stats::show, "countMessages", "Count messages and requests";
        GET "/audit", Viewer, stats::audit, "listAudit", "List operators' actions (the audit log), newest first";
    }
}

/// Every route with its method, for a comparison with the pages and the command line.
#[cfg(test)]
pub(in crate::web) fn route_names() -> Vec<String> {
    let routes = routes().into_iter();
    routes
        .map(|route| format!("{} {}", route.method, route.path))
        .collect()
}
