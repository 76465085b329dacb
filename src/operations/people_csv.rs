//! A CSV file of people: takes octets, returns a person or a mistake for each line.
//!
//! The first line names the columns `address`, `kind`, `groups` and `verified`, in any order; only `address`
//! must be there. Fields are separated by commas, semicolons or tabs, whichever the first line has, and quoted
//! as RFC 4180 says. Lines end in CR, LF or both. A byte order mark is skipped.

use std::io::{BufRead, ErrorKind, Read};

use csv::{ByteRecord, ReaderBuilder};

use crate::domain::{AccountKind, EmailAddress, GroupName};
use crate::store::Person;

/// A mistake that makes the whole file unreadable, or a failure to read it.
#[derive(Debug, thiserror::Error)]
pub enum PeopleFileError {
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    #[error("is UTF-16; save it as \"CSV UTF-8\"")]
    Utf16,
    #[error("has no line with the names of the columns; the first line must be like {EXAMPLE}")]
    NoHeader,
    #[error("{0:?} is not a column; the columns are address, kind, groups and verified")]
    UnknownColumn(String),
    #[error("the column {0} occurs twice")]
    TwiceColumn(&'static str),
    #[error("has no column address; the first line must be like {EXAMPLE}")]
    NoAddress,
    #[error("the first line is not UTF-8; save the file as \"CSV UTF-8\"")]
    HeaderNotUtf8,
    #[error("has more than {0} lines; import the file with vestibule customers import")]
    TooManyLines(usize),
}

/// The first line of a file with all columns.
const EXAMPLE: &str = "address,kind,groups,verified";

/// Maximum length of a line without its end, in octets.
const MAX_LINE: usize = 64 * 1024;

/// Maximum length of a field in an error message, in characters.
const MAX_QUOTED: usize = 80;

/// Columns by their place in a line.
#[derive(Debug, Default)]
struct Columns {
    count: usize,
    address: usize,
    kind: Option<usize>,
    groups: Option<usize>,
    verified: Option<usize>,
}

/// A line of a file.
#[derive(Debug)]
pub struct PeopleLine {
    /// Number of the line, from 1.
    pub line: u64,
    /// The person, or the mistake with its remedy.
    pub person: Result<Person, String>,
}

/// A file that is read line by line.
#[derive(Debug)]
pub struct PeopleFile<R> {
    source: R,
    delimiter: u8,
    /// Number of the last line that was read.
    line: u64,
    columns: Columns,
}

impl<R: BufRead> PeopleFile<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// The file cannot be read, or its first line does not name the columns.
    pub fn open(mut source: R) -> Result<Self, PeopleFileError> {
        let start = source.fill_buf()?;
        if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
            return Err(PeopleFileError::Utf16);
        }
        if start.starts_with(&[0xEF, 0xBB, 0xBF]) {
            source.consume(3);
        }
        let header = read_line(&mut source)?
            .and_then(Result::ok)
            .ok_or(PeopleFileError::NoHeader)?;
        let delimiter = find_delimiter(&header);
        let header = split(&header, delimiter).unwrap_or_default();
        Ok(Self {
            source,
            delimiter,
            line: 1,
            columns: Columns::of(&header)?,
        })
    }

    /// Reads the next line; None at the end. Empty lines are skipped.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_line(&mut self) -> Result<Option<PeopleLine>, PeopleFileError> {
        while let Some(read) = read_line(&mut self.source)? {
            self.line += 1;
            let record = read.and_then(|line| split(&line, self.delimiter));
            let person = match record {
                // Spreadsheets write only separators for an empty row.
                Ok(record) if record.iter().all(|field| field.trim_ascii().is_empty()) => continue,
                Ok(record) => self.columns.person(&record),
                Err(mistake) => Err(mistake.to_owned()),
            };
            return Ok(Some(PeopleLine {
                line: self.line,
                person,
            }));
        }
        Ok(None)
    }
}

/// Reads a line without its end, which is CR, LF or both; None at the end of the file, and a mistake for a
/// line that is too long.
fn read_line(source: &mut impl BufRead) -> std::io::Result<Option<Result<Vec<u8>, &'static str>>> {
    let mut line = Vec::new();
    let mut is_end_of_file = true;
    let mut is_too_long = false;
    loop {
        let part = match source.fill_buf() {
            Ok(part) => part,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if part.is_empty() {
            break;
        }
        is_end_of_file = false;
        let end = memchr::memchr2(b'\r', b'\n', part);
        let (text, rest) = part.split_at(end.unwrap_or(part.len()));
        is_too_long |= line.len() + text.len() > MAX_LINE;
        if !is_too_long {
            line.extend_from_slice(text);
        }
        let is_return = rest.first() == Some(&b'\r');
        let count = text.len() + usize::from(end.is_some());
        source.consume(count);
        if is_return {
            skip_line_feed(source)?;
        }
        if end.is_some() {
            break;
        }
    }
    Ok(match (is_end_of_file, is_too_long) {
        (true, _) => None,
        (false, true) => Some(Err("is longer than 64 KiB")),
        (false, false) => Some(Ok(line)),
    })
}

/// Skips the line feed that belongs to a carriage return.
fn skip_line_feed(source: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        match source.fill_buf() {
            Ok(next) => {
                let is_there = next.first() == Some(&b'\n');
                source.consume(usize::from(is_there));
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The fields of a line.
fn split(line: &[u8], delimiter: u8) -> Result<ByteRecord, &'static str> {
    let quotes = memchr::memchr_iter(b'"', line).count();
    if quotes % 2 == 1 {
        return Err("has an unclosed quote; a field cannot span several lines");
    }
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .buffer_capacity(512)
        .from_reader(line);
    let mut record = ByteRecord::new();
    match reader.read_byte_record(&mut record) {
        Ok(_) => Ok(record),
        Err(_) => Err("is not a CSV line"),
    }
}

/// The most frequent separator of the first line.
fn find_delimiter(first: &[u8]) -> u8 {
    let count = |wanted: u8| memchr::memchr_iter(wanted, first).count();
    // The comma wins a tie.
    [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|delimiter| count(*delimiter))
        .unwrap_or(b',')
}

impl Columns {
    fn of(header: &ByteRecord) -> Result<Self, PeopleFileError> {
        let mut columns = Self {
            count: header.len(),
            ..Self::default()
        };
        let mut address = None;
        for (place, name) in header.iter().enumerate() {
            let name = std::str::from_utf8(name).map_err(|_| PeopleFileError::HeaderNotUtf8)?;
            let (column, known) = match name.trim().to_ascii_lowercase().as_str() {
                "address" => (&mut address, "address"),
                "kind" => (&mut columns.kind, "kind"),
                "groups" => (&mut columns.groups, "groups"),
                "verified" => (&mut columns.verified, "verified"),
                _ => return Err(PeopleFileError::UnknownColumn(shorten(name))),
            };
            if column.replace(place).is_some() {
                return Err(PeopleFileError::TwiceColumn(known));
            }
        }
        columns.address = address.ok_or(PeopleFileError::NoAddress)?;
        Ok(columns)
    }

    fn person(&self, record: &ByteRecord) -> Result<Person, String> {
        if record.len() != self.count {
            return Err(format!(
                "the number of fields is {}, and the first line has {}; put a field with a separator in it in quotes",
                record.len(),
                self.count
            ));
        }
        let field = |place: usize| {
            std::str::from_utf8(record.get(place).unwrap_or_default())
                .map(str::trim)
                .map_err(|_| "is not UTF-8; save the file as \"CSV UTF-8\"".to_owned())
        };
        let optional = |place: Option<usize>| place.map_or(Ok(""), field);
        let written = field(self.address)?;
        let address = EmailAddress::parse_customer(written)
            .map_err(|error| format!("address: {:?}: {error}", shorten(written)))?;
        let kind = parse_kind(optional(self.kind)?)?;
        let groups = match optional(self.groups)? {
            "" => None,
            list => Some(parse_groups(list)?),
        };
        let verified = match optional(self.verified)?.to_ascii_lowercase().as_str() {
            "yes" => true,
            "no" | "" => false,
            other => {
                return Err(format!(
                    "verified: {:?} is neither yes nor no",
                    shorten(other)
                ));
            }
        };
        Ok(Person {
            address,
            kind,
            groups,
            verified,
        })
    }
}

fn parse_kind(text: &str) -> Result<Option<AccountKind>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    AccountKind::from_name(&text.to_ascii_lowercase())
        .map(Some)
        .ok_or_else(|| {
            format!(
                "kind: {:?} is neither internal nor external; leave it empty to follow the access \
                 settings",
                shorten(text)
            )
        })
}

/// Groups separated by semicolons.
fn parse_groups(list: &str) -> Result<Vec<GroupName>, String> {
    list.split(';')
        .filter(|name| !name.trim().is_empty())
        .map(|name| GroupName::parse(name).map_err(|error| format!("groups: {error}")))
        .collect()
}

fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_QUOTED).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Reads all lines of a text, for a form.
///
/// # Errors
/// The first line does not name the columns, or more than `most` lines follow it.
pub fn read_people(text: impl Read, most: usize) -> Result<Vec<PeopleLine>, PeopleFileError> {
    let mut file = PeopleFile::open(std::io::BufReader::new(text))?;
    let mut lines = Vec::new();
    while let Some(line) = file.next_line()? {
        // Bounds memory: a person or a mistake is larger than a line of one letter.
        if lines.len() == most {
            return Err(PeopleFileError::TooManyLines(most));
        }
        lines.push(line);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
