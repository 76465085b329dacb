//! `Idempotency-Key`: a request with the same key is carried out once. A repeat gets the first answer, unless that
//! was a server error: then the request is carried out again. If the first answer is too large to be stored, a repeat
//! gets a problem that says so.
//!
//! The HTTP library drops the handler of a client that disconnects, and the time limit does too. Clients repeat
//! such requests in particular, so the work is a task of its own, which completes and stores its answer. The drain
//! of the process waits for it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::response::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use sha2::{Digest, Sha256};

use super::AppState;
use super::input::RawRequest;
use super::problem::{PROBLEM_JSON, Problem, ProblemKind};
use crate::domain::{OperatorName, Timestamp};
use crate::panics::catch_panic;
use crate::store::{AnswerKey, Claimed, KeptAnswer, StoreError};

const FIELD: HeaderName = HeaderName::from_static("idempotency-key");

/// Header that marks a replayed answer.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Retention of a stored answer.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// Time limit of the work of a request.
const MAX_WORK: Duration = Duration::from_mins(4);

/// Maximum age of a claim. It is longer than the work of a request takes, so an older claim belongs to a request
/// that the end of the process cut off.
const CLAIMED: SignedDuration = SignedDuration::from_mins(5);

/// Maximum size of the body of a stored answer, in octets. Some have no limit of their own: a change of the access
/// settings lists each domain that it adds or removes, however many there are.
const MAX_STORED: usize = 4 * 1024 * 1024;

/// Header fields that are stored with an answer, besides its status and body.
const HEAD: [HeaderName; 2] = [CONTENT_TYPE, LOCATION];

/// Reads the key of a request.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut fields = headers.get_all(FIELD).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    let text = field.to_str().unwrap_or_default();
    let good = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if good && fields.next().is_none() {
        Ok(Some(text.to_owned()))
    } else {
        Err(Problem::bad_input(
            "Idempotency-Key must have 1 to 255 printable ASCII characters without spaces",
        ))
    }
}

/// The key, with a digest of the request that was sent under it.
pub(super) fn answer_key(operator: &OperatorName, key: String, request: &RawRequest) -> AnswerKey {
    let mut digest = Sha256::new();
    for part in [
        request.method.as_str().as_bytes(),
        request.uri.to_string().as_bytes(),
        &request.body,
    ] {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    AnswerKey {
        operator: operator.clone(),
        key,
        request: digest.finalize().into(),
    }
}

/// Carries out the request, unless an answer to it is stored; also if nobody waits for the answer any more. Server
/// errors are not stored.
pub(super) async fn once(
    app: Arc<AppState>,
    asked: AnswerKey,
    work: impl Future<Output = Response> + Send + 'static,
) -> Result<Response, Problem> {
    let tasks = app.tasks.clone();
    let task = tasks.spawn(async move { claim_and_work(&app, asked, work).await });
    task.await
        .unwrap_or_else(|error| Err(StoreError::Other(error.to_string()).into()))
}

async fn claim_and_work(
    app: &AppState,
    asked: AnswerKey,
    work: impl Future<Output = Response>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let until = now.saturating_add(CLAIMED).unwrap_or(Timestamp::MAX);
    match app.store.claim_answer(asked.clone(), until, now).await? {
        Claimed::New => {}
        Claimed::Answered(kept) => return Ok(again(kept)),
        Claimed::Underway => return Err(Problem::bare(ProblemKind::Underway)),
        Claimed::Other => {
            return Err(Problem::new(
                ProblemKind::KeyReused,
                "use a different key for a different request",
            ));
        }
    }
    let response = match tokio::time::timeout(MAX_WORK, catch_panic(work)).await {
        Ok(Ok(response)) => response,
        Ok(Err(panic)) => server_error(StoreError::Other(format!("a handler panicked: {panic}"))),
        Err(_) => server_error(StoreError::Busy("a request took too long".to_owned())),
    };
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX)
        .await
        .map_err(|error| StoreError::Other(error.to_string()))?;
    if parts.status.is_server_error() {
        app.store.give_up_answer(asked).await?;
    } else {
        let kept = if body.len() > MAX_STORED {
            answer_instead(parts.status)
        } else {
            answer_to_keep(&parts, &body)
        };
        let until = now.saturating_add(KEPT).unwrap_or(Timestamp::MAX);
        app.store.keep_answer(asked, kept, until).await?;
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}

fn answer_to_keep(parts: &Parts, body: &[u8]) -> KeptAnswer {
    let head = HEAD.iter().filter_map(|name| {
        let value = parts.headers.get(name)?.to_str().ok()?;
        Some((name.to_string(), value.to_owned()))
    });
    KeptAnswer {
        status: parts.status.as_u16(),
        head: head.collect(),
        body: body.to_vec(),
    }
}

/// The answer to a repeat of a request whose own answer, with this status, is too large to be stored: the request must
/// not be carried out again.
fn answer_instead(status: StatusCode) -> KeptAnswer {
    let detail = format!("the request was answered {} before", status.as_u16());
    let problem = Problem::new(ProblemKind::AnswerNotKept, detail);
    KeptAnswer {
        status: problem.kind.status().as_u16(),
        head: vec![(CONTENT_TYPE.to_string(), PROBLEM_JSON.to_owned())],
        body: serde_json::to_vec(&problem.body()).unwrap_or_default(),
    }
}

fn server_error(error: StoreError) -> Response {
    Problem::from(error).into_response()
}

fn again(kept: KeptAnswer) -> Response {
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    for (name, value) in kept.head {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
