//! The log of the daemon: one event a line on standard error.
//!
//! [`events`] has a function for each event of `docs/events.md`, and nothing else is logged. Messages of libraries
//! are discarded, since they may contain tokens. [`init`] sets up the output. Without it, as in all other commands,
//! events are discarded.

pub mod events;
mod line;
pub mod metrics;
mod writer;

pub use line::Escaped;

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, PoisonError, RwLock};

use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::config::{Log, LogFormat};
use crate::domain::Timestamp;
use line::Style;
use writer::BufferedStderr;

/// Target of our events, which separates them from those of libraries.
const TARGET: &str = "vestibule";

/// Reasons why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("the log's thread did not start: {0}")]
    Thread(#[from] std::io::Error),
    #[error("the log was set up before: {0}")]
    Before(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// The log of this process. Dropping it waits for the last line to be written, two seconds at most.
#[derive(Debug)]
pub struct Logging {
    how: Arc<RwLock<How>>,
    writer: BufferedStderr,
    journal: bool,
}

#[derive(Debug, Clone, Copy)]
struct How {
    style: Style,
    level: Level,
}

impl How {
    fn new(log: &Log, journal: bool) -> Self {
        Self {
            style: Style {
                format: log.format,
                redact: log.redact,
                priority: journal,
            },
            level: log.level,
        }
    }
}

/// Writes events to standard error from now on.
///
/// # Errors
/// A second call in the same process, or a thread that cannot be created.
pub fn init(log: &Log) -> Result<Logging, InitError> {
    let journal = goes_to_journal();
    let how = Arc::new(RwLock::new(How::new(log, journal)));
    let writer = BufferedStderr::start(std::io::stderr())?;
    let lines = Lines {
        how: Arc::clone(&how),
        writer: writer.clone(),
    };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(lines))?;
    Ok(Logging {
        how,
        writer,
        journal,
    })
}

impl Logging {
    /// Applies another level, format and redaction.
    pub fn reload(&self, log: &Log) {
        *self.how.write().unwrap_or_else(PoisonError::into_inner) = How::new(log, self.journal);
        tracing::callsite::rebuild_interest_cache();
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.writer.flush();
    }
}

/// True if standard error is a stream of journald, as `$JOURNAL_STREAM` says (systemd.exec(5)). The variable
/// is inherited, so it counts only if it names this very file.
fn goes_to_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    std::fs::metadata("/dev/stderr")
        .is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

/// Formats events as lines.
struct Lines {
    how: Arc<RwLock<How>>,
    writer: BufferedStderr,
}

impl Lines {
    fn how(&self) -> How {
        *self.how.read().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// Buffer of a line; reused, so that a line costs no allocation.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl<S: Subscriber> Layer<S> for Lines {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.target() == TARGET && *metadata.level() <= self.how().level {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET && *metadata.level() <= self.how().level
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let style = self.how().style;
        let now = Timestamp::now();
        LINE.with_borrow_mut(|line| {
            line.clear();
            line::write(line, event, now, style);
            self.writer
                .append(line, |lost| loss_notice(style, now, lost));
        });
    }
}

/// The line in place of those that were dropped because standard error was too slow.
fn loss_notice(style: Style, now: Timestamp, lost: u64) -> String {
    let priority = if style.priority { "<4>" } else { "" };
    match style.format {
        LogFormat::Text => format!("{priority}{now:.3} WARN log.lost lines={lost}\n"),
        LogFormat::Json => format!(
            "{priority}{{\"time\":\"{now:.3}\",\"level\":\"warn\",\"event\":\"log.lost\",\"lines\":{lost}}}\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Mutex;

    /// A sink whose content can be read.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("a lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn style(format: LogFormat, priority: bool) -> Style {
        Style {
            format,
            redact: false,
            priority,
        }
    }

    #[test]
    fn only_our_own_events_up_to_the_level_are_written() {
        let sink = Sink::default();
        let writer = BufferedStderr::start(sink.clone()).expect("a thread");
        let how = Arc::new(RwLock::new(How {
            style: style(LogFormat::Text, true),
            level: Level::WARN,
        }));
        let lines = Lines {
            how: Arc::clone(&how),
            writer: writer.clone(),
        };
        let emit = || {
            tracing::error!(target: "a_library", "a token");
            events::fault("store", &"full");
            events::canary_recovered();
        };
        // A second subscriber, for the reason that `events::tests::capture` gives.
        let _another = tracing::Dispatch::new(tracing_subscriber::registry());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            emit();
            how.write().expect("a lock").level = Level::INFO;
            tracing::callsite::rebuild_interest_cache();
            emit();
        });
        writer.flush();
        let written = sink.0.lock().expect("a lock").clone();
        let written = String::from_utf8(written).expect("UTF-8");
        let found: Vec<_> = written
            .lines()
            .map(|line| (&line[..3], line.split(' ').nth(2)))
            .collect();
        let expected = [
            ("<3>", Some("fault")),
            ("<3>", Some("fault")),
            ("<6>", Some("canary.recovered")),
        ];
        assert_eq!(found, expected, "{written}");
    }

    #[test]
    fn the_notice_of_lost_lines_has_the_form_of_the_others() {
        for (style, expected) in [
            (
                style(LogFormat::Text, false),
                "1970-01-01T00:00:00.000Z WARN log.lost lines=7\n",
            ),
            (
                style(LogFormat::Text, true),
                "<4>1970-01-01T00:00:00.000Z WARN log.lost lines=7\n",
            ),
            (
                style(LogFormat::Json, true),
                "<4>{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\
                 \"event\":\"log.lost\",\"lines\":7}\n",
            ),
        ] {
            let notice = loss_notice(style, Timestamp::UNIX_EPOCH, 7);
            assert_eq!(notice, expected);
        }
    }
}
