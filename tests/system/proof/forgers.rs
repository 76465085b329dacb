//! Mail in other people's names: the victims are not flooded with verification mail, none of the forger's
//! text reaches them, and a restart does not reset the limits.

use std::collections::BTreeSet;

use mail_parser::MessageParser;

use super::rounds;
use super::rows::Rows;
use crate::support::client::{Smtp, http};
use crate::support::harness::{Harness, STANDARD, wait_for};

/// Text that only the forger uses.
const FORGED: &str = "CHEAP-PILLS";

const PER_DOMAIN: usize = 40;
const IN_TOTAL: usize = 60;

/// Three fifths: one is reserved for the pages, and one for senders whose domain vouches for them.
const FORGED_PER_DOMAIN: usize = PER_DOMAIN * 3 / 5;
const FORGED_IN_TOTAL: usize = IN_TOTAL * 3 / 5;

fn harness() -> Harness {
    let limits = format!(
        "\n[verification.limits]\nper_domain_hour = {PER_DOMAIN}\ntotal_hour = {IN_TOTAL}\n\
         sign_up_per_client_hour = 2\n\n\
         [authentication]\nmode = \"report\"\nauthserv_id = \"mx.corp.example\"\n\n[outgoing]"
    );
    let domains = "approved_domains = [\"corp.example\", \"branch.example\", \"third.example\"]";
    let configuration = STANDARD
        .replace("\n[outgoing]", &limits)
        .replace("approved_domains = [\"corp.example\"]", domains);
    Harness::start(&configuration)
}

/// Sends a forged message for each author, over a few connections.
fn forge(harness: &Harness, authors: &[String], round: usize) {
    let parts: Vec<_> = authors
        .chunks(authors.len().div_ceil(4))
        .map(<[_]>::to_vec)
        .collect();
    let threads: Vec<_> = parts
        .into_iter()
        .enumerate()
        .map(|(part, authors)| {
            let address = harness.smtp;
            std::thread::spawn(move || {
                let mut smtp = Smtp::connect(address).expect("a connection");
                for (number, author) in authors.iter().enumerate() {
                    let message = forged(author, &format!("{round}.{part}.{number}"));
                    let reply = smtp.send("eve@evil.example", "it-help@corp.example", &message);
                    let reply = reply.expect("an answer");
                    assert!(reply.starts_with("250"), "{reply}");
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().expect("taken");
    }
}

/// A message with the forger's text wherever a sender can write, and attempts to inject fields into the
/// verification mail.
fn forged(author: &str, id: &str) -> Vec<u8> {
    format!(
        "From: =?utf-8?q?{FORGED}?= <{author}>\r\n\
         Reply-To: {FORGED}@evil.example\r\n\
         To: {FORGED} <it-help@corp.example>\r\n\
         Subject: =?utf-8?q?{FORGED}=0D=0ABcc:_third@evil.example=0D=0A=0D=0A{FORGED}?=\r\n\
         Message-ID: <{id}@client.example>\r\n\
         X-Vestibule-Account: {FORGED}\r\n\
         List-Unsubscribe-Post: {FORGED}\r\n\
         \r\n\
         {FORGED}\r\n"
    )
    .into_bytes()
}

/// Waits until all mail within the limits was sent, and returns it.
fn verification_mails(harness: &Harness) -> Vec<String> {
    wait_for("no verification mail to be due", || {
        let due = "SELECT count(*) FROM letter WHERE state = 'claimed'
             OR (state = 'waiting' AND due_at <= unixepoch('subsec') * 1000)";
        (Rows::of(harness).number(due) == 0).then_some(())
    });
    harness.verification_mails()
}

/// Checks that no mail contains text of the forger, in any encoding, and that each goes to one person.
fn check(verification_mails: &[String]) {
    for verification_mail in verification_mails {
        let mail = MessageParser::default()
            .parse(verification_mail)
            .expect("a verification mail");
        let mut said = String::new();
        for (name, value) in mail.headers_raw() {
            said += name;
            said += value;
        }
        for part in 0..mail.text_body_count() {
            said += &mail.body_text(part).unwrap_or_default();
        }
        for part in 0..mail.html_body_count() {
            said += &mail.body_html(part).unwrap_or_default();
        }
        // `Bcc:` with its colon: three letters alone occur in some of the random links.
        for word in [FORGED, "evil.example", "Bcc:"] {
            assert!(
                !said.contains(word) && !verification_mail.contains(word),
                "{word} in {verification_mail}"
            );
        }
        assert_eq!(
            verification_mail.matches("\nTo: ").count(),
            1,
            "{verification_mail}"
        );
        let to = mail.to().expect("a recipient");
        assert_eq!(to.iter().count(), 1, "{verification_mail}");
    }
}

#[test]
fn a_victim_gets_one_mail_for_a_thousand_forgeries() {
    let mut harness = harness();
    let messages = rounds(300, 1000);
    // Subaddresses and letter case do not make a different mailbox.
    let authors: Vec<_> = (0..messages)
        .map(|number| match number % 3 {
            0 => "victim@corp.example".to_owned(),
            1 => format!("victim+{number}@corp.example"),
            _ => "VICTIM@Corp.Example".to_owned(),
        })
        .collect();
    forge(&harness, &authors, 0);
    check(&verification_mails(&harness));
    assert_eq!(verification_mails(&harness).len(), 1);
    harness.restart();
    forge(&harness, &authors[..30], 1);
    for _ in 0..5 {
        http(
            harness.http,
            "POST",
            "/resend",
            &[("email", "victim@corp.example")],
        );
        http(
            harness.http,
            "POST",
            "/signup",
            &[("email", "victim%2Bx@corp.example")],
        );
    }
    assert_eq!(
        verification_mails(&harness).len(),
        1,
        "neither a restart nor a form makes another"
    );
    assert!(harness.delivered().is_empty());
}

#[test]
fn many_forged_authors_make_no_more_mail_than_the_limits_allow() {
    let mut harness = harness();
    let authors = |from: usize, domain: &str| -> Vec<String> {
        let range = from..from + rounds(300, 4000);
        range
            .map(|number| format!("person{number}@{domain}"))
            .collect()
    };
    forge(&harness, &authors(0, "corp.example"), 0);
    let sent = verification_mails(&harness);
    check(&sent);
    assert_eq!(sent.len(), FORGED_PER_DOMAIN, "the limit of a domain");

    harness.restart();
    forge(&harness, &authors(100_000, "corp.example"), 1);
    assert_eq!(
        verification_mails(&harness).len(),
        FORGED_PER_DOMAIN,
        "a restart forgets nothing"
    );
    forge(&harness, &authors(0, "branch.example"), 2);
    forge(&harness, &authors(0, "third.example"), 3);
    let sent = verification_mails(&harness);
    check(&sent);
    assert_eq!(sent.len(), FORGED_IN_TOTAL, "the overall limit");
    let people: BTreeSet<_> = sent
        .iter()
        .map(|verification_mail| super::load::recipient(verification_mail))
        .collect();
    assert_eq!(people.len(), FORGED_IN_TOTAL, "one each");
    assert!(harness.delivered().is_empty(), "nothing passed");

    // An operator sees it in the statistics.
    let stats = harness.json(&["stats"]).remove(0);
    let domains = stats["held_domains"].as_array().expect("a ranking");
    assert_eq!(domains[0]["domain"], "corp.example", "{stats}");
    assert_eq!(domains[0]["people"], 2 * rounds(300, 4000), "{stats}");
}

#[test]
fn forgeries_and_sign_ups_of_one_peer_do_not_keep_others_from_their_mail() {
    let harness = harness();
    let authors: Vec<_> = (0..rounds(300, 2000))
        .map(|number| format!("person{number}@corp.example"))
        .collect();
    forge(&harness, &authors, 0);
    assert_eq!(verification_mails(&harness).len(), FORGED_PER_DOMAIN);

    // One client signs up this many addresses; another is still served.
    for number in 0..10 {
        let who = format!("many{number}@branch.example");
        http(harness.http, "POST", "/signup", &[("email", &who)]);
    }
    wait_for("the accounts of those who signed up", || {
        let signed_up = "SELECT count(*) FROM account WHERE domain = 'branch.example'";
        (Rows::of(&harness).number(signed_up) == 10).then_some(())
    });
    assert_eq!(verification_mails(&harness).len(), FORGED_PER_DOMAIN + 2);

    let mut smtp = Smtp::connect(harness.smtp).expect("a connection");
    let real = b"Authentication-Results: mx.corp.example; dmarc=pass header.from=corp.example\r\n\
        From: Ann <ann@corp.example>\r\nMessage-ID: <real@corp.example>\r\n\
        Subject: Help\r\n\r\nHelp!\r\n";
    let reply = smtp.send("ann@corp.example", "it-help@corp.example", real);
    assert!(reply.expect("an answer").starts_with("250"));
    let sent = verification_mails(&harness);
    assert_eq!(sent.len(), FORGED_PER_DOMAIN + 3);
    assert!(
        sent.iter().any(
            |verification_mail| super::load::recipient(verification_mail) == "ann@corp.example"
        ),
        "an authenticated sender does not wait for the forgers"
    );
}
