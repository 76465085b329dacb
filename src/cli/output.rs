//! Output of commands: JSON with `--json`, aligned tables otherwise, colour on a terminal only.
//!
//! Tables, lists and headings escape characters that could control the terminal or reverse the line. Single lines
//! do not: text from mail is [`Escaped`] before it is in one.

mod column_widths;
mod shorten;
mod table;

use std::fmt::{Display, Write as _};
use std::io::{BufWriter, IsTerminal, StdoutLock, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::failure::CommandError;
use crate::observe::Escaped;
pub use shorten::{cut, short_id, wrap};
pub use table::ColumnLayout;

/// Layout of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Shortened last: addresses, and other values that are copied.
    Whole,
    /// An id; only its end, which commands accept too, if the terminal is too narrow.
    Id,
    /// A time; without seconds and year if the terminal is too narrow.
    Time,
    /// Cut if the terminal is too narrow.
    Text,
    /// Continued on the next line if the terminal is too narrow.
    Wrapped,
    /// Right-aligned.
    Number,
    /// A word of ours, coloured by its meaning.
    Word,
}

/// One column of a list: its title, its layout and its value for a row.
pub struct TableColumn<T> {
    pub layout: ColumnLayout,
    pub cell: fn(&T) -> String,
}

/// Columns of a table, one a line: `"title" Layout => value`. A number after the layout makes a column
/// optional.
macro_rules! columns {
    ($row:ident: $type:ty; $($title:literal $layout:ident $($optional:literal)? => $cell:expr,)+) => {
        &[$($crate::cli::output::TableColumn {
            layout: $crate::cli::output::ColumnLayout {
                title: $title,
                layout: $crate::cli::output::Layout::$layout,
                optional: 0 $(+ $optional)?,
            },
            cell: |$row: &$type| ToString::to_string(&$cell),
        }),+]
    };
}
pub(super) use columns;

/// Names and values for [`Output::fields`], one a line.
macro_rules! fields {
    ($($name:literal => $value:expr,)+) => {
        &[$(($name, Option::map($value, |value| ToString::to_string(&value)))),+]
    };
}
pub(super) use fields;

/// Standard output and its format.
pub struct Output {
    json: bool,
    colour: bool,
    terminal: bool,
    /// Columns of the terminal, or `$COLUMNS`; `None` for output that goes elsewhere.
    width: Option<usize>,
    sink: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// Creates the output for this process's standard output. Respects `NO_COLOR` (<https://no-color.org>).
    pub fn new(json: bool) -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            colour: terminal && !no_colour && !dumb && !json,
            terminal,
            width: width_of(&stdout, terminal),
            sink: BufWriter::with_capacity(64 * 1024, stdout.lock()),
        }
    }

    /// Columns of the terminal; `None` for output that goes elsewhere.
    pub fn width(&self) -> Option<usize> {
        self.width
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// The writer, for callers that format their own lines, of trusted text only.
    pub fn sink(&mut self) -> &mut impl Write {
        &mut self.sink
    }

    /// Prints one JSON object on one line.
    pub fn object(&mut self, value: &impl Serialize) -> Result<(), CommandError> {
        serde_json::to_writer(&mut self.sink, value).map_err(std::io::Error::from)?;
        self.sink.write_all(b"\n")?;
        Ok(())
    }

    /// Prints a line for people.
    pub fn line(&mut self, text: impl Display) -> Result<(), CommandError> {
        writeln!(self.sink, "{text}")?;
        Ok(())
    }

    /// Prints the heading of a group of lines.
    pub fn heading(&mut self, text: &str) -> Result<(), CommandError> {
        if self.colour {
            writeln!(self.sink, "\x1b[1m{}\x1b[0m", Escaped(text))?;
        } else {
            writeln!(self.sink, "{}", Escaped(text))?;
        }
        Ok(())
    }

    /// Writes octets unchanged: a raw message.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), CommandError> {
        self.sink.write_all(bytes)?;
        Ok(())
    }

    pub fn flush(&mut self) -> Result<(), CommandError> {
        Ok(self.sink.flush()?)
    }

    /// Prints rows as a table, or as an object each. `next` is the cursor of the next page: the last object
    /// has it as `next`, and people are told on standard error.
    pub fn list<T: Serialize>(
        &mut self,
        rows: &[T],
        next: Option<&str>,
        columns: &[TableColumn<T>],
    ) -> Result<(), CommandError> {
        if self.json {
            for (place, row) in rows.iter().enumerate() {
                match next {
                    Some(next) if place + 1 == rows.len() => {
                        self.object(&Last { row, next })?;
                    }
                    _ => self.object(row)?,
                }
            }
            return Ok(());
        }
        if rows.is_empty() {
            note("nothing found");
            return Ok(());
        }
        self.table(rows, columns, true)?;
        if let Some(next) = next {
            self.flush()?;
            note(format_args!(
                "more rows: continue with --after {next}, or raise --limit"
            ));
        }
        Ok(())
    }

    /// Prints rows as a table within a larger output.
    pub fn table<T>(
        &mut self,
        rows: &[T],
        columns: &[TableColumn<T>],
        header: bool,
    ) -> Result<(), CommandError> {
        let layouts: Vec<_> = columns.iter().map(|column| column.layout).collect();
        let cells: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let cell = |column: &TableColumn<T>| Escaped(&(column.cell)(row)).to_string();
                columns.iter().map(cell).collect()
            })
            .collect();
        let year = crate::domain::Timestamp::now().strftime("%Y").to_string();
        let rendered = table::render(&layouts, header, &cells, self.width, &year);
        for (place, line) in rendered.lines.iter().enumerate() {
            let text = self.paint(line, header && place == 0);
            writeln!(self.sink, "{}", text.trim_end())?;
        }
        if !rendered.left_out.is_empty() {
            self.hint(format_args!(
                "columns hidden because the terminal is too narrow: {}; use --json for everything",
                rendered.left_out.join(", ")
            ))?;
        }
        Ok(())
    }

    /// The text of a line, with colours where the output has them.
    fn paint(&self, line: &[table::Cell], is_header: bool) -> String {
        let mut text = String::new();
        for cell in line {
            let colour = (self.colour && cell.layout == Layout::Word)
                .then(|| colour_of(&cell.text))
                .flatten();
            let _ = write!(text, "{:1$}", "", cell.before);
            let _ = match colour {
                Some(colour) => write!(text, "{}", Painted(colour, &cell.text)),
                None => write!(text, "{}", cell.text),
            };
            let _ = write!(text, "{:1$}", "", cell.after);
        }
        if is_header && self.colour {
            return format!("\x1b[2m{}\x1b[0m", text.trim_end());
        }
        text
    }

    /// Prints names and values, one a line. Names without a value are omitted.
    pub fn fields(&mut self, fields: &[(&str, Option<String>)]) -> Result<(), CommandError> {
        let width = fields
            .iter()
            .filter(|(_, value)| value.is_some())
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        for (name, value) in fields {
            let Some(value) = value else { continue };
            let value = Escaped(value).to_string();
            if let Some(colour) = colour_of(&value).filter(|_| self.colour) {
                writeln!(self.sink, "{name:width$}  {}", Painted(colour, value))?;
                continue;
            }
            let room = self.width.map(|all| all.saturating_sub(width + 2));
            let parts = match room {
                Some(room) if room >= MIN_VALUE_WIDTH => wrap(&value, room),
                _ => vec![value],
            };
            for (place, part) in parts.iter().enumerate() {
                let name = if place == 0 { name } else { "" };
                writeln!(self.sink, "{name:width$}  {part}")?;
            }
        }
        Ok(())
    }

    /// Prints a hint at a possible next step, for people at a terminal.
    pub fn hint(&mut self, text: impl Display) -> Result<(), CommandError> {
        if self.terminal && !self.json {
            self.flush()?;
            note(text);
        }
        Ok(())
    }

    /// A word in the colour of its meaning, padded to a width.
    pub fn word(&self, word: &str, width: usize) -> String {
        match colour_of(word).filter(|_| self.colour) {
            Some(colour) => Painted(colour, format_args!("{word:<width$}")).to_string(),
            None => format!("{word:<width$}"),
        }
    }

    /// A progress bar on standard error, if that is a terminal and the rows are not printed on the same one.
    /// `octets` is the amount of work.
    pub fn progress(&self, octets: u64) -> ProgressBar {
        if self.terminal {
            return ProgressBar::hidden();
        }
        bar(
            octets,
            "{bar:30} {percent:>3}%  {msg}  {binary_bytes_per_sec}  {eta} left",
        )
    }
}

/// A progress bar on standard error for messages that are read before anything is printed.
pub fn progress_first() -> ProgressBar {
    bar(
        0,
        "{bar:30} {percent:>3}%  {human_pos} of {human_len} messages",
    )
}

/// Returns a progress callback for a long operation; it shows the completed share on the bar.
pub fn advance(bar: &ProgressBar) -> impl Fn(u64, u64) + Send + 'static {
    let bar = bar.clone();
    move |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    }
}

/// Creates a bar, which is hidden if standard error is not a terminal.
fn bar(length: u64, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// Prints a note to standard error, so that standard output holds only the result.
pub fn note(text: impl Display) {
    eprintln!("{text}");
}

/// The last object of a page of a list.
#[derive(Serialize)]
struct Last<'a, T> {
    #[serde(flatten)]
    row: &'a T,
    next: &'a str,
}

/// Meaning of a word for an operator: green succeeded, yellow is pending, red failed.
fn colour_of(word: &str) -> Option<Colour> {
    match word {
        "accepted" | "active" | "delivered" | "ok" | "true" => Some(Colour::Green),
        "held" | "pending" | "released" | "paused" => Some(Colour::Yellow),
        "dropped" | "blocked" | "failed" => Some(Colour::Red),
        "discarded" | "expired" => Some(Colour::Grey),
        _ => None,
    }
}

/// A colour of the terminal's own palette.
#[derive(Debug, Clone, Copy)]
enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Grey = 90,
}

/// A text in a colour (ECMA-48 8.3.117).
struct Painted<T>(Colour, T);

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.0 as u8;
        write!(f, "\x1b[{code}m{}\x1b[0m", self.1)
    }
}

/// Width below which a value is not wrapped.
const MIN_VALUE_WIDTH: usize = 20;

/// The value of `$COLUMNS`, if set; otherwise the width of the terminal.
fn width_of(stdout: &std::io::Stdout, is_terminal: bool) -> Option<usize> {
    let asked = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    let measured = || {
        let size = rustix::termios::tcgetwinsize(stdout).ok()?;
        Some(usize::from(size.ws_col))
    };
    asked
        .or_else(|| is_terminal.then(measured).flatten())
        .filter(|width| *width > 0)
}

/// A time as lists show it, to the second.
pub fn time(at: crate::domain::Timestamp) -> String {
    format!("{at:.0}")
}

/// An optional value, as lists show it.
pub fn or_dash<T: Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// A number of things for people: `1 account`, `2 accounts`.
pub fn count_of<N: Copy + Display + PartialEq + From<u8>>(number: N, what: &str) -> String {
    let plural = if number == N::from(1) { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Formats octets for people.
pub fn size(octets: u64) -> String {
    indicatif::BinaryBytes(octets).to_string()
}
