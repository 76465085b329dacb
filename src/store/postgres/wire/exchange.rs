//! Exchanges: messages to the server, and what it returns until it is ready again, collected as an answer.

use std::sync::Arc;

use postgres_protocol::message::backend::{DataRowBody, Message};
use postgres_protocol::message::frontend;

use super::{ProtocolConnection, TransactionState};
use crate::store::postgres::error_codes::ServerMessage;
use crate::store::postgres::rows::{ResultColumns, text_of};
use crate::store::{Result, StoreError};

/// Answer of the server to one message or several.
#[derive(Default)]
pub(in crate::store::postgres) struct ServerAnswer {
    /// Columns of the last result.
    pub(in crate::store::postgres) columns: Option<Arc<ResultColumns>>,
    pub(in crate::store::postgres) rows: Vec<DataRowBody>,
    /// Name of the last command, and number of rows that it returned or changed.
    pub(in crate::store::postgres) command: String,
    pub(in crate::store::postgres) count: usize,
    /// The portal has more rows.
    pub(in crate::store::postgres) has_more: bool,
}

impl ServerAnswer {
    /// Text of a column of the first row of a simple query.
    pub(in crate::store::postgres) fn text(&self, column: usize) -> Option<String> {
        text_of(self.rows.first()?, column)
    }

    /// Like [`text`](Self::text), parsed as another type.
    pub(in crate::store::postgres) fn parse<T: std::str::FromStr>(
        &self,
        column: usize,
    ) -> Option<T> {
        self.text(column)?.parse().ok()
    }
}

impl std::fmt::Debug for ServerAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerAnswer")
    }
}

impl ProtocolConnection {
    /// Sends the messages, which end with a sync or are a simple query, and collects the answer.
    ///
    /// # Errors
    /// That of the server, or `Away`.
    pub(in crate::store::postgres) fn exchange(&mut self) -> Result<ServerAnswer> {
        self.exchange_or_message()?
            .map_err(ServerMessage::into_error)
    }

    /// Like [`exchange`](Self::exchange), but returns the error of the server unconverted.
    ///
    /// # Errors
    /// `Away`.
    pub(in crate::store::postgres) fn exchange_or_message(
        &mut self,
    ) -> Result<Result<ServerAnswer, ServerMessage>> {
        let mut last = ServerAnswer::default();
        let ended = self.collect(|answer, has_ended| {
            if has_ended {
                last = std::mem::take(answer);
            }
        })?;
        Ok(ended.map(|()| last))
    }

    /// Like [`exchange`](Self::exchange), with an answer for each statement.
    ///
    /// # Errors
    /// That of the first statement that failed, or `Away`.
    pub(in crate::store::postgres) fn exchange_all(&mut self) -> Result<Vec<ServerAnswer>> {
        let mut answers = Vec::new();
        let ended = self.collect(|answer, has_ended| {
            if !has_ended {
                answers.push(std::mem::take(answer));
            }
        })?;
        ended.map_err(ServerMessage::into_error)?;
        Ok(answers)
    }

    /// Sends the messages. Passes the answer so far to `done` after each statement, and once more at the end.
    fn collect(
        &mut self,
        done: impl FnMut(&mut ServerAnswer, bool),
    ) -> Result<Result<(), ServerMessage>> {
        self.unanswered += 1;
        self.send()?;
        self.read_answers(done)
    }

    /// Reads until the server has answered everything.
    pub(super) fn read_answers(
        &mut self,
        mut done: impl FnMut(&mut ServerAnswer, bool),
    ) -> Result<Result<(), ServerMessage>> {
        let mut answer = ServerAnswer::default();
        let mut failed: Option<ServerMessage> = None;
        loop {
            match self.receive()? {
                Message::DataRow(row) => answer.rows.push(row),
                Message::RowDescription(body) => {
                    answer.rows.clear();
                    let columns = ResultColumns::read(&body).map_err(|cause| self.fail(&cause))?;
                    answer.columns = Some(Arc::new(columns));
                }
                Message::CommandComplete(body) => {
                    let tag = body.tag().map_err(|cause| self.fail(&cause))?;
                    let mut words = tag.split(' ');
                    words
                        .next()
                        .unwrap_or_default()
                        .clone_into(&mut answer.command);
                    answer.count = words
                        .next_back()
                        .and_then(|word| word.parse().ok())
                        .unwrap_or(0);
                    done(&mut answer, false);
                }
                Message::PortalSuspended => {
                    answer.has_more = true;
                    done(&mut answer, false);
                }
                Message::ErrorResponse(body) => {
                    let message = ServerMessage::read(body.fields());
                    if message.is_fatal {
                        self.is_broken = true;
                        return Ok(Err(message));
                    }
                    failed.get_or_insert(message);
                }
                Message::ReadyForQuery(body) => {
                    self.state = match body.status() {
                        b'I' => TransactionState::None,
                        b'T' => TransactionState::Open,
                        _ => TransactionState::Failed,
                    };
                    self.unanswered -= 1;
                    if self.unanswered == 0 {
                        done(&mut answer, true);
                        return Ok(failed.map_or(Ok(()), Err));
                    }
                }
                Message::ParseComplete
                | Message::BindComplete
                | Message::CloseComplete
                | Message::NoData
                | Message::EmptyQueryResponse
                | Message::ParameterDescription(_) => {}
                _ => return Err(self.fail(&"an unexpected message")),
            }
        }
    }

    /// Runs statements without parameters. The rows are those of the last result, as text.
    ///
    /// # Errors
    /// That of the server, or `Away`.
    pub(in crate::store::postgres) fn simple(&mut self, sql: &str) -> Result<ServerAnswer> {
        self.begin_simple(sql)?;
        self.exchange()
    }

    /// Adds statements without parameters to the output.
    pub(in crate::store::postgres) fn begin_simple(&mut self, sql: &str) -> Result<()> {
        frontend::query(sql, &mut self.output).map_err(StoreError::other)
    }
}
