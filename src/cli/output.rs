//! What commands print: JSON with `--json`, aligned tables otherwise, colour on a terminal only.
//!
//! Text that came with mail goes through here and nowhere else on its way to a terminal; what could
//! steer the terminal or turn the line around is shown as an escape.

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

/// How a column is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Never shortened: ids, addresses, times, what one copies.
    Whole,
    /// Shortened where the terminal is too narrow.
    Text,
    /// On the right.
    Number,
    /// A word of ours, coloured by what it means.
    Word,
}

/// One column of a list: its title, its layout and what it shows of a row.
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

/// Standard output, and how to write on it.
pub struct Output {
    json: bool,
    colour: bool,
    terminal: bool,
    sink: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// For this process's standard output. `NO_COLOR` (<https://no-color.org>) is respected.
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

    /// For who lays out lines of his own, of words that are ours.
    pub fn sink(&mut self) -> &mut impl Write {
        &mut self.sink
    }

    /// One JSON object on one line.
    pub fn object(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.sink, value).map_err(std::io::Error::from)?;
        self.sink.write_all(b"\n")?;
        Ok(())
    }

    /// A line for people.
    pub fn line(&mut self, text: impl Display) -> Result<(), Failure> {
        writeln!(self.sink, "{text}")?;
        Ok(())
    }

    /// A line that stands above what belongs together.
    pub fn heading(&mut self, text: &str) -> Result<(), Failure> {
        if self.colour {
            writeln!(self.sink, "\x1b[1m{}\x1b[0m", Escaped(text))?;
        } else {
            writeln!(self.sink, "{}", Escaped(text))?;
        }
        Ok(())
    }

    /// Octets as they are: a raw message.
    pub fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.sink.write_all(bytes)?;
        Ok(())
    }

    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.sink.flush()?)
    }

    /// Rows as a table, or as an object each. `next` is the cursor behind which more would come: the
    /// last object has it as `next`, and people are told on standard error.
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

    /// Rows as a table, for what is only a part of what is shown.
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

    /// Names and values below each other. What has no value is left out.
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

    /// What one could do next, for people at a terminal.
    pub fn hint(&mut self, text: impl Display) -> Result<(), Failure> {
        if self.terminal && !self.json {
            self.flush()?;
            note(text);
        }
        Ok(())
    }

    /// A word in the colour of what it means, filled up to a width.
    pub fn word(&self, word: &str, width: usize) -> String {
        match colour_of(word).filter(|_| self.colour) {
            Some(colour) => Painted(colour, format_args!("{word:<width$}")).to_string(),
            None => format!("{word:<width$}"),
        }
    }

    /// A bar for long work on standard error, where that is a terminal and the rows do not appear on
    /// the same one. `octets` is how much there is to do.
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

/// A bar on standard error for messages that are looked at before anything is printed.
pub fn progress_first() -> ProgressBar {
    bar(
        0,
        "{bar:30} {percent:>3}%  {human_pos} of {human_len} messages",
    )
}

/// Hidden where standard error is no terminal.
fn bar(length: u64, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style)
}

/// A remark on standard error, so that standard output holds nothing but the result.
pub fn note(text: impl Display) {
    eprintln!("{text}");
}

/// The last object of a part of a list.
#[derive(Serialize)]
struct Last<'a, T> {
    #[serde(flatten)]
    row: &'a T,
    next: &'a str,
}

/// What a word means to an operator: green went through, yellow waits, red did not.
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

/// `$COLUMNS` where somebody set it; comfy-table asks the terminal otherwise.
fn terminal_width() -> Option<u16> {
    std::env::var("COLUMNS").ok()?.parse().ok()
}

/// A time as lists show it, to the second.
pub fn time(at: crate::domain::Timestamp) -> String {
    format!("{at:.0}")
}

/// What may be missing, as lists show it.
pub fn or_dash<T: Display>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

/// Octets as people read them.
pub fn size(octets: u64) -> String {
    indicatif::BinaryBytes(octets).to_string()
}
