//! Typed parts of a request: the path parameter, the query, the body. Each type parses and documents itself,
//! so the `OpenAPI` document cannot differ from the parser.
//!
//! Input that does not have the documented form is answered `400`. Well-formed input with an impossible value
//! is the handler's `422`.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use serde::de::DeserializeOwned;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr, Required};
use utoipa::{IntoParams, ToSchema};

use super::operators::TokenId;
use super::problem::{Problem, ProblemKind};
use crate::web::has_type;

/// Schemas by name, for the document's components.
pub(super) type Schemas = Vec<(String, RefOr<Schema>)>;

/// A request that is read and not yet parsed.
pub(super) struct RawRequest {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// Path parameters by their names in the pattern of the route.
    pub path: Vec<(String, String)>,
    pub body: Bytes,
}

/// A handler argument that is extracted from a request.
pub(super) trait Input: Sized + Send + 'static {
    const HAS_PATH: bool = false;
    const HAS_QUERY: bool = false;
    const HAS_BODY: bool = false;

    fn read(request: &RawRequest) -> Result<Self, Problem>;

    fn describe(operation: OperationBuilder, schemas: &mut Schemas) -> OperationBuilder;
}

impl Input for () {
    fn read(_: &RawRequest) -> Result<Self, Problem> {
        Ok(())
    }

    fn describe(operation: OperationBuilder, _: &mut Schemas) -> OperationBuilder {
        operation
    }
}

impl<A: Input, B: Input> Input for (A, B) {
    const HAS_PATH: bool = A::HAS_PATH || B::HAS_PATH;
    const HAS_QUERY: bool = A::HAS_QUERY || B::HAS_QUERY;
    const HAS_BODY: bool = A::HAS_BODY || B::HAS_BODY;

    fn read(request: &RawRequest) -> Result<Self, Problem> {
        Ok((A::read(request)?, B::read(request)?))
    }

    fn describe(operation: OperationBuilder, schemas: &mut Schemas) -> OperationBuilder {
        B::describe(A::describe(operation, schemas), schemas)
    }
}

/// The query string.
pub(super) struct Query<T>(pub T);

impl<T: DeserializeOwned + IntoParams + Send + 'static> Input for Query<T> {
    const HAS_QUERY: bool = true;

    fn read(request: &RawRequest) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&request.uri)
            .map(|axum::extract::Query(query)| Self(query))
            .map_err(|error| Problem::bad_input(error.body_text()))
    }

    fn describe(operation: OperationBuilder, _: &mut Schemas) -> OperationBuilder {
        let parameters = T::into_params(|| Some(ParameterIn::Query));
        parameters
            .into_iter()
            .fold(operation, OperationBuilder::parameter)
    }
}

/// A JSON object in the body.
pub(super) struct Body<T>(pub T);

impl<T: DeserializeOwned + ToSchema + Send + 'static> Input for Body<T> {
    const HAS_BODY: bool = true;

    fn read(request: &RawRequest) -> Result<Self, Problem> {
        // A browser cannot send this type across sites without a preflight request.
        if !has_type(&request.headers, &["application/json"]) {
            return Err(Problem::new(
                ProblemKind::MediaType,
                "send Content-Type: application/json",
            ));
        }
        serde_json::from_slice(&request.body)
            .map(Self)
            .map_err(|error| Problem::bad_input(format!("the body: {error}")))
    }

    fn describe(operation: OperationBuilder, schemas: &mut Schemas) -> OperationBuilder {
        let content = ContentBuilder::new().schema(Some(schema_ref::<T>(schemas)));
        operation.request_body(Some(
            RequestBodyBuilder::new()
                .required(Some(Required::True))
                .content("application/json", content.build())
                .build(),
        ))
    }
}

/// An optional JSON object in the body.
pub(super) struct MaybeBody<T>(pub T);

impl<T: DeserializeOwned + ToSchema + Default + Send + 'static> Input for MaybeBody<T> {
    const HAS_BODY: bool = true;

    fn read(request: &RawRequest) -> Result<Self, Problem> {
        if request.body.is_empty() {
            return Ok(Self(T::default()));
        }
        Body::read(request).map(|Body(body)| Self(body))
    }

    fn describe(operation: OperationBuilder, schemas: &mut Schemas) -> OperationBuilder {
        let content = ContentBuilder::new().schema(Some(schema_ref::<T>(schemas)));
        operation.request_body(Some(
            RequestBodyBuilder::new()
                .required(Some(Required::False))
                .content("application/json", content.build())
                .build(),
        ))
    }
}

/// The path parameter of the route's pattern.
pub(super) struct At<T>(pub T);

/// A type that can be a path parameter.
pub(super) trait PathValue: Sized + Send + 'static {
    const WHAT: &'static str;
    /// The parameter's name in the pattern of the route.
    const NAME: &'static str;

    fn parse(text: &str) -> Option<Self>;

    fn schema() -> RefOr<Schema>;
}

impl<T: PathValue> Input for At<T> {
    const HAS_PATH: bool = true;

    fn read(request: &RawRequest) -> Result<Self, Problem> {
        let found = request.path.iter().find(|(name, _)| name == T::NAME);
        let text = found.map(|(_, text)| text.as_str()).unwrap_or_default();
        T::parse(text)
            .map(Self)
            .ok_or_else(|| Problem::not_found(T::WHAT, text))
    }

    fn describe(operation: OperationBuilder, _: &mut Schemas) -> OperationBuilder {
        let parameter = ParameterBuilder::new()
            .name(T::NAME)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(T::schema()));
        operation.parameter(parameter)
    }
}

macro_rules! places {
    ($($type:ty: $what:literal, $name:literal;)+) => {$(
        impl PathValue for $type {
            const WHAT: &'static str = $what;
            const NAME: &'static str = $name;

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn schema() -> RefOr<Schema> {
                <$type as utoipa::PartialSchema>::schema()
            }
        }
    )+};
}

places! {
    crate::domain::RequestId: "request", "request";
    crate::domain::LedgerId: "ledger entry", "ledger";
    crate::domain::DestinationName: "destination", "destination";
    crate::domain::OperatorName: "operator", "operator";
}

/// An account's id or its address.
pub(super) struct IdOrAddress(pub String);

impl PathValue for IdOrAddress {
    const WHAT: &'static str = "account";
    const NAME: &'static str = "customer";

    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("The account's id, or its address"))
            .min_length(Some(1))
            .examples(["ann@corp.example"])
            .into()
    }
}

impl PathValue for TokenId {
    const WHAT: &'static str = "token";
    const NAME: &'static str = "token";

    fn parse(text: &str) -> Option<Self> {
        Some(Self(text.to_owned()))
    }

    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .pattern(Some("^[0-9a-f]{10}$"))
            .into()
    }
}

/// Returns a reference to the schema of `T` and adds the schema, with all that it refers to, to the
/// components.
pub(super) fn schema_ref<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    let name = T::name();
    if !schemas.iter().any(|(known, _)| *known == name) {
        schemas.push((name.to_string(), T::schema()));
        T::schemas(schemas);
    }
    RefOr::Ref(Ref::from_schema_name(name))
}

/// The header that identifies repeats of a request.
pub(super) fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "A string of your choice that identifies this request, 1 to 255 printable ASCII characters \
             without spaces. For 24 hours, a repeat of the request with the same key is not carried out \
             again: it gets the first answer, unless that was a server error.",
        ))
        .schema(Some(
            ObjectBuilder::new()
                .schema_type(SchemaType::Type(Type::String))
                .min_length(Some(1))
                .max_length(Some(255))
                .pattern(Some("^[!-~]+$")),
        ))
        .build()
}
