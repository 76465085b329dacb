//! API schemas of the nouns that are strings in JSON: a pattern and an example for each. Enums and structures
//! get theirs from a derive.

use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{RefOr, schema};
use utoipa::{PartialSchema, ToSchema};

use super::{
    AccountId, DestinationName, Domain, DomainPattern, EmailAddress, LanguagePriority, LedgerId,
    MailId, OperatorName, PortalName, RequestId,
};

/// Crockford's base 32; the first digit encodes three bits only.
pub const ID: &str = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$";
pub const NAME: &str = "^[A-Za-z0-9_-]{1,64}$";

macro_rules! text {
    ($($type:ident: $description:literal, $pattern:expr, $example:literal;)+) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                text($description, $pattern, $example)
            }
        }

        impl ToSchema for $type {}
    )+};
}

text! {
    LedgerId: "One entry of the ledger", Some(ID), "01J9ZQ4D8N0VXB7T3WKE5M2R6C";
    RequestId: "A request; the id of its ledger entry", Some(ID), "01J9ZQ4D8N0VXB7T3WKE5M2R6C";
    AccountId: "An account", Some(ID), "01J9ZQ4A6V3TB2Q8RX0M5YK7HN";
    MailId: "A mail in the queue", Some(ID), "01J9ZQ4B0C7D1E2F3G4H5J6K7M";
    PortalName: "A portal, by its name in the configuration", Some(NAME), "it";
    DestinationName: "A destination, by its name in the configuration", Some(NAME), "helpdesk";
    OperatorName: "An operator", Some(NAME), "ann";
    EmailAddress: "An email address", None, "ann@corp.example";
    Domain: "A domain in its ASCII form", None, "corp.example";
    LanguagePriority: "Language tags, the most preferred first", None, "de-AT, en";
    DomainPattern: "example.com for that domain only, *.example.com for its subdomains, ann@example.com for one address", None,
        "partner.example";
}

fn text(description: &str, pattern: Option<&str>, example: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(schema::SchemaType::Type(Type::String))
        .description(Some(description))
        .pattern(pattern)
        .examples([example])
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_valid() {
        assert!("01J9ZQ4D8N0VXB7T3WKE5M2R6C".parse::<LedgerId>().is_ok());
        assert!("01J9ZQ4A6V3TB2Q8RX0M5YK7HN".parse::<AccountId>().is_ok());
        assert!("01J9ZQ4B0C7D1E2F3G4H5J6K7M".parse::<MailId>().is_ok());
        assert!(PortalName::parse("it").is_ok());
        assert!(EmailAddress::parse("ann@corp.example").is_ok());
        assert!(DomainPattern::parse("partner.example").is_ok());
    }
}
