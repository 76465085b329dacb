//! The one door of the operators' pages: a request in, and past it only with a session, a role that
//! is enough and, where something may change, a form of our own.
//!
//! Every route stands in a table with the role it needs, and goes through here because of that; so
//! no handler can forget to ask.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, Method};
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
use super::{AppState, MOST_BODY};
use crate::domain::{Actor, Interface, OperatorName, Role, Timestamp, Token, TokenHash};
use crate::store::KeyKind;
use crate::web::page::Page;

pub(super) const COOKIE_NAME: &str = "vestibule_session";

/// What a route asks of who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequiredRole {
    /// Nothing: the way to a session.
    Nothing,
    /// A session of at least this role.
    Session(Role),
}

/// A line of the table of routes.
pub(super) struct Route {
    pub method: Method,
    pub path: &'static str,
    pub required: RequiredRole,
    handler: MethodRouter<Arc<AppState>>,
}

impl Route {
    pub fn get<H, T>(path: &'static str, required: RequiredRole, handler: H) -> Self
    where
        H: Handler<T, Arc<AppState>>,
        T: 'static,
    {
        let (method, handler) = (Method::GET, get(handler));
        Self {
            method,
            path,
            required,
            handler,
        }
    }

    pub fn post<H, T>(path: &'static str, required: RequiredRole, handler: H) -> Self
    where
        H: Handler<T, Arc<AppState>>,
        T: 'static,
    {
        let (method, handler) = (Method::POST, post(handler));
        Self {
            method,
            path,
            required,
            handler,
        }
    }

    /// The handler behind the gate.
    pub fn guarded(self, app: &Arc<AppState>) -> (&'static str, MethodRouter<Arc<AppState>>) {
        let state = Guard {
            app: Arc::clone(app),
            required: self.required,
            reads: self.method == Method::GET,
        };
        let gate = middleware::from_fn_with_state(state, gate);
        (self.path, self.handler.layer(gate))
    }
}

/// Who came through the gate.
#[derive(Debug, Clone)]
pub(super) struct CurrentOperator {
    pub name: OperatorName,
    pub role: Role,
    pub key: TokenHash,
    /// Stands in every form of this session. Follows from the session's key and cannot be turned back
    /// into it.
    pub csrf: String,
}

impl CurrentOperator {
    pub fn actor(&self) -> Actor {
        Actor::operator(self.name.as_str(), Interface::Page)
    }

    /// A page with what every page shows of the visitor.
    pub fn page(&self, template: &'static str, context: Value) -> Page {
        Page::new(
            template,
            context! {
                me => context! {
                    name => self.name.as_str(),
                    role => self.role.as_str(),
                    csrf => self.csrf.as_str(),
                    acts => self.role >= Role::Agent,
                    sets => self.role >= Role::Admin,
                },
                ..context
            },
        )
    }
}

/// What stands before one route.
#[derive(Clone)]
struct Guard {
    app: Arc<AppState>,
    required: RequiredRole,
    /// Nothing can change by it.
    reads: bool,
}

async fn gate(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let RequiredRole::Session(least) = guard.required else {
        return next.run(request).await;
    };
    match guard.admit(least, request).await {
        Ok(request) => next.run(request).await,
        Err(turned_away) => turned_away,
    }
}

impl Guard {
    async fn admit(&self, least: Role, request: Request) -> Result<Request, Response> {
        let Some(operator) = visitor(&self.app, request.headers())
            .await
            .map_err(IntoResponse::into_response)?
        else {
            return Err(if self.reads {
                Redirect::to("/login").into_response()
            } else {
                Error::NoSession.into_response()
            });
        };
        if operator.role < least {
            return Err(Error::Role(least).into_response());
        }
        let mut request = if self.reads {
            request
        } else {
            own_form(request, &operator)
                .await
                .map_err(IntoResponse::into_response)?
        };
        request.extensions_mut().insert(operator);
        Ok(request)
    }
}

async fn visitor(app: &AppState, headers: &HeaderMap) -> Result<Option<CurrentOperator>, Error> {
    let Some(key) = session_key(headers) else {
        return Ok(None);
    };
    let hash = key.hash();
    let holder = app
        .store()
        .key_holder(hash, KeyKind::Session, Timestamp::now())
        .await?;
    Ok(holder.map(|(name, role)| CurrentOperator {
        name,
        role,
        key: hash,
        csrf: csrf(&key),
    }))
}

/// The session's key out of the cookies.
fn session_key(headers: &HeaderMap) -> Option<Token> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE_NAME)
        .find_map(|(_, value)| Token::parse(value).ok())
}

fn csrf(key: &Token) -> String {
    let mut digest = Sha256::new();
    digest.update("vestibule form ");
    digest.update(key.reveal());
    URL_SAFE_NO_PAD.encode(digest.finalize())
}

/// Takes the form only if it holds what our own pages put into each.
async fn own_form(request: Request, operator: &CurrentOperator) -> Result<Request, Error> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MOST_BODY)
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
