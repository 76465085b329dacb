//! The proxies in `config/proxy`, each with its program: the public pages over TLS, from the link in a
//! verification mail to the confirmation.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::client;
use crate::support::harness::{Folder, Harness, STANDARD, wait_for};
use crate::support::port::Port;

const HOST: &str = "help.corp.example";

/// A running proxy in its own folder, with a certificate for [`HOST`].
struct Proxy {
    folder: Folder,
    process: Child,
    port: Port,
}

impl Proxy {
    /// `prepare` gets the folder and the port, and returns the command.
    fn start(port: Port, prepare: impl FnOnce(&Path, u16) -> Command) -> Self {
        let folder = Folder::new();
        let key = rcgen::generate_simple_self_signed(vec![HOST.to_owned()]).expect("a certificate");
        fs::write(folder.path().join("cert.pem"), key.cert.pem()).expect("a file");
        let private = key.signing_key.serialize_pem();
        fs::write(folder.path().join("key.pem"), private).expect("a file");
        let log = fs::File::create(folder.path().join("output")).expect("a file");
        let mut command = prepare(folder.path(), port.address.port());
        let process = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: tests/run installs it"));
        let proxy = Self {
            folder,
            process,
            port,
        };
        wait_for("the proxy's port", || {
            std::net::TcpStream::connect(proxy.port.address).ok()
        });
        proxy
    }

    /// The answer to a request over TLS, with the certificate checked.
    fn curl(&self, arguments: &[&str], path: &str) -> String {
        let port = self.port.address.port();
        let output = Command::new("curl")
            .args(["-sS", "-i", "--max-time", "60", "--cacert"])
            .arg(self.folder.path().join("cert.pem"))
            .args(["--resolve", &format!("{HOST}:{port}:127.0.0.1")])
            .args(arguments)
            .arg(format!("https://{HOST}:{port}{path}"))
            .output()
            .expect("curl is installed by tests/run");
        let log = fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
        assert!(
            output.status.success(),
            "{}{log}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let process = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &process]).status();
        let _ = self.process.wait();
    }
}

/// A file of `config/proxy`, with the changes that a test needs.
fn shipped(file: &str, changes: &[(&str, &str)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/proxy")
        .join(file);
    let text = fs::read_to_string(&path).expect("a file of ours");
    changes.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{}: no {from}", path.display());
        text.replace(from, to)
    })
}

/// Vestibule behind the port of a proxy, as the install page says.
fn vestibule_behind(port: &Port) -> Harness {
    let url = format!("https://{HOST}:{}", port.address.port());
    let configuration = STANDARD.replace(
        "public_url = \"http://127.0.0.1:0\"",
        &format!("public_url = \"{url}\"\ntrusted_proxies = [\"127.0.0.1\"]"),
    );
    Harness::start(&configuration)
}

/// A person writes, opens the link in the mail and presses the button; all of it through the proxy.
fn carries_a_confirmation(proxy: &Proxy, harness: &Harness) {
    let home = proxy.curl(&[], "/");
    assert!(home.contains("IT Help"), "{home}");
    client::send(harness.smtp, "ann@corp.example", "printer");
    let path = &harness.link_for("ann@corp.example");
    let origin = format!("https://{HOST}:{}", proxy.port.address.port());
    let mails = harness.verification_mails();
    assert!(mails[0].contains(&format!("{origin}{path}")), "{mails:?}");
    let page = proxy.curl(&[], path);
    assert!(page.contains("Confirm and send"), "{page}");
    let header = format!("Origin: {origin}");
    let pressed = proxy.curl(&["--header", &header, "--data", "action=confirm"], path);
    assert!(pressed.contains("Your address is confirmed"), "{pressed}");
    wait_for("the request at the help desk", || harness.delivered().pop());
    // What a client claims about its own address does no harm.
    let claim = ["--header", "X-Forwarded-For: 192.0.2.1"];
    let signed_up = proxy.curl(
        &[&claim[..], &["--data", "email=bob@partner.example"]].concat(),
        "/signup",
    );
    assert!(signed_up.contains("Check your mail"), "{signed_up}");
}

#[test]
fn nginx_serves_the_public_pages_over_tls() {
    let port = Port::reserve();
    let harness = vestibule_behind(&port);
    let upstream = format!("proxy_pass http://{}", harness.http);
    let plain = Port::reserve();
    let proxy = Proxy::start(port, |folder, port| {
        let at = folder.display();
        let site = shipped(
            "nginx.conf",
            &[
                ("    listen [::]:80;\n", ""),
                ("    listen [::]:443 ssl;\n", ""),
                ("listen 80;", &format!("listen {};", plain.address)),
                ("listen 443 ssl;", &format!("listen 127.0.0.1:{port} ssl;")),
                (
                    "/etc/letsencrypt/live/help.corp.example/fullchain.pem",
                    &format!("{at}/cert.pem"),
                ),
                (
                    "/etc/letsencrypt/live/help.corp.example/privkey.pem",
                    &format!("{at}/key.pem"),
                ),
                ("proxy_pass http://127.0.0.1:8080", &upstream),
            ],
        );
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        let main = format!(
            "user root;\npid {at}/pid;\ndaemon off;\nevents {{}}\nhttp {{\n{temporary}{site}\n}}\n"
        );
        fs::write(folder.join("nginx.conf"), main).expect("a file");
        let mut command = Command::new("/usr/sbin/nginx");
        command
            .arg("-e")
            .arg(folder.join("error.log"))
            .arg("-c")
            .arg(folder.join("nginx.conf"));
        command
    });
    carries_a_confirmation(&proxy, &harness);
    let (status, page) = client::http(plain.address, "GET", "/signup", &[]);
    assert_eq!(status, 301, "{page}");
}

#[test]
fn caddy_serves_the_public_pages_over_tls() {
    let port = Port::reserve();
    let harness = vestibule_behind(&port);
    let upstream = format!("reverse_proxy {}", harness.http);
    let proxy = Proxy::start(port, |folder, port| {
        let at = folder.display();
        let site = shipped(
            "Caddyfile",
            &[
                (
                    "help.corp.example {",
                    &format!("https://{HOST}:{port} {{\n\ttls {at}/cert.pem {at}/key.pem"),
                ),
                ("reverse_proxy 127.0.0.1:8080", &upstream),
            ],
        );
        let global = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n";
        fs::write(folder.join("Caddyfile"), format!("{global}{site}")).expect("a file");
        let mut command = Command::new("/usr/bin/caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(folder.join("Caddyfile"))
            .env("HOME", folder)
            .env("XDG_DATA_HOME", folder)
            .env("XDG_CONFIG_HOME", folder);
        command
    });
    carries_a_confirmation(&proxy, &harness);
}
