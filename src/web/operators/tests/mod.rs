//! The operators' pages against a real database: authentication, and the effect of each page.

mod access;
mod accounts;
mod auth;
mod automatic_mail;
mod filters;
pub(in crate::web) mod late_forms;
mod lists;
mod messages;
mod own_addresses;
mod pages;
mod parity;
mod quiet_time;
mod recent_sign_in;
mod requests;
mod second_factor;
mod sso;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, COOKIE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use jiff::SignedDuration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use url::form_urlencoded;

use super::auth::COOKIE_NAME;
use super::{Operators, operators};
use crate::config::Config;
use crate::domain::{
    Actor, Interface, OperatorName, Password, Recipient, RecipientRole, RequestState, Role,
    Timestamp, Token,
};
use crate::mail::Facts;
use crate::store::{
    Arrival, ArrivalOutcome, ArrivalPart, KeyKind, NameReuse, OperatorKey, ReplyAnswer,
    RequestFilter, Store, TokenTerms,
};
use crate::templates::built_in;
use crate::verification::tests::sample;
use crate::web::{api_router, scim_router};

const PASSWORD: &str = "correct horse battery";

/// A site with a real database and no listener: the pages, and the API beside them.
pub(in crate::web) struct Harness {
    router: Router,
    pub store: Store,
    pub config: Arc<Config>,
    _config: watch::Sender<Arc<Config>>,
    _folder: TempDir,
}

/// A complete answer.
pub(in crate::web) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// Sends a request to a router and reads the complete answer.
pub(in crate::web) async fn asked(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await;
    let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

/// Sends all requests before it awaits any answer, so that no rate limit is refilled meanwhile. Returns the
/// answers in the order of the requests.
pub(in crate::web) async fn asked_at_once(
    router: &Router,
    requests: impl IntoIterator<Item = Request<Body>>,
) -> Vec<Answer> {
    let asking = |request| {
        let router = router.clone();
        tokio::spawn(async move { asked(&router, request).await })
    };
    let asking: Vec<_> = requests.into_iter().map(asking).collect();
    let mut answers = Vec::new();
    for answer in asking {
        answers.push(answer.await.expect("no panic"));
    }
    answers
}

/// An operator's session: the cookie, and the CSRF token of its forms.
pub(in crate::web) struct Session {
    pub cookie: String,
    csrf: String,
}

impl Harness {
    /// `corp.example` is internal and active; senders of `partner.example` may register.
    pub async fn open() -> Self {
        Self::with(sample::config("")).await
    }

    pub async fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
        let config = Arc::new(config);
        let seeded = store.seed_access(config.access.clone(), Timestamp::now());
        seeded.await.expect("the first settings");
        let (sender, receiver) = watch::channel(Arc::clone(&config));
        let beside = receiver.clone();
        let router = operators(Operators {
            config: receiver,
            store: store.clone(),
            templates: built_in(),
            beside: Some(
                api_router(beside.clone(), store.clone(), TaskTracker::new())
                    .merge(scim_router(beside, store.clone())),
            ),
        });
        Self {
            router,
            store,
            config,
            _config: sender,
            _folder: folder,
        }
    }

    pub fn router(&self) -> &Router {
        &self.router
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        asked(&self.router, request).await
    }

    async fn get(&self, session: &Session, path: &str) -> Answer {
        let request = Request::get(path).header(COOKIE, &session.cookie);
        self.send(request.body(Body::empty()).expect("a request"))
            .await
    }

    /// Submits a form of the session's own page.
    async fn post(&self, session: &Session, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &session.csrf).extend_pairs(fields);
        self.send(posted(path, Some(&session.cookie), form.finish()))
            .await
    }

    /// The states of the requests, newest first.
    async fn states(&self) -> Vec<RequestState> {
        let listed = self.store.requests(RequestFilter::default());
        let rows = listed.await.expect("read").rows;
        rows.iter().map(|request| request.state).collect()
    }

    /// The name of a new operator of this role.
    pub async fn operator(&self, role: Role) -> OperatorName {
        let name = OperatorName::parse(&format!("the-{role}")).expect("a name");
        let known = self.store.password_of(name.clone()).await.expect("read");
        if known.is_none() {
            let hash = Password::new(PASSWORD).expect("long enough").hash();
            let (hash, by) = (
                hash.expect("a hash"),
                Actor::operator("root", Interface::CommandLine),
            );
            let added = self.store.add_operator(
                name.clone(),
                role,
                hash,
                NameReuse::Refused,
                by,
                Timestamp::now(),
            );
            added.await.expect("added");
        }
        name
    }

    pub async fn session(&self, role: Role) -> Session {
        self.session_of_age(role, SignedDuration::ZERO).await
    }

    /// A session that began this long ago.
    async fn session_of_age(&self, role: Role, age: SignedDuration) -> Session {
        let name = self.operator(role).await;
        let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
        let now = Timestamp::now() - age;
        let key = OperatorKey {
            hash: token.hash(),
            kind: KeyKind::Session,
            role,
            expires_at: now + SignedDuration::from_hours(1),
        };
        let made = self.store.make_key(
            name,
            key,
            TokenTerms::default(),
            Actor::operator("root", Interface::CommandLine),
            now,
        );
        made.await.expect("made");
        let cookie = format!("{COOKIE_NAME}={}", token.reveal());
        self.enter(cookie).await
    }

    /// Reads the CSRF token from the forms of this session.
    async fn enter(&self, cookie: String) -> Session {
        let mut session = Session {
            cookie,
            csrf: String::new(),
        };
        let page = self.get(&session, "/").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let (_, rest) = page
            .body
            .split_once("name=\"csrf\" value=\"")
            .expect("csrf");
        session.csrf = rest.split('"').next().unwrap_or_default().to_owned();
        session
    }

    /// Accepts a message from `from` to the IT portal.
    pub async fn mail(&self, from: &str, subject: &str) -> ArrivalOutcome {
        let raw = format!("From: {from}\r\nSubject: {subject}\r\n\r\nIt <b>burns</b>.\r\n");
        self.receive(from, subject, raw).await
    }

    /// The same with HTML, which is also the subject.
    async fn mail_of_html(&self, from: &str, html: &str) -> ArrivalOutcome {
        let raw = format!("From: {from}\r\nContent-Type: text/html\r\n\r\n{html}\r\n");
        self.receive(from, html, raw).await
    }

    /// Accepts an answer to a verification mail, which is for no portal and confirms nothing.
    pub async fn answer(&self, facts: Facts) -> ArrivalOutcome {
        let recipient = "confirm@corp.example".to_owned();
        let mut arrival = Arrival {
            facts,
            raw: b"Subject: Re: your request\r\n\r\nMy screen is black.\r\n".to_vec(),
            parts: vec![ArrivalPart::Confirmation {
                recipient: recipient.clone(),
                token: None,
                answer: ReplyAnswer::Other,
            }],
            ..sample::arrival(&self.config)
        };
        arrival.envelope.recipients = vec![Recipient {
            address: recipient,
            role: RecipientRole::Confirmation,
        }];
        let mut entries = self.store.accept(arrival).await.expect("accepted");
        entries.remove(0)
    }

    async fn receive(&self, from: &str, subject: &str, raw: String) -> ArrivalOutcome {
        let arrival = Arrival {
            facts: sample::facts(from, subject),
            raw: raw.into_bytes(),
            parts: vec![ArrivalPart::Portal {
                recipient: "it-help@corp.example".to_owned(),
                circumstances: sample::circumstances(),
            }],
            ..sample::arrival(&self.config)
        };
        let mut entries = self.store.accept(arrival).await.expect("accepted");
        entries.remove(0)
    }
}

fn posted(path: &str, cookie: Option<&str>, form: String) -> Request<Body> {
    let request = Request::builder().method(Method::POST).uri(path);
    let request = match cookie {
        Some(cookie) => request.header(COOKIE, cookie),
        None => request,
    };
    request
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form))
        .expect("a request")
}

/// The hidden fields of the form on a page, as its button would send them.
fn hidden(page: &str, form: &str) -> Vec<(String, String)> {
    let (_, form) = page.split_once(form).expect("the form");
    let form = form.split("</form>").next().unwrap_or_default();
    let text = |text: &str| {
        let text = text.split('"').next().unwrap_or_default();
        text.replace("&quot;", "\"").replace("&amp;", "&")
    };
    form.split("<input type=\"hidden\" name=\"")
        .skip(1)
        .map(|field| {
            let (_, value) = field.split_once("value=\"").expect("a value");
            (text(field), text(value))
        })
        .filter(|(name, _)| name != "csrf")
        .collect()
}

/// Indexes all messages for the search.
async fn index(harness: &Harness) {
    while harness
        .store
        .index_entries(100)
        .await
        .expect("indexed")
        .more
    {}
}
