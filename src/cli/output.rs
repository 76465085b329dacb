//! Output of commands: JSON with `--json`, aligned tables otherwise, colour on a terminal only.
//!
//! All text from mail passes through this module on its way to a terminal. Characters that could control the
//! terminal or reverse the line are escaped.

use std::fmt::Display;
use std::io::{BufWriter, IsTerminal, StdoutLock, Write};

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Table,
    presets,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::failure::Failure;
use crate::observe::Escaped;

/// Layout of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Never shortened: ids, addresses, times, and other values that are copied.
    Whole,
    /// Shortened if the terminal is too narrow.
    Text,
    /// Right-aligned.
    Number,
    /// A word of ours, coloured by its meaning.
    Word,
}

/// One column of a list: its title, its layout and its value for a row.
pub struct Column<T> {
    pub title: &'static str,
    pub layout: Layout,
    pub cell: fn(&T) -> String,
}

impl<T> Column<T> {
    pub const fn new(title: &'static str, layout: Layout, cell: fn(&T) -> String) -> Self {
        Self {
            title,
            layout,
            cell,
        }
    }
}

/// Standard output and its format.
pub struct Output {
    json: bool,
    colour: bool,
    terminal: bool,
    sink: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// For this process's standard output. Respects `NO_COLOR` (<https://no-color.org>).
    pub fn new(json: bool) -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            colour: terminal && !no_colour && !dumb && !json,
            terminal,
            sink: BufWriter::with_capacity(64 * 1024, stdout.lock()),
        }
    }

    pub fn is_json(&self) -> bool {
        self.json
    }

    /// For callers that format their own lines, of trusted text only.
    pub fn sink(&mut self) -> &mut impl Write {
        &mut self.sink
    }

    /// Prints one JSON object on one line.
    pub fn object(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.sink, value).map_err(std::io::Error::from)?;
        self.sink.write_all(b"\n")?;
        Ok(())
    }

    /// Prints a line for people.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.sink, "{text}")?;
        Ok(())
    }

    /// Prints the heading of a group of lines.
    pub fn heading(&mut self, text: &str) -> Result<(), Failure> {
        if self.colour {
            writeln!(self.sink, "\x1b[1m{}\x1b[0m", Escaped(text))?;
        } else {
            writeln!(self.sink, "{}", Escaped(text))?;
        }
        Ok(())
    }

    /// Writes octets unchanged: a raw message.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sink.write_all(bytes)?;
        Ok(())
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.sink.flush()?)
    }

    /// Prints rows as a table, or as an object each. `next` is the cursor of the next page: the last object
    /// has it as `next`, and people are told on standard error.
    pub fn list<T: Serialize>(
        &mut self,
        rows: &[T],
        next: Option<&str>,
        columns: &[Column<T>],
    ) -> Result<(), Failure> {
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
                "there is more: go on with --after {next}, or raise --limit"
            ));
        }
        Ok(())
    }

    /// Prints rows as a table within a larger output.
    pub fn table<T>(
        &mut self,
        rows: &[T],
        columns: &[Column<T>],
        header: bool,
    ) -> Result<(), Failure> {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        if self.colour {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if self.terminal {
            table.set_content_arrangement(ContentArrangement::Dynamic);
            if let Some(width) = terminal_width() {
                table.set_width(width);
            }
        }
        if header {
            table.set_header(columns.iter().map(|column| {
                Cell::new(column.title.to_uppercase()).add_attribute(Attribute::Dim)
            }));
        }
        for row in rows {
            let cells = columns.iter().map(|column| {
                let text = Escaped(&(column.cell)(row)).to_string();
                let colour = (column.layout == Layout::Word)
                    .then(|| colour_of(&text))
                    .flatten();
                match colour {
                    Some(colour) => Cell::new_owned(text).fg(colour),
                    None => Cell::new_owned(text),
                }
            });
            let mut row = Row::from(cells.collect::<Vec<_>>());
            row.max_height(1);
            table.add_row(row);
        }
        for (place, column) in columns.iter().enumerate() {
            if let Some(laid_out) = table.column_mut(place) {
                laid_out.set_padding((0, 2));
                match column.layout {
                    Layout::Whole | Layout::Word => {
                        laid_out.set_constraint(ColumnConstraint::ContentWidth);
                    }
                    Layout::Number => {
                        laid_out.set_constraint(ColumnConstraint::ContentWidth);
                        laid_out.set_cell_alignment(CellAlignment::Right);
                    }
                    Layout::Text => {}
                }
            }
        }
        for line in table.lines() {
            writeln!(self.sink, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Prints names and values, one a line. Names without a value are omitted.
    pub fn fields(&mut self, fields: &[(&str, Option<String>)]) -> Result<(), Failure> {
        let width = fields
            .iter()
            .filter(|(_, value)| value.is_some())
            .map(|(name, _)| name.len())
            .max()
            .unwrap_or(0);
        for (name, value) in fields {
            let Some(value) = value else { continue };
            let value = Escaped(value);
            match colour_of(&value.to_string()).filter(|_| self.colour) {
                Some(colour) => {
                    writeln!(self.sink, "{name:width$}  {}", Painted(colour, value))?;
                }
                None => writeln!(self.sink, "{name:width$}  {value}")?,
            }
        }
        Ok(())
    }

    /// Prints a hint at a possible next step, for people at a terminal.
    pub fn hint(&mut self, text: impl Display) -> Result<(), Failure> {
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

/// Hidden if standard error is not a terminal.
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
fn colour_of(word: &str) -> Option<Color> {
    match word {
        "accepted" | "active" | "delivered" | "ok" | "true" => Some(Color::DarkGreen),
        "held" | "pending" | "released" | "paused" => Some(Color::DarkYellow),
        "dropped" | "blocked" | "failed" => Some(Color::DarkRed),
        "discarded" | "expired" => Some(Color::DarkGrey),
        _ => None,
    }
}

/// A text in a colour of the terminal's own palette (ECMA-48 8.3.117).
struct Painted<T>(Color, T);

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = match self.0 {
            Color::DarkGreen => 32,
            Color::DarkYellow => 33,
            Color::DarkRed => 31,
            _ => 90,
        };
        write!(f, "\x1b[{code}m{}\x1b[0m", self.1)
    }
}

/// The value of `$COLUMNS`, if set; otherwise comfy-table asks the terminal.
fn terminal_width() -> Option<u16> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

/// A time as lists show it, to the second.
pub fn time(at: crate::domain::Timestamp) -> String {
    format!("{at:.0}")
}

/// An optional value, as lists show it.
pub fn or_dash<T: Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// Formats octets for people.
pub fn size(octets: u64) -> String {
    indicatif::BinaryBytes(octets).to_string()
}
