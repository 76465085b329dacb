//! The outermost layer: chooses the language, renders the [`WebPage`], turns answers without a page (404, 405,
//! 413, a panic) into one, and sets the headers of every answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    RETRY_AFTER, SET_COOKIE, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use minijinja::{Value, context};
use url::form_urlencoded;

use super::language::RequestedLanguage;
use super::page::WebPage;
use crate::config::Config;
use crate::domain::{LanguageTag, Timestamp};
use crate::observe::events;
use crate::templates::{Moment, Templates, Zone};

/// Headers of every answer. The policy allows only our own style sheet, images and forms: no script, no frame
/// around our pages, and no base that diverts links.
pub(super) const HEADERS: [(&str, &str); 7] = [
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
         frame-ancestors 'none'; base-uri 'none'",
    ),
    // The URL of a page holds a token.
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("x-robots-tag", "noindex, nofollow"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Sets the headers of every answer.
pub(super) fn set_common_headers(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
}

/// Roles of answers that are framed or contain a frame; each has a content security policy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// The page around the frame: it may contain frames of this site.
    Framing,
    /// The frame: it may neither run nor fetch anything, and only our own pages may embed it.
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

/// Templates and texts that pages are rendered with.
#[derive(Debug)]
pub(super) struct Renderer {
    pub templates: Arc<Templates>,
    /// Changes with the assets, so that browsers can cache them forever.
    pub version: String,
}

/// Data that every template is given.
#[derive(Debug, Clone)]
pub(super) struct SiteContext {
    pub name: String,
    /// Path of the public URL, without a slash at its end; a proxy removes it from requests. Empty at the root of the
    /// host.
    pub base: String,
    /// Titles of the portals by their names.
    pub portal_titles: BTreeMap<String, String>,
    pub zone: Zone,
    /// Language of pages for people who prefer no supported language.
    pub language: LanguageTag,
    /// True if people can choose; otherwise every page is in `language`.
    pub has_choice: bool,
}

impl SiteContext {
    /// Reads the current configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            name: config.site.name.clone(),
            base: path_of(&config.http.public_url).to_owned(),
            portal_titles: config
                .portals
                .iter()
                .map(|portal| (portal.name.to_string(), portal.title.clone()))
                .collect(),
            zone: Zone(config.site.time_zone.clone()),
            language: config.site.language.clone(),
            has_choice: true,
        }
    }

    /// The same for the operators' pages, which are always in English, and at the root of their host.
    pub fn in_english(config: &Config) -> Self {
        Self {
            language: LanguageTag::default(),
            has_choice: false,
            base: String::new(),
            ..Self::of(config)
        }
    }
}

/// The path of a URL that has neither query nor fragment.
fn path_of(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme
        .find('/')
        .map_or("", |start| &after_scheme[start..])
}

/// Returns the [`SiteContext`] of the current configuration.
pub(super) type CurrentSite = Arc<dyn Fn() -> SiteContext + Send + Sync>;

/// State of the page's switch for reloading every minute, and the URL that the switch leads to.
#[derive(Debug, Default)]
struct Refresh {
    on: bool,
    /// `None` for a page that answers a form.
    url: Option<String>,
}

impl Refresh {
    /// Reads the switch from the field `refresh` of the query. The URL omits the fields of notices that are shown
    /// only once.
    fn of(uri: &Uri) -> Self {
        let mut on = false;
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            match &*name {
                "refresh" => on = value == "on",
                "done" | "count" | "failed" => {}
                _ => {
                    query.append_pair(&name, &value);
                }
            }
        }
        if !on {
            query.append_pair("refresh", "on");
        }
        // A path that begins with several slashes would lead to another site.
        let path = uri.path().trim_start_matches('/');
        let url = format!("/{path}?{}", query.finish());
        Self {
            on,
            url: Some(url.trim_end_matches('?').to_owned()),
        }
    }
}

pub(super) async fn render(
    State((renderer, site)): State<(Arc<Renderer>, CurrentSite)>,
    mut request: Request,
    next: Next,
) -> Response {
    let asked = RequestedLanguage::of(
        &renderer.templates,
        request.uri().query(),
        request.headers(),
    );
    request.extensions_mut().insert(asked.clone());
    let path = request.uri().path().to_owned();
    let refresh = (request.method() == Method::GET).then(|| Refresh::of(request.uri()));
    let mut response = next.run(request).await;
    let policy = response.extensions_mut().remove::<Policy>();
    let page = response.extensions_mut().remove::<WebPage>().or_else(|| {
        let status = response.status();
        let bare = status.is_client_error() || status.is_server_error();
        (bare && !is_json(response.headers())).then(|| WebPage::of_status(status))
    });
    if let Some(page) = page {
        let kept = std::mem::take(response.headers_mut());
        response = renderer.render(&page, &asked, &site(), &path, refresh.unwrap_or_default());
        keep(&kept, response.headers_mut());
    }
    let headers = response.headers_mut();
    set_common_headers(headers);
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

/// Copies the header fields of an answer without a page, such as `Allow` and `Retry-After`, except those of
/// its body.
fn keep(from: &HeaderMap, to: &mut HeaderMap) {
    for (name, value) in from {
        if name != CONTENT_TYPE && name != CONTENT_LENGTH {
            if name == SET_COOKIE {
                to.append(name, value.clone());
            } else {
                to.insert(name.clone(), value.clone());
            }
        }
    }
}

/// True for answers to programs, such as problems of the API, which are left as they are.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| {
        [
            &b"application/json"[..],
            b"application/problem+json",
            b"application/scim+json",
        ]
        .iter()
        .any(|own| kind.starts_with(own))
    })
}

impl Renderer {
    fn render(
        &self,
        page: &WebPage,
        asked: &RequestedLanguage,
        site: &SiteContext,
        path: &str,
        refresh: Refresh,
    ) -> Response {
        let own = context! {
            site => site.name.as_str(),
            base => site.base.as_str(),
            path => path,
            as_of => Moment(Timestamp::now()).value(),
            refresh => context! { on => refresh.on, url => refresh.url },
            portal_titles => Value::from_pairs(site.portal_titles.clone()),
            zone => site.zone.value(),
            version => self.version.as_str(),
            ..page.context.clone()
        };
        let (asked, context) = if site.has_choice {
            let choices = asked.context(&self.templates);
            (asked, context! { ..own, ..choices })
        } else {
            (&RequestedLanguage::default(), own)
        };
        let remembered = page.remembered.as_ref();
        let language = asked.language(&self.templates, remembered, &site.language);
        match self.templates.render(page.template, &language, &context) {
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
