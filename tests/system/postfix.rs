//! A real Postfix in its own folder: accepts mail on a port, relays by a table, and stores mail for its
//! virtual mailboxes in Maildirs.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::harness::{Folder, wait_for};
use crate::support::port::Port;

pub struct Postfix {
    pub folder: Folder,
    pub smtp: SocketAddr,
    _port: Port,
}

const MASTER: &str = "
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// The transport in docs/mta.md that does not break long lines.
pub const LONG_LINES: &str = "vestibule unix - - n - - smtp -o smtp_line_length_limit=0";

impl Postfix {
    /// Starts a Postfix. `mailboxes` are delivered locally; `main` is added to main.cf; its
    /// lines replace defaults of the same name.
    pub fn start(mailboxes: &[&str], main: &str) -> Self {
        Self::start_on(Port::reserve(), mailboxes, main)
    }

    /// Like [`start`](Self::start), on a port that is already known to others.
    pub fn start_on(port: Port, mailboxes: &[&str], main: &str) -> Self {
        assert!(
            Path::new("/usr/sbin/postfix").exists(),
            "Postfix is missing: tests/run installs it"
        );
        let folder = Folder::new();
        let at = folder.path().display().to_string();
        // Postfix's daemons drop to other users, who must have access to this folder.
        for (name, owner) in [
            ("", None),
            ("spool", None),
            ("data", Some("postfix")),
            ("mail", Some("nobody")),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(&path).expect("a folder");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
            if let Some(owner) = owner {
                run(Command::new("chown").arg(owner).arg(&path));
            }
        }
        let smtp = port.address;
        let table: Vec<_> = mailboxes
            .iter()
            .map(|address| format!("{{ {address} = {address}/ }}"))
            .collect();
        let mut domains: Vec<_> = mailboxes
            .iter()
            .filter_map(|address| Some(address.split_once('@')?.1))
            .collect();
        domains.sort_unstable();
        domains.dedup();
        let domains = domains.join(", ");
        // The delays are short because, by default, a message that cannot be relayed at once waits for minutes.
        let defaults = format!(
            "compatibility_level = 3.6\n\
             queue_directory = {at}/spool\n\
             data_directory = {at}/data\n\
             mail_owner = postfix\n\
             inet_interfaces = 127.0.0.1\n\
             inet_protocols = ipv4\n\
             myhostname = mx.corp.example\n\
             mydestination =\n\
             mynetworks = 127.0.0.0/8\n\
             alias_maps =\n\
             local_recipient_maps =\n\
             smtputf8_enable = yes\n\
             queue_run_delay = 1s\n\
             minimal_backoff_time = 1s\n\
             maximal_backoff_time = 2s\n\
             virtual_mailbox_domains = {domains}\n\
             virtual_mailbox_base = {at}/mail\n\
             virtual_mailbox_maps = inline:{{ {} }}\n\
             virtual_uid_maps = static:65534\n\
             virtual_gid_maps = static:65534\n\
             maillog_file = {at}/maillog\n\
             maillog_file_prefixes = /\n",
            table.join(" "),
        );
        let name = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
        let given: Vec<String> = main.lines().map(name).collect();
        let others = defaults.lines().filter(|line| !given.contains(&name(line)));
        let main: String = others
            .chain(main.lines())
            .flat_map(|line| [line, "\n"])
            .collect();
        fs::write(folder.path().join("main.cf"), main).expect("main.cf");
        let master = format!("{smtp} inet n - n - - smtpd{MASTER}{LONG_LINES}\n");
        fs::write(folder.path().join("master.cf"), master).expect("master.cf");
        let postfix = Self {
            folder,
            smtp,
            _port: port,
        };
        postfix.control("start");
        wait_for("Postfix's port", || {
            std::net::TcpStream::connect(postfix.smtp).ok()
        });
        // Each program of Postfix logs a warning about a mistake in main.cf when it starts. postlogd sends its own
        // warning to itself, and hangs if the warnings of others have filled its queue. So no mistake is tolerated.
        wait_for("Postfix's log", || {
            postfix.log().contains("daemon started").then_some(())
        });
        assert!(!postfix.log().contains("main.cf"), "{}", postfix.log());
        postfix
    }

    fn control(&self, verb: &str) {
        let output = Command::new("/usr/sbin/postfix")
            .arg("-c")
            .arg(self.folder.path())
            .arg(verb)
            .output()
            .expect("postfix runs");
        assert!(
            output.status.success(),
            "postfix {verb}: {} {} {} {}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            self.log()
        );
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("maillog")).unwrap_or_default()
    }

    /// The messages in a mailbox.
    pub fn mail(&self, address: &str) -> Vec<String> {
        let new = self.folder.path().join("mail").join(address).join("new");
        let Ok(entries) = fs::read_dir(new) else {
            return Vec::new();
        };
        entries
            .map(|entry| entry.expect("an entry").path())
            .collect::<Vec<PathBuf>>()
            .iter()
            .map(|path| fs::read_to_string(path).expect("a message"))
            .collect()
    }
}

impl Postfix {
    /// Kills all its processes, which are in the master's process group; its folder remains as long as this value.
    /// `postfix stop` would log through a daemon that is stopping, and can wait for it forever.
    pub fn stop(&self) {
        let file = self.folder.path().join("spool/pid/master.pid");
        let text = fs::read_to_string(&file);
        // Once this process has ended, its number may be reused by another.
        let _ = fs::remove_file(file);
        let process = text.ok().and_then(|text| text.trim().parse().ok());
        if let Some(master) = process.and_then(Pid::from_raw) {
            let _ = kill_process_group(master, Signal::KILL);
        }
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(command: &mut Command) {
    assert!(command.status().expect("it runs").success(), "{command:?}");
}
