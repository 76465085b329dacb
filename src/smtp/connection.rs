//! A connection to a client: reads lines and chunks of bounded size, and buffers replies.
//!
//! Replies are buffered and written when the client has to send next, so that a group of pipelined commands
//! is answered in one write (RFC 2920 3.2). The input buffer is small for commands and grows only for a body
//! that fills it.

use std::io;
use std::pin::pin;
use std::time::Duration;

use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::reply::Reply;

/// RFC 5321 4.5.3.1.4 gives a command 512 octets with its CRLF; MAIL gets 26 more for SIZE (RFC
/// 1870 3), 17 for BODY (RFC 6152 2) and 10 for SMTPUTF8 (RFC 6531 3.4).
const MAX_LINE: usize = 512 + 26 + 17 + 10;

/// Buffer size for a group of commands. An idle connection takes this much memory.
const COMMANDS: usize = 4 * 1024;
/// Buffer size for a body; most messages fit into it.
const BODY: usize = 16 * 1024;
/// Buffer size after a body has filled [`BODY`].
const LARGE: usize = 128 * 1024;
/// Size at which buffered replies are written.
const REPLIES: usize = 4 * 1024;

/// Reason why a connection ends while it waits for the client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionEnd {
    #[error("the client closed the connection")]
    Closed,
    #[error("the client took too long")]
    TimedOut(#[from] Elapsed),
    #[error("shutting down")]
    Leaving,
    #[error("evicted to free its slot or memory for another client")]
    Evicted,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Input up to the end of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A complete line, in [`Connection::line`].
    Whole,
    /// Longer than [`MAX_LINE`]; skipped to its end.
    TooLong,
    /// An LF without a CR.
    BareLf,
}

pub struct Connection<S> {
    stream: S,
    input: Vec<u8>,
    /// Position in the input up to which it is consumed.
    taken: usize,
    line: Vec<u8>,
    replies: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            input: Vec::new(),
            taken: 0,
            line: Vec::new(),
            replies: Vec::new(),
        }
    }

    pub fn into_stream(self) -> S {
        self.stream
    }

    /// The line that [`next_line`](Self::next_line) found, without its CRLF.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Received input that is not consumed yet.
    pub fn pending(&self) -> &[u8] {
        &self.input[self.taken..]
    }

    /// Consumes `count` octets of the pending input.
    pub fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
    }

    /// Queues a reply.
    pub fn reply(&mut self, reply: &Reply) {
        reply.write_to(&mut self.replies);
    }

    /// Waits for a complete line, until `idle_limit` has passed in total or `interrupt` is ready.
    pub async fn next_line(
        &mut self,
        idle_limit: Duration,
        interrupt: impl Future<Output = ConnectionEnd>,
    ) -> Result<Line, ConnectionEnd> {
        let mut interrupt = pin!(interrupt);
        let deadline = Instant::now() + idle_limit;
        if self.replies.len() > REPLIES {
            self.flush(deadline).await?;
        }
        self.shrink();
        self.line.clear();
        let mut too_long = false;
        loop {
            if let Some(lf) = memchr(b'\n', self.pending()) {
                self.keep_of_line(lf, &mut too_long);
                self.take(lf + 1);
                return Ok(match self.line.pop() {
                    Some(b'\r') if too_long => Line::TooLong,
                    Some(b'\r') => Line::Whole,
                    _ => Line::BareLf,
                });
            }
            let count = self.pending().len();
            self.keep_of_line(count, &mut too_long);
            self.take(count);
            tokio::select! {
                biased;
                broken = &mut interrupt => return Err(broken),
                filled = self.fill(deadline, COMMANDS) => filled?,
            }
        }
    }

    /// Moves `count` octets of the pending input to the line. Of a line that is too long only the last octet
    /// is kept: it shows whether a CR came before the LF.
    fn keep_of_line(&mut self, count: usize, too_long: &mut bool) {
        let piece = &self.input[self.taken..self.taken + count];
        // These octets include the CR but not the LF.
        if *too_long || self.line.len() + count >= MAX_LINE {
            *too_long = true;
            let last = piece.last().or(self.line.last()).copied();
            self.line.clear();
            self.line.extend(last);
        } else {
            self.line.extend_from_slice(piece);
        }
    }

    /// Consumes all pending input and waits for at least one more octet of the body.
    pub async fn more(&mut self, deadline: Instant) -> Result<(), ConnectionEnd> {
        // After a chunk that filled the buffer, expect more.
        let filled = self.input.len() >= BODY;
        let room = if filled { LARGE } else { BODY };
        self.take(self.pending().len());
        self.fill(deadline, room).await
    }

    /// Writes the replies, then reads into the empty buffer.
    async fn fill(&mut self, deadline: Instant, room: usize) -> Result<(), ConnectionEnd> {
        self.flush(deadline).await?;
        debug_assert!(self.input.is_empty());
        self.input.reserve_exact(room);
        match timeout_at(deadline, self.stream.read_buf(&mut self.input)).await?? {
            0 => Err(ConnectionEnd::Closed),
            _ => Ok(()),
        }
    }

    /// Writes the replies; a client that does not read them runs into the deadline. Written octets leave the
    /// queue at once, so that an interrupted flush repeats nothing.
    pub async fn flush(&mut self, deadline: Instant) -> Result<(), ConnectionEnd> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let write = async {
            while !self.replies.is_empty() {
                let count = self.stream.write(&self.replies).await?;
                if count == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                self.replies.drain(..count);
            }
            self.stream.flush().await
        };
        Ok(timeout_at(deadline, write).await??)
    }

    /// Sends the final reply and closes. Input that the client still sends is read and discarded for a while:
    /// if it reached a closed socket, the reset could overtake the reply.
    pub async fn close(mut self, linger: Duration) {
        let deadline = Instant::now() + linger;
        if self.flush(deadline).await.is_err() {
            return;
        }
        let bye = async {
            self.stream.shutdown().await?;
            loop {
                self.input.clear();
                self.input.reserve_exact(COMMANDS);
                if self.stream.read_buf(&mut self.input).await? == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        // The connection is closed in either case.
        let _ = timeout_at(deadline, bye).await;
    }

    /// Shrinks the input buffer after a large message. That of the replies never becomes large.
    fn shrink(&mut self) {
        if self.input.is_empty() && self.input.capacity() > BODY {
            self.input = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::duplex;

    use super::*;

    const IDLE_LIMIT: Duration = Duration::from_mins(5);

    /// Memory that the connection holds.
    fn memory_of<S>(connection: &Connection<S>) -> usize {
        connection.input.capacity() + connection.line.capacity() + connection.replies.capacity()
    }

    #[tokio::test]
    async fn an_endless_line_takes_no_memory() {
        let (mut client, stream) = duplex(100_000);
        let mut connection = Connection::new(stream);
        let writer = tokio::spawn(async move {
            for _ in 0..1000 {
                client.write_all(&[b'a'; 10_000]).await?;
            }
            client.write_all(b"\r\nNOOP\r\n").await
        });
        let line = connection.next_line(IDLE_LIMIT, pending()).await;
        assert_eq!(line.expect("a line"), Line::TooLong);
        assert!(
            memory_of(&connection) <= COMMANDS + 2 * MAX_LINE,
            "{}",
            memory_of(&connection)
        );
        let line = connection.next_line(IDLE_LIMIT, pending()).await;
        assert_eq!(line.expect("a line"), Line::Whole);
        assert_eq!(connection.line(), b"NOOP");
        writer.await.expect("no panic").expect("a pipe");
    }

    #[tokio::test]
    async fn a_large_body_leaves_no_large_buffer() {
        let (mut client, stream) = duplex(1_000_000);
        let mut connection = Connection::new(stream);
        client
            .write_all(&b"a".repeat(900_000))
            .await
            .expect("a pipe");
        client.write_all(b"NOOP\r\n").await.expect("a pipe");
        let mut largest = 0;
        let mut rest = 900_000_usize;
        loop {
            let more = connection.more(Instant::now() + IDLE_LIMIT).await;
            more.expect("a pipe");
            largest = largest.max(memory_of(&connection));
            match rest.checked_sub(connection.pending().len()) {
                Some(left) => rest = left,
                None => break,
            }
        }
        connection.take(rest);
        assert_eq!(largest, LARGE);
        let line = connection.next_line(IDLE_LIMIT, pending()).await;
        assert_eq!(line.expect("a line"), Line::Whole);
        client.write_all(b"NOOP\r\n").await.expect("a pipe");
        let line = connection.next_line(IDLE_LIMIT, pending()).await;
        assert_eq!(line.expect("a line"), Line::Whole);
        assert!(
            memory_of(&connection) <= COMMANDS + MAX_LINE,
            "{}",
            memory_of(&connection)
        );
    }

    #[tokio::test]
    async fn buffered_replies_are_bounded() {
        let (mut client, stream) = duplex(1_000_000);
        let mut connection = Connection::new(stream);
        client
            .write_all(&b"NOOP\r\n".repeat(50_000))
            .await
            .expect("a pipe");
        for _ in 0..50_000 {
            let line = connection.next_line(IDLE_LIMIT, pending()).await;
            assert_eq!(line.expect("a line"), Line::Whole);
            connection.reply(&Reply::Ok);
            assert!(connection.replies.len() <= REPLIES + 100);
            assert!(connection.replies.capacity() <= 3 * REPLIES);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_still_sends_gets_the_final_reply_and_some_time() {
        let (mut client, stream) = duplex(1000);
        let mut connection = Connection::new(stream);
        connection.reply(&Reply::Goodbye);
        let linger = Duration::from_secs(5);
        let closing = tokio::spawn(connection.close(linger));
        let begin = Instant::now();
        let mut said = String::new();
        client.read_to_string(&mut said).await.expect("a pipe");
        assert_eq!(said, "221 2.0.0 Bye\r\n");
        assert!(begin.elapsed() < Duration::from_secs(1));
        let sent = client.write_all(&[b'a'; 10_000]).await;
        sent.expect("the input is read and discarded");
        while begin.elapsed() < Duration::from_mins(1) && client.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let took = begin.elapsed();
        assert!(
            (linger..=linger + Duration::from_secs(2)).contains(&took),
            "{took:?}"
        );
        closing.await.expect("no panic");
    }
}
