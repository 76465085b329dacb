use serde_json::json;

use super::*;

fn words(schema: &Value) -> String {
    let spans = Type::of(schema).spans.into_iter();
    let words = spans.map(|span| match span {
        Span::Plain(text) | Span::Code(text) | Span::Schema(text) => text,
    });
    words.collect()
}

fn plain_span(text: &str) -> Span {
    Span::Plain(text.to_owned())
}

#[test]
fn a_type_is_said_in_words() {
    for (schema, expected) in [
        (json!({"type": "string"}), "string"),
        (json!({"type": ["string", "null"]}), "string or null"),
        (json!({"$ref": "#/components/schemas/Kind"}), "Kind"),
        (
            json!({"oneOf": [{"$ref": "#/components/schemas/Kind"}, {"type": "null"}]}),
            "Kind or null",
        ),
        (
            json!({"type": "array", "items": {"$ref": "#/components/schemas/Kind"}}),
            "list of Kind",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            "object of integer",
        ),
        (json!({"type": "string", "enum": ["a", "b"]}), "a, b"),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            "object { a: string }",
        ),
    ] {
        assert_eq!(words(&schema), expected);
    }
}

#[test]
fn a_type_marks_the_names_of_schemas() {
    let kind = json!({"oneOf": [
        {"$ref": "#/components/schemas/Kind"},
        {"type": "array", "items": {"$ref": "#/components/schemas/Role"}},
    ]});
    assert_eq!(
        Type::of(&kind).spans,
        [
            Span::Schema("Kind".to_owned()),
            plain_span(" or "),
            plain_span("list of "),
            Span::Schema("Role".to_owned()),
        ]
    );
}

#[test]
fn descriptions_have_paragraphs_code_and_drawings() {
    let blocks = prose(&json!(
        "One `code`.\n\nTwo.\n\n```text\n a ─► b\n```\n\nThree."
    ));
    let one = vec![
        plain_span("One "),
        Span::Code("code".to_owned()),
        plain_span("."),
    ];
    assert_eq!(
        blocks,
        [
            Block::Paragraph(one),
            Block::Paragraph(vec![plain_span("Two.")]),
            Block::Drawing(" a ─► b".to_owned()),
            Block::Paragraph(vec![plain_span("Three.")]),
        ]
    );
}
