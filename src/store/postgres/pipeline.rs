//! The pipeline of a session: what is sent without waiting for each answer.
//!
//! A statement whose outcome nobody needs yet goes out with the next one that is waited for. Questions of many
//! operations are sent at once, ahead of the operations, which then find the answers here. Any change forgets all
//! answers. Only a statement that is sent late leaves them: its caller forgets them if it changes one.

use std::collections::HashMap;
use std::sync::Arc;

use postgres_protocol::message::frontend;

use super::late_rows::LateRows;
use super::parameters::Parameters;
use super::statements::Statements;
use super::wire::{ProtocolConnection, ServerAnswer};
use crate::store::Result;
use crate::store::sql::{LateInsert, ToSql};

/// The portal of what is sent without waiting: each takes the place of the one before.
pub(super) const LATE: &str = "";

/// Maximum number of statements without an outcome: the server's answers must fit into the buffers between us.
const MOST_STATEMENTS: usize = 192;

/// Octets after which they are sent, so that the server works on them while more are made. What is sent always ends
/// with a sync: only after one does the server count how long a session with a transaction is idle, and end that of
/// a node that hangs.
const SENT_AT: usize = 32 * 1024;

/// Questions asked at once, and octets of them, at most. They must fit into the buffers between us: the server
/// answers while it reads, and we read when all are written.
const MOST_QUESTIONS: usize = 128;
const MOST_ASKED_OCTETS: usize = 48 * 1024;

/// Result of a question within a pipeline.
pub(super) enum Asked {
    Known(Arc<ServerAnswer>),
    /// It is to be asked ahead.
    New(Question),
    /// It is among those that are asked ahead.
    Ahead,
    /// It was not asked ahead.
    No,
}

/// Statements without an outcome yet, and answers that nobody asked for yet.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    /// Rows that are not among the statements yet.
    rows: LateRows,
    /// Keys of the statements whose outcome is unknown.
    unsettled: Vec<Box<str>>,
    is_asking: bool,
    /// Octets of the output before the first question.
    before_questions: usize,
    /// To be asked ahead.
    questions: Vec<Question>,
    /// None until the answer is there, and for one of several parts.
    answers: HashMap<Question, Option<Arc<ServerAnswer>>>,
    needs_prefetch: bool,
    /// Rows were lost, since their statement could not be written.
    has_lost: bool,
}

/// A question: the text of its statement, with the parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) sql: Box<str>,
    pub(super) parameters: Parameters,
}

impl Pipeline {
    /// Adds a row, to be inserted with others.
    pub(super) fn push_row(
        &mut self,
        insert: LateInsert<'_>,
        parameters: &[&dyn ToSql],
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        let row = Parameters::of(parameters)?;
        if !self.rows.have_room_for(insert.sql) {
            self.write_rows(wire, statements)?;
        }
        self.rows.push(insert, row);
        Ok(())
    }

    /// Writes the statements that insert the rows. Whatever is not such a row comes after them.
    pub(super) fn write_rows(
        &mut self,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        for group in self.rows.take() {
            let mut from = 0;
            for rows in group.statement_sizes() {
                let written = statements.write_rows(&group, from, rows, wire);
                let key = written.inspect_err(|_| self.has_lost = true)?;
                self.push(&key, wire, statements)?;
                from += rows;
            }
        }
        Ok(())
    }

    /// Adds a statement that was written into the output of the connection.
    pub(super) fn push(
        &mut self,
        sql: &str,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        self.unsettled.push(sql.into());
        if self.unsettled.len() >= MOST_STATEMENTS {
            return self.settle(wire, statements);
        }
        if wire.output().len() >= SENT_AT {
            return wire.send_early();
        }
        Ok(())
    }

    /// Waits for the outcome of all statements.
    ///
    /// # Errors
    /// That of the first one that failed.
    pub(super) fn settle(
        &mut self,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        self.write_rows(wire, statements)?;
        if self.unsettled.is_empty() {
            return Ok(());
        }
        frontend::sync(wire.output());
        let settled = wire.exchange().map(drop);
        self.take_outcome(settled, statements)
    }

    fn take_outcome(&mut self, outcome: Result<()>, statements: &mut Statements) -> Result<()> {
        if outcome.is_err() {
            self.forget_statements(statements);
        }
        self.confirm();
        outcome
    }

    /// Records that all unsettled statements succeeded.
    pub(super) fn confirm(&mut self) {
        self.unsettled.clear();
    }

    /// Forgets that the unsettled statements are prepared: the failure may have come before the server did so.
    pub(super) fn forget_statements(&mut self, statements: &mut Statements) {
        let asked = self.questions.drain(..).map(|question| question.sql);
        for sql in self.unsettled.drain(..).chain(asked) {
            statements.forget(&sql);
        }
        self.confirm();
    }

    /// Gives up what is not settled, before a rollback.
    pub(super) fn give_up(&mut self, wire: &mut ProtocolConnection, statements: &mut Statements) {
        self.rows.take();
        self.has_lost = false;
        wire.discard_output();
        wire.pass_over_early();
        self.forget_statements(statements);
        self.is_asking = false;
        self.forget_answers();
    }

    /// True if the transaction lacks rows, although the server knows of no error.
    pub(super) fn has_lost_rows(&self) -> bool {
        self.has_lost
    }

    pub(super) fn forget_answers(&mut self) {
        self.answers.clear();
        self.needs_prefetch = true;
    }

    /// True if answers were forgotten since questions were asked ahead.
    pub(super) fn needs_prefetch(&self) -> bool {
        self.needs_prefetch
    }

    /// From now on questions are collected and not asked.
    pub(super) fn begin_prefetch(
        &mut self,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        self.write_rows(wire, statements)?;
        self.forget_answers();
        self.is_asking = true;
        self.needs_prefetch = false;
        self.before_questions = wire.output().len();
        Ok(())
    }

    /// True while another question may be asked at the same time.
    pub(super) fn can_prefetch(&self, wire: &mut ProtocolConnection) -> bool {
        let octets = wire.output().len() - self.before_questions;
        self.questions.len() < MOST_QUESTIONS && octets < MOST_ASKED_OCTETS
    }

    /// Finds the answer to a question, or whether it has to be asked.
    pub(super) fn find(&self, sql: &str, parameters: &[&dyn ToSql]) -> Result<Asked> {
        if !self.is_asking && self.answers.is_empty() {
            return Ok(Asked::No);
        }
        let question = Question {
            sql: sql.into(),
            parameters: Parameters::of(parameters)?,
        };
        Ok(match self.answers.get(&question) {
            Some(Some(answer)) => Asked::Known(answer.clone()),
            Some(None) if self.is_asking => Asked::Ahead,
            None if self.is_asking => Asked::New(question),
            _ => Asked::No,
        })
    }

    /// Adds a question that was written into the output of the connection.
    pub(super) fn push_question(&mut self, question: Question) {
        self.answers.insert(question.clone(), None);
        self.questions.push(question);
    }

    pub(super) fn is_asking(&self) -> bool {
        self.is_asking
    }

    /// Sends the questions and keeps the answers.
    ///
    /// # Errors
    /// That of a question, or of a statement that was sent late before.
    pub(super) fn end_prefetch(
        &mut self,
        wire: &mut ProtocolConnection,
        statements: &mut Statements,
    ) -> Result<()> {
        self.is_asking = false;
        if self.questions.is_empty() {
            return Ok(());
        }
        frontend::sync(wire.output());
        let answers = match wire.exchange_all() {
            Ok(answers) => answers,
            Err(error) => {
                self.answers.clear();
                return self.take_outcome(Err(error), statements);
            }
        };
        if answers.len() != self.unsettled.len() + self.questions.len() {
            let error = wire.fail(&"the number of answers differs from that of the questions");
            self.answers.clear();
            return self.take_outcome(Err(error), statements);
        }
        let answers = answers.into_iter().skip(self.unsettled.len());
        self.confirm();
        for (question, mut answer) in self.questions.drain(..).zip(answers) {
            if let Some(statement) = statements.get(&question.sql) {
                statement.learn_columns(&mut answer);
            }
            // A longer answer is not kept: the operation that needs it asks again.
            if !answer.has_more {
                self.answers.insert(question, Some(Arc::new(answer)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::store::postgres::stream::Stream;
    use crate::store::sql::LateTable;

    /// Nobody on the server's side would notice that they are missing.
    #[test]
    fn rows_whose_statement_cannot_be_written_fail_the_transaction() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let mut wire = ProtocolConnection::of(Stream::Socket(ours), Duration::from_secs(1));
        let (mut statements, mut pipeline) = (Statements::new(true), Pipeline::default());
        let insert = LateInsert {
            table: LateTable::Event,
            sql: "INSERT INTO a (b, c) VALUES (?, ?)",
            queue: None,
        };
        let one_of_two: &[&dyn ToSql] = &[&1_i64];
        let pushed = pipeline.push_row(insert, one_of_two, &mut wire, &mut statements);
        pushed.expect("it waits");
        assert!(!pipeline.has_lost_rows());
        let settled = pipeline.settle(&mut wire, &mut statements);
        assert!(settled.is_err() && pipeline.has_lost_rows());
        pipeline.give_up(&mut wire, &mut statements);
        assert!(!pipeline.has_lost_rows());
    }

    #[test]
    fn questions_with_other_parameters_have_other_keys() {
        let key = |sql: &str, parameters: &[&dyn ToSql]| Question {
            sql: sql.into(),
            parameters: Parameters::of(parameters).expect("values"),
        };
        let one = key("a", &[&"b", &"c"]);
        assert_eq!(one, key("a", &[&"b".to_owned(), &"c"]));
        for other in [
            key("a", &[&"bc", &""]),
            key("a", &[&"b"]),
            key("ab", &[&"c"]),
            key("a", &[&"b", &None::<String>]),
            key("a", &[&"b", &b"c".to_vec()]),
            key("a", &[&"b", &99_i64]),
        ] {
            assert_ne!(one, other);
        }
    }
}
