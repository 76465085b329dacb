use super::*;
use crate::domain::{ForwardedClient, ReversePath};

fn hop(text: &str) -> Hop {
    Hop::of(text.as_bytes())
}

fn from(address: &str, helo: &str) -> Hop {
    Hop::From {
        address: address.parse().expect("an address"),
        helo: helo.to_owned(),
    }
}

#[test]
fn the_client_is_found_in_the_format_of_each_mta() {
    for (text, expected) in [
        (
            " from mail.evil.example (mail.evil.example [203.0.113.9])\r\n\tby mx.corp.example (Postfix) with ESMTPS id 1",
            from("203.0.113.9", "mail.evil.example"),
        ),
        (
            "from x (unknown [IPv6:2001:db8::9]) (using TLSv1.3) by mx (Postfix)",
            from("2001:db8::9", "x"),
        ),
        (
            "from mail.evil.example ([203.0.113.9]) by mx.corp.example with esmtp (Exim 4.96)",
            from("203.0.113.9", "mail.evil.example"),
        ),
        (
            "from mail.evil.example ([203.0.113.9]:2525 helo=other.example) by mx",
            from("203.0.113.9", "other.example"),
        ),
        (
            "from [203.0.113.9] (helo=other.example) by mx with esmtp (Exim 4.96)",
            from("203.0.113.9", "other.example"),
        ),
        (
            "from [203.0.113.9]\r\n\tby mx.corp.example with smtp (Exim 4.96)\r\n\tid 1",
            from("203.0.113.9", "[203.0.113.9]"),
        ),
        (
            "from [2001:db8::9] (port=2525) by mx with esmtps (TLS1.3) tls X (Exim 4.96)",
            from("2001:db8::9", "[2001:db8::9]"),
        ),
        (
            "from EX1.evil.example (203.0.113.9) by EX2 (10.0.0.2) with Microsoft SMTP Server",
            from("203.0.113.9", "EX1.evil.example"),
        ),
        (
            "from unknown (HELO evil.example) (203.0.113.9)\r\n  by mx with SMTP; 1 Jan",
            from("203.0.113.9", "unknown"),
        ),
        (
            "from evil.example (may be forged [203.0.113.9] (ident x)) by mx (8.17)",
            from("203.0.113.9", "evil.example"),
        ),
        (
            "FROM a ([::ffff:203.0.113.9]) by mx",
            from("203.0.113.9", "a"),
        ),
        ("from a ([fe80::1%4]) by a with mapi", from("fe80::1", "a")),
        (
            "by mx.corp.example (Postfix, from userid 1000) id 1",
            Hop::Within,
        ),
        ("(qmail 1234 invoked by uid 89); 1 Jan 2026", Hop::Within),
        (
            "from amavis by mx.corp.example with local (Exim 4.96)\r\n\t(envelope-from <a@evil.example>)\r\n\tid 1",
            Hop::Within,
        ),
        (
            "from Debian-exim by mx with spam-scanned (Exim 4.96) id 1 for it@corp.example",
            Hop::Within,
        ),
        (
            "from mail (helo=localhost)\r\n\tby mx with local-esmtp (Exim 4.96)\r\n\tid 1",
            Hop::Within,
        ),
        ("from by mx", Hop::Unreadable),
        ("from evil.example by mx.corp.example", Hop::Unreadable),
        ("from a (unknown [unknown]) by mx", Hop::Unreadable),
        ("from a (b [203.0.113.9", Hop::Unreadable),
        ("from", Hop::Within),
        ("", Hop::Within),
    ] {
        assert_eq!(hop(text), expected, "{text}");
    }
}

/// The client chooses its HELO name, and an MTA records it unchanged.
#[test]
fn the_helo_name_is_not_the_address_of_the_client() {
    for text in [
        "from [127.0.0.1] (evil.example [203.0.113.9]) by mx",
        "from [IPv6:::1] ([203.0.113.9]) by mx",
        "from evil.example ([203.0.113.9] helo=[127.0.0.1]) by mx",
        "from 127.0.0.1 (evil.example [203.0.113.9]) by mx ([127.0.0.1])",
    ] {
        assert!(
            matches!(hop(text), Hop::From { address, .. } if address.to_string() == "203.0.113.9"),
            "{text}"
        );
    }
    assert_eq!(hop("from [127.0.0.1] by mx"), Hop::Unreadable);
}

/// Exim writes the client's answer to an ident query (RFC 1413) as it is, and with `helo_accept_junk_hosts` its HELO
/// name.
#[test]
fn no_text_of_the_client_hides_its_address_from_exim() {
    for (clause, helo) in [
        ("[203.0.113.9] (ident=x [127.0.0.1])", "[203.0.113.9]"),
        ("[203.0.113.9] (ident=x) ([127.0.0.1])", "[203.0.113.9]"),
        ("[203.0.113.9] (port=2525 ident=127.0.0.1)", "[203.0.113.9]"),
        (
            "[203.0.113.9] (port=2525 helo=a.example ident=) ([127.0.0.1])",
            "a.example",
        ),
        ("[203.0.113.9] (helo=a [127.0.0.1])", "a"),
        (
            "m.example\r\n\t([203.0.113.9]:2525 helo=a.example ident=((x)",
            "a.example",
        ),
        ("m.example ([203.0.113.9] ident=()", "m.example"),
        ("m.example ([203.0.113.9] helo=()", "("),
    ] {
        let text = format!("from {clause}\r\n\tby mx with esmtp (Exim 4.96)\r\n\tid 1");
        assert_eq!(hop(&text), from("203.0.113.9", helo), "{text}");
    }
    // HELO names behind other MTAs.
    for text in [
        "from unknown (HELO helo=x) (203.0.113.9) by mx",
        "from unknown (helo=x) (203.0.113.9) by mx",
        "from [127.0.0.1](helo=x) (evil.example [203.0.113.9]) by mx",
    ] {
        assert!(
            matches!(hop(text), Hop::From { address, .. } if address.to_string() == "203.0.113.9"),
            "{text}"
        );
    }
}

/// A HELO name can imitate Exim's form for local mail, where an MTA writes it without a check.
#[test]
fn only_exim_itself_says_that_mail_is_local() {
    for text in [
        "from x by y with local (Exim 4.96) (evil.example [203.0.113.9]) by mx with SMTP id 1",
        "from x by y with local (Exim 4.96) id 1; by mx (Postfix)",
        "from x (helo=z) by y with local (Exim 4.96) by mx",
        "from [203.0.113.9]x by mx with local (Exim 4.96)",
        "from \"a b\" by mx with local (Exim 4.96)",
        "from x (y) by mx with local (Exim 4.96)",
        "from x by mx with local (Postfix)",
        "from x by mx (Exim 4.96) with local",
    ] {
        assert_eq!(hop(text), Hop::Unreadable, "{text}");
    }
    let exim = "from filter by mx with scanned (Exim 4.96) id 1";
    let found = find(None, &[exim, CLIENT, FORGED]);
    assert_eq!(outside(&found).as_deref(), Some("203.0.113.9"));
    assert_eq!(find(None, &[exim]), Client::Inside);
}

fn envelope(forwarded: Option<&str>) -> Envelope {
    Envelope {
        reverse_path: ReversePath::Null,
        recipients: Vec::new(),
        helo: "mx.corp.example".to_owned(),
        peer: Some(IpAddr::from([127, 0, 0, 1])),
        client: forwarded.map(|address| ForwardedClient {
            name: None,
            address: address.parse().ok(),
            helo: Some("said.example".to_owned()),
        }),
        tls: false,
        smtputf8: false,
    }
}

const OURS: &str = "10.0.0.0/8";
const FILTER: &str = "from localhost (localhost [127.0.0.1]) by mx";
const RELAY: &str = "from in.corp.example (in [10.1.2.3]) by mx";
const PIPE: &str = "by mx (Postfix, from userid 115)";
const CLIENT: &str = "from a.example (a [203.0.113.9]) by mx";
const FORGED: &str = "from b.example (b [198.51.100.7]) by a.example";

fn find(forwarded: Option<&str>, received: &[&str]) -> Client {
    client(
        &envelope(forwarded),
        received.iter().map(|value| value.as_bytes()),
        &[OURS.parse().expect("a network")],
    )
}

fn outside(client: &Client) -> Option<String> {
    match client {
        Client::Outside { address, .. } => Some(address.to_string()),
        Client::Inside | Client::Unreadable => None,
    }
}

#[test]
fn the_first_machine_that_is_not_ours_is_the_client() {
    for (forwarded, received, expected) in [
        (Some("192.0.2.1"), vec![CLIENT], Some("192.0.2.1")),
        (None, vec![CLIENT, FORGED], Some("203.0.113.9")),
        (None, vec![FILTER, CLIENT, FORGED], Some("203.0.113.9")),
        (None, vec![FILTER, RELAY, PIPE, CLIENT], Some("203.0.113.9")),
        (Some("127.0.0.1"), vec![FILTER, CLIENT], Some("203.0.113.9")),
        (Some("unavailable"), vec![PIPE], None),
        (None, vec![PIPE], None),
        (None, vec![], None),
        (None, vec![RELAY], None),
    ] {
        let found = find(forwarded, &received);
        assert_eq!(
            outside(&found).as_deref(),
            expected,
            "{forwarded:?} {received:?}"
        );
    }
    assert_eq!(find(None, &[PIPE]), Client::Inside);
    // Below an unreadable field, nothing tells which machine wrote the next one.
    assert_eq!(find(None, &["from a by mx", CLIENT]), Client::Unreadable);
}

#[test]
fn the_helo_name_comes_with_the_client() {
    assert_eq!(
        find(Some("192.0.2.1"), &[CLIENT]),
        Client::Outside {
            address: IpAddr::from([192, 0, 2, 1]),
            helo: Some("said.example".to_owned()),
            source: "XFORWARD",
        }
    );
    assert!(matches!(
        find(None, &[CLIENT]),
        Client::Outside { helo: Some(helo), source: "Received", .. } if helo == "a.example"
    ));
}
