//! Turns panics into errors. In: a future, or the payload of a panic. Out: its result, or the text of the panic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs a future to completion. A future that panicked is not polled again.
///
/// # Errors
/// The text of the panic.
pub async fn catch_panic<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        let poll = AssertUnwindSafe(|| future.as_mut().poll(context));
        match catch_unwind(poll) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(text_of(&*panic).to_owned())),
        }
    })
    .await
}

/// Text of a panic, for the log.
#[must_use]
pub fn text_of(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_also_after_a_wait() {
        assert_eq!(catch_panic(async { 1 }).await, Ok(1));
        let waits = async {
            tokio::task::yield_now().await;
            assert_eq!(std::hint::black_box(1), 2, "no");
        };
        let text = catch_panic(waits).await.expect_err("it panics");
        assert!(text.contains("no"), "{text}");
    }

    #[test]
    fn a_panic_has_a_literal_or_a_formatted_text() {
        let panics: [Box<dyn Any + Send>; 3] = [
            Box::new("literal"),
            Box::new("formatted".to_owned()),
            Box::new(1),
        ];
        let texts = panics.each_ref().map(|panic| text_of(&**panic));
        assert_eq!(texts, ["literal", "formatted", "a panic"]);
    }
}
