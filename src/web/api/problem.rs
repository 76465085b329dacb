//! Error answers as RFC 9457 problems: `application/problem+json` with a stable type for programs and a
//! detail for people.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Reason, Role, Verdict};
use crate::observe::events;
use crate::store::StoreError;
use crate::web::is_unavailable;

pub(super) const PROBLEM_JSON: &str = "application/problem+json";

/// Defines [`ProblemKind`]. A row has the kind, its status, the last segment of its type URI and its title.
macro_rules! kinds {
    ($($kind:ident $status:ident $segment:literal $title:literal;)+) => {
        /// Kinds of problems.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum ProblemKind {
            $($kind),+
        }

        impl ProblemKind {
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The status, the last segment of the type URI, and the title.
            pub const fn words(self) -> (StatusCode, &'static str, &'static str) {
                match self {
                    $(Self::$kind => (StatusCode::$status, $segment, $title)),+
                }
            }
        }
    };
}

kinds! {
    Malformed BAD_REQUEST "malformed"
        "The request does not have the form that the document describes";
    NoToken UNAUTHORIZED "no-token" "The request has no token";
    InvalidToken UNAUTHORIZED "invalid-token" "The token is not valid";
    Role FORBIDDEN "role" "The token's role is not sufficient";
    NotFound NOT_FOUND "not-found" "Not found";
    Method METHOD_NOT_ALLOWED "method" "Method not allowed";
    Timeout REQUEST_TIMEOUT "timeout" "The request took too long";
    NotPossible CONFLICT "not-possible" "Not possible in the current state";
    SettingsChanged CONFLICT "settings-changed" "The settings have changed in the meantime";
    Underway CONFLICT "underway" "The same request is in progress";
    AnswerNotKept CONFLICT "answer-not-kept"
        "The same request was answered before, but its answer was too large to be kept";
    TooLarge PAYLOAD_TOO_LARGE "too-large" "The body is too large";
    MediaType UNSUPPORTED_MEDIA_TYPE "media-type" "The body must be JSON";
    Refused UNPROCESSABLE_ENTITY "refused"
        "The request is well-formed, but a value is not acceptable";
    AccessSettings UNPROCESSABLE_ENTITY "access-settings" "The access settings do not allow it";
    KeyReused UNPROCESSABLE_ENTITY "key-reused" "The Idempotency-Key was used for a different request";
    TooMany TOO_MANY_REQUESTS "too-many" "Too many invalid tokens";
    Internal INTERNAL_SERVER_ERROR "fault" "Something went wrong on our side";
    Unavailable SERVICE_UNAVAILABLE "unavailable" "The database is temporarily unavailable";
}

impl ProblemKind {
    pub fn status(self) -> StatusCode {
        self.words().0
    }

    /// The kind for a response that has no body.
    pub fn of_status(status: StatusCode) -> Self {
        let mut all = Self::ALL.iter().copied();
        let same = all.find(|kind| kind.status() == status);
        same.unwrap_or(if status.is_server_error() {
            Self::Internal
        } else {
            Self::Malformed
        })
    }

    pub fn uri(self) -> String {
        format!("urn:vestibule:problem:{}", self.words().1)
    }
}

/// A problem to be sent.
#[derive(Debug)]
pub(super) struct Problem {
    pub kind: ProblemKind,
    pub detail: Option<String>,
    decision: Option<(Verdict, Reason, u8)>,
}

/// A problem (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ProblemBody {
    /// The kind of problem; a stable URI.
    #[serde(rename = "type")]
    #[schema(example = "urn:vestibule:problem:not-found")]
    kind: String,
    #[schema(example = "Not found")]
    title: &'static str,
    #[schema(example = 404)]
    status: u16,
    /// For people: the cause and the remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "there is no request 01J9ZQ4D8N0VXB7T3WKE5M2R6C")]
    detail: Option<String>,
    /// The verdict of the access settings, if they refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<u8>,
}

impl Problem {
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: Some(detail.into()),
            decision: None,
        }
    }

    pub fn bare(kind: ProblemKind) -> Self {
        Self {
            kind,
            detail: None,
            decision: None,
        }
    }

    pub fn bad_input(detail: impl Into<String>) -> Self {
        Self::new(ProblemKind::Malformed, detail)
    }

    /// A well-formed value that cannot be accepted, with its place in the request.
    pub fn of_field(place: &str, why: impl std::fmt::Display) -> Self {
        Self::new(ProblemKind::Refused, format!("{place}: {why}"))
    }

    pub fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new(ProblemKind::NotFound, format!("there is no {what} {name}"))
    }

    pub fn role(least: Role, has: Role) -> Self {
        Self::new(
            ProblemKind::Role,
            format!("this needs the role {least}; the token has the role {has}"),
        )
    }

    pub fn not_allowed(decision: &crate::access::Decision, detail: String) -> Self {
        Self {
            kind: ProblemKind::AccessSettings,
            detail: Some(detail),
            decision: Some((decision.verdict, decision.reason, decision.rule)),
        }
    }

    pub fn body(&self) -> ProblemBody {
        let (status, _, title) = self.kind.words();
        ProblemBody {
            kind: self.kind.uri(),
            title,
            status: status.as_u16(),
            detail: self.detail.clone(),
            verdict: self.decision.map(|(verdict, ..)| verdict),
            reason: self.decision.map(|(_, reason, _)| reason),
            rule: self.decision.map(|(.., rule)| rule),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            // Every list takes its cursor in this parameter.
            StoreError::NotFound { what: "cursor", .. } => return Self::of_field("after", &error),
            StoreError::NotFound { .. } => ProblemKind::NotFound,
            StoreError::NotAllowed(_) => ProblemKind::NotPossible,
            StoreError::Conflict { .. } => ProblemKind::SettingsChanged,
            error if is_unavailable(error) => ProblemKind::Unavailable,
            _ => ProblemKind::Internal,
        };
        if kind.status().is_server_error() {
            // The cause goes to the log only: the client can do nothing with it.
            events::fault("web.api", &error);
            return Self::new(kind, "details are in the log; try again later");
        }
        Self::new(kind, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let body = serde_json::to_vec(&self.body()).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        match self.kind {
            ProblemKind::NoToken => {
                let challenge = HeaderValue::from_static("Bearer realm=\"vestibule\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            // RFC 6750 3.1.
            ProblemKind::InvalidToken => {
                let challenge = "Bearer realm=\"vestibule\", error=\"invalid_token\"";
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            ProblemKind::TooMany | ProblemKind::Unavailable | ProblemKind::Underway => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
