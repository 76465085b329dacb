//! Operations of `PATCH`, as the RFC, Entra ID and Okta write them.

use serde_json::Map;

use super::super::error::ScimType;
use super::super::patch::apply;
use super::super::paths_and_filters::{parse_filter, parse_path};
use super::*;

fn user() -> Map<String, Value> {
    let user = json!({
        "userName": "ann@corp.example",
        "active": true,
        "emails": [
            {"value": "ann@corp.example", "type": "work", "primary": true},
            {"value": "ann@home.example", "type": "home"},
        ],
        "roles": [],
    });
    user.as_object().cloned().expect("an object")
}

/// The user after one operation.
fn after(operation: &Value) -> Value {
    let mut user = user();
    let request = json!({"Operations": [operation]});
    apply(&mut user, &request).unwrap_or_else(|error| panic!("{operation}: {error:?}"));
    Value::Object(user)
}

#[test]
fn attributes_are_set_in_every_dialect() {
    for (operation, path, value) in [
        (
            json!({"op": "replace", "path": "active", "value": false}),
            "/active",
            json!(false),
        ),
        (
            json!({"op": "Replace", "path": "active", "value": "False"}),
            "/active",
            json!("False"),
        ),
        (
            json!({"op": "replace", "value": {"active": false}}),
            "/active",
            json!(false),
        ),
        (
            json!({"OP": "replace", "Path": "Active", "Value": false}),
            "/active",
            json!(false),
        ),
        (
            json!({"op": "add", "path": "urn:ietf:params:scim:schemas:core:2.0:User:externalId", "value": "x"}),
            "/externalId",
            json!("x"),
        ),
        (
            json!({"op": "Add", "value": {"emails[type eq \"work\"].value": "ann@new.example", "displayName": "Ann"}}),
            "/emails/0/value",
            json!("ann@new.example"),
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "ann@new.example"}),
            "/emails/0/value",
            json!("ann@new.example"),
        ),
        (
            json!({"op": "replace", "path": "Emails[Type Eq \"Work\"].Value", "value": "ann@new.example"}),
            "/emails/0/value",
            json!("ann@new.example"),
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"other\"].value", "value": "ann@other.example"}),
            "/emails/2",
            json!({"type": "other", "value": "ann@other.example"}),
        ),
        (
            json!({"op": "replace", "path": "emails[primary eq true]", "value": {"value": "ann@new.example"}}),
            "/emails/0",
            json!({"value": "ann@new.example", "type": "work", "primary": true}),
        ),
        (
            json!({"op": "add", "path": "emails", "value": [{"value": "a@b.example", "primary": true}]}),
            "/emails/0",
            json!({"value": "ann@corp.example", "type": "work"}),
        ),
        (
            json!({"op": "replace", "path": "emails[primary eq true]", "value": {"value": "ann@new.example", "primary": true}}),
            "/emails",
            json!([
                {"value": "ann@new.example", "type": "work", "primary": true},
                {"value": "ann@home.example", "type": "home"},
            ]),
        ),
        (
            json!({"op": "replace", "path": "emails[primary eq \"True\"].primary", "value": "True"}),
            "/emails",
            json!([
                {"value": "ann@corp.example", "type": "work", "primary": "True"},
                {"value": "ann@home.example", "type": "home"},
            ]),
        ),
        (
            json!({"op": "replace", "path": "emails[primary eq false].primary", "value": true}),
            "/emails",
            json!([
                {"value": "ann@corp.example", "type": "work"},
                {"value": "ann@home.example", "type": "home", "primary": true},
            ]),
        ),
        (
            json!({"op": "replace", "path": "emails[type eq \"other\"]", "value": {"value": "a@b.example", "primary": true}}),
            "/emails",
            json!([
                {"value": "ann@corp.example", "type": "work"},
                {"value": "ann@home.example", "type": "home"},
                {"value": "a@b.example", "type": "other", "primary": true},
            ]),
        ),
        (
            json!({"op": "replace", "path": "emails", "value": [{"value": "a@b.example"}]}),
            "/emails",
            json!([{"value": "a@b.example"}]),
        ),
        (
            json!({"op": "add", "path": "roles", "value": "staff"}),
            "/roles",
            json!([{"value": "staff"}]),
        ),
        (
            json!({"op": "add", "path": "roles[primary eq \"True\"].value", "value": "staff"}),
            "/roles",
            json!([{"primary": "True", "value": "staff"}]),
        ),
        (
            json!({"op": "remove", "path": "emails[type eq \"home\"]"}),
            "/emails",
            json!([{"value": "ann@corp.example", "type": "work", "primary": true}]),
        ),
        (
            json!({"op": "remove", "path": "emails", "value": [{"value": "ann@corp.example"}]}),
            "/emails",
            json!([{"value": "ann@home.example", "type": "home"}]),
        ),
    ] {
        let patched = after(&operation);
        assert_eq!(
            patched.pointer(path),
            Some(&value),
            "{operation}: {patched}"
        );
    }
}

#[test]
fn attributes_that_are_not_kept_change_nothing() {
    for operation in [
        json!({"op": "replace", "path": "name.familyName", "value": "Archer"}),
        json!({"op": "add", "path": "phoneNumbers[type eq \"work\"].value", "value": "1"}),
        json!({"op": "add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "IT"}),
        json!({"op": "add", "value": {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "IT"}}}),
        json!({"op": "replace", "value": {"id": "1", "schemas": [], "title": "Dr"}}),
        json!({"op": "add", "path": "emails", "value": [{"value": "ann@home.example", "type": "home"}]}),
        json!({"op": "remove", "path": "active"}),
        json!({"op": "replace", "path": "active", "value": null}),
        json!({"op": "add", "value": {"Active": null}}),
    ] {
        assert_eq!(after(&operation), Value::Object(user()), "{operation}");
    }
}

#[test]
fn mistakes_have_their_keyword() {
    for (request, kind) in [
        (json!({}), ScimType::InvalidSyntax),
        (json!({"Operations": []}), ScimType::InvalidSyntax),
        (
            json!({"Operations": [{"op": "move", "path": "active"}]}),
            ScimType::InvalidSyntax,
        ),
        (
            json!({"Operations": [{"op": "remove"}]}),
            ScimType::NoTarget,
        ),
        (
            json!({"Operations": [{"op": "replace", "path": "active"}]}),
            ScimType::InvalidValue,
        ),
        (
            json!({"Operations": [{"op": "replace", "value": "x"}]}),
            ScimType::InvalidValue,
        ),
        (
            json!({"Operations": [{"op": "replace", "path": "id", "value": "x"}]}),
            ScimType::Mutability,
        ),
        (
            json!({"Operations": [{"op": "replace", "path": "shoeSize", "value": 9}]}),
            ScimType::InvalidPath,
        ),
        (
            json!({"Operations": [{"op": "replace", "path": "active.x", "value": 9}]}),
            ScimType::InvalidPath,
        ),
        (
            json!({"Operations": [{"op": "replace", "path": "emails[", "value": 9}]}),
            ScimType::InvalidPath,
        ),
        (
            json!({"Operations": [{"op": "replace", "path": "emails[type co \"w\"]", "value": {}}]}),
            ScimType::InvalidFilter,
        ),
        (
            json!({"Operations": vec![json!({"op": "remove", "path": "externalId"}); 101]}),
            ScimType::InvalidSyntax,
        ),
    ] {
        let refused = apply(&mut user(), &request).expect_err("a mistake");
        assert_eq!(refused.kind(), Some(kind), "{request}");
    }
}

#[test]
fn filters_and_paths_are_bounded() {
    let long = format!("userName eq \"{}\"", "x".repeat(2000));
    assert!(parse_filter(&long).is_err());
    assert!(parse_path(&"x".repeat(2000)).is_err());
    for filter in [
        "",
        "userName",
        "userName eq",
        "userName eq ann",
        "userName pr",
        "userName eq \"a\" and active eq true",
        "eq \"a\"",
    ] {
        let refused = parse_filter(filter).expect_err(filter);
        assert_eq!(refused.kind(), Some(ScimType::InvalidFilter), "{filter}");
    }
    let filter =
        parse_filter(" URN:ietf:params:scim:schemas:core:2.0:User:UserName  EQ \"a \\\"b\" ");
    assert_eq!(filter.expect("a filter").value, json!("a \"b"));
}

#[test]
fn values_of_many_elements_are_refused_before_they_are_compared() {
    let many: Vec<_> = (0..201)
        .map(|n| json!({"value": format!("r{n}")}))
        .collect();
    for verb in ["add", "replace", "remove"] {
        let apply = |elements: &[Value]| {
            let operation = json!({"op": verb, "path": "roles", "value": elements});
            apply(&mut user(), &json!({"Operations": [operation]}))
        };
        assert!(apply(&many[..200]).is_ok(), "{verb}");
        let refusal = apply(&many).expect_err(verb);
        assert_eq!(refusal.kind(), Some(ScimType::InvalidValue), "{verb}");
    }
}

#[test]
fn a_value_is_not_copied_into_elements_without_bound() {
    let emails: Vec<_> = (0..200)
        .map(|n| json!({"value": format!("ann{n}@corp.example")}))
        .collect();
    let of = |operations: Vec<Value>| {
        let mut user = user();
        user.insert("emails".to_owned(), json!(emails));
        apply(&mut user, &json!({"Operations": operations}))
    };
    let set = |sub: &str, octets: usize| {
        let path = format!("emails.{sub}");
        json!({"op": "replace", "path": path, "value": "x".repeat(octets)})
    };
    assert!(of(vec![set("display", 500)]).is_ok());
    for operations in [
        vec![set("display", 60_000)],
        (0..100).map(|n| set(&format!("s{n}"), 500)).collect(),
        vec![json!({"op": "replace", "path": "emails.display", "value": vec![0; 30_000]})],
    ] {
        let refusal = of(operations).expect_err("too large");
        assert_eq!(refusal.kind(), Some(ScimType::InvalidValue));
    }
}
