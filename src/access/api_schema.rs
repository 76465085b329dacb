//! API schemas of settings and their values that a derive cannot express.

use utoipa::openapi::schema::{
    AnyOfBuilder, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::openapi::{RefOr, schema};
use utoipa::{PartialSchema, ToSchema};

use super::settings_key::{Key, Value};

impl PartialSchema for Key {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::Type(Type::String))
            .description(Some("A setting by its name"))
            .enum_values(Some(Key::ALL.map(Key::as_str)))
            .into()
    }
}

impl ToSchema for Key {}

/// A boolean or a list. Both kinds of lists are lists of strings, so an empty list can be of either kind.
impl PartialSchema for Value {
    fn schema() -> RefOr<Schema> {
        let of = |kind| ObjectBuilder::new().schema_type(SchemaType::Type(kind));
        RefOr::T(Schema::AnyOf(
            AnyOfBuilder::new()
                .description(Some("true or false, a list of domains or a list of groups"))
                .item(of(schema::Type::Boolean))
                .item(ArrayBuilder::new().items(of(Type::String)))
                .build(),
        ))
    }
}

impl ToSchema for Value {}
