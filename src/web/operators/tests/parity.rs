//! Parity of the three interfaces: operators can do the same on the pages, through the API and at the command
//! line, or the table says why not.

use std::collections::BTreeSet;

use crate::cli::command_paths;
use crate::web::api;
use crate::web::operators::routes;

/// A leaked token must not be turned into an operator, a password or another token.
const MAKES_NONE: &str = "- a leaked token must not make further credentials";

/// Each operation; then the page, the route of the API and the command that do it, or `-` and the reason
/// why there is none.
const TABLE: &[[&str; 4]] = &[
    ["see the figures", "GET /", "GET /stats", "stats"],
    ["search", "GET /find", "GET /find", "find"],
    ["save what is found", "GET /find.csv", "GET /find", "find"],
    [
        "see the settings",
        "GET /access",
        "GET /access",
        "access show",
    ],
    [
        "see the revisions",
        "GET /access",
        "GET /access/history",
        "access history",
    ],
    [
        "compare revisions",
        "- the page lists what each revision changed",
        "GET /access/diff",
        "access diff",
    ],
    [
        "try an address",
        "GET /access/test",
        "GET /access/test",
        "access test",
    ],
    [
        "simulate a draft",
        "POST /access",
        "POST /access/simulate",
        "access simulate",
    ],
    [
        "change settings",
        "POST /access",
        "POST /access/set",
        "access set",
    ],
    [
        "approve domains",
        "POST /access",
        "POST /access/approve",
        "access approve",
    ],
    [
        "allow domains",
        "POST /dropped/allow",
        "POST /access/allow",
        "access allow",
    ],
    [
        "preview allowing",
        "GET /dropped/allow",
        "POST /access/allow",
        "access allow",
    ],
    [
        "deny senders",
        "POST /messages/{id}",
        "POST /access/deny",
        "access deny",
    ],
    [
        "remove patterns",
        "POST /access",
        "POST /access/remove",
        "access remove",
    ],
    [
        "save the settings",
        "GET /access/export",
        "GET /access",
        "access export",
    ],
    [
        "apply a file",
        "POST /access",
        "POST /access/apply",
        "access apply",
    ],
    [
        "list customers",
        "GET /customers",
        "GET /customers",
        "customers list",
    ],
    [
        "list customers as CSV",
        "GET /customers.csv",
        "GET /customers",
        "customers list",
    ],
    [
        "show a customer",
        "GET /customers/{id}",
        "GET /customers/{customer}",
        "customers show",
    ],
    [
        "add a customer",
        "POST /customers",
        "POST /customers",
        "customers add",
    ],
    [
        "import people",
        "POST /customers/import",
        "POST /customers/import",
        "customers import",
    ],
    [
        "see the form of an import",
        "GET /customers/import",
        "- the document describes it",
        "customers import",
    ],
    [
        "verify",
        "POST /customers/{id}",
        "POST /customers/{customer}/verify",
        "customers verify",
    ],
    [
        "block",
        "POST /customers/{id}",
        "POST /customers/{customer}/block",
        "customers block",
    ],
    [
        "unblock",
        "POST /customers/{id}",
        "POST /customers/{customer}/unblock",
        "customers unblock",
    ],
    [
        "accept automatic mail of a customer",
        "POST /customers/{id}",
        "POST /customers/{customer}/take-automatic",
        "customers take-automatic",
    ],
    [
        "drop automatic mail of a customer",
        "POST /customers/{id}",
        "POST /customers/{customer}/drop-automatic",
        "customers drop-automatic",
    ],
    [
        "resend the link",
        "POST /customers/{id}",
        "POST /customers/{customer}/resend",
        "customers resend",
    ],
    [
        "export a person",
        "GET /customers/{id}/export",
        "GET /customers/{customer}/export",
        "customers export",
    ],
    [
        "forget a person",
        "POST /customers/{id}/forget",
        "POST /customers/{customer}/forget",
        "customers forget",
    ],
    [
        "list requests",
        "GET /requests",
        "GET /requests",
        "requests list",
    ],
    [
        "list requests as CSV",
        "GET /requests.csv",
        "GET /requests",
        "requests list",
    ],
    [
        "show a request",
        "GET /messages/{id}",
        "GET /requests/{request}",
        "requests show",
    ],
    [
        "save a request",
        "GET /messages/{id}/raw",
        "GET /requests/{request}/raw",
        "requests raw",
    ],
    [
        "release one",
        "POST /messages/{id}",
        "POST /requests/{request}/release",
        "requests release",
    ],
    [
        "discard one",
        "POST /messages/{id}",
        "POST /requests/{request}/discard",
        "requests discard",
    ],
    [
        "retry one",
        "POST /messages/{id}",
        "POST /requests/{request}/retry",
        "requests retry",
    ],
    [
        "release many",
        "POST /requests",
        "POST /requests/release",
        "requests release",
    ],
    [
        "discard many",
        "POST /requests",
        "POST /requests/discard",
        "requests discard",
    ],
    [
        "retry many",
        "POST /requests",
        "POST /requests/retry",
        "requests retry",
    ],
    ["list messages", "GET /messages", "GET /ledger", "tail"],
    [
        "list messages as CSV",
        "GET /messages.csv",
        "GET /ledger",
        "tail",
    ],
    [
        "explain a message",
        "GET /messages/{id}",
        "GET /ledger/{ledger}",
        "explain",
    ],
    [
        "find what to explain",
        "GET /messages",
        "GET /explain",
        "explain",
    ],
    [
        "read its HTML",
        "GET /messages/{id}/html",
        "GET /ledger/{ledger}/raw",
        "dropped raw",
    ],
    [
        "save an attachment",
        "GET /messages/{id}/attachments/{place}",
        "GET /ledger/{ledger}/raw",
        "dropped raw",
    ],
    [
        "list dropped",
        "GET /dropped",
        "GET /dropped",
        "dropped list",
    ],
    [
        "list dropped as CSV",
        "GET /dropped.csv",
        "GET /dropped",
        "dropped list",
    ],
    [
        "rank domains",
        "GET /dropped",
        "GET /dropped/domains",
        "dropped domains",
    ],
    [
        "recover one",
        "POST /messages/{id}",
        "POST /dropped/{ledger}/recover",
        "dropped recover",
    ],
    [
        "recover many",
        "POST /dropped",
        "POST /dropped/recover",
        "dropped recover",
    ],
    [
        "list destinations",
        "GET /deliveries",
        "GET /deliveries",
        "deliveries list",
    ],
    [
        "pause",
        "POST /deliveries",
        "POST /deliveries/{destination}/pause",
        "deliveries pause",
    ],
    [
        "resume",
        "POST /deliveries",
        "POST /deliveries/{destination}/resume",
        "deliveries resume",
    ],
    [
        "try all now",
        "POST /deliveries",
        "POST /deliveries/{destination}/retry",
        "deliveries retry",
    ],
    [
        "see failed calls",
        "GET /hooks/{name}",
        "GET /deliveries/{destination}/failed",
        "deliveries failed",
    ],
    ["list nodes", "GET /nodes", "GET /nodes", "nodes list"],
    [
        "save failed calls",
        "GET /hooks/{name}/failed.csv",
        "GET /deliveries/{destination}/failed",
        "deliveries failed",
    ],
    [
        "see waiting mail",
        "GET /mail",
        "GET /mail",
        "customers mail",
    ],
    [
        "save waiting mail",
        "GET /mail.csv",
        "GET /mail",
        "customers mail",
    ],
    ["read the audit", "GET /audit", "GET /audit", "audit"],
    ["save the audit", "GET /audit.csv", "GET /audit", "audit"],
    [
        "list operators",
        "GET /operators",
        "GET /operators",
        "operators list",
    ],
    [
        "add an operator",
        "POST /operators",
        MAKES_NONE,
        "operators add",
    ],
    [
        "remove an operator",
        "POST /operators",
        "POST /operators/{operator}/remove",
        "operators remove",
    ],
    [
        "set a password",
        "POST /operators",
        MAKES_NONE,
        "operators password",
    ],
    [
        "end all keys",
        "POST /operators",
        "POST /operators/{operator}/revoke",
        "operators revoke",
    ],
    [
        "list tokens",
        "GET /account",
        "GET /operators/{operator}/tokens",
        "operators tokens",
    ],
    [
        "end a token",
        "POST /account",
        "POST /operators/{operator}/tokens/{token}/end",
        "operators revoke",
    ],
    [
        "add a second factor",
        "POST /account/second-factor",
        "- people make credentials",
        "- an authenticator is scanned",
    ],
    [
        "reset a second factor",
        "POST /operators",
        "- people make credentials",
        "operators reset-totp",
    ],
    [
        "make a token",
        "POST /account",
        MAKES_NONE,
        "operators token",
    ],
];

/// Routes and commands that are not about mail and people: logging in, assets, and the machine.
const OTHERS: &[&str] = &[
    "GET /assets/{name}",
    "GET /login",
    "POST /login",
    "POST /login/code",
    "GET /login/sso",
    "GET /login/sso/callback",
    "POST /logout",
    "GET /openapi.json",
];

/// Commands for the administrator of the machine.
const OF_THE_MACHINE: &[&str] = &[
    "backup",
    "check",
    "compact",
    "completions",
    "demo",
    "doctor",
    "init",
    "man",
    "migrate",
    "replay",
    "serve",
    "templates check",
    "templates export",
    "templates list",
    "transfer",
];

#[test]
fn pages_api_and_command_line_can_do_the_same() {
    let pages: Vec<_> = routes()
        .into_iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    for (column, there) in [(1, pages), (2, api::route_names()), (3, command_paths())] {
        let named: BTreeSet<&str> = TABLE.iter().map(|row| row[column]).collect();
        for name in &named {
            let is_there = there.iter().any(|own| own == name);
            assert!(is_there || name.starts_with("- "), "there is no {name}");
        }
        let missing: Vec<_> = there
            .iter()
            .map(String::as_str)
            .filter(|own| {
                !named.contains(own) && !OTHERS.contains(own) && !OF_THE_MACHINE.contains(own)
            })
            .collect();
        assert!(missing.is_empty(), "the table lacks {missing:?}");
    }
}

/// Routes in the tables of `docs/api.md`, as `METHOD /path`, with `{}` for each parameter.
fn documented_routes() -> BTreeSet<String> {
    let page = include_str!("../../../../docs/api.md");
    let mut routes = BTreeSet::new();
    let mut method = "";
    for line in page.lines() {
        let first = line.split('|').nth(1).unwrap_or_default();
        let spans = first.split('`').skip(1).step_by(2);
        let mut folder = String::new();
        for span in spans {
            if span == "GET" || span == "POST" {
                method = span;
                continue;
            }
            let path = span.split('?').next().unwrap_or_default();
            let path = path.replacen('…', &folder, 1);
            if path.starts_with('/') {
                folder = path.rsplit_once('/').unwrap_or_default().0.to_owned();
                routes.insert(format!("{method} {}", without_names(&path)));
            }
        }
    }
    routes
}

/// A path with `{}` for each parameter, whatever its name.
fn without_names(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        part if part.starts_with('{') => "{}",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[test]
fn the_page_about_the_api_has_every_route_and_no_other() {
    let routes: BTreeSet<String> = api::route_names()
        .iter()
        .filter(|route| !OTHERS.contains(&route.as_str()))
        .map(|route| without_names(route))
        .collect();
    assert_eq!(documented_routes(), routes);
}
