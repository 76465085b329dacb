//! The reference: the `OpenAPI` document as a page that people read. In: the document. Out: what the template
//! shows of it; nothing on the page comes from anywhere else.

use serde::Serialize;
use serde_json::{Map, Value};

/// Start of a reference to a schema.
const SCHEMAS: &str = "#/components/schemas/";

/// Everything on the page.
#[derive(Debug, Serialize)]
pub(super) struct Reference {
    version: String,
    description: Vec<Block>,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

/// A piece of prose.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "kind", content = "content", rename_all = "snake_case")]
enum Block {
    Paragraph(Vec<Span>),
    /// Its line breaks and spaces count.
    Drawing(String),
}

/// A piece of a line.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(tag = "kind", content = "text", rename_all = "snake_case")]
enum Span {
    Plain(String),
    Code(String),
    /// The name of a schema.
    Schema(String),
}

/// The operations under one tag.
#[derive(Debug, Serialize)]
struct Group {
    name: String,
    description: String,
    operations: Vec<Operation>,
}

#[derive(Debug, Serialize)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    description: Vec<Block>,
    /// The least role of the token; `None` if no token is needed.
    role: Option<String>,
    parameters: Vec<Field>,
    body: Option<Type>,
    answers: Vec<Answer>,
    problems: Vec<Answer>,
}

/// A response: its status, its description, and the type of its body unless that is a problem.
#[derive(Debug, Serialize)]
struct Answer {
    status: String,
    description: String,
    media: String,
    content: Type,
}

/// A property of an object, or a parameter.
#[derive(Debug, Serialize)]
struct Field {
    name: String,
    /// Place of a parameter: `path`, `query` or `header`.
    place: String,
    is_required: bool,
    content: Type,
    description: Vec<Block>,
}

/// A type in words, with the schemas that it names.
#[derive(Debug, Default, Serialize)]
struct Type {
    spans: Vec<Span>,
    /// Bounds, form and default, each in words.
    rules: Vec<String>,
}

/// A named schema.
#[derive(Debug, Serialize)]
struct Schema {
    name: String,
    description: Vec<Block>,
    content: Type,
    fields: Vec<Field>,
    example: Option<String>,
}

impl Reference {
    /// Reads the document.
    pub fn of(document: &Value) -> Self {
        let groups = list(&document["tags"])
            .iter()
            .map(|tag| Group::of(document, tag))
            .filter(|group| !group.operations.is_empty());
        let schemas = entries(&document["components"]["schemas"])
            .map(|(name, schema)| Schema::of(name, schema));
        Self {
            version: text(&document["info"]["version"]),
            description: prose(&document["info"]["description"]),
            groups: groups.collect(),
            schemas: schemas.collect(),
        }
    }
}

impl Group {
    fn of(document: &Value, tag: &Value) -> Self {
        let operations = entries(&document["paths"]).flat_map(|(path, methods)| {
            entries(methods)
                .filter(|(_, operation)| list(&operation["tags"]).contains(&tag["name"]))
                .map(move |(method, operation)| Operation::of(document, path, method, operation))
        });
        Self {
            name: text(&tag["name"]),
            description: text(&tag["description"]),
            operations: operations.collect(),
        }
    }
}

impl Operation {
    fn of(document: &Value, path: &str, method: &str, operation: &Value) -> Self {
        let base = text(&document["servers"][0]["url"]);
        let role = &operation["security"][0]["token"][0];
        let (problems, answers): (Vec<_>, Vec<_>) = entries(&operation["responses"])
            .map(|(status, response)| Answer::of(status, response))
            .partition(|answer| answer.media == super::problem::PROBLEM_JSON);
        let parameters = list(&operation["parameters"]).iter();
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: format!("{base}{path}"),
            summary: text(&operation["summary"]),
            description: prose(&operation["description"]),
            role: role.as_str().map(str::to_owned),
            parameters: parameters.map(Field::of_parameter).collect(),
            body: body.is_object().then(|| Type::of(body)),
            answers,
            problems,
        }
    }
}

impl Answer {
    fn of(status: &str, response: &Value) -> Self {
        let (media, content) = entries(&response["content"])
            .next()
            .map(|(media, content)| (media.clone(), Type::of(&content["schema"])))
            .unwrap_or_default();
        Self {
            status: status.to_owned(),
            description: text(&response["description"]),
            media,
            content,
        }
    }
}

impl Field {
    fn of_parameter(parameter: &Value) -> Self {
        let own = prose(&parameter["description"]);
        let schemas = prose(&parameter["schema"]["description"]);
        Self {
            name: text(&parameter["name"]),
            place: text(&parameter["in"]),
            is_required: parameter["required"] == true,
            content: Type::of(&parameter["schema"]),
            description: if own.is_empty() { schemas } else { own },
        }
    }

    /// The properties of an object, those of all its parts included.
    fn of_object(schema: &Value) -> Vec<Self> {
        let required = list(&schema["required"]);
        let own = entries(&schema["properties"]).map(|(name, property)| Self {
            name: name.clone(),
            place: String::new(),
            is_required: required.iter().any(|word| word == name),
            content: Type::of(property),
            description: prose(description(property)),
        });
        let parts = list(&schema["allOf"]).iter().flat_map(Self::of_object);
        own.chain(parts).collect()
    }
}

impl Type {
    fn of(schema: &Value) -> Self {
        let mut found = Self::default();
        found.add(schema);
        found
    }

    /// Appends plain text.
    fn say(&mut self, words: &str) {
        self.spans.push(Span::Plain(words.to_owned()));
    }

    fn add(&mut self, schema: &Value) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.strip_prefix(SCHEMAS).unwrap_or(name);
            self.spans.push(Span::Schema(name.to_owned()));
            return;
        }
        for (keyword, joint) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " with ")] {
            for (place, part) in list(&schema[keyword]).iter().enumerate() {
                if place > 0 {
                    self.say(joint);
                }
                self.add(part);
            }
        }
        let values = list(&schema["enum"]);
        if !values.is_empty() {
            let words: Vec<_> = values.iter().map(plain).collect();
            self.say(&words.join(", "));
        } else if schema["items"].is_object() {
            self.say("list of ");
            self.add(&schema["items"]);
        } else if schema["additionalProperties"].is_object() {
            self.say("object of ");
            self.add(&schema["additionalProperties"]);
        } else {
            self.add_kinds(schema);
        }
        self.add_rules(schema);
    }

    /// The plain kinds: `string or null`, and the names of an inline object's properties.
    fn add_kinds(&mut self, schema: &Value) {
        let kinds = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().map(plain).collect(),
            Value::String(kind) => vec![kind.clone()],
            _ => Vec::new(),
        };
        if !kinds.is_empty() {
            self.say(&kinds.join(" or "));
        }
        for (place, (name, property)) in entries(&schema["properties"]).enumerate() {
            self.say(if place == 0 { " { " } else { ", " });
            self.say(&format!("{name}: "));
            self.add(property);
        }
        if schema["properties"].is_object() {
            self.say(" }");
        }
    }

    fn add_rules(&mut self, schema: &Value) {
        const RULES: [(&str, &str); 8] = [
            ("minimum", "at least"),
            ("maximum", "at most"),
            ("minLength", "characters, at least"),
            ("maxLength", "characters, at most"),
            ("minItems", "items, at least"),
            ("maxItems", "items, at most"),
            ("pattern", "pattern"),
            ("default", "default"),
        ];
        for (keyword, words) in RULES {
            if let Some(value) = schema.get(keyword) {
                self.rules.push(format!("{words} {}", plain(value)));
            }
        }
    }
}

impl Schema {
    fn of(name: &str, schema: &Value) -> Self {
        let fields = Field::of_object(schema);
        let example = schema.get("example").or_else(|| schema["examples"].get(0));
        Self {
            name: name.to_owned(),
            description: prose(&schema["description"]),
            content: if fields.is_empty() {
                Type::of(schema)
            } else {
                Type::default()
            },
            fields,
            example: example.map(plain),
        }
    }
}

/// The description of a property: its own, or that beside the reference in it.
fn description(property: &Value) -> &Value {
    let parts = ["oneOf", "allOf"].map(|keyword| list(&property[keyword]));
    let beside = parts
        .into_iter()
        .flatten()
        .map(|part| &part["description"])
        .find(|text| text.is_string());
    match &property["description"] {
        Value::Null => beside.unwrap_or(&Value::Null),
        own => own,
    }
}

/// Paragraphs and drawings of a description, which is written in Markdown.
fn prose(value: &Value) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (place, part) in text(value).split("```").enumerate() {
        if place % 2 == 1 {
            let (_, drawing) = part.split_once('\n').unwrap_or(("", part));
            blocks.push(Block::Drawing(drawing.trim_end().to_owned()));
            continue;
        }
        let paragraphs = part.split("\n\n").map(str::trim);
        let paragraphs = paragraphs.filter(|text| !text.is_empty());
        blocks.extend(paragraphs.map(|text| Block::Paragraph(spans(text))));
    }
    blocks
}

/// Plain text, and code between backticks.
fn spans(text: &str) -> Vec<Span> {
    let kinds = [Span::Plain as fn(String) -> Span, Span::Code];
    let pieces = text.split('`').zip(kinds.iter().cycle());
    pieces.map(|(piece, kind)| kind(piece.to_owned())).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A value as people write it: a string without quotes.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests;
