use std::fmt::Write;

use lettre::address::Address;
use mail_parser::MessageParser;
use proptest::prelude::*;

use super::*;
use crate::domain::{BUILT_IN_LANGUAGES, LanguagePriority, PortalName};
use crate::templates::built_in;
use crate::verification::tests::sample;

/// Fixed tokens, for snapshots.
fn tokens() -> MailTokens {
    MailTokens {
        link: Token::parse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
            .unwrap_or_else(|error| panic!("a good token: {error}")),
        reply: ReplyToken::parse("aaaqeayeaudaocajbifqydiob4")
            .unwrap_or_else(|error| panic!("a good token: {error}")),
    }
}

fn compose_sample(
    verification_mail: &VerificationMail,
    verification: &str,
    language: &str,
) -> ComposedMail {
    let templates = built_in();
    let language = templates.choose(&LanguagePriority::parse(language));
    compose(
        verification_mail,
        &tokens(),
        &sample::config(verification),
        &templates,
        &language.unwrap_or_default(),
        sample::now(),
    )
    .expect("a verification mail")
}

fn text(mail: &ComposedMail) -> String {
    String::from_utf8(mail.content.clone()).expect("ASCII")
}

const REPLIES: &str = r#"reply_address = "confirm@corp.example"
return_address = "return@corp.example""#;

#[test]
fn the_whole_mail_in_english() {
    let mail = compose_sample(&sample::verification_mail(), REPLIES, "en");
    insta::assert_snapshot!(text(&mail).replace("\r\n", "\n"));
}

#[test]
fn every_kind_in_every_language() {
    let mut all = String::new();
    for language in BUILT_IN_LANGUAGES {
        for (kind, cause, waiting) in [
            (MailKind::Verification, MailCause::Mail, 2),
            (MailKind::Verification, MailCause::SignUp, 0),
            (MailKind::Verification, MailCause::Resend, 1),
            (MailKind::Verification, MailCause::Operator, 0),
            (MailKind::Verification, MailCause::Reply, 1),
            (MailKind::Reminder, MailCause::Mail, 1),
            (MailKind::AlreadyRegistered, MailCause::SignUp, 0),
        ] {
            let mut verification_mail = sample::verification_mail();
            verification_mail.kind = kind;
            verification_mail.cause = cause;
            verification_mail.waiting = waiting;
            let mail = compose_sample(&verification_mail, "", language);
            let parsed = MessageParser::new().parse(&mail.content).expect("a mail");
            assert_eq!(
                parsed
                    .header("Content-Language")
                    .and_then(|value| value.as_text()),
                Some(language)
            );
            let subject = parsed.subject().expect("a subject");
            assert!(!subject.contains(['\u{2068}', '\u{2069}']), "{subject}");
            let html = parsed.body_html(0).expect("an HTML part");
            let dir = if language == "ar" { "rtl" } else { "ltr" };
            assert!(html.contains(&format!("<html lang=\"{language}\" dir=\"{dir}\">")));
            assert!(
                !html.contains('{') && !html.contains('}'),
                "{language}: {html}"
            );
            assert_eq!(
                html.contains(&tokens().link.reveal_for_link()),
                kind != MailKind::AlreadyRegistered
            );
            if !["en", "de"].contains(&language) {
                continue;
            }
            write!(
                all,
                "=== {language} {kind:?} {cause:?}\n{}\n\n{}\n",
                parsed.subject().expect("a subject"),
                parsed.body_text(0).expect("a text")
            )
            .expect("a string grows");
        }
    }
    insta::assert_snapshot!(all.replace("\r\n", "\n"));
}

#[test]
fn a_value_of_a_right_to_left_text_stays_on_one_line() {
    let words = "كلمة ".repeat(13);
    let value = "\u{2068}IT Help Desk\u{2069}";
    assert_eq!(
        wrap(&format!("{words}{value}")),
        format!("{}\r\n{value}\r\n", words.trim_end())
    );
}

#[test]
fn chinese_and_japanese_lines_stay_whole() {
    let letters = "文".repeat(70);
    let line = format!("{letters}IT Help{letters}");
    assert_eq!(wrap(&line), format!("{line}\r\n"));
}

#[test]
fn the_envelope_sender_is_null_or_names_the_mail() {
    let verification_mail = sample::verification_mail();
    assert_eq!(
        compose_sample(&verification_mail, "", "en").envelope.from(),
        None
    );
    let verp = compose_sample(&verification_mail, REPLIES, "en");
    assert_eq!(
        verp.envelope.from().map(ToString::to_string),
        Some(format!("return+{}@corp.example", verification_mail.id))
    );
    let ann: Address = "ann@corp.example".parse().expect("an address");
    assert_eq!(verp.envelope.to(), [ann]);
}

#[test]
fn the_local_part_is_nowhere_but_in_the_address_of_the_mail() {
    let mut verification_mail = sample::verification_mail();
    // These letters occur in no text and no token: base32 has no 8 and 9.
    let forged = "q8w9+www.evil.example/prize@corp.example";
    verification_mail.address = EmailAddress::parse(forged).expect("an address");
    let own = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(own.path().join(name), text).expect("a writable folder");
    };
    // As an operator of version 0.1 may have written them.
    write(
        "letter.txt",
        "Is {{ address }} yours?\n\n{{ t('letter.' ~ why, portal=portal, address=address) }} {{ t('letter.reply') }}",
    );
    write(
        "texts.en.toml",
        "[letter]\nmail = \"Somebody wrote to {portal} as {address}.\"",
    );
    let templates = Templates::load(Some(own.path())).expect("good templates");
    let of_old = compose(
        &verification_mail,
        &tokens(),
        &sample::config(REPLIES),
        &templates,
        &Language::default(),
        sample::now(),
    );
    let of_old = MessageParser::new()
        .parse(&of_old.expect("a verification mail").content)
        .expect("a mail")
        .into_owned();
    assert_eq!(of_old.subject(), Some("Is …@corp.example yours?"));
    let text = of_old.body_text(0).expect("text");
    assert!(
        text.contains("as …@corp.example") && text.contains("\"yes\""),
        "{text}"
    );
    for language in BUILT_IN_LANGUAGES {
        let mail = compose_sample(&verification_mail, "", language);
        let parsed = MessageParser::new().parse(&mail.content).expect("a mail");
        let to = parsed.to().and_then(|to| to.first());
        assert_eq!(to.and_then(|to| to.address()), Some(forged));
        for part in [parsed.body_text(0), parsed.body_html(0)] {
            let part = part.expect("a part");
            assert!(part.contains("corp.example"), "{part}");
            assert!(
                !part.contains("evil.example") && !part.contains("q8w9"),
                "{part}"
            );
        }
    }
}

#[test]
fn the_reply_goes_to_an_address_that_carries_the_token() {
    let mail = compose_sample(&sample::verification_mail(), REPLIES, "en");
    let parsed = MessageParser::new().parse(&mail.content).expect("a mail");
    let to = parsed
        .reply_to()
        .and_then(|to| to.first())
        .and_then(|to| to.address())
        .expect("an address");
    let to = EmailAddress::parse(to).expect("an address");
    let back = to.detail().map(ReplyToken::parse);
    assert!(back.is_some_and(|back| back.is_ok_and(|back| back.hash() == tokens().reply.hash())));
}

#[test]
fn an_operators_title_is_text_even_where_it_looks_like_markup() {
    let mut verification_mail = sample::verification_mail();
    verification_mail.portal = Some(PortalName::parse("hr").expect("a name"));
    let mail = compose_sample(&verification_mail, "", "en");
    let parsed = MessageParser::new().parse(&mail.content).expect("a mail");
    let html = parsed.body_html(0).expect("an HTML part");
    assert!(html.contains("People &amp; Pay"));
    assert!(!html.contains("&#x2f;"));
    assert!(parsed.body_text(0).expect("text").contains("People & Pay"));
}

#[test]
fn an_operators_template_is_used_and_a_bad_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |text: &str| {
        std::fs::write(folder.path().join("letter.txt"), text).expect("a writable folder");
        Templates::load(Some(folder.path()))
    };
    let compose_with = |templates: &Templates| {
        compose(
            &sample::verification_mail(),
            &tokens(),
            &sample::config(""),
            templates,
            &Language::default(),
            sample::now(),
        )
    };
    let own = write("Ours\n\nPress {{ link }}").expect("a good template");
    let mail = compose_with(&own).expect("a verification mail");
    assert!(text(&mail).contains("\r\nSubject: Ours\r\n"));

    let cause = write("{% if %}").expect_err("no template").to_string();
    assert!(cause.starts_with("letter.txt: "), "{cause}");
    let missing = write("Ours\n\n{{ nothing }}").expect("it parses");
    let cause = compose_with(&missing).expect_err("it has no such value");
    assert!(cause.to_string().starts_with("letter.txt: "), "{cause}");
    let one_line = write("Ours").expect("it parses");
    assert!(matches!(
        compose_with(&one_line),
        Err(ComposeError::NoSubject)
    ));
}

#[test]
fn a_long_message_id_stays_in_one_piece() {
    let mut verification_mail = sample::verification_mail();
    let id = format!("{}@mail.corp.example", "x".repeat(180));
    verification_mail.in_reply_to = Some(id.clone());
    let mail = compose_sample(&verification_mail, "", "en");
    let parsed = MessageParser::new().parse(&mail.content).expect("a mail");
    assert_eq!(parsed.in_reply_to().as_text(), Some(id.as_str()));
    assert_eq!(parsed.references().as_text(), Some(id.as_str()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A reply to a hostile Message-ID differs from a mail without one in at most the two fields, and those
    /// hold one printable word.
    #[test]
    fn nothing_that_the_sender_wrote_gets_in(
        id in r".{0,60}|[!-~]{1,30}@[!-~]{1,30}|[a-z]{1,5}@[a-z]{1,5}(\r\n|\n|\r)[A-Z][a-z]+: .{0,20}",
    ) {
        let mut verification_mail = sample::verification_mail();
        verification_mail.in_reply_to = None;
        let plain = text(&compose_sample(&verification_mail, "", "en"));
        verification_mail.in_reply_to = Some(id.clone());
        let answering = text(&compose_sample(&verification_mail, "", "en"));
        let rest: Vec<&str> = answering
            .split("\r\n")
            .filter(|line| !line.starts_with("In-Reply-To: ") && !line.starts_with("References: "))
            .collect();
        prop_assert_eq!(rest.join("\r\n"), plain);
        let added: Vec<&str> = answering
            .split("\r\n")
            .filter_map(|line| line.strip_prefix("In-Reply-To: "))
            .collect();
        prop_assert!(added.len() <= 1);
        for field in added {
            prop_assert_eq!(field, format!("<{id}>"));
        }
    }
}
