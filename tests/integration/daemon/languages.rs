//! The language and the time zone of mail and pages, through SMTP and HTTP.

use crate::support::client::{Smtp, http, message};
use crate::support::harness::{Harness, STANDARD, wait_for};

/// Three portals, and a limit of mail that is high enough for one address.
fn configuration(site: &str) -> String {
    let portal = |name: &str, more: &str| {
        format!(
            "[[portal]]\nname = \"{name}\"\naddresses = [\"{name}@corp.example\"]\n\
             destination = \"desk\"\n{more}\n\n"
        )
    };
    STANDARD
        .replace("[smtp]", &format!("[site]\n{site}\n\n[smtp]"))
        .replace(
            "[destination.desk]",
            &format!(
                "{}{}[destination.desk]",
                portal("hr", "language = \"pl\""),
                portal("press", "from = \"Press <press-desk@corp.example>\"")
            ),
        )
        .replace(
            "[outgoing]",
            "reply_address = \"confirm@corp.example\"\n\n[verification.limits]\n\
             per_address_hour = 9\nper_address_day = 9\n\n[outgoing]",
        )
}

fn send(harness: &Harness, from: &str, to: &str, fields: &str) {
    let marker = from.replace('@', "-");
    let raw = String::from_utf8(message(from, &marker)).expect("UTF-8");
    let raw = raw.replacen("Subject:", &format!("{fields}Subject:"), 1);
    let reply = Smtp::connect(harness.smtp)
        .and_then(|mut client| client.send(from, to, raw.as_bytes()))
        .expect("an answer");
    assert!(reply.starts_with("250"), "{reply}");
}

/// The mails to an address, oldest first, once there are `count`.
fn verification_mails(harness: &Harness, address: &str, count: usize) -> Vec<String> {
    wait_for(&format!("{count} mails to {address}"), || {
        let found: Vec<_> = harness
            .verification_mails()
            .into_iter()
            .filter(|verification_mail| {
                verification_mail.contains(&format!("\r\nTo: {address}\r\n"))
            })
            .collect();
        (found.len() >= count).then_some(found)
    })
}

fn field<'a>(verification_mail: &'a str, name: &str) -> &'a str {
    let prefix = format!("{name}: ");
    verification_mail
        .lines()
        .find_map(|line| line.strip_prefix(&prefix))
        .unwrap_or_else(|| panic!("no {name} in {verification_mail}"))
}

#[test]
fn the_message_then_the_portal_then_the_site_decide() {
    let harness = Harness::start(&configuration("language = \"de\""));
    let long = format!("Accept-Language: {}\r\n", "fr,".repeat(100));
    for (name, to, fields, expected) in [
        ("a", "it-help", "Content-Language: fr-CA\r\n", "fr"),
        (
            "b",
            "it-help",
            "Accept-Language: eo, ja;q=0.5, es;q=0.8\r\n",
            "es",
        ),
        (
            "c",
            "it-help",
            "Accept-Language: es\r\nContent-Language: zh-CN\r\n",
            "zh-Hans",
        ),
        ("d", "hr", "Content-Language: ar-EG\r\n", "ar"),
        ("e", "hr", "", "pl"),
        ("f", "it-help", "", "de"),
        ("g", "it-help", "Content-Language: zh-TW\r\n", "de"),
        (
            "h",
            "it-help",
            "Content-Language: \"../../x\", <b>, *\r\n",
            "de",
        ),
        ("i", "it-help", &long, "fr"),
        ("j", "press", "Content-Language: pt-PT\r\n", "pt-BR"),
    ] {
        let from = format!("{name}@corp.example");
        send(&harness, &from, &format!("{to}@corp.example"), fields);
        let verification_mail = verification_mails(&harness, &from, 1).remove(0);
        assert_eq!(
            field(&verification_mail, "Content-Language"),
            expected,
            "{fields:.80}"
        );
        let parsed = mail_parser::MessageParser::default();
        let parsed = parsed.parse(verification_mail.as_bytes()).expect("a mail");
        let html = parsed.body_html(0).expect("an HTML part");
        let dir = if expected == "ar" { "rtl" } else { "ltr" };
        assert!(
            html.contains(&format!("<html lang=\"{expected}\" dir=\"{dir}\">")),
            "{html}"
        );
    }
    let press = verification_mails(&harness, "j@corp.example", 1).remove(0);
    assert!(
        field(&press, "From").contains("press-desk@corp.example"),
        "{press}"
    );
}

#[test]
fn an_answer_confirms_with_the_word_of_its_mail_and_of_no_other() {
    let harness = Harness::start(&configuration(""));
    let answer = |word: &str, to: &str, id: &str| {
        let raw = format!(
            "From: ann@corp.example\r\nTo: {to}\r\nSubject: Re\r\nMessage-ID: <{id}@x.example>\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\r\n{word}\r\n"
        );
        Smtp::connect(harness.smtp)
            .and_then(|mut client| client.send("ann@corp.example", to, raw.as_bytes()))
            .expect("an answer")
    };
    let status = || {
        let customer = &harness.json(&["customers", "show", "ann@corp.example"])[0];
        customer["status"].as_str().expect("a status").to_owned()
    };
    send(
        &harness,
        "ann@corp.example",
        "it-help@corp.example",
        "Content-Language: es\r\n",
    );
    let verification_mail = verification_mails(&harness, "ann@corp.example", 1).remove(0);
    let confirm = field(&verification_mail, "Reply-To")
        .trim_matches(['<', '>'])
        .to_owned();
    for (place, word) in ["ja", "oui", "はい", "no", "sí claro"].iter().enumerate() {
        let reply = answer(word, &confirm, &format!("wrong-{place}"));
        assert!(reply.starts_with("250"), "{reply}");
        assert_eq!(status(), "pending", "{word}");
    }
    let reply = answer("Si.", &confirm, "right");
    assert!(reply.starts_with("250"), "{reply}");
    assert_eq!(status(), "active");
}

#[test]
fn the_language_that_a_form_chooses_is_stored_and_a_page_stores_none() {
    let harness = Harness::start(&configuration("language = \"it\""));
    let ann = "ann@corp.example";
    send(
        &harness,
        ann,
        "it-help@corp.example",
        "Content-Language: nl\r\n",
    );
    let first = verification_mails(&harness, ann, 1).remove(0);
    assert_eq!(field(&first, "Content-Language"), "nl");
    let link = harness.link_for(ann);
    let get = |path: &str| http(harness.http, "GET", path, &[]).1;
    let shown = get(&format!("{link}?lang=cs"));
    assert!(shown.contains("<html lang=\"cs\" dir=\"ltr\">"), "{shown}");
    assert!(
        get(&link).contains("<html lang=\"it\""),
        "viewing a page stores nothing"
    );
    for nonsense in [
        "xx",
        "../../etc/passwd",
        "cs\r\nSet-Cookie: a=b",
        &"cs-".repeat(9000),
    ] {
        let (status, page) = http(
            harness.http,
            "POST",
            &link,
            &[("action", "language"), ("lang", nonsense)],
        );
        assert_eq!(status, 303, "{page}");
        assert!(!page.to_lowercase().contains("set-cookie"), "{page}");
    }
    assert!(
        get(&link).contains("<html lang=\"it\""),
        "an unknown language is not stored"
    );

    let (status, page) = http(
        harness.http,
        "POST",
        &link,
        &[("action", "language"), ("lang", "sv")],
    );
    assert_eq!(status, 303, "{page}");
    assert!(get(&link).contains("<html lang=\"sv\""), "it is remembered");
    assert!(
        get(&format!("{link}?lang=ja")).contains("<html lang=\"ja\""),
        "the address says another"
    );

    // Someone who only knows the address cannot change the language.
    let form = [("email", ann)];
    let (status, page) = http(harness.http, "POST", "/resend?lang=ja", &form);
    assert_eq!(status, 200);
    assert!(page.contains("<html lang=\"ja\""), "{page}");
    let second = verification_mails(&harness, ann, 2).remove(1);
    assert_eq!(field(&second, "Content-Language"), "sv");

    // The language of a sign-up applies to its own mail; a browser's language counts as a message's.
    let (status, _) = http(
        harness.http,
        "POST",
        "/signup?lang=pt-BR",
        &[("email", "bob@corp.example"), ("portal", "it")],
    );
    assert_eq!(status, 200);
    let verification_mail = verification_mails(&harness, "bob@corp.example", 1).remove(0);
    assert_eq!(field(&verification_mail, "Content-Language"), "pt-BR");
    let unknown = http(
        harness.http,
        "POST",
        "/verify/x",
        &[("action", "language"), ("lang", "sv")],
    );
    assert_eq!(unknown.0, 404);
}

#[test]
fn dates_are_in_the_zone_of_the_site_and_json_is_in_utc() {
    for (site, machine, name) in [
        ("", "Asia/Tokyo", " JST"),
        ("", "America/Sao_Paulo", " UTC-03:00"),
        ("time_zone = \"Asia/Kolkata\"", "Asia/Tokyo", " IST"),
        ("time_zone = \"Etc/UTC\"", "Asia/Tokyo", " UTC"),
    ] {
        let mut harness = Harness::at_rest(&configuration(site));
        assert!(
            harness.restart_with(&[("TZ", machine)]),
            "{}",
            harness.log()
        );
        let ann = "ann@corp.example";
        send(&harness, ann, "it-help@corp.example", "");
        let link = harness.link_for(ann);
        let shown = http(harness.http, "GET", &link, &[]).1;
        let time = shown.split("</time>").next().expect("a page");
        // No line of a page breaks between a time and its zone.
        let unbroken = name.replace(' ', "\u{a0}");
        assert!(time.ends_with(&unbroken), "{site} {machine}: {shown}");
        let verification_mail = verification_mails(&harness, ann, 1).remove(0);
        let parsed = mail_parser::MessageParser::default();
        let parsed = parsed.parse(verification_mail.as_bytes()).expect("a mail");
        let text = parsed.body_text(0).expect("a text").replace("\r\n", " ");
        assert!(
            text.contains(&format!("{name}.")),
            "{site} {machine}: {text}"
        );
        let request = &harness.json(&["requests", "list"])[0];
        let at = request["received_at"].as_str().expect("a time");
        assert!(at.ends_with('Z'), "{at}");
    }
}
