//! A row of the table in [`routes`](super::routes): the operation's name, the authorization that it requires, and
//! its handler. The handler's types document its input and output.
//!
//! Every request passes the same steps: authentication, body, `Idempotency-Key`, parsing, handler. A handler
//! cannot skip one.

use std::sync::Arc;

use axum::RequestPartsExt;
use axum::body::to_bytes;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use utoipa::openapi::HttpMethod;
use utoipa::openapi::path::{Operation, OperationBuilder};
use utoipa::openapi::response::Response as ResponseDoc;

use super::AppState;
use super::auth::TokenHolder;
use super::input::{Input, RawRequest, Schemas, idempotency_key};
use super::output::ApiOutput;
use super::problem::{Problem, ProblemKind};
use super::{MAX_BODY, document, idempotency};
use crate::domain::Role;
use crate::web::rate_limit::Peer;

/// The context of a handler, besides its input.
#[derive(Clone)]
pub(super) struct Call {
    pub app: Arc<AppState>,
    pub holder: TokenHolder,
}

pub(super) struct ApiRoute {
    pub method: Method,
    /// The path below `/api/v1`.
    pub path: &'static str,
    /// The least role of the token; `None` for the `OpenAPI` document, which needs no token.
    pub required: Option<Role>,
    id: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    problems: Vec<ProblemKind>,
    types: fn(&Method) -> Types,
    pub handler: MethodRouter<Arc<AppState>>,
}

/// The schemas of a handler's types. They are built on demand, because all of them take several megabytes.
pub(super) struct Types {
    operation: Operation,
    answers: Vec<(StatusCode, ResponseDoc)>,
    pub schemas: Schemas,
}

impl Types {
    fn of<I: Input, O: ApiOutput>(method: &Method) -> Self {
        let mut schemas = Schemas::new();
        let mut operation = I::describe(OperationBuilder::new(), &mut schemas);
        if *method == Method::POST {
            operation = operation.parameter(idempotency_key());
        }
        Self {
            operation: operation.build(),
            answers: O::describe(&mut schemas),
            schemas,
        }
    }

    fn of_document(_: &Method) -> Self {
        Self {
            operation: OperationBuilder::new().build(),
            answers: vec![document::response()],
            schemas: Schemas::new(),
        }
    }
}

/// A handler: takes the operator and the input, returns an output or a problem.
pub(super) trait Serve<I, O>: Clone + Send + Sync + 'static {
    fn serve(
        self,
        call: Call,
        input: I,
    ) -> impl Future<Output = Result<O, Problem>> + Send + 'static;
}

impl<I, O, F, A> Serve<I, O> for F
where
    F: Fn(Call, I) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Result<O, Problem>> + Send + 'static,
{
    fn serve(
        self,
        call: Call,
        input: I,
    ) -> impl Future<Output = Result<O, Problem>> + Send + 'static {
        self(call, input)
    }
}

impl ApiRoute {
    pub fn new<I: Input, O: ApiOutput>(
        method: Method,
        path: &'static str,
        least: Role,
        handler: impl Serve<I, O>,
    ) -> Self {
        let makes = method == Method::POST;
        let serve = async move |State(app): State<Arc<AppState>>, request: Request| {
            answer(app, least, request, handler.clone())
                .await
                .unwrap_or_else(IntoResponse::into_response)
        };
        let mut problems = vec![
            ProblemKind::NoToken,
            ProblemKind::InvalidToken,
            ProblemKind::Malformed,
            ProblemKind::Timeout,
            ProblemKind::TooMany,
            ProblemKind::Internal,
            ProblemKind::Unavailable,
        ];
        let more: [(bool, &[ProblemKind]); 5] = [
            (least > Role::Viewer, &[ProblemKind::Role]),
            (I::HAS_PATH, &[ProblemKind::NotFound]),
            (I::HAS_QUERY || I::HAS_BODY, &[ProblemKind::Refused]),
            (I::HAS_BODY, &[ProblemKind::MediaType]),
            (
                makes,
                &[
                    ProblemKind::TooLarge,
                    ProblemKind::Underway,
                    ProblemKind::AnswerNotKept,
                    ProblemKind::KeyReused,
                ],
            ),
        ];
        for (there, kinds) in more {
            problems.extend(kinds.iter().filter(|_| there));
        }
        Self {
            handler: if makes { post(serve) } else { get(serve) },
            method,
            path,
            required: Some(least),
            id: "",
            summary: "",
            description: None,
            problems,
            types: Types::of::<I, O>,
        }
    }

    /// Makes the route of the document itself, which needs no token.
    pub fn document(path: &'static str) -> Self {
        let serve = async |State(app): State<Arc<AppState>>| document::answer(&app.document().json);
        Self {
            method: Method::GET,
            path,
            required: None,
            id: "",
            summary: "",
            description: None,
            problems: vec![ProblemKind::Timeout, ProblemKind::Internal],
            types: Types::of_document,
            handler: get(serve),
        }
    }

    /// Sets the operation id and a short summary.
    pub fn with_summary(mut self, id: &'static str, summary: &'static str) -> Self {
        (self.id, self.summary) = (id, summary);
        self
    }

    /// Sets the long description.
    pub fn with_description(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }

    /// Adds a problem that not every route returns.
    pub fn may(mut self, kind: ProblemKind) -> Self {
        self.problems.push(kind);
        self
    }

    pub fn http_method(&self) -> HttpMethod {
        if self.method == Method::POST {
            HttpMethod::Post
        } else {
            HttpMethod::Get
        }
    }

    pub fn types(&self) -> Types {
        (self.types)(&self.method)
    }

    /// The route as an operation of the document.
    pub fn operation(&self, types: Types) -> Operation {
        let tag = self.path.split('/').nth(1).unwrap_or_default();
        let operation = OperationBuilder::from(types.operation)
            .tag(tag.trim_end_matches(".json"))
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .description(self.description)
            .securities(Some(document::security(self.required)));
        let answers = types
            .answers
            .into_iter()
            .map(|(status, described)| (status.as_u16().to_string(), described));
        let problems = document::problems(&self.problems);
        answers
            .chain(problems)
            .fold(operation, |operation, (status, described)| {
                operation.response(status, described)
            })
            .build()
    }
}

async fn answer<I: Input, O: ApiOutput>(
    app: Arc<AppState>,
    least: Role,
    request: Request,
    handler: impl Serve<I, O>,
) -> Result<Response, Problem> {
    let peer = request.extensions().get::<Peer>().copied();
    let mut holder = app.admit(least, request.headers(), peer).await?;
    let makes = request.method() == Method::POST;
    let request = read::<I>(request).await?;
    if request.method != Method::GET {
        // The body may arrive slowly, and the token may expire meanwhile.
        holder = app.admit(least, &request.headers, peer).await?;
    }
    let key = if makes {
        idempotency::key(&request.headers)?
    } else {
        None
    };
    let call = Call {
        app: Arc::clone(&app),
        holder,
    };
    let name = call.holder.name.clone();
    let asked = key.map(|key| idempotency::answer_key(&name, key, &request));
    let work = async move {
        let input = match I::read(&request) {
            Ok(input) => input,
            Err(problem) => return problem.into_response(),
        };
        match handler.serve(call, input).await {
            Ok(output) => output.answer(),
            Err(problem) => problem.into_response(),
        }
    };
    match asked {
        Some(asked) => idempotency::once(app, asked, work).await,
        None => Ok(work.await),
    }
}

/// Reads the whole request, within bounds.
async fn read<I: Input>(request: Request) -> Result<RawRequest, Problem> {
    let (mut parts, body) = request.into_parts();
    let path = parts
        .extract::<RawPathParams>()
        .await
        .map_err(|error| Problem::bad_input(format!("the path: {error}")))?;
    let path = path
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if !I::HAS_QUERY && parts.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Problem::bad_input(
            "this operation takes no query parameters",
        ));
    }
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
        Problem::new(
            ProblemKind::TooLarge,
            format!("a body can have at most {MAX_BODY} octets"),
        )
    })?;
    Ok(RawRequest {
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        path,
        body,
    })
}
