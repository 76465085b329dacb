//! A bounded buffer of log lines that a separate thread writes to standard error.
//!
//! Logging never waits for standard error. If it stalls and the buffer is full, lines are counted and
//! discarded, and the next line is preceded by one with their number: the ledger is the record of the mail,
//! and a stalled log must not stop it.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Maximum octets in the buffer. About 20,000 lines.
const MAX_WAITING: usize = 4 << 20;

/// Minimum interval between two writes. A single line is written at once; lines of a burst are combined,
/// which saves wakeups of the thread and of the reader.
const GATHER: Duration = Duration::from_millis(5);

/// Time for which the program waits, at its end, until standard error accepts the rest.
const LAST_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    lost: u64,
    /// The thread holds lines that it has not written yet.
    writing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    some: Condvar,
    none: Condvar,
}

/// A handle on the buffer; clones share it.
#[derive(Debug, Clone)]
pub(super) struct BufferedStderr(Arc<Shared>);

impl BufferedStderr {
    /// Starts the thread, which lives as long as the program.
    pub fn start(sink: impl Write + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || run(&own, sink))?;
        Ok(Self(shared))
    }

    /// Appends one line, or counts it as lost if the buffer is full. `notice` formats the line that reports the
    /// number of lost ones.
    pub fn append(&self, line: &str, notice: impl FnOnce(u64) -> String) {
        let mut waiting = self.0.lock();
        if waiting.lines.len() + line.len() > MAX_WAITING {
            waiting.lost += 1;
            return;
        }
        let first = waiting.lines.is_empty();
        if waiting.lost > 0 {
            let lost = std::mem::take(&mut waiting.lost);
            waiting.lines.extend_from_slice(notice(lost).as_bytes());
        }
        waiting.lines.extend_from_slice(line.as_bytes());
        drop(waiting);
        // Later lines are written together with the first.
        if first {
            self.0.some.notify_one();
        }
    }

    /// Waits until everything is written, or until standard error has stalled for too long.
    pub fn flush(&self) {
        let deadline = Instant::now() + LAST_TIMEOUT;
        let mut waiting = self.0.lock();
        while waiting.writing || !waiting.lines.is_empty() {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return;
            };
            waiting = self
                .0
                .none
                .wait_timeout(waiting, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

impl Shared {
    /// The buffer is valid at every point at which a panic can happen.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes all waiting lines, writes them at once, and repeats. Two buffers are swapped, so that a line costs
/// no allocation.
fn run(shared: &Shared, mut sink: impl Write) {
    let mut taken = Vec::new();
    let mut last_write = Instant::now();
    loop {
        let mut waiting = shared.lock();
        waiting.writing = false;
        if waiting.lines.is_empty() {
            shared.none.notify_all();
        }
        while waiting.lines.is_empty() {
            waiting = shared
                .some
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(waiting);
        std::thread::sleep(GATHER.saturating_sub(last_write.elapsed()));
        let mut waiting = shared.lock();
        std::mem::swap(&mut waiting.lines, &mut taken);
        waiting.writing = true;
        drop(waiting);
        // A closed standard error must not stop the daemon, and there is no other place to report it.
        let _ = sink.write_all(&taken).and_then(|()| sink.flush());
        taken.clear();
        last_write = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A sink that accepts nothing until it is told to.
    struct Stalled {
        go: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.go.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stalled_sink_loses_lines_and_says_how_many() {
        let (let_go, go) = mpsc::channel();
        let (written, output) = mpsc::channel();
        let writer = BufferedStderr::start(Stalled { go, written }).expect("a thread");
        let notice = |lost| format!("lost={lost}\n");
        let line = "x".repeat(MAX_WAITING / 4 - 1) + "\n";
        for _ in 0..32 {
            writer.append(&line, notice);
        }
        let lost = writer.0.lock().lost;
        assert!((24..=28).contains(&lost), "{lost} of 32 were lost");
        drop(let_go);
        // A flush gives up after a while, and the buffer may be full until then.
        while !writer.0.lock().lines.is_empty() {
            writer.flush();
        }
        writer.append("last\n", notice);
        // The thread may take any time for it.
        let end = format!("lost={lost}\nlast\n");
        let mut all = Vec::new();
        while !all.ends_with(end.as_bytes()) {
            let more = output.recv_timeout(Duration::from_mins(5));
            all.extend(more.expect("what was appended is written"));
        }
    }
}
