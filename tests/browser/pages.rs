//! Every page, with the path to it. The table is compared with the routes of the two listeners, so that no page is
//! missing.

use std::collections::BTreeSet;

use vestibule::web;

use crate::browser::Browser;
use crate::help_desk::{HelpDesk, PASSWORD};

/// The listener of a page, and its audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Public,
    /// Without a login.
    Door,
    Admin,
    Viewer,
}

/// Action on the opened page that leads to the desired one.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Fill(&'static str, &'static str),
    Press(&'static str),
}

use Side::{Admin, Door, Public, Viewer};
use Step::{Fill, Press};

#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub side: Side,
    /// Name of its picture.
    pub name: &'static str,
    /// The pattern of the route; `None` for pages that no route answers.
    pub route: Option<&'static str>,
    /// Names in braces are places of the [`HelpDesk`].
    pub path: &'static str,
    pub steps: &'static [Step],
    /// Text that is on this page only.
    pub says: &'static str,
}

const fn page(
    side: Side,
    name: &'static str,
    route: &'static str,
    path: &'static str,
    says: &'static str,
) -> Page {
    Page {
        side,
        name,
        route: Some(route),
        path,
        steps: &[],
        says,
    }
}

impl Page {
    const fn after(self, steps: &'static [Step]) -> Self {
        Self { steps, ..self }
    }

    /// True if its URL names no existing object.
    pub fn is_a_list(&self) -> bool {
        self.steps.is_empty() && self.path.split('?').next() == self.route
    }

    const fn nowhere(self) -> Self {
        Self {
            route: None,
            ..self
        }
    }
}

const VERIFY: &str = "/verify/{token}";

/// In the order of visits: pages that change something come late.
pub const PAGES: &[Page] = &[
    page(Public, "home", "/", "/", "it-help@corp.example"),
    page(Public, "signup", "/signup", "/signup", "Press Office"),
    page(
        Public,
        "signup-refused",
        "/signup",
        "/signup",
        "elsewhere.example",
    )
    .after(&[
        Fill("#email", "kim@elsewhere.example"),
        Press("main button"),
    ]),
    page(
        Public,
        "signup-sent",
        "/signup",
        "/signup",
        "new.person@corp.example",
    )
    .after(&[
        Fill("#email", "new.person@corp.example"),
        Press("main button"),
    ]),
    page(
        Public,
        "verify",
        VERIFY,
        "{open}",
        "VPN drops every ten minutes",
    ),
    page(
        Public,
        "verify-done-before",
        VERIFY,
        "{proved}",
        "already confirmed",
    ),
    page(Public, "verify-expired", VERIFY, "{expired}", "expired"),
    page(Public, "verify-unknown", VERIFY, "/verify/x", "not valid"),
    page(Public, "resend", "/resend", "/resend", "Email address"),
    page(Public, "resend-sent", "/resend", "/resend", "If ").after(&[
        Fill("#email", "anna.miller@corp.example"),
        Press("main button"),
    ]),
    page(Public, "not-found", "/", "/nothing", "Page not found").nowhere(),
    page(
        Public,
        "verify-was-not-you",
        VERIFY,
        "{other}",
        "Was this not you?",
    )
    .after(&[Press("button[value=ask-not-me]")]),
    page(
        Public,
        "verify-not-me",
        VERIFY,
        "{other}",
        "Nothing was passed on",
    )
    .after(&[
        Press("button[value=ask-not-me]"),
        Press("button[value=not-me]"),
    ]),
    page(
        Public,
        "verify-done",
        VERIFY,
        "{open}",
        "Your address is confirmed.",
    )
    .after(&[Press("button[value=confirm]")]),
    page(Door, "login", "/login", "/login", "Password"),
    page(
        Door,
        "login-refused",
        "/login",
        "/login",
        "The name or the password is wrong.",
    )
    .after(&[
        Fill("#name", "olga"),
        Fill("#password", "x"),
        Press("main button"),
    ]),
    page(Admin, "overview", "/", "/", "Messages by verdict"),
    page(
        Admin,
        "find",
        "/find",
        "/find?q=invoice",
        "Invoice portal, again",
    ),
    page(
        Admin,
        "find-none",
        "/find",
        "/find?q=unheard-of",
        "No customer and no message matches.",
    ),
    page(Admin, "access", "/access", "/access", "Approved domains"),
    page(
        Admin,
        "access-portal",
        "/access",
        "/access?portal=it",
        "Same as the site",
    ),
    page(
        Admin,
        "access-preview",
        "/access",
        "/access",
        "Settings that change",
    )
    .after(&[
        Fill(
            "[name='external.allowed_domains']",
            "acme.com\nacme.co\npartner.example",
        ),
        Press("#preview"),
    ]),
    page(
        Admin,
        "access-refused",
        "/access",
        "/access",
        "public suffix",
    )
    .after(&[
        Fill("[name='internal.approved_domains']", "co.uk"),
        Press("#preview"),
    ]),
    page(
        Admin,
        "customers",
        "/customers",
        "/customers",
        "Add a customer",
    ),
    page(
        Admin,
        "customers-none",
        "/customers",
        "/customers?search=zz",
        "No customer matches.",
    ),
    page(
        Admin,
        "customer",
        "/customers/{id}",
        "/customers/{pending}",
        "Verify by hand",
    ),
    page(
        Admin,
        "customer-active",
        "/customers/{id}",
        "/customers/{active}",
        "Block",
    ),
    page(
        Admin,
        "requests",
        "/requests",
        "/requests",
        "A released request is delivered",
    ),
    page(
        Admin,
        "requests-confirm",
        "/requests",
        "/requests",
        "Nothing has been changed yet",
    )
    .after(&[
        Press("input[aria-label^='Login for the archive']"),
        Press("input[aria-label^='Printer on the third floor']"),
        Press("button[value=release]"),
    ]),
    page(
        Admin,
        "messages",
        "/messages",
        "/messages",
        "Every received message",
    ),
    page(
        Admin,
        "message",
        "/messages/{id}",
        "/messages/{html}",
        "Download the original message",
    ),
    page(
        Admin,
        "message-held",
        "/messages/{id}",
        "/messages/{held}",
        "I need it for the audit",
    ),
    page(
        Admin,
        "message-dropped",
        "/messages/{id}",
        "/messages/{dropped}",
        "Decide again",
    ),
    page(Admin, "dropped", "/dropped", "/dropped", "acme.co"),
    page(
        Admin,
        "dropped-allow",
        "/dropped/allow",
        "/dropped/allow?domain=acme.co",
        "Adds acme.co to the allow list",
    ),
    page(
        Admin,
        "deliveries",
        "/deliveries",
        "/deliveries",
        "hr-system",
    ),
    page(
        Admin,
        "hook",
        "/hooks/{name}",
        "/hooks/directory",
        "HTTP 410",
    ),
    page(Admin, "audit", "/audit", "/audit", "Operator added"),
    page(
        Admin,
        "customers-import",
        "/customers/import",
        "/customers/import",
        "Nothing has been changed yet",
    )
    .after(&[
        Fill(
            "#people",
            "address,groups\nnew@corp.example,staff\nnot an address,\n",
        ),
        Press("button[value=check]"),
    ]),
    page(
        Admin,
        "access-test",
        "/access/test",
        "/access/test?address=bob@acme.co",
        "Nothing is changed",
    ),
    page(Admin, "nodes", "/nodes", "/nodes", "operator log"),
    page(Admin, "mail", "/mail", "/mail", "ernst.vogel@corp.example"),
    page(
        Admin,
        "operators",
        "/operators",
        "/operators",
        "Add an operator",
    ),
    page(Admin, "account", "/account", "/account", "Create a token"),
    page(
        Admin,
        "no-such-message",
        "/messages/{id}",
        "/messages/x",
        "no such message",
    ),
    page(Viewer, "viewer-overview", "/", "/", "vera, viewer"),
    page(
        Viewer,
        "viewer-access",
        "/access",
        "/access",
        "Only admins can change the settings",
    ),
    page(
        Viewer,
        "viewer-requests",
        "/requests",
        "/requests",
        "Connection refused",
    ),
];

/// Routes that answer no page. The HTML of a message is a frame on the message's page.
const NO_PAGES: &[&str] = &[
    // The link as mail programs change it: the same page.
    "/VERIFY/{token}",
    "/verify/{token}/",
    "/message/{token}",
    "/assets/{name}",
    "/healthz",
    "/readyz",
    "/access/export",
    "/audit.csv",
    "/customers.csv",
    "/customers/{id}/export",
    "/dropped.csv",
    "/find.csv",
    "/hooks/{name}/failed.csv",
    "/mail.csv",
    "/messages.csv",
    "/requests.csv",
    // The help desk of these tests has no OpenID provider: tests/system/sso covers its routes.
    "/login/sso",
    "/login/sso/callback",
    "/sso/callback",
    "/messages/{id}/attachments/{place}",
    "/messages/{id}/html",
    "/messages/{id}/raw",
];

impl HelpDesk {
    pub fn address(&self, page: &Page) -> String {
        let server = match page.side {
            Public => self.harness.http,
            Door | Admin | Viewer => self.harness.admin,
        };
        format!("http://{server}{}", self.place(page.path))
    }
}

impl Browser {
    /// Opens a page as its audience, and checks that it is the right one.
    pub async fn visit(&self, help_desk: &HelpDesk, page: &Page) {
        self.go(help_desk, page).await;
        self.see(page.says).await;
    }

    /// Opens a page in whatever language it is.
    pub async fn go(&self, help_desk: &HelpDesk, page: &Page) {
        let name = match page.side {
            Public | Door => None,
            Admin => Some("olga"),
            Viewer => Some("vera"),
        };
        if let Some(name) = name {
            self.log_in(help_desk, name).await;
        }
        self.open(&help_desk.address(page)).await;
        for step in page.steps {
            match step {
                Fill(field, text) => self.fill(field, text).await,
                Press(button) => self.press(button).await,
            }
        }
    }

    /// Logs in, unless this operator is logged in.
    async fn log_in(&self, help_desk: &HelpDesk, name: &str) {
        let home = format!("http://{}/", help_desk.harness.admin);
        self.open(&home).await;
        if self.text().await.contains(&format!("{name}, ")) {
            return;
        }
        if self.place().await.path() != "/login" {
            self.press(".leave button").await;
        }
        self.fill("#name", name).await;
        self.fill("#password", PASSWORD).await;
        self.press("main button").await;
        self.see(&format!("{name}, ")).await;
    }
}

#[test]
fn every_page_of_the_routers_is_in_the_table() {
    let known = |public: bool| -> BTreeSet<&str> {
        PAGES
            .iter()
            .filter(|page| (page.side == Public) == public)
            .filter_map(|page| page.route)
            .collect()
    };
    for (routes, known) in [
        (web::public_paths(), known(true)),
        (web::operators_paths(), known(false)),
    ] {
        let shown: BTreeSet<&str> = routes
            .into_iter()
            .filter(|path| !NO_PAGES.contains(path))
            .collect();
        assert_eq!(shown, known, "the table of pages and the routes differ");
    }
    let names: BTreeSet<_> = PAGES.iter().map(|page| page.name).collect();
    assert_eq!(names.len(), PAGES.len(), "each has a name of its own");
}
