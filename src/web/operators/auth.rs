//! Authentication of the operators' pages. A request needs a session, a sufficient role and, where it may
//! change something, a form of our own pages.
//!
//! Every route is in a table with its required role and is served only through this check, so a handler cannot skip
//! it.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, FromRequestParts, Request, State};
use axum::handler::Handler;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodRouter, get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minijinja::{Value, context};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::error::Error;
use super::login::SESSION;
use super::{AppState, MAX_BODY, MAX_OPEN_BODY};
use crate::domain::{
    Actor, DestinationName, Interface, OperatorName, Role, Timestamp, Token, TokenHash,
};
use crate::operations::list_down;
use crate::store::KeyKind;
use crate::web::cookie::SecretCookie;
use crate::web::page::WebPage;

pub(super) const COOKIE_NAME: &str = "vestibule_session";

/// A row of the table of routes.
pub(super) struct PageRoute {
    pub method: Method,
    pub path: &'static str,
    /// The least role of the session; `None` for the login and the assets, which need no session.
    pub required: Option<Role>,
    handler: MethodRouter<Arc<AppState>>,
}

impl PageRoute {
    pub fn new<T: 'static>(
        method: Method,
        path: &'static str,
        required: Option<Role>,
        handler: impl Handler<T, Arc<AppState>>,
    ) -> Self {
        let handler = if method == Method::GET {
            get(handler)
        } else {
            post(handler)
        };
        Self {
            method,
            path,
            required,
            handler,
        }
    }

    /// The handler, wrapped in the check.
    pub fn guard(self, app: &Arc<AppState>) -> (&'static str, MethodRouter<Arc<AppState>>) {
        let state = Guard {
            app: Arc::clone(app),
            required: self.required,
            reads: self.method == Method::GET,
        };
        let handler = match self.required {
            Some(_) => self.handler,
            None => self.handler.layer(DefaultBodyLimit::max(MAX_OPEN_BODY)),
        };
        let gate = middleware::from_fn_with_state(state, gate);
        (self.path, handler.layer(gate))
    }
}

/// The operator that a request was authenticated as.
#[derive(Debug, Clone)]
pub(super) struct CurrentOperator {
    pub name: OperatorName,
    pub role: Role,
    pub key: TokenHash,
    /// None if the provider did not say when it authenticated the person.
    pub signed_in_at: Option<Timestamp>,
    /// The CSRF token in every form of this session. It is derived from the session's key, which cannot be
    /// computed from it.
    pub csrf: String,
    /// Destinations and hooks that are down, each with its kind, for the banner of every page.
    pub down: Vec<(DestinationName, &'static str)>,
    /// True if other nodes can share the store.
    pub shares: bool,
}

/// The state and the operator, for a handler behind the check.
pub(super) struct PageCall {
    pub app: Arc<AppState>,
    pub operator: CurrentOperator,
}

impl FromRequestParts<Arc<AppState>> for PageCall {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<AppState>) -> Result<Self, Error> {
        let operator = parts.extensions.get().cloned();
        Ok(Self {
            app: Arc::clone(app),
            operator: operator.ok_or(Error::NoSession)?,
        })
    }
}

impl CurrentOperator {
    pub fn actor(&self) -> Actor {
        Actor::operator(self.name.as_str(), Interface::Page)
    }

    /// Builds a page with the operator's details that every page shows.
    pub fn page(&self, template: &'static str, context: Value) -> WebPage {
        WebPage::new(template, context! { ..self.details(), ..context })
    }

    fn details(&self) -> Value {
        let down = self.down.iter();
        context! {
            me => context! {
                name => self.name.as_str(),
                role => self.role.as_str(),
                csrf => self.csrf.as_str(),
                down => down
                    .map(|(name, kind)| context! { name => name.as_str(), kind => *kind })
                    .collect::<Vec<_>>(),
                acts => self.role >= Role::Agent,
                sets => self.role >= Role::Admin,
                shares => self.shares,
            },
        }
    }

    /// Adds these details to a page that was built without them, such as an error page.
    fn complete(&self, mut response: Response) -> Response {
        if let Some(page) = response.extensions_mut().remove::<WebPage>() {
            response.extensions_mut().insert(page.with(self.details()));
        }
        response
    }
}

/// Middleware state of one route.
#[derive(Clone)]
struct Guard {
    app: Arc<AppState>,
    required: Option<Role>,
    /// True if the route changes nothing.
    reads: bool,
}

async fn gate(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Some(least) = guard.required else {
        return next.run(request).await;
    };
    match guard.admit(least, request).await {
        Ok((operator, mut request)) => {
            request.extensions_mut().insert(operator.clone());
            operator.complete(next.run(request).await)
        }
        Err(turned_away) => turned_away,
    }
}

impl Guard {
    async fn admit(
        &self,
        least: Role,
        request: Request,
    ) -> Result<(CurrentOperator, Request), Response> {
        let Some(mut operator) = visitor(&self.app, request.headers())
            .await
            .map_err(IntoResponse::into_response)?
        else {
            return Err(if self.reads {
                let to = request.uri().path_and_query();
                let to = to.map_or("/", |to| to.as_str());
                Redirect::to(&login_address(to)).into_response()
            } else {
                Error::NoSession.into_response()
            });
        };
        if operator.role < least {
            return Err(operator.complete(Error::Role(least).into_response()));
        }
        let config = self.app.config();
        let down = list_down(self.app.store(), &config).await;
        let down = down.map_err(|error| operator.complete(Error::from(error).into_response()))?;
        let kind = |name: &DestinationName| {
            let is_hook = config.hooks.iter().any(|hook| hook.name == *name);
            if is_hook { "hook" } else { "destination" }
        };
        operator.down = down
            .into_iter()
            .map(|down| (down.name.clone(), kind(&down.name)))
            .collect();
        let request = if self.reads {
            request
        } else {
            let request = own_form(request, &operator)
                .await
                .map_err(|error| operator.complete(error.into_response()))?;
            // The form may arrive slowly, and the session may end or lose its role meanwhile.
            let still = visitor(&self.app, request.headers())
                .await
                .and_then(|still| still.ok_or(Error::NoSession))
                .map_err(IntoResponse::into_response)?;
            operator.role = still.role;
            if operator.role < least {
                return Err(operator.complete(Error::Role(least).into_response()));
            }
            request
        };
        Ok((operator, request))
    }
}

/// Returns the URL of the login that continues to `to`, a path of these pages with its query.
pub(super) fn login_address(to: &str) -> String {
    if to == "/" {
        return "/login".to_owned();
    }
    let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
    format!("/login?to={to}")
}

/// The operator of the session that the request's cookie names; None without a valid one.
pub(super) async fn visitor(
    app: &AppState,
    headers: &HeaderMap,
) -> Result<Option<CurrentOperator>, Error> {
    let Some(key) = app.session_cookie(headers).read(headers) else {
        return Ok(None);
    };
    let hash = key.hash();
    let holder = app
        .store()
        .key_holder(
            hash,
            KeyKind::Session,
            app.config().operators_issuer(),
            Timestamp::now(),
        )
        .await?;
    Ok(holder.map(|holder| CurrentOperator {
        name: holder.name,
        role: holder.role,
        key: hash,
        signed_in_at: holder.signed_in_at,
        csrf: csrf(&key),
        down: Vec::new(),
        shares: app.store().duty_interval().is_some(),
    }))
}

impl AppState {
    /// True if browsers reach these pages over HTTPS, which cookies are then restricted to: `http.admin_url` says
    /// so, or `X-Forwarded-Proto` of a proxy.
    pub(super) fn is_secure(&self, headers: &HeaderMap) -> bool {
        let is_https = |proto: &HeaderValue| proto == "https";
        self.is_https() || headers.get("x-forwarded-proto").is_some_and(is_https)
    }

    pub(super) fn is_https(&self) -> bool {
        let config = self.config();
        let own_url = config.http.admin_url.as_deref();
        own_url.is_some_and(|url| url.starts_with("https://"))
    }

    pub(super) fn session_cookie(&self, headers: &HeaderMap) -> SecretCookie {
        SecretCookie::of_session(COOKIE_NAME, SESSION, self.is_secure(headers))
    }
}

fn csrf(key: &Token) -> String {
    let mut digest = Sha256::new();
    digest.update("vestibule form ");
    digest.update(key.reveal());
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

/// Accepts the form only if it contains the token that our own pages put into every form.
async fn own_form(request: Request, operator: &CurrentOperator) -> Result<Request, Error> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Error::TooLarge)?;
    let is_ours = form_urlencoded::parse(&body).any(|(name, value)| {
        name == "csrf" && value.as_bytes().ct_eq(operator.csrf.as_bytes()).into()
    });
    if is_ours {
        Ok(Request::from_parts(parts, Body::from(body)))
    } else {
        Err(Error::NotOurForm)
    }
}
