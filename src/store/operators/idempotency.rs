//! Stored API answers: a repeated request with the same key gets the same answer and is executed only once. A
//! key belongs to its operator and expires.

use crate::domain::{OperatorName, Timestamp};
use crate::store::operators::operator_accounts::n_of;
use crate::store::sql::sql_types::{Millis, json};
use crate::store::sql::{Tx, insert};
use crate::store::{Result, Store};

/// An operator's key with the hash of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerKey {
    pub operator: OperatorName,
    pub key: String,
    /// SHA-256.
    pub request: [u8; 32],
}

/// A stored answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    pub status: u16,
    /// Its header fields, with names in lower case.
    pub head: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// State of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// Unknown until now. The caller executes the request, then stores the answer or gives up the key.
    New,
    Answered(KeptAnswer),
    /// Another request with this key is in progress.
    Underway,
    /// The key belongs to a different request.
    Other,
}

pub(crate) fn find_answer(tx: &Tx, n: i64, asked: &AnswerKey) -> Result<Option<Claimed>> {
    tx.maybe_with(
        "SELECT request, status, head, body FROM answer WHERE operator = ? AND key = ?",
        &[&n, &asked.key],
        |row| {
            let request: [u8; 32] = row.get(0)?;
            let status: Option<u16> = row.get(1)?;
            Ok(match status {
                _ if request != asked.request => Claimed::Other,
                None => Claimed::Underway,
                Some(status) => Claimed::Answered(KeptAnswer {
                    status,
                    head: row.get(2)?,
                    body: row.get(3)?,
                }),
            })
        },
    )
}

impl Store {
    /// Looks up a key, and claims it until `until` if it is unknown.
    ///
    /// # Errors
    /// `NotFound` if there is no such operator.
    pub async fn claim_answer(
        &self,
        asked: AnswerKey,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Claimed> {
        self.write(move |work| {
            let n = n_of(work.tx, &asked.operator)?;
            let sql = "DELETE FROM answer WHERE operator = ? AND key = ? AND expires_at <= ?";
            work.tx.run(sql, &[&n, &asked.key, &Millis::from(now)])?;
            if let Some(claimed) = find_answer(work.tx, n, &asked)? {
                return Ok(claimed);
            }
            insert!(
                work.tx,
                answer {
                    n: work.tx.next_number()?,
                    operator: n,
                    key: asked.key,
                    request: asked.request,
                    expires_at: Millis::from(until)
                }
            )?;
            Ok(Claimed::New)
        })
        .await
    }

    /// Stores the answer until `until`.
    pub async fn keep_answer(
        &self,
        asked: AnswerKey,
        answer: KeptAnswer,
        until: Timestamp,
    ) -> Result<()> {
        self.write(move |work| {
            let n = n_of(work.tx, &asked.operator)?;
            work.tx.run(
                "UPDATE answer SET status = ?3, head = ?4, body = ?5, expires_at = ?6
                     WHERE operator = ?1 AND key = ?2 AND status IS NULL",
                &[
                    &n,
                    &asked.key,
                    &answer.status,
                    &json(&answer.head)?,
                    &answer.body,
                    &Millis::from(until),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Gives up a key whose request failed, so that the next one may try.
    pub async fn give_up_answer(&self, asked: AnswerKey) -> Result<()> {
        self.write(move |work| {
            let n = n_of(work.tx, &asked.operator)?;
            let sql = "DELETE FROM answer WHERE operator = ? AND key = ? AND status IS NULL";
            work.tx.run(sql, &[&n, &asked.key])?;
            Ok(())
        })
        .await
    }
}
