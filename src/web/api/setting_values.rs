//! New values of access settings in the body of a request: JSON to assignments, and their schema in the document.

use std::collections::BTreeMap;

use serde::Deserialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::Problem;
use crate::access::{Assignment, Key, Settings, Value};
use crate::domain::{DomainPattern, GroupName};

/// New values, keyed by setting name; null makes a portal inherit the site's value.
#[derive(Deserialize)]
pub(super) struct SettingValues(BTreeMap<String, Option<Given>>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    Switch(bool),
    List(Vec<String>),
}

impl PartialSchema for SettingValues {
    fn schema() -> RefOr<Schema> {
        let nothing = Settings::default();
        let described = ObjectBuilder::new()
            .description(Some(
                "New values, keyed by setting name; null makes a portal inherit the site's value",
            ))
            .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)));
        let described = Key::ALL.into_iter().fold(described, |described, key| {
            let item = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
            let item = match key.of(&nothing) {
                Value::Switch(_) => {
                    let either = SchemaType::from_iter([Type::Boolean, Type::Null]);
                    let switch = ObjectBuilder::new().schema_type(either);
                    return described.property(key.as_str(), switch);
                }
                Value::Domains(_) => item.examples(["partner.example"]),
                Value::Groups(_) => item.examples(["staff"]),
            };
            let list = ArrayBuilder::new()
                .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
                .items(item);
            described.property(key.as_str(), list)
        });
        described.into()
    }
}

impl ToSchema for SettingValues {
    fn name() -> std::borrow::Cow<'static, str> {
        "Wanted".into()
    }
}

impl SettingValues {
    pub(super) fn assignments(&self) -> Result<Vec<Assignment>, Problem> {
        self.0
            .iter()
            .map(|(name, given)| assignment(name, given.as_ref()))
            .collect()
    }
}

fn assignment(name: &str, given: Option<&Given>) -> Result<Assignment, Problem> {
    let key = Key::parse(name).map_err(|error| Problem::bad_input(error.to_string()))?;
    let kind = key.of(&Settings::default());
    let value = match (kind, given) {
        (_, None) => None,
        (Value::Switch(_), Some(Given::Switch(on))) => Some(Value::Switch(*on)),
        (Value::Domains(_), Some(Given::List(domains))) => {
            Some(Value::Domains(patterns(name, key, domains)?.into()))
        }
        (Value::Groups(_), Some(Given::List(groups))) => {
            let names = groups
                .iter()
                .map(|group| GroupName::parse(group).map(String::from))
                .collect::<Result<_, _>>()
                .map_err(|error| Problem::of_field(name, error))?;
            Some(Value::Groups(names))
        }
        (Value::Switch(_), Some(_)) => {
            return Err(Problem::bad_input(format!("{name} must be true or false")));
        }
        (_, Some(_)) => return Err(Problem::bad_input(format!("{name} must be a list"))),
    };
    Ok(Assignment { key, value })
}

pub(super) fn patterns(
    place: &str,
    key: Key,
    domains: &[String],
) -> Result<Vec<DomainPattern>, Problem> {
    domains
        .iter()
        .map(|text| {
            key.parse_pattern(text)
                .map_err(|error| Problem::of_field(place, error))
        })
        .collect()
}
