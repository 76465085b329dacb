//! The outermost layer: chooses the language, renders the [`Page`], turns what came without one
//! (404, 405, 413, a panic) into a page, and puts the headers on every answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    RETRY_AFTER, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use minijinja::context;

use super::language::RequestedLanguage;
use super::page::Page;
use crate::config::Config;
use crate::domain::LanguageTag;
use crate::observe::events;
use crate::templates::{Wording, Zone};

/// On every answer. The policy allows our own style sheet, images and forms and nothing else: no
/// script at all, no frame around us, no base that turns links away.
pub(super) const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    // The address of a page holds a token.
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-robots-tag", "noindex, nofollow"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Answers of which one is a frame within the other have policies of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// The page around the frame: it may hold one, of this house.
    Framing,
    /// The frame: it may do and fetch nothing, and stand within our own pages only.
    Framed,
}

impl Policy {
    fn content_security(self) -> &'static str {
        match self {
            Self::Framing => {
                "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                 frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
            }
            Self::Framed => {
                "default-src 'none'; form-action 'none'; frame-ancestors 'self'; base-uri 'none'; \
                 sandbox"
            }
        }
    }
}

/// What pages are made with.
#[derive(Debug)]
pub(super) struct Renderer {
    pub wording: Arc<Wording>,
    /// Changes with the assets, so that browsers can keep them for ever.
    pub version: String,
}

/// What every template is given besides its own.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub name: String,
    pub zone: Zone,
    /// Of pages for people who ask for none that there are texts in.
    pub language: LanguageTag,
    /// Whether people choose; otherwise every page is in `language`.
    pub has_choice: bool,
}

impl Site {
    /// As the configuration in force has it.
    pub fn of(config: &Config) -> Self {
        Self {
            name: config.site.name.clone(),
            zone: Zone(config.site.time_zone.clone()),
            language: config.site.language.clone(),
            has_choice: true,
        }
    }

    /// The same for pages that speak English, whatever anybody asks for.
    pub fn in_english(config: &Config) -> Self {
        Self {
            language: LanguageTag::default(),
            has_choice: false,
            ..Self::of(config)
        }
    }
}

/// Gives the [`Site`] of the configuration in force.
pub(super) type CurrentSite = Arc<dyn Fn() -> Site + Send + Sync>;

pub(super) async fn render(
    State((renderer, site)): State<(Arc<Renderer>, CurrentSite)>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = RequestedLanguage::of(&renderer.wording, request.uri().query(), request.headers());
    request.extensions_mut().insert(asked.clone());
    let mut response = next.run(request).await;
    let policy = response.extensions_mut().remove::<Policy>();
    let page = response.extensions_mut().remove::<Page>().or_else(|| {
        let status = response.status();
        let bare = status.is_client_error() || status.is_server_error();
        (bare && !is_json(response.headers())).then(|| Page::of_status(status))
    });
    if let Some(page) = page {
        let kept = std::mem::take(response.headers_mut());
        response = renderer.render(&page, &asked, &site());
        keep(&kept, response.headers_mut());
    }
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    if let Some(policy) = policy {
        let own = HeaderValue::from_static(policy.content_security());
        headers.insert(CONTENT_SECURITY_POLICY, own);
        if policy == Policy::Framed {
            headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
        }
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// What a bare answer says beside its body: which methods there are, when to come again.
fn keep(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            to.insert(name.clone(), value.clone());
        }
    }
}

/// What is written for programs, problems of the API among it, stays as it is.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| {
        kind.starts_with(b"application/json") || kind.starts_with(b"application/problem+json")
    })
}

impl Renderer {
    fn render(&self, page: &Page, asked: &RequestedLanguage, site: &Site) -> Response {
        let own = context! {
            site => site.name.as_str(),
            zone => site.zone.value(),
            version => self.version.as_str(),
            ..page.context.clone()
        };
        let (asked, context) = if site.has_choice {
            let choices = asked.context(&self.wording);
            (asked, context! { ..own, ..choices })
        } else {
            (&RequestedLanguage::default(), own)
        };
        let remembered = page.remembered.as_ref();
        let language = asked.language(&self.wording, remembered, &site.language);
        match self.wording.render(page.template, &language, &context) {
            Ok(text) => {
                let mut response = (page.status, Body::from(text)).into_response();
                let headers = response.headers_mut();
                headers.insert(
                    CONTENT_TYPE,
                    HeaderValue::from_static("text/html; charset=utf-8"),
                );
                if let Ok(value) = HeaderValue::from_str(language.as_str()) {
                    headers.insert(CONTENT_LANGUAGE, value);
                }
                if page.status == StatusCode::TOO_MANY_REQUESTS {
                    headers.insert(RETRY_AFTER, HeaderValue::from_static("60"));
                }
                response
            }
            Err(error) => {
                events::fault("web.template", &error);
                let body = "Something went wrong on our side. Please try again later.";
                (StatusCode::INTERNAL_SERVER_ERROR, body).into_response()
            }
        }
    }
}
