//! Forms that arrive late: the session has ended, the operator has lost a role, or another operator has acted.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Bytes, HttpBody};
use hyper::body::Frame;

use super::*;
use crate::store::DirectoryIdentity;

/// A body that arrives only after something else has happened.
pub(in crate::web) struct LateBody {
    before: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    body: Option<String>,
}

impl LateBody {
    pub fn after(before: impl Future<Output = ()> + Send + 'static, body: String) -> Body {
        Body::new(Self {
            before: Some(Box::pin(before)),
            body: Some(body),
        })
    }
}

impl HttpBody for LateBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(before) = &mut self.before {
            ready!(before.as_mut().poll(context));
            self.before = None;
        }
        let body = self.body.take();
        Poll::Ready(body.map(|body| Ok(Frame::data(Bytes::from(body)))))
    }
}

/// Submits a form of the session's own page that arrives after `before`.
async fn post_after(
    before: impl Future<Output = ()> + Send + 'static,
    harness: &Harness,
    session: &Session,
    path: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("csrf", &session.csrf)
        .extend_pairs(fields)
        .finish();
    let (parts, _) = posted(path, Some(&session.cookie), String::new()).into_parts();
    let body = LateBody::after(before, form);
    harness.send(Request::from_parts(parts, body)).await
}

#[tokio::test]
async fn a_session_that_ends_while_its_form_comes_makes_no_token() {
    let harness = Harness::open().await;
    let session = harness.session(Role::Agent).await;
    let name = harness.operator(Role::Agent).await;
    let (store, operator) = (harness.store.clone(), name.clone());
    let by = Actor::operator("root", Interface::CommandLine);
    let revoke = async move {
        let revoked = store.end_keys_of(operator, by, Timestamp::now());
        assert_eq!(revoked.await.expect("revoked"), 1);
    };
    let answer = post_after(
        revoke,
        &harness,
        &session,
        "/account",
        &[("action", "token")],
    )
    .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.body);
    let tokens = harness.store.tokens(Some(name), Timestamp::now()).await;
    assert!(tokens.expect("read").is_empty());
}

/// Signs a person in as the provider does, with this role and time of the authentication. Returns the cookie of the
/// session.
pub(super) async fn sign_in(
    store: &Store,
    role: Role,
    authenticated_at: Option<Timestamp>,
) -> String {
    let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
    let person = DirectoryIdentity {
        issuer: "https://id.example".to_owned(),
        subject: "1".to_owned(),
    };
    let now = Timestamp::now();
    let key = OperatorKey {
        hash: token.hash(),
        kind: KeyKind::Session,
        role: Role::Admin,
        expires_at: now + SignedDuration::from_hours(1),
    };
    let name = OperatorName::parse("ann").expect("a name");
    let signed_in = store.sign_in_from_directory(person, name, role, key, authenticated_at, now);
    signed_in.await.expect("signed in");
    format!("{COOKIE_NAME}={}", token.reveal())
}

#[tokio::test]
async fn an_operator_who_loses_the_role_while_their_form_comes_changes_nothing() {
    let mut config = sample::config("");
    config.http.admin_url = Some("http://localhost:8081".to_owned());
    config.sso = Some(crate::sso::tests::sso());
    let harness = Harness::with(config).await;
    let viewer = harness.session(Role::Viewer).await;
    let cookie = sign_in(&harness.store, Role::Admin, None).await;
    let admin = harness.enter(cookie).await;
    let store = harness.store.clone();
    let lower = async move {
        sign_in(&store, Role::Agent, None).await;
    };
    let revoke = [("action", "revoke"), ("name", "the-viewer")];
    let answer = post_after(lower, &harness, &admin, "/operators", &revoke).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.body);
    assert!(answer.body.contains("This needs the role admin."));
    assert_eq!(harness.get(&viewer, "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_late_release_of_a_dropped_message_overrides_no_discard() {
    let harness = Harness::open().await;
    let (agent, admin) = (
        harness.session(Role::Agent).await,
        harness.session(Role::Admin).await,
    );
    let entry = harness.mail("eve@elsewhere.example", "one").await;
    let path = format!("/messages/{}", entry.ledger);
    let page = harness.get(&agent, &path).await.body;
    for action in ["release", "discard"] {
        let done = harness.post(&admin, &path, &[("action", action)]).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    }
    let shown = hidden(&page, &format!("action=\"{path}\""));
    let shown = shown
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<_> = shown.chain([("action", "release")]).collect();
    let late = harness.post(&agent, &path, &fields).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.body);
    let why = "is discarded now, and did not exist on the page";
    assert!(late.body.contains(why), "{}", late.body);
    assert_eq!(harness.states().await, [RequestState::Discarded]);
}
