//! Tests of the addresses that a client remembers, because a session there did not become ready.

use tokio::sync::oneshot;

use super::*;

const HELLO: &str = "220 here\r\n";
const OK: &str = "250 ok\r\n";

/// The ports at which sessions did not become ready.
fn unready_ports(transport: &MailTransport) -> Vec<u16> {
    let Target::Smtp(server) = &transport.target else {
        panic!("{transport:?}");
    };
    let unready = server.addresses.unready();
    unready.iter().map(std::net::SocketAddr::port).collect()
}

#[tokio::test]
async fn an_address_is_remembered_if_it_is_not_ready_for_a_mail() {
    const OFFER: &str = "250-here\r\n250 STARTTLS\r\n";
    const NO_TLS: &[&str] = &[HELLO, OFFER, "454 4.7.0 TLS not available\r\n"];
    const CLOSED: &[&str] = &[""];
    const BUSY: &[&str] = &["421 later\r\n"];
    const DEFERRED: &[&str] = &[HELLO, OK, "451 later\r\n"];
    const ACCEPTED: &[&str] = &[HELLO, OK, OK, OK, "354 go\r\n", OK];
    for (security, scripts, is_unready) in [
        (SmtpSecurity::None, vec![CLOSED], true),
        (SmtpSecurity::None, vec![BUSY], true),
        (SmtpSecurity::StartTls, vec![NO_TLS], true),
        // Plain text will do.
        (SmtpSecurity::Opportunistic, vec![NO_TLS, ACCEPTED], false),
        (SmtpSecurity::None, vec![DEFERRED], false),
        (SmtpSecurity::None, vec![ACCEPTED], false),
    ] {
        let shown = format!("{security:?}: {scripts:?}");
        let port = scripted_connections(scripts);
        let transport = post(port, security, true);
        transport.send(&mail("ann@corp.example")).await;
        let unready = unready_ports(&transport);
        assert_eq!(unready.contains(&port), is_unready, "{shown}");
    }
}

/// The time limit of a mail ends it without an error of the session.
#[tokio::test]
async fn an_address_that_stalls_is_remembered() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (stalls, stalled) = oneshot::channel();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        // Returns at EHLO.
        speak(&stream, &[HELLO]);
        stalls.send(stream).expect("a test that waits");
    });
    let transport = post(port, SmtpSecurity::None, true);
    let mail = mail("ann@corp.example");
    tokio::select! {
        early = transport.send(&mail) => panic!("{early:?}"),
        _ = stalled => {}
    }
    assert_eq!(unready_ports(&transport), [port]);
}
