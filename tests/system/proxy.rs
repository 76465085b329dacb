//! The proxies in `config/proxy`, each with its program: the public pages over TLS, from the link in a
//! verification mail to the confirmation.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
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

    /// Ends the proxy, so that all of its logs are written.
    fn stop(&mut self) {
        if !matches!(self.process.try_wait(), Ok(None)) {
            return;
        }
        let process = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &process]).status();
        let _ = self.process.wait();
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
        self.stop();
    }
}

/// Requests a link through the proxy, and checks that its token is in no log: over the port without TLS, while
/// Vestibule is stopped, and while a server in its place breaks off in the middle of an answer.
fn logs_no_link(proxy: &mut Proxy, plain: SocketAddr, mut harness: Harness) {
    const TOKEN: &str = "c0ffee7hat1snotforanylog";
    let path = format!("/verify/{TOKEN}");
    let status = |scheme: &str, port: u16| {
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert"])
            .arg(proxy.folder.path().join("cert.pem"))
            .args(["--max-time", "60", "--resolve"])
            .arg(format!("{HOST}:{port}:127.0.0.1"))
            .arg(format!("{scheme}://{HOST}:{port}{path}"))
            .output()
            .expect("curl is installed by tests/run");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let redirected = status("http", plain.port());
    assert!(["301", "308"].contains(&&*redirected), "{redirected}");
    let upstream = harness.http;
    harness.kill();
    assert_eq!(status("https", proxy.port.address.port()), "502");

    let broken = TcpListener::bind(upstream).expect("the port of the stopped daemon");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = broken.accept().expect("a connection");
        let mut request = [0; 4096];
        assert!(stream.read(&mut request).expect("a request") > 0);
        let part = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\npart";
        stream.write_all(part).expect("sent");
    });
    status("https", proxy.port.address.port());
    answering.join().expect("a request came");

    proxy.stop();
    let mut read = 0;
    for name in ["output", "error.log", "error-of-site.log", "access.log"] {
        if let Ok(text) = fs::read_to_string(proxy.folder.path().join(name)) {
            assert!(!text.contains(TOKEN), "{name}: {text}");
            read += 1;
        }
    }
    assert!(read > 0);
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

/// Starts Vestibule at one port, behind the port of a proxy, as the install page says.
fn vestibule_behind(port: &Port, own: &Port) -> Harness {
    let url = format!("https://{HOST}:{}", port.address.port());
    let configuration = STANDARD
        .replace(
            "\nlisten = \"127.0.0.1:0\"",
            &format!("\nlisten = \"{}\"", own.address),
        )
        .replace(
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
    let [port, plain, own] = [(); 3].map(|()| Port::reserve());
    let harness = vestibule_behind(&port, &own);
    let upstream = format!("proxy_pass http://{}", harness.http);
    let mut proxy = Proxy::start(port, |folder, port| {
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
                (
                    "/var/log/nginx/error.log",
                    &format!("{at}/error-of-site.log"),
                ),
            ],
        );
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};\n"))
            .concat();
        let main = format!(
            "user root;\npid {at}/pid;\ndaemon off;\nevents {{}}\nhttp {{\n\
             access_log {at}/access.log;\n{temporary}{site}\n}}\n"
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
    logs_no_link(&mut proxy, plain.address, harness);
}

#[test]
fn caddy_serves_the_public_pages_over_tls() {
    let [port, plain, own] = [(); 3].map(|()| Port::reserve());
    let harness = vestibule_behind(&port, &own);
    let upstream = format!("reverse_proxy {}", harness.http);
    let mut proxy = Proxy::start(port, |folder, port| {
        let at = folder.display();
        let site = shipped(
            "Caddyfile",
            &[
                (
                    "help.corp.example {",
                    &format!("https://{HOST}:{port} {{\n\ttls {at}/cert.pem {at}/key.pem"),
                ),
                ("reverse_proxy 127.0.0.1:8080", &upstream),
                (
                    "\tlog default {",
                    // A reserved `Port` cannot be shared with an HTTP/3 listener, which does not set SO_REUSEADDR.
                    &format!(
                        "\tadmin off\n\tdefault_bind 127.0.0.1\n\thttp_port {}\n\
                         \tservers {{\n\t\tprotocols h1 h2\n\t}}\n\tlog default {{",
                        plain.address.port()
                    ),
                ),
            ],
        );
        fs::write(folder.join("Caddyfile"), site).expect("a file");
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
    logs_no_link(&mut proxy, plain.address, harness);
}
