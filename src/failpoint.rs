//! Points at which a test kills the program, as a power cut at that very moment would.
//!
//! `VESTIBULE_FAILPOINT=NAME:N` in the environment kills the process when it reaches the point NAME for the N-th
//! time. With `panic-NAME:N` it panics there instead, and with `stop-NAME:N` it is stopped (SIGSTOP). In release
//! builds a point is an empty function.

/// A point that the program passes.
#[cfg(not(debug_assertions))]
#[inline(always)]
#[expect(clippy::inline_always, reason = "a release build compiles it away")]
pub fn pass(_place: &str) {}

/// A point that the program passes, unless a test kills it here.
///
/// # Panics
/// Panics if a test requests it.
#[cfg(debug_assertions)]
pub fn pass(place: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static WANTED: LazyLock<Option<(String, u32)>> = LazyLock::new(|| {
        let wanted = std::env::var("VESTIBULE_FAILPOINT").ok()?;
        let (place, passes) = wanted.split_once(':')?;
        Some((place.to_owned(), passes.parse().ok()?))
    });
    static PASSED: AtomicU32 = AtomicU32::new(0);

    if let Some((wanted, passes)) = &*WANTED
        && wanted
            .trim_start_matches("panic-")
            .trim_start_matches("stop-")
            == place
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *passes
    {
        assert!(!wanted.starts_with("panic-"), "a test wants a fault here");
        let me = rustix::process::getpid();
        if wanted.starts_with("stop-") {
            let _ = rustix::process::kill_process(me, rustix::process::Signal::STOP);
            // The kernel may stop the other threads first.
            std::thread::sleep(std::time::Duration::from_secs(1));
            return;
        }
        // SIGKILL instead of an exit: nothing is flushed, closed or dropped.
        let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    }
}
