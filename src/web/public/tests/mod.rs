//! The public pages: each page alone, the headers of all routes, and the path from a held message to the
//! button against a real database.

mod denied;
mod link;
mod message;
mod pages;
mod routes;
mod sign_up;
mod sso;
mod statements;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, Request, StatusCode};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{Public, public};
use crate::config::Config;
use crate::domain::{EmailAddress, RequestId, Timestamp, Token};
use crate::store::{Arrival, ArrivalOutcome, ArrivalPart, MailOutcome, Store};
use crate::templates::built_in;
use crate::verification::tests::sample;
use crate::web::Readiness;
use crate::web::operators::tests::{Answer, asked, asked_at_once};

/// A site with a real database and no listener.
struct Harness {
    router: Router,
    store: Store,
    config: Arc<Config>,
    readiness: Readiness,
    tasks: TaskTracker,
    _config: watch::Sender<Arc<Config>>,
    folder: TempDir,
}

impl Harness {
    /// `corp.example` is internal and active; senders of `partner.example` may register.
    async fn open() -> Self {
        Self::with(sample::config("")).await
    }

    async fn with(config: Config) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
        let config = Arc::new(config);
        store
            .seed_access(config.access.clone(), Timestamp::now())
            .await
            .expect("the first settings");
        let (sender, receiver) = watch::channel(Arc::clone(&config));
        let readiness = Readiness::default();
        let tasks = TaskTracker::new();
        let router = public(Public {
            config: receiver,
            store: store.clone(),
            templates: built_in(),
            readiness: readiness.clone(),
            tasks: tasks.clone(),
        });
        Self {
            router,
            store,
            config,
            readiness,
            tasks,
            _config: sender,
            folder,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        asked(&self.router, request).await
    }

    async fn ask(&self, method: Method, path: &str) -> Answer {
        let request = Request::builder().method(method).uri(path);
        self.send(request.body(Body::empty()).expect("a request"))
            .await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).await
    }

    async fn post(&self, path: &str, form: &str) -> Answer {
        self.send(posted(path, form.to_owned())).await
    }

    /// Waits until the background tasks of the forms are done.
    async fn wait_for_background_tasks(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// Accepts a message from `from` to the IT portal.
    async fn mail(&self, from: &str, subject: &str) -> ArrivalOutcome {
        let arrival = Arrival {
            facts: sample::facts(from, subject),
            raw: format!("From: {from}\r\nSubject: {subject}\r\n\r\nbody\r\n").into_bytes(),
            parts: vec![ArrivalPart::Portal {
                recipient: "it-help@corp.example".to_owned(),
                circumstances: sample::circumstances(),
            }],
            ..sample::arrival(&self.config)
        };
        let mut entries = self.store.accept(arrival).await.expect("accepted");
        entries.remove(0)
    }

    /// The address and the token of the verification mail that is due; marks the mail as sent.
    async fn verification_mail(&self) -> Option<(EmailAddress, Token)> {
        self.mail_valid_for(self.config.verification.token_ttl)
            .await
    }

    async fn mail_valid_for(&self, ttl: Duration) -> Option<(EmailAddress, Token)> {
        let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
        let verification = &self.config.verification;
        let now = Timestamp::now();
        let tokens = vec![token.hash().into()];
        let limits = verification.limits;
        let round = self
            .store
            .settle_and_claim_mail([], tokens, limits, ttl, now)
            .await;
        let (_, claimed) = round.expect("claimed");
        let verification_mail = claimed.verification_mails.into_iter().next()?;
        let sent = [(&verification_mail, MailOutcome::Sent, now)];
        let round = self
            .store
            .settle_and_claim_mail(sent, Vec::new(), limits, ttl, now);
        round.await.expect("settled");
        Some((verification_mail.address, token))
    }

    /// The path of the link in the verification mail that is due.
    async fn link(&self) -> String {
        let (_, token) = self
            .verification_mail()
            .await
            .expect("a verification mail is due");
        format!("/verify/{}", token.reveal())
    }

    /// The same for this address, if mail to others is due, too.
    async fn link_of(&self, address: &str) -> String {
        loop {
            let (to, token) = self
                .verification_mail()
                .await
                .expect("a verification mail is due");
            if to.to_string() == address {
                return format!("/verify/{}", token.reveal());
            }
        }
    }

    async fn state(&self, request: RequestId) -> &'static str {
        let found = self.store.request(request).await.expect("the database");
        found.expect("the request").state.as_str()
    }
}

fn posted(path: &str, form: String) -> Request<Body> {
    let request = Request::post(path)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(form));
    request.expect("a request")
}
