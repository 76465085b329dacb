//! The configurations in `config/mta`, each with its program: mail that the MTA accepts for a portal passes
//! Vestibule and arrives unchanged.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::postfix::{LONG_LINES, Postfix};
use crate::support::client::Smtp;
use crate::support::harness::{Folder, Harness, STANDARD, wait_for};
use crate::support::port::Port;

/// A file of `config/mta`, with this test's port and this portal's table.
fn shipped(file: &str, changes: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/mta")
        .join(file);
    let text = fs::read_to_string(&path).expect("a file of ours");
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{}: no {from}", path.display());
        text.replace(from, to)
    })
}

/// A file of the Debian packages that `tests/run` unpacks.
fn debian(file: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/mta")
        .join(file);
    assert!(
        path.exists(),
        "{} is missing: tests/run fetches it",
        path.display()
    );
    path
}

/// The folder of the libraries that only these programs use.
fn libraries() -> PathBuf {
    fs::read_dir(debian("usr/lib"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .expect("libraries: tests/run fetches them")
}

/// An MTA in a folder that its own users may enter.
struct Running {
    folder: Folder,
    smtp: SocketAddr,
    process: Child,
    _port: Port,
}

impl Running {
    /// Writes the portal's table and the files of `prepare`, and runs its command.
    fn start(prepare: impl FnOnce(&Path, SocketAddr) -> Command) -> Self {
        let folder = Folder::new();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::write(folder.path().join("portals"), "it-help@corp.example\n").expect("a table");
        let port = Port::reserve();
        let smtp = port.address;
        let log = fs::File::create(folder.path().join("output")).expect("a file");
        let process = prepare(folder.path(), smtp)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the MTA starts");
        let mut running = Self {
            folder,
            smtp,
            process,
            _port: port,
        };
        wait_for("the MTA's port", || {
            let ended = running.process.try_wait().expect("a child");
            let output = running.folder.path().join("output");
            assert!(
                ended.is_none(),
                "{}",
                fs::read_to_string(output).unwrap_or_default()
            );
            std::net::TcpStream::connect(smtp).ok()
        });
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let process = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &process]).status();
        let _ = self.process.wait();
    }
}

/// Sends a message to the MTA, and waits until the help desk has it.
fn carries(mta: SocketAddr, harness: &Harness) {
    let output = Command::new("swaks")
        .args(["--server", &mta.to_string(), "--timeout", "5m"])
        .args(["--from", "bob@partner.example"])
        .args(["--to", "it-help+printer@corp.example"])
        .args(["--header", "Subject: The printer"])
        .args(["--body", "A line.\n.A dot.\nThe end."])
        .output()
        .expect("swaks is missing: tests/run installs it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let arrived = wait_for("the request at the help desk", || harness.delivered().pop());
    let arrived = String::from_utf8_lossy(&arrived);
    for part in [
        "X-Vestibule-Account: external\r\n",
        "Subject: The printer\r\n",
        "A line.\r\n.A dot.\r\nThe end.\r\n",
    ] {
        assert!(arrived.contains(part), "{part:?} is not in {arrived}");
    }
}

#[test]
fn postfix_relays_mail_to_vestibule() {
    let harness = Harness::start(STANDARD);
    let table = shipped(
        "postfix/transport",
        &[("2525", &harness.smtp.port().to_string())],
    );
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let transport = folder.path().join("transport");
    fs::write(&transport, table).expect("a table");
    let main = shipped(
        "postfix/main.cf",
        &[(
            "hash:/etc/postfix/transport",
            &format!("texthash:{}", transport.display()),
        )],
    );
    let postfix = Postfix::start(&["it-help@corp.example"], &main);
    carries(postfix.smtp, &harness);
}

/// Postfix breaks long lines, and with them DKIM signatures, except in a transport of its own.
#[test]
fn postfix_relays_long_lines_unchanged_with_the_documented_transport() {
    let page = include_str!("../../docs/mta.md");
    assert!(page.lines().any(|line| line == LONG_LINES), "{LONG_LINES}");
    let harness = Harness::start(STANDARD);
    let long = "x".repeat(3000);
    let message = format!(
        "From: bob@partner.example\r\nTo: it-help@corp.example\r\nSubject: The printer\r\n\r\n{long}\r\n"
    );
    let address = "it-help@corp.example";
    let next_hop = format!("vestibule:[127.0.0.1]:{}", harness.smtp.port());
    let main = format!("transport_maps = inline:{{ {{ {address} = {next_hop} }} }}\n");
    let postfix = Postfix::start(&[address], &main);
    let reply = Smtp::connect(postfix.smtp)
        .and_then(|mut smtp| smtp.send("bob@partner.example", address, message.as_bytes()))
        .expect("Postfix answers");
    assert!(reply.starts_with("250"), "{reply}");
    let arrived = wait_for("the request at the help desk", || harness.delivered().pop());
    let arrived = String::from_utf8_lossy(&arrived);
    assert!(arrived.ends_with(&format!("\r\n{long}\r\n")), "{arrived}");
}

/// The table of docs/cluster.md, while the first of the two nodes is down.
#[test]
fn postfix_fails_over_to_the_running_node() {
    let harness = Harness::start(STANDARD);
    let away = Port::reserve();
    let page = include_str!("../../docs/cluster.md");
    let is_row = |line: &&str| line.starts_with("it-help@corp.example ");
    let row = page.lines().find(is_row).expect("a row of the table");
    let row = [("gate-a", away.address), ("gate-b", harness.smtp)]
        .iter()
        .fold(row.to_owned(), |row, (node, address)| {
            let next_hop = format!("[{node}.corp.example]:2525");
            assert!(row.contains(&next_hop), "{row}");
            row.replace(&next_hop, &format!("[127.0.0.1]:{}", address.port()))
        });
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let transport = folder.path().join("transport");
    fs::write(&transport, format!("{row}\n")).expect("a table");
    let main = shipped(
        "postfix/main.cf",
        &[(
            "hash:/etc/postfix/transport",
            &format!("texthash:{}", transport.display()),
        )],
    );
    let postfix = Postfix::start(&["it-help@corp.example"], &main);
    carries(postfix.smtp, &harness);
}

/// The usual installation: the portal's domain is in `mydestination`, with the machine's own users.
#[test]
fn postfix_with_the_portals_domain_in_mydestination_accepts_its_mail() {
    let harness = Harness::start(STANDARD);
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
    let transport = folder.path().join("transport");
    let port = harness.smtp.port().to_string();
    let table = shipped("postfix/transport", &[("2525", &port)]);
    fs::write(&transport, table).expect("a table");
    let transport = format!("texthash:{}", transport.display());
    let domain = "mydestination = corp.example\n";
    let before = format!(
        "{domain}transport_maps = {transport}\nlocal_recipient_maps = proxy:unix:passwd.byname\n"
    );
    let refusing = Postfix::start(&["x@other.example"], &before);
    let output = Command::new("swaks")
        .args(["--server", &refusing.smtp.to_string(), "--timeout", "5m"])
        .args(["--from", "bob@partner.example"])
        .args(["--to", "it-help@corp.example"])
        .output()
        .expect("swaks is missing: tests/run installs it");
    let transcript = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        transcript.contains("User unknown in local recipient table"),
        "{transcript}"
    );
    drop(refusing);
    let main = shipped(
        "postfix/main.cf",
        &[("hash:/etc/postfix/transport", &transport)],
    );
    let postfix = Postfix::start(&["x@other.example"], &format!("{domain}{main}"));
    carries(postfix.smtp, &harness);
}

#[test]
fn exim_relays_mail_to_vestibule() {
    let harness = Harness::start(STANDARD);
    let exim = Running::start(|folder, smtp| {
        let at = folder.display();
        // It restarts itself as its own user, who has no access to the folder of the packages.
        let program = folder.join("exim4");
        // Copied by another process: if this one had the file open for writing, a child started meanwhile would
        // inherit the descriptor, and a file that is open for writing cannot be executed.
        let copied = Command::new("cp")
            .arg(debian("usr/sbin/exim4"))
            .arg(&program)
            .status();
        assert!(copied.expect("cp runs").success());
        let lib = folder.join("lib");
        fs::create_dir(&lib).expect("a folder");
        for entry in fs::read_dir(libraries()).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_file() {
                let name = path.file_name().expect("a name");
                fs::copy(&path, lib.join(name)).expect("a copy");
            }
        }
        for name in ["spool", "log"] {
            let path = folder.join(name);
            fs::create_dir(&path).expect("a folder");
            let owned = Command::new("chown").arg("Debian-exim").arg(&path).status();
            assert!(
                owned.expect("chown runs").success(),
                "the user Debian-exim is missing: tests/run makes it"
            );
        }
        let macros = shipped(
            "exim/macros",
            &[
                ("2525", &harness.smtp.port().to_string()),
                (
                    "/etc/exim4/vestibule-portals",
                    &folder.join("portals").display().to_string(),
                ),
            ],
        );
        let configuration = format!(
            "{macros}\n\
             exim_path = {at}/exim4\n\
             spool_directory = {at}/spool\n\
             log_file_path = {at}/log/%s\n\
             primary_hostname = mx.corp.example\n\
             deliver_drop_privilege\n\
             keep_environment = LD_LIBRARY_PATH\n\
             tls_advertise_hosts =\n\
             acl_smtp_rcpt = accept\n\
             begin acl\naccept:\n  accept\n\
             begin routers\n{}\n\
             begin transports\n{}\n\
             begin retry\n* * F,1h,1s\n",
            shipped("exim/router", &[]),
            shipped("exim/transport", &[]),
        );
        let file = folder.join("exim.conf");
        fs::write(&file, configuration).expect("a file");
        let mut command = Command::new(program);
        command
            .env("LD_LIBRARY_PATH", lib)
            .arg("-C")
            .arg(file)
            .args(["-bdf", "-q5s"])
            .arg("-oX")
            .arg(format!("<; [127.0.0.1]:{}", smtp.port()))
            .arg("-oP")
            .arg(folder.join("pid"));
        command
    });
    carries(exim.smtp, &harness);
}

/// The program uses fixed paths, so it gets its own folders there, in a mount namespace.
#[test]
fn opensmtpd_relays_mail_to_vestibule() {
    const ROOMS: &str = "\
        [ ! -e /etc/resolv.conf ] || mount --bind \"$2\" /etc/resolv.conf || exit
        for room in /var/spool /var/lib /run; do mount -t tmpfs -o mode=755 tmpfs $room || exit; done
        mkdir -m 711 /var/spool/smtpd
        mkdir -p /var/lib/opensmtpd/empty
        exec \"$0\" -d -f \"$1\"";
    let harness = Harness::start(STANDARD);
    let smtpd = Running::start(|folder, smtp| {
        let included = shipped(
            "opensmtpd/vestibule.conf",
            &[
                ("2525", &harness.smtp.port().to_string()),
                (
                    "/etc/mail/vestibule-portals",
                    &folder.join("portals").display().to_string(),
                ),
            ],
        );
        fs::write(folder.join("vestibule.conf"), included).expect("a file");
        let file = folder.join("smtpd.conf");
        let configuration = format!(
            "listen on 127.0.0.1 port {} hostname mx.corp.example\ninclude \"{}\"\n",
            smtp.port(),
            folder.join("vestibule.conf").display()
        );
        fs::write(&file, configuration).expect("a file");
        // It looks up the name of each client before it greets, and the machine's DNS may be slow.
        let resolver = folder.join("resolv.conf");
        fs::write(&resolver, "lookup file\n").expect("a file");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "/bin/sh", "-c", ROOMS])
            .arg(debian("usr/sbin/smtpd"))
            .args([file, resolver])
            .env("LD_LIBRARY_PATH", libraries());
        command
    });
    carries(smtpd.smtp, &harness);
}
