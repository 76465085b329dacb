//! One event as one line of text or one JSON object.
//!
//! Every value stays within its line and its field: control characters, line separators and bidirectional
//! controls are escaped. In a line of text, an empty value and one with a space, a quote, a backslash or an equals
//! sign are quoted. So a sender cannot forge a line by the content of a mail.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::config::LogFormat;
use crate::domain::{Timestamp, is_bidi_control};

/// Fields that hold only an address.
const ADDRESSES: &[&str] = &["sender", "address", "recipient"];

/// Fields of free text that may contain an address: the answers of other servers.
const TEXTS: &[&str] = &["cause"];

/// Format of lines; may change while the daemon runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub format: LogFormat,
    pub redact: bool,
    /// Begin with the priority prefix that journald removes (sd-daemon(3)).
    pub priority: bool,
}

/// Appends the event to `line`, with its newline.
pub(super) fn write(line: &mut String, event: &Event, now: Timestamp, style: Style) {
    let level = *event.metadata().level();
    if style.priority {
        let _ = write!(line, "<{}>", priority(level));
    }
    // The name is the first field of the line, but has no fixed position in the event.
    match style.format {
        LogFormat::Text => {
            let _ = write!(line, "{now:.3} {level} ");
            event.record(&mut Name(line));
            event.record(&mut Fields { line, style });
        }
        LogFormat::Json => {
            let level = level.as_str().to_ascii_lowercase();
            let _ = write!(line, r#"{{"time":"{now:.3}","level":"{level}","event":""#);
            event.record(&mut Name(line));
            line.push('"');
            event.record(&mut Fields { line, style });
            line.push('}');
        }
    }
    line.push('\n');
}

/// The syslog priority of a level (RFC 5424 6.2.1).
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// Appends only the event's name.
struct Name<'a>(&'a mut String);

impl Visit for Name<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// Appends every field except the name.
struct Fields<'a> {
    line: &'a mut String,
    style: Style,
}

impl Fields<'_> {
    fn key(&mut self, field: &Field) {
        let (before, after) = match self.style.format {
            LogFormat::Text => (" ", "="),
            LogFormat::Json => (",\"", "\":"),
        };
        self.line.push_str(before);
        self.line.push_str(field.name());
        self.line.push_str(after);
    }

    fn plain(&mut self, field: &Field, value: impl fmt::Display) {
        self.key(field);
        let _ = write!(self.line, "{value}");
    }

    /// Writes the value to the line, and replaces it there if it cannot stand as it is.
    fn text(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.key(field);
        let start = self.line.len();
        let _ = self.line.write_fmt(value);
        let is_redacted = self.style.redact && is_personal(field.name());
        let is_text = self.style.format == LogFormat::Text;
        if is_text && !is_redacted && is_plain(&self.line[start..]) {
            return;
        }
        let mut value = self.line.split_off(start);
        if is_redacted {
            value = redact(&value);
        }
        match self.style.format {
            LogFormat::Text if is_plain(&value) => self.line.push_str(&value),
            LogFormat::Text => {
                let _ = write!(self.line, "\"{}\"", Quoted(&value));
            }
            LogFormat::Json => {
                let json = serde_json::Value::from(value).to_string();
                let _ = write!(self.line, "{}", JsonEscaped(&json));
            }
        }
    }
}

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() != "message" {
            self.text(field, format_args!("{value:?}"));
        }
    }
}

fn is_personal(field: &str) -> bool {
    ADDRESSES.contains(&field) || TEXTS.contains(&field)
}

/// Removes the local part of every address in a text: `…@corp.example`.
fn redact(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('@') {
        let before = &rest[..at];
        let local = if let Some(quoted) = before.strip_suffix('"') {
            // A quoted local part may hold any character, so it begins at its opening quote.
            quoted.rfind('"').unwrap_or(0)
        } else {
            before
                .rfind(|c: char| c.is_whitespace() || "<>()[]\",;:".contains(c))
                .map_or(0, |place| {
                    place + before[place..].chars().next().map_or(0, char::len_utf8)
                })
        };
        short.push_str(&before[..local]);
        short.push_str("…@");
        rest = &rest[at + 1..];
    }
    short.push_str(rest);
    short
}

/// True if a value can stand in a line of text without quotes.
fn is_plain(value: &str) -> bool {
    let is_plain_char = |c: char| {
        if c.is_ascii() {
            c.is_ascii_graphic() && !matches!(c, '"' | '=' | '\\')
        } else {
            !c.is_whitespace() && !is_unsafe(c)
        }
    };
    !value.is_empty() && value.chars().all(is_plain_char)
}

/// True for characters that affect how a terminal, a pager or a person reads a line: controls, line and paragraph
/// separators, the byte order mark and bidirectional controls.
fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') || is_bidi_control(c)
}

/// A text for a terminal or a line of text, with unsafe characters escaped.
#[derive(Debug, Clone, Copy)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| escape(f, c))
    }
}

/// A text for use within quotes: like [`Escaped`], with quotes and backslashes escaped as well.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '"' => f.write_str("\\\""),
            '\\' => f.write_str("\\\\"),
            c => escape(f, c),
        })
    }
}

/// A JSON string with all unsafe characters escaped; JSON requires that only of those below U+0020. None is above
/// U+FFFF, where an escape would need a surrogate pair (RFC 8259 7).
struct JsonEscaped<'a>(&'a str);

impl fmt::Display for JsonEscaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if is_unsafe(c) {
                write!(f, "\\u{:04x}", u32::from(c))
            } else {
                f.write_char(c)
            }
        })
    }
}

fn escape(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        c if is_unsafe(c) => write!(f, "\\u{{{:x}}}", u32::from(c)),
        c => f.write_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_local_part_wherever_they_occur() {
        for (text, short) in [
            ("ann@corp.example", "…@corp.example"),
            ("\"a b\"@corp.example", "…@corp.example"),
            (
                "550 5.1.1 <ann@corp.example>: unknown",
                "550 5.1.1 <…@corp.example>: unknown",
            ),
            ("a@x.example, bö@y.example", "…@x.example, …@y.example"),
            ("no address", "no address"),
            ("@", "…@"),
            ("\"@", "…@"),
        ] {
            assert_eq!(redact(text), short, "{text}");
        }
    }

    #[test]
    fn a_plain_value_has_no_blank_no_quote_and_nothing_unsafe() {
        for c in '\0'..=char::MAX {
            let expected = !c.is_whitespace() && !"\"=\\".contains(c) && !is_unsafe(c);
            assert_eq!(is_plain(c.encode_utf8(&mut [0; 4])), expected, "{c:?}");
        }
        assert!(!is_plain(""));
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let text: String = ('\0'..='\u{ffff}').chain("\u{1f600}".chars()).collect();
        let json = serde_json::Value::from(text.as_str()).to_string();
        let escaped = JsonEscaped(&json).to_string();
        assert!(!escaped.contains(is_unsafe));
        let parsed: String = serde_json::from_str(&escaped).expect("a string");
        assert_eq!(parsed, text);
    }

    #[test]
    fn nothing_unsafe_survives() {
        let text = "a\r\nb\u{1b}[31m\u{202e}\u{2028}\u{85}\0ü";
        assert_eq!(
            Escaped(text).to_string(),
            "a\\r\\nb\\u{1b}[31m\\u{202e}\\u{2028}\\u{85}\\u{0}ü"
        );
    }

    #[test]
    fn priorities_are_those_of_syslog() {
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG];
        assert_eq!(levels.map(priority), [3, 4, 6, 7]);
    }
}
