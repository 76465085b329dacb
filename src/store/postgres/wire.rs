//! A connection in PostgreSQL's protocol, version 3 (PostgreSQL's documentation, chapter "Frontend/Backend
//! Protocol"): sends messages, and receives those of the server one by one. [`exchange`] collects them as answers.
//!
//! An error of the connection or an unexpected answer breaks it for good, so that no answer is taken for that of
//! another query.

mod exchange;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;

use super::error_codes::ServerMessage;
use super::stream::Stream;
use super::tls;
use crate::store::{Result, StoreError};
pub(super) use exchange::ServerAnswer;

/// Maximum number of octets in one read.
const PIECE: usize = 32 * 1024;

/// Longest message in octets, during the login and after it. No value of the server is longer.
const MAX_OF_LOGIN: usize = 64 * 1024;
const MAX_MESSAGE: usize = 1024 * 1024 * 1024;

/// A notification of another session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notification {
    pub(super) channel: String,
    pub(super) payload: String,
}

/// State of the transaction, as the server last reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransactionState {
    None,
    Open,
    /// An error occurred in it: it can only be rolled back, to a savepoint or as a whole.
    Failed,
}

/// One end of a connection.
pub(super) struct ProtocolConnection {
    stream: Stream,
    input: BytesMut,
    output: BytesMut,
    state: TransactionState,
    /// Number of notices since the connection was opened, and the last one.
    notices: u64,
    last_notice: Option<String>,
    notifications: Vec<Notification>,
    /// Number of syncs and simple queries that the server has not answered with `ReadyForQuery` yet.
    unanswered: usize,
    is_broken: bool,
    /// Time that a whole answer may take, however often a part of it arrives.
    timeout: Duration,
    deadline: Instant,
    /// Longest message that is accepted.
    longest: usize,
}

impl std::fmt::Debug for ProtocolConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProtocolConnection")
    }
}

impl ProtocolConnection {
    pub(super) fn of(stream: Stream, timeout: Duration) -> Self {
        Self {
            stream,
            input: BytesMut::with_capacity(PIECE),
            output: BytesMut::new(),
            state: TransactionState::None,
            notices: 0,
            last_notice: None,
            notifications: Vec::new(),
            unanswered: 0,
            is_broken: false,
            timeout,
            deadline: Instant::now() + timeout,
            longest: MAX_OF_LOGIN,
        }
    }

    /// Ends the login: longer messages are accepted from now on.
    pub(super) fn end_login(&mut self) {
        self.longest = MAX_MESSAGE;
    }

    /// Sets the time that an answer may take.
    pub(super) fn set_timeout(&mut self, timeout: Duration) -> Result<()> {
        self.timeout = timeout;
        let set = self.stream.set_timeout(timeout);
        set.map_err(|cause| self.fail(&cause))
    }

    pub(super) fn state(&self) -> TransactionState {
        self.state
    }

    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    pub(super) fn notices(&self) -> u64 {
        self.notices
    }

    pub(super) fn last_notice(&self) -> &str {
        self.last_notice.as_deref().unwrap_or_default()
    }

    pub(super) fn take_notifications(&mut self) -> Vec<Notification> {
        std::mem::take(&mut self.notifications)
    }

    /// The messages to send next.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Discards messages that were not sent.
    pub(super) fn discard_output(&mut self) {
        self.output.clear();
    }

    /// Sends the messages.
    ///
    /// # Errors
    /// `Away`; `Refused` if the certificate of the server is not accepted.
    pub(super) fn send(&mut self) -> Result<()> {
        if self.is_broken {
            return Err(StoreError::Away("the connection is broken".to_owned()));
        }
        let sent = self
            .stream
            .write_all(&self.output)
            .and_then(|()| self.stream.flush());
        // A large message may take long to send.
        self.deadline = Instant::now() + self.timeout;
        self.output.clear();
        // The memory of a large content is freed.
        if self.output.capacity() > 16 * PIECE {
            self.output = BytesMut::new();
        }
        sent.map_err(|cause| self.fail_io(&cause))
    }

    /// Breaks the connection, after an error of the stream.
    fn fail_io(&mut self, cause: &std::io::Error) -> StoreError {
        match self.fail(cause) {
            StoreError::Away(cause_told) if tls::is_refusal(cause) => {
                StoreError::Refused(format!("{cause_told}; correct ca_file, or the host in url"))
            }
            error => error,
        }
    }

    /// Waits for the next message that belongs to an answer.
    ///
    /// # Errors
    /// `Away`; `Refused` if the certificate of the server is not accepted.
    pub(super) fn receive(&mut self) -> Result<Message> {
        loop {
            self.check_length()?;
            match Message::parse(&mut self.input) {
                Ok(Some(message)) => {
                    if let Some(message) = self.keep_aside(message)? {
                        return Ok(message);
                    }
                }
                Ok(None) => self.read_more()?,
                Err(cause) => return Err(self.fail(&cause)),
            }
        }
    }

    /// Waits for a notification, until the timeout of the stream. Returns false if none came.
    ///
    /// # Errors
    /// `Away`.
    pub(super) fn wait_for_notification(&mut self) -> Result<bool> {
        loop {
            self.check_length()?;
            match Message::parse(&mut self.input) {
                Ok(Some(message)) => {
                    if self.keep_aside(message)?.is_some() {
                        return Err(self.fail(&"an unexpected answer: no query is running"));
                    }
                    if !self.notifications.is_empty() {
                        return Ok(true);
                    }
                }
                Ok(None) => {
                    let mut piece = [0; 4096];
                    match self.stream.read(&mut piece) {
                        Ok(0) => return Err(self.fail(&"the server closed the connection")),
                        Ok(count) => self.input.extend_from_slice(&piece[..count]),
                        Err(cause) if is_timeout(&cause) => return Ok(false),
                        Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                        Err(cause) => return Err(self.fail(&cause)),
                    }
                }
                Err(cause) => return Err(self.fail(&cause)),
            }
        }
    }

    /// Checks the length of the next message before a buffer is allocated for it: a server of another protocol may
    /// begin with anything.
    fn check_length(&mut self) -> Result<()> {
        if let Some(&[_, a, b, c, d]) = self.input.first_chunk() {
            let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
            if length > self.longest {
                return Err(self.fail(&"the answer does not follow PostgreSQL's protocol"));
            }
        }
        Ok(())
    }

    /// Handles messages that may come at any time: notices, notifications, changes of parameters. Returns any other
    /// message.
    fn keep_aside(&mut self, message: Message) -> Result<Option<Message>> {
        match message {
            Message::NoticeResponse(body) => {
                self.notices += 1;
                self.last_notice = Some(ServerMessage::read(body.fields()).text);
            }
            Message::NotificationResponse(body) => {
                let read = body.channel().and_then(|channel| {
                    Ok(Notification {
                        channel: channel.to_owned(),
                        payload: body.message()?.to_owned(),
                    })
                });
                let notification = read.map_err(|cause| self.fail(&cause))?;
                self.notifications.push(notification);
            }
            Message::ParameterStatus(_) => {}
            other => return Ok(Some(other)),
        }
        Ok(None)
    }

    fn read_more(&mut self) -> Result<()> {
        if Instant::now() > self.deadline {
            return Err(self.fail(&"the answer of the server does not end"));
        }
        let filled = self.input.len();
        self.input.resize(filled + PIECE, 0);
        let read = self.stream.read(&mut self.input[filled..]);
        self.input.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(self.fail(&"the server closed the connection")),
            Ok(_) => Ok(()),
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(cause) if is_timeout(&cause) => {
                Err(self.fail(&"the server does not answer in time"))
            }
            Err(cause) => Err(self.fail_io(&cause)),
        }
    }

    /// Breaks the connection.
    pub(super) fn fail(&mut self, cause: &dyn std::fmt::Display) -> StoreError {
        self.is_broken = true;
        StoreError::Away(format!("connection to PostgreSQL: {cause}"))
    }

    /// Sends the messages and a sync without waiting for the answer, which the next exchange reads. The answer must
    /// fit into the buffers between us and the server.
    ///
    /// # Errors
    /// `Away`.
    pub(super) fn send_early(&mut self) -> Result<()> {
        frontend::sync(&mut self.output);
        self.unanswered += 1;
        self.send()
    }

    /// Waits until the server has answered everything that was sent early, and discards the answers.
    pub(super) fn pass_over_early(&mut self) {
        if self.unanswered > 0 && !self.is_broken {
            self.deadline = Instant::now() + self.timeout;
            // An error of the connection shows at its next use.
            let _ = self.read_answers(|_, _| {});
        }
    }
}

impl Drop for ProtocolConnection {
    fn drop(&mut self) {
        if !self.is_broken {
            self.output.clear();
            frontend::terminate(&mut self.output);
            let _ = self.send();
        }
    }
}

fn is_timeout(cause: &std::io::Error) -> bool {
    matches!(
        cause.kind(),
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests;
