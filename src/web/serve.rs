//! Runs a router on a listener until told to stop, then lets the answers under way go out.
//!
//! A client can cost no more than a connection out of a fixed number, and that for a short time
//! while it sends nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, TRANSFER_ENCODING};
use axum::http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::peer::Peer;
use crate::observe::events;

const MOST_CONNECTIONS: usize = 1024;

/// From the start of a connection, or the end of the answer before, to the end of the next head.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// How long answers under way may take when the drain begins.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// After an accept that failed for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 until `shutdown`.
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let seats = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let admitted = async {
            let seat = Arc::clone(&seats).acquire_owned().await;
            (seat, listener.accept().await)
        };
        let (seat, accepted) = tokio::select! {
            () = shutdown.cancelled() => break,
            admitted = admitted => admitted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = graceful.watch(connection(stream, Peer(peer), router.clone()));
                tokio::spawn(async move {
                    // What goes wrong on one connection is its client's business.
                    let _ = connection.await;
                    drop(seat);
                });
            }
            Err(error) => {
                events::fault("web.accept", &error);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN_LIMIT, graceful.shutdown()).await;
}

fn connection(
    stream: TcpStream,
    peer: Peer,
    router: Router,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send + 'static {
    // An answer is written in one piece; waiting for more would only delay it.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let router = router.clone();
        async move { answer(router, request).await }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
}

async fn answer(router: Router, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    // A length beside Transfer-Encoding may mean another end of the request to a proxy than to us
    // (RFC 9112 6.1), and the HTTP library does not tell of it: nothing behind it is read.
    let has_coding = request.headers().contains_key(TRANSFER_ENCODING);
    let mut response = router.oneshot(request).await?;
    if has_coding {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::{get, post};
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;
    use tokio::task::JoinHandle;

    /// On a machine that does other work, too.
    const PATIENCE: Duration = Duration::from_mins(5);

    async fn started(router: Router) -> (SocketAddr, JoinHandle<()>, CancellationToken) {
        started_at("127.0.0.1:0", router).await
    }

    async fn started_at(
        address: &str,
        router: Router,
    ) -> (SocketAddr, JoinHandle<()>, CancellationToken) {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(listener, router, stop.clone()));
        (address, server, stop)
    }

    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer))
            .await
            .expect("in time")
            .expect("an answer");
        answer
    }

    #[tokio::test]
    async fn the_answer_under_way_goes_out_and_then_the_server_ends() {
        let (began, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (tell, wait) = (Arc::clone(&began), Arc::clone(&may_end));
        let router = Router::new().route(
            "/",
            get(async move || {
                tell.notify_one();
                wait.notified().await;
                "done"
            }),
        );
        // An address that no other test has, so that nobody else is found there afterwards.
        let (address, server, stop) = started_at("127.0.0.77:0", router).await;
        let idle = TcpStream::connect(address).await.expect("connected");
        let asking =
            tokio::spawn(
                async move { exchange(address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await },
            );
        began.notified().await;
        stop.cancel();
        may_end.notify_one();
        let answer = asking.await.expect("no panic");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("done"), "{answer}");
        tokio::time::timeout(PATIENCE, server)
            .await
            .expect("an idle connection does not hold it up")
            .expect("no panic");
        assert!(TcpStream::connect(address).await.is_err());
        drop(idle);
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_nothing_is_shown_out() {
        let (address, _server, _stop) = started(Router::new()).await;
        for sent in ["", "GET / HTTP/1.1\r\nhost:"] {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            stream.write_all(sent.as_bytes()).await.expect("sent");
            let began = tokio::time::Instant::now();
            let mut rest = Vec::new();
            // Closed or reset, with or without an answer; the connection ends.
            let _ = stream.read_to_end(&mut rest).await;
            assert!(
                began.elapsed() <= HEAD_LIMIT + Duration::from_secs(1),
                "{sent:?}"
            );
        }
    }

    #[tokio::test]
    async fn what_could_smuggle_a_request_is_refused() {
        let router = Router::new().route("/", post(async |body: String| body));
        let (address, _server, _stop) = started(router).await;
        for head in [
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\nabc",
            "GET / HTTP/1.1\r\nhost: x\r\n bad\r\n\r\n",
        ] {
            let answer = exchange(address, head).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        }
    }
}
