//! The content of an answer: the name of a template and its data, before a language is chosen.
//!
//! A [`WebPage`] travels in the response's extensions until [`render`](super::render) has chosen the language
//! and renders it. So handlers, rejections and errors all become pages in one place.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use minijinja::{Value, context};

use crate::config::Config;
use crate::domain::LanguageTag;
use crate::observe::events;
use crate::store::StoreError;
use crate::web::is_unavailable;

/// Link to the start page.
pub(super) const HOME: (&str, &str) = ("/", "action.home");

/// Link to the form that asks for a new link.
pub(super) const NEW_LINK: (&str, &str) = ("/resend", "resend.title");

/// Portals as choices of a select field.
pub(super) fn portal_choices(config: &Config) -> Vec<Value> {
    config
        .portals
        .iter()
        .map(|portal| context! { name => portal.name.as_str(), title => portal.title.as_str() })
        .collect()
}

#[derive(Debug, Clone)]
pub(super) struct WebPage {
    pub status: StatusCode,
    pub template: &'static str,
    pub context: Value,
    /// The language that the person chose earlier; only on a page that belongs to one person.
    pub remembered: Option<LanguageTag>,
}

impl WebPage {
    pub fn new(template: &'static str, context: Value) -> Self {
        Self {
            status: StatusCode::OK,
            template,
            context,
            remembered: None,
        }
    }

    pub fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }

    /// Builds a page with a title and one paragraph for each of `lines`; all are names of texts.
    pub fn message(title: &str, lines: &[&str]) -> Self {
        Self::new(
            "message.html",
            context! {
                title => title,
                lines => lines.iter().map(|line| Value::from(*line)).collect::<Vec<_>>(),
                links => Vec::<Value>::new(),
            },
        )
    }

    /// Adds data for the template.
    pub fn with(self, more: Value) -> Self {
        let context = context! { ..more, ..self.context };
        Self { context, ..self }
    }

    /// Builds the page for a response that has only an HTTP status.
    pub fn of_status(status: StatusCode) -> Self {
        const WORDED: [u16; 10] = [400, 403, 404, 405, 408, 410, 413, 429, 500, 503];
        let code = status.as_u16();
        let nearest = match code {
            code if WORDED.contains(&code) => code,
            500.. => 500,
            _ => 400,
        };
        let title = format!("error.{nearest}");
        let page = Self::message(&title, &[format!("{title}_lead").as_str()]);
        page.with_links(&[HOME]).with_status(status)
    }

    /// Adds links to the end of a [`message`](Self::message) page, each a path and the name of its text.
    pub fn with_links(self, links: &[(&str, &str)]) -> Self {
        let links: Vec<Value> = links
            .iter()
            .map(|&(to, text)| context! { to => to, text => text })
            .collect();
        self.with(context! { links => links })
    }
}

impl IntoResponse for WebPage {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Reasons why a request is not served. The person sees the page; the cause, if there is one, goes to the
/// log.
#[derive(Debug)]
pub(super) enum PageError {
    /// The form lacks a field that the page needs.
    Malformed,
    /// The form was sent from another site.
    CrossSite,
    /// The link does not exist or has expired. The page does not tell which.
    InvalidLink,
    /// No public page has this address.
    NotFound,
    TooMany,
    /// Too many background tasks are running.
    Busy,
    Store(StoreError),
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::InvalidLink => {
                return WebPage::message("error.invalid_link", &["error.invalid_link_lead"])
                    .with_links(&[NEW_LINK])
                    .with_status(StatusCode::NOT_FOUND)
                    .into_response();
            }
            Self::NotFound => {
                return WebPage::of_status(StatusCode::NOT_FOUND)
                    .with_links(&[HOME, NEW_LINK])
                    .into_response();
            }
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(error) => {
                events::fault("web", &error);
                if is_unavailable(&error) {
                    StatusCode::SERVICE_UNAVAILABLE
                } else {
                    StatusCode::INTERNAL_SERVER_ERROR
                }
            }
        };
        WebPage::of_status(status).into_response()
    }
}
