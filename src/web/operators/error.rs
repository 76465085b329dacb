//! Errors of operators' requests, each shown as a page in plain words.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use minijinja::context;

use crate::domain::Role;
use crate::observe::events;
use crate::store::StoreError;
use crate::web::is_unavailable;
use crate::web::page::WebPage;

#[derive(Debug)]
pub(super) enum Error {
    NoSession,
    /// The role that is required.
    Role(Role),
    /// The form lacks the session's CSRF token.
    NotOurForm,
    TooLarge,
    Malformed(String),
    /// Kind of the missing thing, such as `request`.
    NotFound(&'static str),
    /// A part that an existing message does not have, as a sentence.
    NoSuchPart(&'static str),
    NotAllowed(String),
    Store(StoreError),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what, .. } => Self::NotFound(what),
            StoreError::NotAllowed(why) => Self::NotAllowed(why),
            error => Self::Store(error),
        }
    }
}

impl Error {
    /// The form names an action that the page does not have.
    pub(super) fn unknown_action() -> Self {
        Self::Malformed("This action does not exist.".to_owned())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NoSession => StatusCode::UNAUTHORIZED,
            Self::Role(_) | Self::NotOurForm => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) | Self::NoSuchPart(_) => StatusCode::NOT_FOUND,
            Self::NotAllowed(_) | Self::Store(StoreError::Conflict { .. }) => StatusCode::CONFLICT,
            Self::Store(error) if is_unavailable(error) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The title and the explanation with the remedy.
    fn words(&self) -> (&'static str, String) {
        match self {
            Self::NoSession => (
                "You are not logged in",
                "Your session has ended. Log in and try again.".to_owned(),
            ),
            Self::Role(role) => (
                "You are not allowed to do this",
                format!("This needs the role {role}. Nothing was changed."),
            ),
            Self::NotOurForm => (
                "This form is out of date",
                "It belongs to another session or another site, so nothing was changed. Open the \
                 page again and repeat the action."
                    .to_owned(),
            ),
            Self::TooLarge => (
                "This request is too large",
                "Nothing was changed. Select fewer items and try again.".to_owned(),
            ),
            Self::Malformed(why) => ("The request is malformed", why.clone()),
            Self::NotFound(what) => ("Not found", format!("There is no such {what}.")),
            Self::NoSuchPart(text) => ("Not found", (*text).to_owned()),
            Self::NotAllowed(why) => ("This cannot be done", format!("{why}.")),
            Self::Store(StoreError::Conflict { .. }) => (
                "Somebody else changed the settings",
                "Your change was not saved. Open the page again to see the current settings."
                    .to_owned(),
            ),
            Self::Store(_) => (
                "Something went wrong on our side",
                "Details are in the log. Try again later.".to_owned(),
            ),
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        if let (Self::Store(error), true) = (&self, status.is_server_error()) {
            events::fault("web.operators", error);
        }
        let (title, text) = self.words();
        WebPage::new(
            "operators/refused.html",
            context! { title => title, text => text },
        )
        .with_status(status)
        .into_response()
    }
}
