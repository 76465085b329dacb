//! Lists as CSV (RFC 4180), with the filters of their pages, to be saved.
//!
//! A spreadsheet evaluates a cell that begins like a formula, and much of the text in these lists was written by
//! strangers: such a cell gets an apostrophe in front, which spreadsheets do not show.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::response::Response;

use super::error::Error;
use super::form_fields::QueryFields;
use super::period::Period;
use super::{AppState, audit, customers, dropped, find, hooks, mail, messages, requests};
use crate::operations::{self, FoundMessage, WaitingCauses};
use crate::store::{FindFilter, LedgerEntry, Page, Store};
use crate::web::attachment;

/// Maximum rows of one file.
const MAX_ROWS: usize = 10_000;

/// Maximum time to collect the messages of a search; well below the time limit of a request.
const MAX_SEARCH: Duration = Duration::from_secs(20);

pub(super) async fn requests(
    State(app): State<Arc<AppState>>,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let filter = requests::filter(&query, &app.config(), Page::first(MAX_ROWS))?;
    let config = app.config();
    let causes = WaitingCauses::read(app.store(), &config).await?;
    let rows = causes
        .explain_list(app.store().requests(filter).await?)
        .rows;
    let lines = rows.iter().map(|request| {
        vec![
            request.id.to_string(),
            request.received_at.to_string(),
            request.state.to_string(),
            request.portal.to_string(),
            request.account.to_string(),
            or_empty(request.subject.as_ref()),
            request.attempts.to_string(),
            or_empty(request.last_error.as_ref()),
        ]
    });
    let head = "id,received,state,portal,account,subject,attempts,last_error";
    Ok(file("requests", head, lines))
}

pub(super) async fn messages(
    State(app): State<Arc<AppState>>,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let period = Period::read(&query, &app.config().site.time_zone)?;
    let mut rows = Vec::new();
    for filter in messages::filters(&query, &period, &Page::first(MAX_ROWS))? {
        rows = app.store().ledger(filter).await?.rows;
        if !rows.is_empty() {
            break;
        }
    }
    Ok(entries("messages", &rows))
}

pub(super) async fn dropped_messages(
    State(app): State<Arc<AppState>>,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let filter = dropped::filter(&query, &app.config(), Page::first(MAX_ROWS))?;
    let rows = app.store().ledger(filter).await?.rows;
    Ok(entries("dropped", &rows))
}

fn entries(name: &str, rows: &[LedgerEntry]) -> Response {
    let lines = rows.iter().map(|entry| {
        vec![
            entry.ledger.to_string(),
            entry.received_at.to_string(),
            entry.verdict.to_string(),
            entry.reason.to_string(),
            or_empty(entry.portal.as_ref()),
            or_empty(entry.sender.as_ref()),
            or_empty(entry.facts.subject.as_ref()),
        ]
    });
    let head = "ledger,received,verdict,reason,portal,sender,subject";
    file(name, head, lines)
}

pub(super) async fn customers(
    State(app): State<Arc<AppState>>,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let filter = customers::filter(&query, &app.config(), Page::first(MAX_ROWS))?;
    let rows = app.store().customers(filter).await?.rows;
    let lines = rows.iter().map(|account| {
        vec![
            account.address.to_string(),
            account.kind.to_string(),
            account.status.to_string(),
            account.groups.join(";"),
            or_empty(account.verified_at),
            or_empty(account.verified_by.as_ref()),
            account.held.to_string(),
            account.created_at.to_string(),
        ]
    });
    let head = "address,kind,status,groups,verified_at,verified_by,held,created";
    Ok(file("customers", head, lines))
}

pub(super) async fn audit(
    State(app): State<Arc<AppState>>,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let filter = audit::filter(&app, &query, Page::first(MAX_ROWS))?;
    let rows = app.store().audit(filter).await?.rows;
    let lines = rows.iter().map(|row| {
        vec![
            row.at.to_string(),
            row.actor.clone(),
            or_empty(row.origin.as_ref()),
            row.event.clone(),
            or_empty(row.ledger),
            or_empty(row.account.as_ref()),
            or_empty(row.detail.as_ref()),
        ]
    });
    Ok(file(
        "audit",
        "at,operator,from,event,ledger,account,detail",
        lines,
    ))
}

pub(super) async fn waiting_mail(
    State(app): State<Arc<AppState>>,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let filter = mail::filter(&query, &app.config(), Page::first(MAX_ROWS))?;
    let rows = app.store().queued_mail(filter).await?.rows;
    let lines = rows.iter().map(|queued| {
        let mail = &queued.mail;
        vec![
            queued.address.to_string(),
            mail.kind.to_owned(),
            mail.state.clone(),
            or_empty(mail.portal.as_ref()),
            mail.created_at.to_string(),
            or_empty(mail.due_at),
            mail.attempts.to_string(),
            or_empty(mail.last_error.as_ref()),
        ]
    });
    let head = "address,kind,state,portal,created,due,attempts,last_error";
    Ok(file("mail", head, lines))
}

pub(super) async fn failed_calls(
    State(app): State<Arc<AppState>>,
    Path(hook): Path<String>,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let filter = hooks::filter(&hook, &query, &app.config(), Page::first(MAX_ROWS))?;
    let rows = app.store().failed_calls(filter).await?.rows;
    let lines = rows.iter().map(|call| {
        vec![
            call.created_at.to_string(),
            call.event.clone(),
            or_empty(call.address.as_ref()),
            call.attempts.to_string(),
            or_empty(call.last_error.as_ref()),
        ]
    });
    let head = "created,event,address,attempts,last_error";
    Ok(file("failed-calls", head, lines))
}

pub(super) async fn found_messages(
    State(app): State<Arc<AppState>>,
    QueryFields(query): QueryFields,
) -> Result<Response, Error> {
    let filter = find::filter(&query, &app.config(), Page::first(MAX_ROWS))?;
    let messages = find_all(app.store(), filter, MAX_SEARCH).await?;
    let lines = messages.iter().map(|message| {
        vec![
            message.ledger.to_string(),
            message.received_at.to_string(),
            message.verdict.to_string(),
            message.reason.to_string(),
            or_empty(message.state),
            or_empty(message.portal.as_ref()),
            or_empty(message.sender.as_ref()),
            or_empty(message.subject.as_ref()),
        ]
    });
    let head = "ledger,received,verdict,reason,state,portal,sender,subject";
    Ok(file("found", head, lines))
}

/// Reads all messages of a search, up to [`MAX_ROWS`].
///
/// # Errors
/// It takes longer than `most`.
async fn find_all(
    store: &Store,
    mut filter: FindFilter,
    most: Duration,
) -> Result<Vec<FoundMessage>, Error> {
    let (begin, mut messages) = (Instant::now(), Vec::new());
    loop {
        if begin.elapsed() >= most {
            return Err(Error::NotAllowed(
                "the search takes too long to download; narrow it to fewer days or add words"
                    .to_owned(),
            ));
        }
        filter.page.limit = MAX_ROWS - messages.len();
        let found = operations::find(store, filter.clone()).await?;
        messages.extend(found.messages);
        filter.page.after = found.next;
        if filter.page.after.is_none() || messages.len() >= MAX_ROWS {
            messages.truncate(MAX_ROWS);
            return Ok(messages);
        }
    }
}

/// The text of a cell; an empty one for no value.
fn or_empty(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn file(name: &str, head: &str, lines: impl Iterator<Item = Vec<String>>) -> Response {
    let mut text = format!("{head}\r\n");
    for line in lines {
        let cells: Vec<_> = line.iter().map(|value| cell(value)).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    let disposition = format!("attachment; filename=\"{name}.csv\"");
    attachment(text, "text/csv; charset=utf-8", &disposition)
}

/// Characters with which a formula begins, also in full width.
const FORMULA: [char; 8] = [
    '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
];

/// True for characters that a spreadsheet may ignore before a formula. To a spreadsheet that assumes another separator,
/// a quote after that separator begins a quoted cell.
fn is_ignored(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\u{feff}')
}

/// Writes a cell, quoted if necessary. No part of it is a formula, whichever separator a spreadsheet assumes: some
/// use semicolons or tabs.
fn cell(value: &str) -> String {
    let parts = value.split_inclusive([';', '\t', '\r', '\n', ',']);
    let guarded: String = parts
        .flat_map(|part| {
            let is_formula = part.trim_start_matches(is_ignored).starts_with(FORMULA);
            [if is_formula { "'" } else { "" }, part]
        })
        .collect();
    if guarded != value || value.contains(['"', ',', ';', '\t', '\r', '\n']) {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_search_is_saved_whole_or_not_at_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a store");
        let find = async |time| find_all(&store, FindFilter::default(), time).await;
        assert!(matches!(find(MAX_SEARCH).await, Ok(all) if all.is_empty()));
        let late = find(Duration::ZERO).await;
        assert!(matches!(late, Err(Error::NotAllowed(_))), "{late:?}");
    }

    #[test]
    fn a_cell_is_one_cell_and_never_a_formula() {
        for (value, written) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("=1+1", "\"'=1+1\""),
            (" @SUM(A1)", "\"' @SUM(A1)\""),
            ("-1", "\"'-1\""),
            ("x;=1+1", "\"x;'=1+1\""),
            ("x;\t @a", "\"x;\t' @a\""),
            ("x;\"=1+1\"", "\"x;'\"\"=1+1\"\"\""),
            ("\"=1+1", "\"'\"\"=1+1\""),
            ("\u{ff1d}1+1", "\"'\u{ff1d}1+1\""),
            ("\u{feff}\0=1+1", "\"'\u{feff}\0=1+1\""),
            ("a;b", "\"a;b\""),
        ] {
            assert_eq!(cell(value), written);
        }
    }
}
