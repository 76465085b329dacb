//! One connection, from the greeting to the end.

use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::budget::{Budget, Reservation};
use super::connection::{Connection, ConnectionEnd, Line};
use super::connection_slots::Slot;
use super::data::{Bounds, Progress, Transfer};
use super::handler::MessageHandler;
use super::protocol::{Next, Protocol};
use super::reply::Reply;
use super::settings::ServerSettings;

/// Time for which input after our final reply is read and discarded.
const LINGER: Duration = Duration::from_secs(5);

/// Octets below which received data does not end the idle time: an octet from time to time is not enough.
const SOMETHING: usize = 4 * 1024;

/// Time that a client has for the next command of its transaction during shutdown.
const LAST_COMMAND: Duration = Duration::from_secs(5);

/// State shared by all connections of a listener.
pub struct Shared<R> {
    pub handler: Arc<R>,
    pub budget: Budget,
}

/// A connection with its client.
pub struct Session<'a, R> {
    pub shared: &'a Shared<R>,
    pub settings: Arc<ServerSettings>,
    pub peer: IpAddr,
    pub slot: Slot,
    /// Cancelled when no new transaction may begin.
    pub leave: CancellationToken,
}

/// The end of a connection.
enum End {
    /// After QUIT, or because we close the connection; the reply is queued.
    Done,
    StartTls,
}

impl<R: MessageHandler> Session<'_, R> {
    /// Serves the client until either side ends the connection.
    pub async fn run<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) {
        let mut protocol = Protocol::new(
            Arc::clone(&self.shared.handler),
            Arc::clone(&self.settings),
            self.peer,
        );
        let mut connection = Connection::new(stream);
        connection.reply(&Reply::Greeting(self.settings.hostname.clone()));
        if let Some(clear) = self.converse(connection, &mut protocol).await
            && let Some(secure) = Box::pin(self.handshake(clear)).await
        {
            protocol.reset_after_tls();
            // A second STARTTLS is never accepted, so this call is the last. Boxed, so that clients without
            // TLS need no memory for it.
            Box::pin(self.converse(Connection::new(secure), &mut protocol)).await;
        }
    }

    /// Serves the client to the end, or returns the stream if it continues with TLS.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        mut connection: Connection<S>,
        protocol: &mut Protocol<R>,
    ) -> Option<S> {
        let final_reply = match self.exchange(&mut connection, protocol).await {
            Ok(End::StartTls) => return Some(connection.into_stream()),
            Ok(End::Done) => None,
            Err(ConnectionEnd::Leaving) => Some(Reply::ShuttingDown),
            Err(ConnectionEnd::Evicted) => Some(Reply::Evicted),
            Err(ConnectionEnd::TimedOut(_)) => Some(Reply::TimedOut),
            Err(broken @ (ConnectionEnd::Closed | ConnectionEnd::Io(_))) => {
                if protocol.in_transaction() {
                    Reply::ConnectionEnd.log(self.peer, Some(&broken.to_string()));
                }
                return None;
            }
        };
        if let Some(reply) = final_reply {
            self.say(&mut connection, &reply);
        }
        connection.close(LINGER).await;
        None
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: &mut Connection<S>,
        protocol: &mut Protocol<R>,
    ) -> Result<End, ConnectionEnd> {
        let idle_limit = self.settings.command_timeout;
        // Created once: the first poll registers with the token, which costs more than to poll again for each line.
        let mut leave = pin!(self.leave.cancelled());
        let mut evicted = pin!(self.slot.wait_for_eviction());
        loop {
            let in_transaction = protocol.in_transaction();
            let interrupt = wait_for_interrupt(leave.as_mut(), evicted.as_mut(), in_transaction);
            self.slot.mark_waiting();
            let line = connection.next_line(idle_limit, interrupt).await?;
            self.slot.mark_busy();
            let answer = match line {
                Line::Whole => protocol.answer(connection.line(), self.leave.is_cancelled()),
                Line::TooLong => protocol.refuse(Reply::LineTooLong),
                Line::BareLf => {
                    self.say(connection, &Reply::BareLfInCommand);
                    return Ok(End::Done);
                }
            };
            // Input after STARTTLS in the clear could pass for input within TLS.
            if answer.next == Next::Tls && !connection.pending().is_empty() {
                self.say(connection, &Reply::AfterStartTls);
                return Ok(End::Done);
            }
            self.say(connection, &answer.reply);
            match answer.next {
                Next::Command => {}
                Next::Close => return Ok(End::Done),
                Next::Tls => {
                    connection.flush(Instant::now() + idle_limit).await?;
                    return Ok(End::StartTls);
                }
                Next::Transfer(envelope, size) => {
                    let body = self.body(connection, size, evicted.as_mut());
                    let Some((body, reservation)) = body.await? else {
                        self.say(connection, &Reply::BareLfInMessage);
                        return Ok(End::Done);
                    };
                    let answer = match body.finish() {
                        Ok(raw) => {
                            let outcome = self.shared.handler.receive(*envelope, raw).await;
                            protocol.finish_data(outcome)
                        }
                        Err(bound) => protocol.too_large(bound),
                    };
                    drop(reservation);
                    self.slot.set_memory(0);
                    self.say(connection, &answer.reply);
                    if answer.next == Next::Close {
                        return Ok(End::Done);
                    }
                }
            }
        }
    }

    /// Queues a reply, and logs it if it is a refusal.
    fn say<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: &mut Connection<S>,
        reply: &Reply,
    ) {
        if reply.is_refusal() && *reply != Reply::ShuttingDown {
            reply.log(self.peer, None);
        }
        connection.reply(reply);
    }

    /// Reads a body to its end; None if it has a bare LF. Keep the reservation for as long as the body.
    async fn body<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: &mut Connection<S>,
        announced: Option<u64>,
        mut evicted: Pin<&mut WaitForCancellationFuture<'_>>,
    ) -> Result<Option<(Transfer, Reservation<'_>)>, ConnectionEnd> {
        let settings = &self.settings;
        let bounds = Bounds {
            message: settings.max_message_size,
            header: settings.max_header_size,
        };
        let mut body = Transfer::new(bounds, announced);
        let mut reservation = self.shared.budget.reservation(self.peer);
        self.slot.message_begins();
        let mut end = Instant::now() + settings.message_timeout;
        let mut said = SOMETHING;
        loop {
            let capacity = body.capacity_for(connection.pending().len());
            if !reservation.covers(capacity) {
                let asked = Instant::now();
                said = SOMETHING;
                self.reserve(&mut reservation, capacity).await;
                // Time in which the client waited for us does not count.
                end += asked.elapsed();
            }
            body.reserve(capacity);
            match body.feed(connection.pending()) {
                Progress::End(at) => {
                    self.slot.mark_busy();
                    self.slot.message_ends();
                    connection.take(at);
                    if !body.is_too_large() {
                        let to_read = self.shared.handler.memory(body.header());
                        self.reserve(&mut reservation, capacity + to_read).await;
                    }
                    return Ok(Some((body, reservation)));
                }
                Progress::BareLf => return Ok(None),
                Progress::More if body.is_too_large() => {
                    reservation = self.shared.budget.reservation(self.peer);
                    self.slot.set_memory(0);
                }
                Progress::More => {}
            }
            let silence = Instant::now() + settings.data_timeout;
            if said >= SOMETHING {
                self.slot.mark_waiting();
                said = 0;
            }
            tokio::select! {
                biased;
                () = evicted.as_mut() => return Err(ConnectionEnd::Evicted),
                more = connection.more(silence.min(end)) => more?,
            }
            let came = connection.pending().len();
            said += came;
            self.slot.record(came);
        }
    }

    /// Waits until the message has `octets` reserved in total.
    async fn reserve(&self, reservation: &mut Reservation<'_>, octets: usize) {
        if reservation.covers(octets) {
            return;
        }
        self.slot.mark_busy();
        self.slot.acquire_evicting(reservation.grow(octets)).await;
        self.slot.set_memory(reservation.octets());
    }

    /// Performs the TLS handshake within the timeout of a command.
    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
    ) -> Option<tokio_rustls::server::TlsStream<S>> {
        let tls = self.settings.tls.as_ref()?;
        let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
        let handshake = timeout(self.settings.command_timeout, acceptor.accept(stream));
        self.slot.mark_waiting();
        let done = tokio::select! {
            biased;
            () = self.slot.wait_for_eviction() => {
                Reply::Evicted.log(self.peer, None);
                return None;
            }
            done = handshake => done,
        };
        match done {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => Reply::ConnectionEnd.log(self.peer, Some(&error.to_string())),
            Err(_) => Reply::TimedOut.log(self.peer, None),
        }
        None
    }
}

/// Waits for a reason to end the connection other than the client's own timeouts.
async fn wait_for_interrupt(
    leave: Pin<&mut WaitForCancellationFuture<'_>>,
    evicted: Pin<&mut WaitForCancellationFuture<'_>>,
    in_transaction: bool,
) -> ConnectionEnd {
    // On shutdown, a client between the commands of a transaction gets a moment for the next one.
    let leaving = async {
        leave.await;
        if in_transaction {
            tokio::time::sleep(LAST_COMMAND).await;
        }
    };
    tokio::select! {
        () = leaving => ConnectionEnd::Leaving,
        () = evicted => ConnectionEnd::Evicted,
    }
}

#[cfg(test)]
mod tests;
