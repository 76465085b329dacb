//! Runs a router on a listener until told to stop, then lets the answers under way go out.
//!
//! A client can cost no more than a connection out of a fixed number, and that for a short time
//! while it sends nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
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
    router.oneshot(request).await
}
