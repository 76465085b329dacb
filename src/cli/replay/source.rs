//! Finds the messages. In: files and folders. Out: pieces of work in a fixed order.
//!
//! In a folder every file is a message or an mbox, however malformed: input of a mail gateway need not look like
//! mail. Only a file with another extension (`.json`, `.md` …) must begin with a header field or an mbox separator,
//! unless it is in `cur` or `new` of a Maildir. A file named on the command line is always taken for a message.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::mbox;

/// A file with one message, or an mbox.
#[derive(Debug, Clone)]
pub struct MailSource {
    /// The path below the given folder.
    pub name: String,
    pub path: PathBuf,
    pub octets: u64,
    /// True if it must be a message, because the user or a Maildir says so.
    pub certain: bool,
}

/// Work for one thread at a time; all pieces are about equally large.
pub enum MboxPart {
    Files(Vec<MailSource>),
    /// Messages of an mbox that is too large to be read at once.
    Messages(Vec<ReplayMessage>),
}

/// A message with its name, or the error of reading it or the rest of its file.
pub type ReplayMessage = Result<(String, Vec<u8>), Broken>;

/// A file that could not be read.
#[derive(Debug)]
pub struct Broken {
    pub name: String,
    pub cause: io::Error,
}

impl Broken {
    fn at(path: &Path, cause: io::Error) -> Self {
        Self {
            name: path.display().to_string(),
            cause,
        }
    }
}

impl MboxPart {
    /// Size of its files or messages in octets, for the progress bar.
    pub fn octets(&self) -> u64 {
        match self {
            Self::Files(files) => files.iter().map(|file| file.octets).sum(),
            Self::Messages(messages) => messages
                .iter()
                .flatten()
                .map(|(_, raw)| raw.len() as u64)
                .sum(),
        }
    }
}

/// Maximum files of a piece. A piece also ends when it exceeds a number of octets.
const FILES: usize = 64;
const OCTETS: u64 = 1 << 20;

/// Files up to this size are read at once by the deciding thread.
const AT_ONCE: u64 = 4 << 20;

/// All files below the given paths, sorted within each folder, and the errors of listing them.
pub fn files(given: &[PathBuf]) -> (Vec<MailSource>, Vec<Broken>) {
    let mut found = Vec::new();
    let mut broken = Vec::new();
    for path in given {
        match path.metadata() {
            Err(error) => broken.push(Broken::at(path, error)),
            Ok(about) if about.is_dir() => {
                walk(path, Path::new(""), false, &mut found, &mut broken);
            }
            Ok(about) => found.push(MailSource {
                name: path
                    .file_name()
                    .map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
                path: path.clone(),
                octets: about.len(),
                certain: true,
            }),
        }
    }
    (found, broken)
}

fn walk(
    folder: &Path,
    below: &Path,
    holds_mail: bool,
    found: &mut Vec<MailSource>,
    broken: &mut Vec<Broken>,
) {
    let entries = match std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
        Ok(entries) => entries,
        Err(error) => {
            broken.push(Broken::at(folder, error));
            return;
        }
    };
    let is_maildir = ["cur", "new", "tmp"]
        .iter()
        .all(|name| folder.join(name).is_dir());
    let mut entries: Vec<_> = entries
        .into_iter()
        .map(|entry| (entry.file_name(), entry.path()))
        .collect();
    entries.sort_unstable();
    for (name, path) in entries {
        let name_here = below.join(&name);
        match path.metadata() {
            Err(error) => broken.push(Broken::at(&path, error)),
            // Unfinished deliveries.
            Ok(about) if about.is_dir() && is_maildir && name == "tmp" => {}
            Ok(about) if about.is_dir() => {
                let below_maildir = is_maildir && (name == "cur" || name == "new");
                walk(&path, &name_here, below_maildir, found, broken);
            }
            Ok(_) if name.to_string_lossy().starts_with('.') => {}
            Ok(about) if about.is_file() => found.push(MailSource {
                name: name_here.to_string_lossy().into_owned(),
                certain: holds_mail || !is_named_like_something_else(&path),
                path,
                octets: about.len(),
            }),
            Ok(_) => {}
        }
    }
}

/// Extensions of other files beside mail in a folder of fixtures.
const OTHER_KINDS: [&str; 20] = [
    "bz2", "csv", "db", "gif", "gz", "html", "jpg", "json", "jsonl", "log", "md", "pdf", "png",
    "py", "rs", "sh", "toml", "xz", "yaml", "zip",
];

fn is_named_like_something_else(path: &Path) -> bool {
    path.extension()
        .is_some_and(|kind| OTHER_KINDS.iter().any(|own| kind.eq_ignore_ascii_case(own)))
}

/// Groups the files into pieces; large mbox files are split here, lazily.
pub fn pieces(files: Vec<MailSource>) -> impl Iterator<Item = MboxPart> {
    let mut files = files.into_iter().peekable();
    let mut splitting: Option<(String, usize, mbox::Messages<BufReader<File>>)> = None;
    std::iter::from_fn(move || {
        if let Some((name, count, messages)) = &mut splitting {
            match next_messages(name, count, messages) {
                Some(piece) => return Some(piece),
                None => splitting = None,
            }
        }
        let mut piece = Vec::new();
        let mut octets = 0;
        while piece.len() < FILES && octets < OCTETS {
            let Some(file) = files.next_if(|file| piece.is_empty() || file.octets <= AT_ONCE)
            else {
                break;
            };
            if file.octets > AT_ONCE {
                match open_large_mbox(&file.path) {
                    Ok(Some(messages)) => {
                        let (name, count, messages) = splitting.insert((file.name, 0, messages));
                        return next_messages(name, count, messages);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        let broken = Broken::at(&file.path, error);
                        return Some(MboxPart::Messages(vec![Err(broken)]));
                    }
                }
            }
            octets += file.octets;
            piece.push(file);
        }
        (!piece.is_empty()).then_some(MboxPart::Files(piece))
    })
}

fn open_large_mbox(path: &Path) -> io::Result<Option<mbox::Messages<BufReader<File>>>> {
    let mut start = [0; 512];
    let read = File::open(path)?.read(&mut start)?;
    if !mbox::is_mbox(&start[..read]) {
        return Ok(None);
    }
    let reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
    Ok(Some(mbox::Messages::new(reader)))
}

fn next_messages(
    name: &str,
    count: &mut usize,
    messages: &mut mbox::Messages<BufReader<File>>,
) -> Option<MboxPart> {
    let mut piece = Vec::new();
    let mut octets = 0;
    while octets < OCTETS {
        let Some(message) = messages.next() else {
            break;
        };
        *count += 1;
        let name = number_name(name, *count);
        piece.push(match message {
            Ok(raw) => {
                octets += raw.len() as u64;
                Ok((name, raw))
            }
            Err(cause) => Err(Broken { name, cause }),
        });
    }
    (!piece.is_empty()).then_some(MboxPart::Messages(piece))
}

/// The name of a message within an mbox.
fn number_name(name: &str, count: usize) -> String {
    format!("{name}#{count}")
}

/// The messages of a file: none if it is not mail, one, or those of an mbox.
pub fn messages(source: &MailSource) -> Vec<ReplayMessage> {
    match read(source) {
        Ok(messages) => messages.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(Broken::at(&source.path, error))],
    }
}

fn read(source: &MailSource) -> io::Result<Vec<(String, Vec<u8>)>> {
    if source.octets > mbox::MAX_OCTETS {
        return Err(mbox::too_large());
    }
    let raw = std::fs::read(&source.path)?;
    if mbox::is_mbox(&raw) {
        let found: Vec<Vec<u8>> = mbox::Messages::new(raw.as_slice()).collect::<Result<_, _>>()?;
        // Some programs store a single message with a separator before it.
        if found.len() > 1 {
            return Ok(found
                .into_iter()
                .enumerate()
                .map(|(place, raw)| (number_name(&source.name, place + 1), raw))
                .collect());
        }
    } else if !source.certain && !begins_with_field(&raw) {
        return Ok(Vec::new());
    }
    Ok(vec![(source.name.clone(), raw)])
}

/// True if a file begins as a header does (RFC 5322 2.2).
fn begins_with_field(raw: &[u8]) -> bool {
    let name = raw
        .iter()
        .take_while(|&&byte| byte.is_ascii_graphic() && byte != b':')
        .count();
    let line_end = raw.iter().position(|&byte| byte == b'\n');
    (1..=76).contains(&name)
        && raw.get(name) == Some(&b':')
        && raw[..name]
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && line_end.is_some()
}
