//! Runs a router on a listener until shutdown, then drains the answers in progress.
//!
//! The number of connections is bounded, in all and by client ([`connections`](super::connections)), and so is the
//! time for which a client may neither send nor read.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, RETRY_AFTER, TRANSFER_ENCODING};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::connections::{self, Connections};
use super::host::Host;
use super::minimum_rate::MinimumRate;
use super::rate_limit::Peer;
use crate::observe::events;

/// Time limit from the start of a connection, or the end of the previous answer, to the end of the next head.
const HEAD_LIMIT: Duration = Duration::from_secs(15);

/// The same limit for a brief connection, and the limit of its whole lifetime.
const BRIEF_HEAD_LIMIT: Duration = Duration::from_secs(2);
const BRIEF_LIMIT: Duration = Duration::from_secs(10);

/// Paths that a brief connection may request.
const WATCHED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// Time limit of the answers in progress when the drain begins.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// Pause after a failed accept: usually no file descriptor is free.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves HTTP/1.1 until `shutdown`. `is_proxy` tells which peers are proxies that carry the requests of many
/// clients.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    is_proxy: impl Fn(IpAddr) -> bool,
    shutdown: CancellationToken,
) {
    let connections = Arc::new(Connections::default());
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                let place = connections.admit(address, is_proxy(address));
                let served = connection(stream, Peer(peer), &place, router.clone());
                let served = graceful.watch(served);
                tokio::spawn(async move {
                    let limit = async {
                        if place.is_brief {
                            tokio::time::sleep(BRIEF_LIMIT).await;
                        } else {
                            std::future::pending::<()>().await;
                        }
                    };
                    tokio::select! {
                        // An error on one connection concerns its client only.
                        _ = served => {}
                        () = place.wait_until_closed() => {}
                        () = limit => {}
                    }
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
    place: &connections::OpenConnection,
    router: Router,
) -> impl GracefulConnection<Error = hyper::Error> + Send + 'static {
    // An answer is written in one piece; Nagle's algorithm would only delay it.
    let _ = stream.set_nodelay(true);
    let (activity, is_brief) = (Arc::clone(&place.activity), place.is_brief);
    let stream = MinimumRate::new(stream, Arc::clone(&activity));
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let (router, activity) = (router.clone(), Arc::clone(&activity));
        async move {
            activity.begin_request();
            let answer = if is_brief && !WATCHED.contains(&request.uri().path()) {
                Ok(too_many_connections())
            } else {
                answer(router, request).await
            };
            activity.end_request();
            answer
        }
    });
    let limit = if is_brief {
        BRIEF_HEAD_LIMIT
    } else {
        HEAD_LIMIT
    };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limit)
        .keep_alive(!is_brief)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
}

fn too_many_connections() -> Response<Body> {
    let text = "There are too many connections from your address. Try again in a few seconds.\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "5")], text).into_response()
}

async fn answer(router: Router, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    // With both Transfer-Encoding and Content-Length, a proxy may see the request end elsewhere than we do (RFC
    // 9112 6.1), and the HTTP library does not report the combination. So nothing after such a request is read.
    let has_coding = request.headers().contains_key(TRANSFER_ENCODING);
    // Given two Host fields, two programs could choose different ones (RFC 9112 3.2).
    if let Err(bad) = Host::of(request.version(), request.uri(), request.headers()) {
        return Ok(bad.answer());
    }
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

    /// Generous, for a machine under load.
    const TIMEOUT: Duration = Duration::from_mins(5);

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
        let server = tokio::spawn(serve(listener, router, |_| false, stop.clone()));
        (address, server, stop)
    }

    async fn exchange(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        tokio::time::timeout(TIMEOUT, stream.read_to_string(&mut answer))
            .await
            .expect("in time")
            .expect("an answer");
        answer
    }

    #[tokio::test]
    async fn shutdown_waits_for_the_answer_in_progress() {
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
        // An address that no other test uses, so that no other listener is found there afterwards.
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
        tokio::time::timeout(TIMEOUT, server)
            .await
            .expect("an idle connection does not hold it up")
            .expect("no panic");
        assert!(TcpStream::connect(address).await.is_err());
        drop(idle);
    }

    #[tokio::test(start_paused = true)]
    async fn silent_clients_are_disconnected() {
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
    async fn ambiguous_requests_are_refused() {
        let router = Router::new().route("/", post(async |body: String| body));
        let (address, _server, _stop) = started(router).await;
        for head in [
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: +3\r\n\r\nabc",
            "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: xchunked\r\n\r\nabc",
            "GET / HTTP/1.1\r\nhost: x\r\n bad\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nhost: x\r\nconnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: x\r\nHost: y\r\nconnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: a@x\r\nconnection: close\r\n\r\n",
        ] {
            let answer = exchange(address, head).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?}: {answer}");
        }
    }

    /// Sends requests and never reads. The answers fill all buffers of the connection.
    async fn asks_and_never_reads(address: SocketAddr) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let mut stream = socket.connect(address).await.expect("connected");
        let requests = "GET /large HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20);
        // The server may have closed it already.
        let _ = stream.write_all(requests.as_bytes()).await;
        stream
    }

    fn pages() -> Router {
        Router::new()
            .route("/", get(async || "page"))
            .route("/healthz", get(async || "ok"))
            .route("/large", get(async || vec![b'a'; 8 << 20]))
    }

    const PAGE: &str = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn clients_that_never_read_do_not_keep_others_out() {
        let (address, _server, _stop) = started(pages()).await;
        let mut greedy = Vec::new();
        for _ in 0..300 {
            greedy.push(asks_and_never_reads(address).await);
        }
        let answer = exchange(address, HEALTH).await;
        assert!(answer.ends_with("ok"), "{answer}");
        // Pages are served again as soon as one of the others has been stalled for long enough.
        let began = tokio::time::Instant::now();
        loop {
            let answer = exchange(address, PAGE).await;
            if answer.ends_with("page") {
                break;
            }
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            assert!(answer.contains("retry-after: 5\r\n"), "{answer}");
            assert!(began.elapsed() < TIMEOUT);
        }
        drop(greedy);
    }

    #[tokio::test]
    async fn clients_that_do_not_read_are_disconnected() {
        let router = pages();
        let (address, _server, _stop) = started(router).await;
        let mut stream = asks_and_never_reads(address).await;
        tokio::time::pause();
        // In paused time the limit expires as soon as nothing else can run.
        let mut taken = vec![0; 1024];
        tokio::time::sleep(2 * crate::web::minimum_rate::LIMIT).await;
        let mut all = 0;
        // The buffered part arrives, and then the end; not all twenty answers.
        while let Ok(count @ 1..) = stream.read(&mut taken).await {
            all += count;
        }
        assert!(all < 20 * (8 << 20), "{all}");
    }
}
