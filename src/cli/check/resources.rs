//! Resources of this machine: space for the database, ports, folders, programs.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};

use super::{Finding, label};
use crate::cli::shell_path::quote_for_shell;
use crate::config::{Config, Destination, Outgoing, StoreConfig, show_size};
use crate::store::{DiskSpace, Location, unused_octets_of};

/// Remedy for what this user may not use, but the service's user may.
const AS_SERVICE: &str = "run the check as the service's user (sudo -u vestibule vestibule check)";

/// Timeout for connecting to a program on one of our ports, and for each read of its greeting.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn database(config: &Config) -> Finding {
    let check = "data_dir";
    let folder = &config.data_dir;
    let shown = folder.display();
    let word = quote_for_shell(folder);
    if !folder.exists() && writable_or_to_be_made(folder).is_ok() {
        return Finding::warning(
            check,
            format!("{shown} does not exist"),
            format!(
                "vestibule serve creates it; for another user: install -d -m 0700 -o vestibule -g vestibule {word}"
            ),
        );
    }
    if let Err(what) = writable(folder) {
        let remedy = if folder.is_dir() {
            format!("{AS_SERVICE}, or give it to that user: chown vestibule: {word}")
        } else {
            format!(
                "create it for the service's user: install -d -m 0700 -o vestibule -g vestibule {word}"
            )
        };
        return Finding::problem(check, what, remedy);
    }
    // The database file may belong to another user, after a command that was run by root.
    for file in [config.database(), wal(&config.database())] {
        if file.exists() && access(&file, Access::READ_OK | Access::WRITE_OK).is_err() {
            return Finding::problem(
                check,
                format!("{} cannot be written by this user", file.display()),
                format!("{AS_SERVICE}, or: chown vestibule: the files in it"),
            );
        }
    }
    match DiskSpace::at(folder) {
        Err(cause) => Finding::problem(
            check,
            format!("{shown}: the free space cannot be determined ({cause})"),
            "check with: df",
        ),
        Ok(disk) => {
            let space = disk.with_unused(|| unused_octets(config));
            let free = round_down(disk.available);
            let detail = match space.available - disk.available {
                0 => format!("{shown} is writable, {free} free"),
                unused => format!(
                    "{shown} is writable, {free} free, and {} in unused pages of the database",
                    round_down(unused)
                ),
            };
            room(check, detail, space, least_space(config, space))
        }
    }
}

/// Octets of the unused pages of a database in this folder. A database that cannot be read is reported by another
/// finding.
fn unused_octets(config: &Config) -> Option<u64> {
    match config.store {
        StoreConfig::Sqlite => unused_octets_of(&Location::of(config)).ok(),
        StoreConfig::Postgres(_) => None,
    }
}

/// Space that the largest message needs: twice its size, besides the reserve that mail must not use.
pub(super) fn least_space(config: &Config, space: DiskSpace) -> u64 {
    let largest = config.smtp.max_message_size;
    match config.store {
        StoreConfig::Sqlite => space.least_for(largest),
        StoreConfig::Postgres(_) => largest.saturating_mul(2),
    }
}

/// The free space must be at least `least`.
pub(super) fn room(check: &str, detail: String, space: DiskSpace, least: u64) -> Finding {
    if space.available < least {
        let remedy = "free some space: mail is refused (4xx) before the disk is full";
        Finding::problem(check, detail, remedy)
    } else if space.is_low(false) {
        Finding::warning(check, detail, "free some space, or shorten [retention]")
    } else {
        Finding::ok(check, detail)
    }
}

fn wal(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Checks that a folder exists and files can be created in it. A read-only file system counts as an error.
fn writable(folder: &Path) -> Result<(), String> {
    let shown = folder.display();
    match std::fs::metadata(folder) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => Err(format!("{shown} does not exist")),
        Err(cause) => Err(format!("{shown}: {cause}")),
        Ok(found) if !found.is_dir() => Err(format!("{shown} is not a folder")),
        Ok(_) => access(folder, Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|cause| format!("{shown} cannot be written by this user ({cause})")),
    }
}

/// Checks that a folder is writable, or that it can be created because its parent is.
fn writable_or_to_be_made(folder: &Path) -> Result<(), String> {
    match (folder.exists(), folder.parent()) {
        (false, Some(above)) => writable(above),
        _ => writable(folder),
    }
}

/// Formats octets, rounded down to a whole number of the largest unit that fits.
pub(in crate::cli) fn round_down(octets: u64) -> String {
    let unit = (0..4)
        .map(|power| 1_u64 << (10 * power))
        .rfind(|unit| octets >= *unit)
        .unwrap_or(1);
    show_size(octets / unit * unit)
}

/// Protocols of our ports. Their replies identify a running daemon.
#[derive(Clone, Copy)]
enum Speaks {
    Smtp,
    Http,
}

pub(super) fn ports(config: &Config) -> Vec<Finding> {
    let smtp = config.smtp.listen.iter();
    let mut listeners: Vec<_> = smtp
        .map(|address| ("smtp.listen", *address, Speaks::Smtp))
        .collect();
    listeners.push(("http.listen", config.http.listen, Speaks::Http));
    listeners.push(("http.admin_listen", config.http.admin_listen, Speaks::Http));
    listeners
        .into_iter()
        .map(|(check, address, speaks)| port(check, address, speaks, config.hostname.as_str()))
        .collect()
}

fn port(check: &str, address: SocketAddr, speaks: Speaks, hostname: &str) -> Finding {
    let Err(cause) = TcpListener::bind(address) else {
        return Finding::ok(check, format!("{address} is free"));
    };
    match cause.kind() {
        ErrorKind::AddrInUse if is_ours(address, speaks, hostname) => Finding::ok(
            check,
            match speaks {
                Speaks::Smtp => format!("{address} is used by the running Vestibule"),
                Speaks::Http => format!("{address} answers /healthz like a running Vestibule"),
            },
        ),
        ErrorKind::AddrInUse => Finding::problem(
            check,
            format!("{address} is used by another program"),
            format!(
                "choose another port, or find the program: ss -ltnp 'sport = :{}'",
                address.port()
            ),
        ),
        ErrorKind::AddrNotAvailable => Finding::problem(
            check,
            format!("this machine does not have the address {}", address.ip()),
            "use an address that `ip addr` shows, 127.0.0.1, or 0.0.0.0 for all",
        ),
        ErrorKind::PermissionDenied => Finding::problem(
            check,
            format!("this user may not listen on {address}"),
            "use a port above 1023",
        ),
        _ => Finding::problem(
            check,
            format!("{address}: {cause}"),
            "choose another address",
        ),
    }
}

/// True if the program on the port answers as a Vestibule of this name does.
fn is_ours(address: SocketAddr, speaks: Speaks, hostname: &str) -> bool {
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        if matches!(speaks, Speaks::Http) {
            write!(
                stream,
                "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
            )?;
        }
        let mut line = String::new();
        BufReader::new(stream.take(1000)).read_line(&mut line)?;
        Ok(line)
    };
    let Ok(line) = answer() else {
        return false;
    };
    match speaks {
        Speaks::Smtp => line.starts_with(&format!("220 {hostname} ")) && line.contains("Vestibule"),
        Speaks::Http => line.starts_with("HTTP/1.1 200"),
    }
}

/// Maildirs, programs and the folder of outgoing mail.
pub(super) fn folders_and_programs(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, destination) in &config.destinations {
        let check = label(name, destination);
        match destination {
            Destination::Maildir(maildir) => findings.push(folder(check, &maildir.path, config)),
            Destination::Command(command) => findings.push(program(check, &command.program)),
            Destination::Smtp(_) | Destination::Webhook(_) => {}
        }
    }
    if let Outgoing::File(dir) = &config.outgoing {
        findings.push(folder("outgoing (file)".to_owned(), dir, config));
    }
    findings
}

/// Checks an existing Maildir's own folders; missing ones are created later, and so is the data folder.
fn folder(check: String, path: &Path, config: &Config) -> Finding {
    let inner = ["tmp", "new", "cur"].map(|name| path.join(name));
    let above = match path.parent() {
        Some(above) if above == config.data_dir && !above.exists() => above,
        _ => path,
    };
    let state = writable_or_to_be_made(above).and_then(|()| {
        inner
            .iter()
            .filter(|folder| folder.exists())
            .try_for_each(|folder| writable(folder))
    });
    match state {
        Ok(()) if path.exists() => Finding::ok(check, format!("{} is writable", path.display())),
        Ok(()) => Finding::ok(check, format!("{} can be created", path.display())),
        Err(what) if path.is_dir() => Finding::problem(
            check,
            what,
            format!(
                "{AS_SERVICE}, or let that user write to it, and add ReadWritePaths= to the unit"
            ),
        ),
        Err(what) => Finding::problem(
            check,
            what,
            "create it, let the service's user write to it, and add ReadWritePaths= to the unit",
        ),
    }
}

fn program(check: String, path: &Path) -> Finding {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(cause) => Finding::problem(
            check,
            format!("{shown}: {cause}"),
            "install it there, or correct the path",
        ),
        Ok(found) if !found.is_file() => Finding::problem(
            check,
            format!("{shown} is not a file"),
            "write the path of the program itself",
        ),
        Ok(_) if access(path, Access::EXEC_OK).is_err() => Finding::problem(
            check,
            format!("{shown} cannot be run by this user"),
            format!("chmod +x {}", quote_for_shell(path)),
        ),
        Ok(_) => Finding::ok(check, format!("{shown} can be run")),
    }
}
