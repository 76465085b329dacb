//! A help desk with a webhook, which answers as a test requires and records all calls.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub struct HelpDesk {
    pub port: u16,
    seen: Arc<Seen>,
}

/// One received call.
#[derive(Clone)]
pub struct ReceivedCall {
    /// `webhook-id`.
    pub id: String,
    pub signed: (String, String),
    pub body: Vec<u8>,
    /// True if it was answered with 2xx.
    pub is_taken: bool,
    /// True if the help desk processed it, whatever it answered.
    pub is_had: bool,
}

struct Seen {
    posts: Mutex<Vec<ReceivedCall>>,
    /// Number of failures in ten calls.
    failing: AtomicU64,
    /// If set, every call is answered with a Retry-After of an hour.
    is_busy: AtomicBool,
    /// Each answer needs a permit.
    answers: Semaphore,
}

impl HelpDesk {
    pub async fn open(failing: u64, answers: usize) -> Self {
        let seen = Arc::new(Seen {
            posts: Mutex::default(),
            failing: AtomicU64::new(failing),
            is_busy: AtomicBool::new(false),
            answers: Semaphore::new(answers),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let router = Router::new()
            .route("/", post(take))
            .with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { port, seen }
    }

    /// The help desk as a destination of the configuration, with time for an answer that the test withholds.
    pub fn destination(&self) -> String {
        format!(
            "type = \"webhook\"\nurl = \"http://127.0.0.1:{}/\"\nallow_private = true\nconcurrency = 4\n\
             timeout = \"5m\"",
            self.port
        )
    }

    /// The `webhook-id` of every call, and whether it was answered with 2xx.
    pub fn posts(&self) -> Vec<(String, bool)> {
        let posts = self.whole_posts().into_iter();
        posts.map(|post| (post.id, post.is_taken)).collect()
    }

    pub fn whole_posts(&self) -> Vec<ReceivedCall> {
        self.seen
            .posts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends all failures.
    pub fn recover(&self) {
        self.seen.failing.store(0, Ordering::Relaxed);
    }

    /// Begins or ends answering with a Retry-After of an hour.
    pub fn is_busy(&self, is_busy: bool) {
        self.seen.is_busy.store(is_busy, Ordering::Relaxed);
    }

    pub fn answer(&self, posts: usize) {
        self.seen.answers.add_permits(posts);
    }
}

async fn take(State(seen): State<Arc<Seen>>, fields: HeaderMap, body: Bytes) -> Response {
    let field = |name: &str| {
        let value = fields.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let is_busy = seen.is_busy.load(Ordering::Relaxed);
    let is_taken = {
        let mut posts = seen.posts.lock().unwrap_or_else(PoisonError::into_inner);
        // Pseudo-random, and the same in every run.
        let number = posts.len() as u64;
        let draw = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let is_taken = !is_busy && draw % 10 >= seen.failing.load(Ordering::Relaxed);
        posts.push(ReceivedCall {
            id: field("webhook-id"),
            signed: (field("webhook-timestamp"), field("webhook-signature")),
            body: body.to_vec(),
            is_taken,
            is_had: is_taken || (!is_busy && draw % 20 < 10),
        });
        is_taken
    };
    let permit = seen.answers.acquire().await.expect("open");
    permit.forget();
    if is_busy {
        (
            StatusCode::TOO_MANY_REQUESTS,
            [(header::RETRY_AFTER, "3600")],
        )
            .into_response()
    } else if is_taken {
        StatusCode::NO_CONTENT.into_response()
    } else {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
