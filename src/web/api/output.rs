//! Types of answers, each of which writes and documents itself.

use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response as ResponseDoc, ResponseBuilder};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Ref, RefOr, Schema, SchemaFormat};

use super::input::{Schemas, schema_ref};
use crate::domain::LedgerId;
use crate::observe::events;
use crate::store::Listed;
use crate::web::attachment;

/// An answer of a handler.
pub(super) trait ApiOutput: Send + 'static {
    fn answer(self) -> Response;

    /// Possible responses, by status.
    fn describe(schemas: &mut Schemas) -> Vec<(StatusCode, ResponseDoc)>;
}

/// One object.
pub(super) struct ApiJson<T>(pub T);

impl<T: Serialize + ToSchema + Send + 'static> ApiOutput for ApiJson<T> {
    fn answer(self) -> Response {
        json(StatusCode::OK, &self.0)
    }

    fn describe(schemas: &mut Schemas) -> Vec<(StatusCode, ResponseDoc)> {
        let schema = schema_ref::<T>(schemas);
        vec![(StatusCode::OK, response("Done", schema).build())]
    }
}

/// A created object with its location, or one that already existed.
pub(super) enum Created<T> {
    New { at: String, what: T },
    Existing(T),
}

impl<T: Serialize + ToSchema + Send + 'static> ApiOutput for Created<T> {
    fn answer(self) -> Response {
        match self {
            Self::Existing(what) => json(StatusCode::OK, &what),
            Self::New { at, what } => {
                let mut response = json(StatusCode::CREATED, &what);
                if let Ok(at) = HeaderValue::from_str(&at) {
                    response.headers_mut().insert(LOCATION, at);
                }
                response
            }
        }
    }

    fn describe(schemas: &mut Schemas) -> Vec<(StatusCode, ResponseDoc)> {
        let schema = schema_ref::<T>(schemas);
        let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
        let location = HeaderBuilder::new()
            .schema(Some(text))
            .description(Some("URL path of the created object"))
            .build();
        vec![
            (
                StatusCode::CREATED,
                response("Created", schema.clone())
                    .header("Location", location)
                    .build(),
            ),
            (StatusCode::OK, response("Already exists", schema).build()),
        ]
    }
}

/// One page of a list, or all of a short list.
#[derive(Serialize)]
pub(super) struct ListBody<T> {
    pub items: Vec<T>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

impl<T> ListBody<T> {
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

impl<T> From<Listed<T>> for ListBody<T> {
    fn from(listed: Listed<T>) -> Self {
        Self {
            items: listed.rows,
            next: listed.next,
        }
    }
}

impl<T: Serialize + ToSchema + Send + 'static> ApiOutput for ListBody<T> {
    fn answer(self) -> Response {
        json(StatusCode::OK, &self)
    }

    fn describe(schemas: &mut Schemas) -> Vec<(StatusCode, ResponseDoc)> {
        let item = schema_ref::<T>(schemas);
        let name = format!("{}List", T::name());
        let next = ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .description(Some(
                "Cursor of the next page: pass it as `after`; null on the last page",
            ));
        let part: RefOr<Schema> = ObjectBuilder::new()
            .property("items", ArrayBuilder::new().items(item))
            .property("next", next)
            .required("items")
            .required("next")
            .into();
        if !schemas.iter().any(|(known, _)| *known == name) {
            schemas.push((name.clone(), part));
        }
        let schema = RefOr::Ref(Ref::from_schema_name(name));
        vec![(
            StatusCode::OK,
            response("A page of the list", schema).build(),
        )]
    }
}

/// A raw message, sent as an attachment so that a browser saves it instead of opening it.
pub(super) struct Raw {
    pub ledger: LedgerId,
    pub octets: Vec<u8>,
}

impl ApiOutput for Raw {
    fn answer(self) -> Response {
        let disposition = format!("attachment; filename=\"{}.eml\"", self.ledger);
        attachment(self.octets, "message/rfc822", &disposition)
    }

    fn describe(_: &mut Schemas) -> Vec<(StatusCode, ResponseDoc)> {
        let octets = ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            // The format by which client generators recognize it.
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
            .content_encoding("binary");
        let content = ContentBuilder::new().schema(Some(octets)).build();
        let raw = ResponseBuilder::new()
            .description("The message exactly as it was received")
            .content("message/rfc822", content);
        vec![(StatusCode::OK, raw.build())]
    }
}

fn response(description: &str, schema: RefOr<Schema>) -> ResponseBuilder {
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => {
            events::fault("web.api", &error);
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
