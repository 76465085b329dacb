//! "This was not me" and its withdrawal; and addresses that our mail cannot reach. No page promises a mail
//! that is not sent.

use crate::support::client::{Smtp, http, message, send};
use crate::support::harness::{Harness, STANDARD, link_in, wait_for};

/// A configuration with high limits of mail.
fn harness(more: &str) -> Harness {
    let limits = "limits.per_address_hour = 100\nlimits.per_address_day = 100\n";
    let verification = format!("[verification]\n{limits}{more}");
    Harness::start(&STANDARD.replacen("[verification]\n", &verification, 1))
}

fn run(harness: &Harness, arguments: &[&str]) -> (i32, String) {
    let output = harness.command(arguments).output().expect("it runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code().expect("a status"), said)
}

/// Waits until the daemon has handled all earlier forms: a mail that was queued later has been sent.
fn wait_for_mail_to(harness: &Harness, who: &str) {
    send(
        harness.smtp,
        who,
        &format!("from-{}", who.split('@').next().unwrap_or_default()),
    );
    harness.link_for(who);
}

/// Sends a message of Ann's, and presses "This was not me" on the page of its link, which is returned.
fn refuse(harness: &Harness, marker: &str) -> String {
    send(harness.smtp, "ann@corp.example", marker);
    let link = harness.link_for("ann@corp.example");
    http(harness.http, "POST", &link, &[("action", "not-me")]);
    link
}

/// The output of `customers show` and of `explain` about Ann.
fn describe(harness: &Harness) -> [String; 2] {
    [&["customers", "show"][..], &["explain"]]
        .map(|command| run(harness, &[command, &["ann@corp.example"]].concat()).1)
}

/// The id of the newest request.
fn request_id(harness: &Harness) -> String {
    let request = &harness.json(&["requests", "list"])[0];
    request["id"].as_str().expect("an id").to_owned()
}

/// Confirms with one message ticked, through its link.
fn confirm(harness: &Harness, link: &str, request: &str) -> (u16, String) {
    let form = [
        ("action", "confirm"),
        ("shown", request),
        ("request", request),
    ];
    http(harness.http, "POST", link, &form)
}

#[test]
fn this_was_not_me_by_mistake_is_taken_back_by_the_person_alone() {
    let harness = harness("");
    send(harness.smtp, "ann@corp.example", "mine");
    let link = harness.link_for("ann@corp.example");
    let (status, page) = http(harness.http, "POST", &link, &[("action", "not-me")]);
    assert!(
        status == 200 && page.contains("you can undo it until"),
        "{page}"
    );

    // An operator sees the end and the reason, and cannot withdraw it.
    let ann = &harness.json(&["customers", "show", "ann@corp.example"])[0];
    assert!(
        ann["quiet_until"].is_string() && ann["refused_at"].is_string(),
        "{ann}"
    );
    for said in describe(&harness) {
        assert!(
            said.contains("the person pressed \"This was not me\""),
            "{said}"
        );
    }
    let request = request_id(&harness);
    let (status, said) = run(&harness, &["requests", "release", &request]);
    assert!(
        status == 1 && said.contains("only they can undo that"),
        "{said}"
    );

    // A scanner withdraws nothing, whatever it requests.
    for method in ["GET", "HEAD", "GET"] {
        for path in [link.clone(), format!("{link}?action=take-back")] {
            http(harness.http, method, &path, &[]);
        }
    }
    assert_eq!(harness.json(&["requests", "list"])[0]["state"], "discarded");
    let (_, page) = http(harness.http, "POST", &link, &[("action", "confirm")]);
    assert!(page.contains("you can undo it until"), "{page}");

    let (status, page) = http(harness.http, "POST", &link, &[("action", "take-back")]);
    assert_eq!(status, 200, "{page}");
    assert!(
        page.contains("was undone") && page.contains("About mine"),
        "{page}"
    );
    assert_eq!(harness.json(&["requests", "list"])[0]["state"], "held");
    let (status, page) = http(harness.http, "POST", &link, &[("action", "take-back")]);
    assert!(status == 200 && page.contains("About mine"), "{page}");
    let (status, _) = http(harness.http, "POST", &link, &[("action", "confirm")]);
    assert_eq!(status, 200);
    wait_for("the delivery", || harness.delivered().pop());
    let (status, page) = http(harness.http, "POST", &link, &[("action", "take-back")]);
    assert!(
        status == 200 && page.contains("already confirmed"),
        "{page}"
    );
    wait_for("the event in the log", || {
        harness
            .log()
            .contains("verification.taken_back")
            .then_some(())
    });
}

#[test]
fn a_link_requested_after_not_me_is_one_mail_that_withdraws_it() {
    let harness = harness("");
    let old = refuse(&harness, "mine");
    // A forger's next message has no effect: it causes no mail, and ends nothing.
    send(harness.smtp, "ann@corp.example", "forged");
    wait_for_mail_to(&harness, "bea@corp.example");
    assert_eq!(harness.verification_mails().len(), 2);

    let form = [("email", "ann@corp.example")];
    for path in ["/resend", "/signup", "/resend"] {
        let (status, page) = http(harness.http, "POST", path, &form);
        assert_eq!(status, 200, "{page}");
        assert!(page.contains("can receive our mail"), "{page}");
        assert!(
            !page.contains("on its way") && !page.contains("have sent"),
            "{page}"
        );
    }
    let verification_mail = wait_for("the one mail", || {
        let verification_mails = harness.verification_mails();
        let mut found = verification_mails
            .into_iter()
            .filter(|text| text.contains("To: ann@"));
        found.find(|text| link_in(text).is_some_and(|link| link != old))
    });
    let told = mail_parser::MessageParser::default();
    let told = told.parse(verification_mail.as_bytes()).expect("a mail");
    let text = told.body_text(0).expect("a text").replace("\r\n", " ");
    assert!(text.contains("\"This was not me\" was pressed"), "{text}");
    wait_for_mail_to(&harness, "cat@corp.example");
    assert_eq!(
        harness.verification_mails().len(),
        4,
        "one mail, however often it is requested"
    );

    let link = link_in(&verification_mail).expect("a link");
    let (_, page) = http(harness.http, "POST", &link, &[("action", "take-back")]);
    assert!(
        page.contains("About mine") && page.contains("About forged"),
        "{page}"
    );
}

#[test]
fn an_operator_reads_how_the_person_can_undo_the_objection() {
    let harness = harness("");
    let _ = refuse(&harness, "mine");
    let shown = || run(&harness, &["customers", "show", "ann@corp.example"]).1;
    let said = shown();
    assert!(
        said.contains("withdraw that through their link until")
            && said.contains("or request one mail with a new link at /resend"),
        "{said}"
    );
    let form = [("email", "ann@corp.example")];
    http(harness.http, "POST", "/resend", &form);
    wait_for("the one mail", || {
        (harness.verification_mails().len() == 2).then_some(())
    });
    let said = shown();
    assert!(
        said.contains("withdraw that through their link until") && !said.contains("/resend"),
        "{said}"
    );

    // Nothing works while the account is blocked, and the failed action warns of no effect.
    let (status, said) = run(&harness, &["customers", "block", "ann@corp.example"]);
    assert_eq!(status, 0, "{said}");
    let said = shown();
    assert!(
        said.contains("while the account is blocked, their link does not open")
            && !said.contains("their link until"),
        "{said}"
    );
    let (status, said) = run(&harness, &["customers", "resend", "ann@corp.example"]);
    assert!(
        status == 1 && said.contains("is blocked") && !said.contains("asked for no more mail"),
        "{said}"
    );
    let request = request_id(&harness);
    let (status, said) = run(&harness, &["requests", "release", &request]);
    assert!(
        status == 1 && said.contains("once the account is unblocked") && !said.contains("resend"),
        "{said}"
    );
}

#[test]
fn a_message_that_passes_dmarc_ends_the_quiet_time() {
    let authentication = "\n[authentication]\nauthserv_id = \"mx.corp.example\"\n";
    let configuration = format!("{STANDARD}{authentication}");
    let limits = "[verification]\nlimits.per_address_hour = 100\nlimits.per_address_day = 100\n";
    let harness = Harness::start(&configuration.replacen("[verification]\n", limits, 1));
    refuse(&harness, "forged");
    let quiet = || {
        let ann = harness
            .json(&["customers", "show", "ann@corp.example"])
            .remove(0);
        ann["quiet_until"].is_string()
    };
    assert!(quiet());
    let results =
        "Authentication-Results: mx.corp.example; dmarc=pass header.from=corp.example\r\n";
    let mine = [results.as_bytes(), &message("ann@corp.example", "mine")].concat();
    let mut smtp = Smtp::connect(harness.smtp).expect("connected");
    let sent = smtp.send("ann@corp.example", "it-help@corp.example", &mine);
    assert!(sent.expect("an answer").starts_with("250"));
    assert!(!quiet());
    wait_for("a mail again", || {
        (harness.verification_mails().len() == 2).then_some(())
    });
}

#[test]
fn unreachable_accounts_are_listed_and_promised_no_mail() {
    let harness = harness("return_address = \"bounces@corp.example\"\n");
    send(harness.smtp, "ann@corp.example", "first");
    harness.link_for("ann@corp.example");
    let verification_mail = &harness.verification_mails()[0];
    let id = verification_mail
        .split("Message-ID: <")
        .nth(1)
        .and_then(|rest| rest.split('>').next())
        .expect("a Message-ID");
    let name = id.split('@').next().expect("an id");
    let report = format!(
        "From: mailer-daemon@mx.example\r\nTo: bounces+{name}@corp.example\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n\
         --x\r\n\r\nIt did not arrive.\r\n--x\r\nContent-Type: message/delivery-status\r\n\r\n\
         Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; ann@corp.example\r\n\
         Action: failed\r\nStatus: 5.1.1\r\n\r\n--x\r\nContent-Type: text/rfc822-headers\r\n\r\n\
         Message-ID: <{id}>\r\n\r\n--x--\r\n"
    );
    let mut smtp = Smtp::connect(harness.smtp).expect("connected");
    let sent = smtp.send(
        "",
        &format!("bounces+{name}@corp.example"),
        report.as_bytes(),
    );
    assert!(sent.expect("an answer").starts_with("250"));
    let listed = harness.json(&["customers", "list", "--undeliverable"]);
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(listed[0]["address"], "ann@corp.example");
    assert_eq!(harness.json(&["stats"])[0]["undeliverable"], 1);
    for path in ["/resend", "/signup"] {
        let form = [("email", "ann@corp.example")];
        let (status, page) = http(harness.http, "POST", path, &form);
        assert_eq!(status, 200, "{page}");
        assert!(page.contains("can receive our mail"), "{page}");
        assert!(page.contains("Still no mail?"), "{page}");
    }
    wait_for_mail_to(&harness, "bea@corp.example");
    assert_eq!(harness.verification_mails().len(), 2, "none to ann");
    harness.json(&["customers", "resend", "ann@corp.example"]);
    wait_for("a mail again", || {
        (harness.verification_mails().len() == 3).then_some(())
    });
    assert!(
        harness
            .json(&["customers", "list", "--undeliverable"])
            .is_empty()
    );
}

#[test]
fn a_link_that_is_sent_later_offers_what_was_discarded() {
    let harness = harness("");
    let old = refuse(&harness, "mine");
    let (status, said) = run(&harness, &["customers", "resend", "ann@corp.example"]);
    assert_eq!(status, 0, "{said}");
    assert!(said.contains("asked for no more mail until"), "{said}");
    let (_, said) = run(&harness, &["customers", "resend", "ann@corp.example"]);
    assert!(!said.contains("asked for no more mail"), "{said}");
    let new = wait_for("a new link", || {
        Some(harness.link_for("ann@corp.example")).filter(|link| *link != old)
    });
    let (_, page) = http(harness.http, "GET", &new, &[]);
    assert!(
        page.contains("Discarded earlier with “This was not me”") && page.contains("About mine"),
        "{page}"
    );
    assert!(!page.contains(" checked"), "{page}");
    let request = request_id(&harness);
    let (status, page) = confirm(&harness, &new, &request);
    assert!(status == 200 && page.contains("About mine"), "{page}");
    wait_for("the delivery", || {
        (!harness.delivered().is_empty()).then_some(())
    });
}

#[test]
fn a_message_that_was_refused_waits_for_its_person_after_an_operator_verified_the_address() {
    let harness = harness("");
    let link = refuse(&harness, "mine");
    let (status, said) = run(&harness, &["customers", "verify", "ann@corp.example"]);
    assert_eq!(status, 0, "{said}");
    assert!(
        said.contains("0 held requests are released")
            && said.contains("refused: 1 message (\"This was not me\"); until"),
        "{said}"
    );
    for said in describe(&harness) {
        assert!(said.contains("released only by the person"), "{said}");
    }
    let request = request_id(&harness);
    let (status, said) = run(&harness, &["requests", "release", &request]);
    assert!(
        status == 1 && said.contains("an operator can release it from"),
        "{said}"
    );
    // The page that was open before still has the button that undoes it.
    let (_, page) = http(harness.http, "POST", &link, &[("action", "take-back")]);
    assert!(
        page.contains("already confirmed") && page.contains("About mine"),
        "{page}"
    );
    let (status, page) = confirm(&harness, &link, &request);
    assert!(
        status == 200 && page.contains("being passed on now"),
        "{page}"
    );
    wait_for("the delivery", || harness.delivered().pop());
    let (_, said) = run(&harness, &["customers", "show", "ann@corp.example"]);
    assert!(!said.contains("only the person"), "{said}");
}
