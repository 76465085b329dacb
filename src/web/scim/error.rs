//! Errors in SCIM's form (RFC 7644 3.12).

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::answer;
use crate::observe::events;
use crate::operations::UserError;
use crate::store::{StoreError, UserRefusal};
use crate::web::bearer::BearerRefusal;
use crate::web::is_unavailable;

/// Keyword of an error of the client (RFC 7644 table 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum ScimType {
    InvalidFilter,
    Uniqueness,
    Mutability,
    InvalidSyntax,
    InvalidPath,
    NoTarget,
    InvalidValue,
}

/// An error with its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScimError {
    status: StatusCode,
    kind: Option<ScimType>,
    detail: String,
}

impl ScimError {
    pub fn new(status: StatusCode, kind: Option<ScimType>, detail: impl Into<String>) -> Self {
        Self {
            status,
            kind,
            detail: detail.into(),
        }
    }

    /// An error of the client: `400` with a keyword.
    pub fn bad(kind: ScimType, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Some(kind), detail)
    }

    pub fn syntax(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidSyntax, detail)
    }

    pub fn value(detail: impl Into<String>) -> Self {
        Self::bad(ScimType::InvalidValue, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, None, detail)
    }

    pub fn of_status(status: StatusCode) -> Self {
        Self::new(status, None, status.canonical_reason().unwrap_or_default())
    }

    #[cfg(test)]
    pub fn kind(&self) -> Option<ScimType> {
        self.kind
    }
}

impl From<BearerRefusal> for ScimError {
    fn from(refusal: BearerRefusal) -> Self {
        match refusal {
            BearerRefusal::Missing => Self::new(
                StatusCode::UNAUTHORIZED,
                None,
                "send Authorization: Bearer TOKEN; vestibule operators token NAME --scim creates one",
            ),
            BearerRefusal::Invalid => Self::new(
                StatusCode::UNAUTHORIZED,
                None,
                "the token is unknown, has expired or was revoked",
            ),
            BearerRefusal::TooMany => Self::of_status(StatusCode::TOO_MANY_REQUESTS),
            BearerRefusal::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for ScimError {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::NotFound { .. } => StatusCode::NOT_FOUND,
            StoreError::NotAllowed(_) => return Self::value(error.to_string()),
            error if is_unavailable(error) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            // The cause goes to the log only: the client can do nothing with it.
            events::fault("web.scim", &error);
            return Self::new(status, None, "details are in the log; try again later");
        }
        Self::new(status, None, error.to_string())
    }
}

impl From<UserError> for ScimError {
    fn from(error: UserError) -> Self {
        let detail = error.to_string();
        match error {
            UserError::Store(error) => error.into(),
            UserError::Refused(UserRefusal::UserNameTaken | UserRefusal::AddressTaken(_)) => {
                Self::new(StatusCode::CONFLICT, Some(ScimType::Uniqueness), detail)
            }
            UserError::Refused(UserRefusal::Changed) => {
                Self::new(StatusCode::PRECONDITION_FAILED, None, detail)
            }
            UserError::Refused(UserRefusal::NotAllowed { .. }) | UserError::Ours(_) => {
                Self::value(detail)
            }
        }
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let mut document = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "status": self.status.as_u16().to_string(),
            "detail": self.detail,
        });
        if let Some(kind) = self.kind {
            document["scimType"] = json!(kind);
        }
        let mut response = answer(self.status, &document);
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let challenge = HeaderValue::from_static("Bearer realm=\"vestibule\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}
