//! `customers export`: all data about a person, as files to hand over.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::failure::{CommandError, CommandResult};
use crate::cli::output::{Output, count_of};
use crate::domain::{EmailAddress, Timestamp};
use crate::operations::collect_person_data;

/// Write all data about a person into a folder
///
/// The account, the user of the directory, the requests, every entry of the ledger with the rules' evidence, the
/// verification mail, all events, and the messages themselves as far as they are kept: for a person who asks for
/// their data (GDPR, article 15). Copies in a help desk are not included.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vestibule customers export ann@corp.example
  vestibule customers export ann@corp.example --to /root/ann --json

Exit status: 0 written, 3 nothing is known about the address.")]
pub struct Args {
    /// The person's address; it need not have an account
    #[arg(value_name = "ADDRESS", value_parser = EmailAddress::parse_stored)]
    address: EmailAddress,
    /// The folder, which must not exist yet [default: the address and the day]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// Written files and rows.
#[derive(Debug, Serialize)]
struct Written {
    folder: PathBuf,
    requests: usize,
    entries: usize,
    #[serde(rename = "letters")]
    verification_mails: usize,
    events: usize,
    messages: usize,
}

const README: &str = "\
Everything that Vestibule knows about this address, written on request.

account.json    the account: kind, how and when the address was verified; null if there is none, or if it expired
directory.json  the user of the organisation's directory: user name, addresses and roles; null if there is none
requests.json   messages for a help desk, and the outcome of each
ledger.json     every received message: the time, the verdict and the rule
letters.json    mail that we sent to the address
events.json     what happened to the account and its messages, and who acted
words.json      words of the address, name and subjects by which the messages can be found
messages/       the messages themselves, as far as they are kept, by the id in ledger.json

Not included: copies in a help desk, which only the help desk can export; the service's log; backups.
";

pub async fn run(context: &Context, args: Args, out: &mut Output) -> CommandResult {
    let Args { address, to } = args;
    let store = &context.store;
    let Some(data) = collect_person_data(store, &address).await? else {
        return Err(CommandError::not_found("message or account of", &address));
    };

    let folder = to.unwrap_or_else(|| {
        let day = Timestamp::now().strftime("%F");
        PathBuf::from(format!("{}-{day}", address.to_string().replace('/', "_")))
    });
    make(&folder)?;
    make(&folder.join("messages"))?;
    write(&folder.join("README.txt"), README.as_bytes())?;
    write_json(&folder.join("account.json"), &data.account)?;
    write_json(&folder.join("directory.json"), &data.directory)?;
    write_json(&folder.join("requests.json"), &data.requests)?;
    write_json(&folder.join("ledger.json"), &data.ledger)?;
    write_json(&folder.join("letters.json"), &data.verification_mails)?;
    write_json(&folder.join("events.json"), &data.events)?;
    write_json(&folder.join("words.json"), &data.search_words)?;
    let mut messages = 0;
    for entry in &data.ledger {
        if let Some(raw) = store.raw(entry.ledger).await? {
            let name = format!("messages/{}.eml", entry.ledger);
            write(&folder.join(name), &raw)?;
            messages += 1;
        }
    }
    let written = Written {
        folder,
        requests: data.requests.len(),
        entries: data.ledger.len(),
        verification_mails: data.verification_mails.len(),
        events: data.events.len(),
        messages,
    };
    if out.is_json() {
        return out.object(&written);
    }
    let entries = match written.entries {
        1 => "1 entry".to_owned(),
        entries => format!("{entries} entries"),
    };
    out.line(format_args!(
        "{}: {entries} of the ledger, {}, {}, {}, {}",
        written.folder.display(),
        count_of(written.requests, "request"),
        count_of(written.verification_mails, "verification mail"),
        count_of(written.events, "event"),
        count_of(written.messages, "message")
    ))
}

/// Creates a folder that only its owner can read, because it holds personal mail.
fn make(folder: &Path) -> anyhow::Result<()> {
    let created = DirBuilder::new().mode(0o700).create(folder);
    created.map_err(|cause| match cause.kind() {
        ErrorKind::AlreadyExists => anyhow!(
            "{} already exists, and nothing in it is overwritten; name another folder with --to",
            folder.display()
        ),
        _ => anyhow!("cannot create the folder {}: {cause}", folder.display()),
    })
}

fn write(file: &Path, octets: &[u8]) -> anyhow::Result<()> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut sink| sink.write_all(octets));
    written.with_context(|| format!("cannot write {}", file.display()))
}

fn write_json(file: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write(file, &text)
}
