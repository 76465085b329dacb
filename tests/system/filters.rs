//! Real filters in front of Vestibule, as milters of a real Postfix: the place of their fields, and the
//! verdicts on forged mail and spam (docs/mta.md).

use std::cell::Cell;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::postfix::Postfix;
use crate::support::harness::{Folder, Harness, STANDARD, wait_for};
use crate::support::port::Port;

/// The client that delivers mail to the MTA, as XCLIENT reports it.
const CLIENT: &str = "192.0.2.1";

/// DNS records of the domains in these tests: only one of them permits the client.
const ZONE: [&str; 9] = [
    "--txt-record=_dmarc.forged.example,v=DMARC1; p=reject",
    "--txt-record=forged.example,v=spf1 -all",
    "--txt-record=_dmarc.partner.example,v=DMARC1; p=reject",
    "--txt-record=partner.example,v=spf1 ip4:192.0.2.1 -all",
    // With this pct, RFC 7489 applies the policy to no message.
    "--txt-record=_dmarc.sampled.example,v=DMARC1; p=quarantine; pct=0",
    "--txt-record=sampled.example,v=spf1 -all",
    "--txt-record=_dmarc.lenient.example,v=DMARC1; p=none",
    "--txt-record=lenient.example,v=spf1 -all",
    "--txt-record=_dmarc.xn--bcher-kva.example,v=DMARC1; p=reject",
];

const DNSMASQ: [&str; 8] = [
    "--keep-in-foreground",
    "--listen-address=127.0.0.1",
    "--bind-interfaces",
    "--no-resolv",
    "--no-hosts",
    "--pid-file=",
    "--conf-file=/dev/null",
    "--local=/#/",
];

/// A process that is ended on drop.
struct Program(Child);

impl Program {
    fn start(command: &mut Command, log: &Path) -> Self {
        let output = fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("a log");
        let child = command
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn();
        let missing = format!("{command:?}: tests/run installs it");
        Self(child.expect(&missing))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGTERM, so that a program ends its children, too.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// A folder that other users may write to, for programs that drop root.
fn open_folder() -> Folder {
    let folder = Folder::new();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("its mode");
    folder
}

/// Vestibule behind a Postfix that uses one milter.
struct Mta {
    harness: Harness,
    postfix: Postfix,
    /// Number of messages so far, each with its own id.
    sent: Cell<u32>,
}

/// A text that the test configures rspamd to treat as spam.
const SPAM: &str = "This is an offer of a prince.";

impl Mta {
    fn start(milter: &str) -> Self {
        let harness = Harness::start(&format!(
            "{STANDARD}\n[authentication]\nmode = \"enforce\"\nauthserv_id = \"mx.corp.example\"\n\
             [mail]\nspam = [\"X-Spam-Flag: YES\"]\n"
        ));
        let postfix = Postfix::start(
            &["it-help@corp.example"],
            &format!(
                "transport_maps = inline:{{ {{ it-help@corp.example = smtp:[127.0.0.1]:{} }} }}\n\
                 smtpd_milters = {milter}\n\
                 milter_default_action = tempfail\n\
                 milter_connect_timeout = 300s\n\
                 milter_command_timeout = 300s\n\
                 smtpd_authorized_xclient_hosts = 127.0.0.0/8\n",
                harness.smtp.port()
            ),
        );
        Self {
            harness,
            postfix,
            sent: Cell::new(0),
        }
    }

    /// Sends a message from the client, and returns the reason of its entry.
    fn reason(&self, envelope: &str, from: &str, body: &str) -> String {
        let id = format!("{:x}@mx.test", self.sent.replace(self.sent.get() + 1));
        let output = Command::new("swaks")
            .args([
                "--server",
                &self.postfix.smtp.to_string(),
                "--timeout",
                "5m",
            ])
            .args([
                "--xclient",
                &format!("ADDR={CLIENT} NAME=mail.sender.example"),
            ])
            .args(["--ehlo", "mail.sender.example", "--from", envelope])
            .args(["--to", "it-help@corp.example", "--body", body])
            .args(["--header", &format!("From: {from}")])
            .args(["--header", &format!("Message-Id: <{id}>")])
            .output()
            .expect("swaks is installed by tests/run");
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            self.postfix.log()
        );
        wait_for("the entry", || {
            let explained = self.harness.command(&["explain", &id, "--json"]).output();
            let explained = explained.expect("it runs").stdout;
            let entry: Value = serde_json::from_slice(&explained).ok()?;
            Some(entry["reason"].as_str()?.to_owned())
        })
    }
}

#[test]
fn rspamd_prepends_its_results_and_fields_as_configured() {
    let folder = open_folder();
    let at = folder.path().display().to_string();
    let (dns, milter) = (Port::reserve(), Port::reserve());
    let shipped =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("config/mta/rspamd/milter_headers.conf");
    let shipped = fs::read_to_string(shipped).expect("a file of ours");
    let config = include_str!("../../testdata/filters/rspamd.conf")
        .replace("@FOLDER@", &at)
        .replace("@DNS@", &dns.address.to_string())
        .replace("@MILTER@", &milter.address.to_string())
        .replace("@MILTER_HEADERS@", &shipped);
    fs::write(folder.path().join("rspamd.conf"), config).expect("a file");
    fs::write(folder.path().join("suffixes"), "example\n").expect("a file");
    let log = folder.path().join("output");
    let _dns = Program::start(
        Command::new("dnsmasq")
            .args(DNSMASQ)
            .arg(format!("--port={}", dns.address.port()))
            .args(ZONE),
        &log,
    );
    wait_for("dnsmasq's port", || TcpStream::connect(dns.address).ok());
    let _rspamd = Program::start(
        Command::new("rspamd")
            .args(["-f", "-u", "_rspamd", "-g", "_rspamd", "-c"])
            .arg(folder.path().join("rspamd.conf")),
        &log,
    );
    wait_for("rspamd's port", || TcpStream::connect(milter.address).ok());
    let mta = Mta::start(&format!("inet:{}", milter.address));
    let (forged, partner) = ("ceo@forged.example", "ann@partner.example");
    let (sampled, lenient) = ("ceo@sampled.example", "eve@lenient.example");
    for (envelope, from, body, reason) in [
        (partner, partner, "Genuine.", "external_account_created"),
        (forged, forged, "Forged.", "authentication_failed"),
        (
            partner,
            forged,
            "Another envelope.",
            "authentication_failed",
        ),
        // rspamd copies the local part into a comment and a value without escaping.
        (
            "\"a(b\"@partner.example",
            forged,
            "A bracket.",
            "authentication_failed",
        ),
        (
            "\"a)x; dmarc=pass header.from=forged.example (policy=none) ((b\"@partner.example",
            forged,
            "Brackets.",
            "authentication_failed",
        ),
        (sampled, sampled, "Sampled out.", "authentication_failed"),
        (lenient, lenient, "Not signed.", "domain_not_allowed"),
        // rspamd looks up the A-labels.
        (
            partner,
            "ceo@b\u{fc}cher.example",
            "Labels in Unicode.",
            "authentication_failed",
        ),
        (partner, partner, SPAM, "spam"),
    ] {
        assert_eq!(
            mta.reason(envelope, from, body),
            reason,
            "{envelope}: {body}"
        );
    }
    let delivered = wait_for("the genuine request", || {
        let delivered = mta.harness.delivered().into_iter();
        delivered
            .map(|raw| String::from_utf8_lossy(&raw).into_owned())
            .find(|raw| raw.contains("Genuine."))
    });
    assert!(
        delivered.contains("X-Vestibule-Authenticated: pass\r\n"),
        "{delivered}"
    );
}

#[test]
fn opendmarc_prepends_its_results() {
    let folder = open_folder();
    let at = folder.path().display().to_string();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("resolv.conf"), "nameserver 127.0.0.1\n").expect("a file");
    fs::write(path("ignored-hosts"), "203.0.113.250\n").expect("a file");
    let config = format!(
        "AuthservID mx.corp.example\nSocket local:{at}/milter\nUMask 000\nIgnoreHosts {at}/ignored-hosts\n\
         SPFIgnoreResults true\nSPFSelfValidate true\nRejectFailures false\nSyslog false\n"
    );
    fs::write(path("opendmarc.conf"), config).expect("a file");
    // OpenDMARC uses the servers of /etc/resolv.conf, on port 53, so it runs with its own file and network
    // namespace.
    let script = format!(
        "ip link set lo up && mount --bind {at}/resolv.conf /etc/resolv.conf || exit 1\n\
         dnsmasq --port=53 --user=root \"$@\" & dns=$!\n\
         opendmarc -f -c {at}/opendmarc.conf & milter=$!\n\
         trap 'kill $dns $milter' TERM\nwait"
    );
    let _opendmarc = Program::start(
        Command::new("unshare")
            .args(["--mount", "--net", "sh", "-c", &script, "sh"])
            .args(DNSMASQ)
            .args(ZONE),
        &path("output"),
    );
    wait_for("OpenDMARC's socket", || {
        UnixStream::connect(path("milter")).ok()
    });
    let mta = Mta::start(&format!("unix:{at}/milter"));
    let (forged, partner) = ("ceo@forged.example", "ann@partner.example");
    for (envelope, from, body, reason) in [
        (partner, partner, "Genuine.", "external_account_created"),
        (forged, forged, "Forged.", "authentication_failed"),
        (
            partner,
            forged,
            "Another envelope.",
            "authentication_failed",
        ),
        // OpenDMARC cannot parse this, and adds no result.
        (
            partner,
            "\")\" (,) <ceo@forged.example>",
            "A comma.",
            "authentication_failed",
        ),
        // It asks DNS for the octets of these labels, and finds no record.
        (
            partner,
            "ceo@b\u{fc}cher.example",
            "Labels in Unicode.",
            "authentication_failed",
        ),
    ] {
        assert_eq!(
            mta.reason(envelope, from, body),
            reason,
            "{envelope}: {body}"
        );
    }
    let delivered = wait_for("the genuine request", || mta.harness.delivered().pop());
    let delivered = String::from_utf8_lossy(&delivered);
    assert!(
        delivered.contains("X-Vestibule-Authenticated: pass\r\n"),
        "{delivered}"
    );
}

#[test]
fn fields_that_spamass_milter_appends_are_ignored() {
    let folder = open_folder();
    let socket = folder.path().join("milter");
    let log = folder.path().join("output");
    let spamd = Port::reserve();
    let port = spamd.address.port().to_string();
    let _spamd = Program::start(
        Command::new("spamd")
            .args([
                "--local",
                "--syslog=stderr",
                "--nouser-config",
                "--max-children=1",
            ])
            .args(["--listen=127.0.0.1", "--port", &port])
            .arg(format!("--pidfile={}/pid", folder.path().display()))
            .arg(format!("--helper-home-dir={}", folder.path().display()))
            .args([
                "--cf=required_score 0.1",
                "--cf=use_bayes 0",
                "--cf=report_safe 0",
            ])
            .args(["--cf=header ANY Received =~ /./", "--cf=score ANY 5"]),
        &log,
    );
    wait_for("spamd's port", || TcpStream::connect(spamd.address).ok());
    let _milter = Program::start(
        Command::new("spamass-milter")
            .arg("-p")
            .arg(&socket)
            .args(["--", "-p", &port]),
        &log,
    );
    wait_for("the milter's socket", || UnixStream::connect(&socket).ok());
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o777)).expect("its mode");
    let mta = Mta::start(&format!("unix:{}", socket.display()));
    let partner = "ann@partner.example";
    assert_eq!(
        mta.reason(partner, partner, "Hello."),
        "external_account_created"
    );
    let delivered = wait_for("the request", || mta.harness.delivered().pop());
    let delivered = String::from_utf8_lossy(&delivered);
    let place = |name: &str| {
        delivered
            .find(name)
            .unwrap_or_else(|| panic!("{name}: {delivered}"))
    };
    assert!(
        place("X-Spam-Flag: YES") > place("with ESMTP"),
        "{delivered}"
    );
    assert!(place("X-Spam-Flag: YES") > place("\nFrom:"), "{delivered}");
}
