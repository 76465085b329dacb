//! Places at which a test has the program die, as a power cut at that very moment would.
//!
//! `VESTIBULE_FAILPOINT=NAME:N` in the environment: whoever passes the place NAME for the N-th time
//! is killed there, without a word to anybody. With `panic-NAME:N` it panics there instead. Builds
//! for release know nothing of it: there, a place is an empty function.

/// A place that the program passes.
#[cfg(not(debug_assertions))]
#[inline(always)]
#[expect(clippy::inline_always, reason = "nothing of it is to be left")]
pub fn pass(_place: &str) {}

/// A place that the program passes, unless a test wants it to die here.
///
/// # Panics
/// Where a test asks for a panic here.
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
        && wanted.trim_start_matches("panic-") == place
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *passes
    {
        assert!(!wanted.starts_with("panic-"), "a test wants a fault here");
        let me = rustix::process::getpid();
        // Not an exit: nothing is to be flushed, closed or dropped.
        let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
    }
}
