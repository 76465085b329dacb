//! A help desk with a webhook, which answers as a test wants and remembers who came.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

pub struct Desk {
    pub port: u16,
    seen: Arc<Seen>,
}

struct Seen {
    /// The `webhook-id` of every post and whether it was taken.
    posts: Mutex<Vec<(String, bool)>>,
    /// So many of ten posts fail.
    failing: u64,
    /// Each answer needs a permit.
    answers: Semaphore,
}

impl Desk {
    pub async fn open(failing: u64, answers: usize) -> Self {
        let seen = Arc::new(Seen {
            posts: Mutex::default(),
            failing,
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

    /// As a destination of the configuration.
    pub fn destination(&self) -> String {
        format!(
            "type = \"webhook\"\nurl = \"http://127.0.0.1:{}/\"\nallow_private = true\nconcurrency = 4",
            self.port
        )
    }

    pub fn posts(&self) -> Vec<(String, bool)> {
        self.seen
            .posts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn answer(&self, posts: usize) {
        self.seen.answers.add_permits(posts);
    }
}

async fn take(State(seen): State<Arc<Seen>>, fields: HeaderMap) -> StatusCode {
    let id = fields["webhook-id"].to_str().expect("an id").to_owned();
    let is_taken = {
        let mut posts = seen.posts.lock().unwrap_or_else(PoisonError::into_inner);
        // As good as random, and the same in every run.
        let number = posts.len() as u64;
        let is_taken = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 10 >= seen.failing;
        posts.push((id, is_taken));
        is_taken
    };
    let permit = seen.answers.acquire().await.expect("open");
    permit.forget();
    if is_taken {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::INTERNAL_SERVER_ERROR
    }
}
