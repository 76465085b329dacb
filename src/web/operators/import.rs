//! `/customers/import`: people in bulk, pasted as CSV. What would be done is shown first.

use axum::Extension;
use axum::http::StatusCode;
use minijinja::value::Serde;
use minijinja::{Value, context};

use super::auth::{CurrentOperator, PageCall};
use super::error::Error;
use super::form_fields::FormFields;
use crate::operations::{ImportOutcome, ImportedPerson, import_people, read_people};
use crate::web::display::one_line;
use crate::web::page::WebPage;

/// Maximum lines in one form: the answer must be ready within the time limit of a page.
const MAX_LINES: usize = 5000;

pub(super) async fn show(
    Extension(operator): Extension<CurrentOperator>,
) -> Result<WebPage, Error> {
    Ok(render(&operator, "", context! {}))
}

fn render(operator: &CurrentOperator, text: &str, outcome: Value) -> WebPage {
    let nothing = context! {
        text,
        fault => (),
        rows => (),
        dry_run => true,
        is_report => false,
    };
    operator
        .page("operators/import.html", nothing)
        .with(outcome)
}

pub(super) async fn submit(call: PageCall, FormFields(form): FormFields) -> Result<WebPage, Error> {
    let text = form.exactly("people").unwrap_or_default();
    let dry_run = form.one("action") != Some("import");
    let lines = match read_people(text.as_bytes(), MAX_LINES) {
        Ok(lines) => lines,
        Err(error) => {
            let page = render(
                &call.operator,
                text,
                context! { fault => format!("The text {error}.") },
            );
            return Ok(page.with_status(StatusCode::UNPROCESSABLE_ENTITY));
        }
    };
    let (store, config) = (call.app.store(), call.app.config());
    let (rows, tally) =
        import_people(store, &config, lines, dry_run, call.operator.actor()).await?;
    let told: Vec<_> = rows
        .iter()
        .filter(|row| row.outcome != ImportOutcome::Unchanged)
        .map(row)
        .collect();
    let outcome = context! {
        dry_run,
        rows => told,
        tally => Value::from(Serde(tally)),
        is_report => true,
    };
    Ok(render(&call.operator, text, outcome))
}

fn row(person: &ImportedPerson) -> Value {
    context! {
        line => person.line,
        address => person.address.as_deref(),
        outcome => person.outcome.as_str(),
        detail => person.detail.as_deref().map(one_line),
    }
}
