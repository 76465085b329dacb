use jiff::SignedDuration;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;
use crate::domain::{DestinationName, DomainPattern, LanguageTag};
use crate::store::{Arrival, Bounded, DigestContent, DownDestination, DroppedDomain, MailOutcome};
use crate::verification::MailTokens;
use crate::verification::tests::sample;

fn instant(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn time(hour: i8, minute: i8) -> Time {
    Time::constant(hour, minute, 0, 0)
}

#[test]
fn it_is_due_once_on_every_day_of_every_zone() {
    let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
    for (at, now, due) in [
        (time(7, 0), "2026-01-10T05:59:59Z", "2026-01-09T06:00:00Z"),
        (time(7, 0), "2026-01-10T06:00:00Z", "2026-01-10T06:00:00Z"),
        (time(7, 0), "2026-01-10T23:30:00Z", "2026-01-10T06:00:00Z"),
        // The clocks skip 02:30 on the 29th of March, and show it twice on the 25th of October.
        (time(2, 30), "2026-03-29T01:29:59Z", "2026-03-28T01:30:00Z"),
        (time(2, 30), "2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z"),
        (time(2, 30), "2026-03-30T00:30:00Z", "2026-03-30T00:30:00Z"),
        (time(2, 30), "2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z"),
        (time(2, 30), "2026-10-25T01:30:00Z", "2026-10-25T00:30:00Z"),
        (time(2, 30), "2026-10-26T01:30:00Z", "2026-10-26T01:30:00Z"),
    ] {
        let last = last_due(instant(now), at, &berlin);
        assert_eq!(last, Some(instant(due)), "{now}");
    }
    for zone in [
        "Europe/Berlin",
        "Pacific/Apia",
        "America/St_Johns",
        "Asia/Kathmandu",
    ] {
        let zone = TimeZone::get(zone).expect("a zone");
        let mut dues = std::collections::BTreeSet::new();
        let mut now = instant("2026-01-01T00:00:00Z");
        while now < instant("2027-01-01T00:00:00Z") {
            dues.extend(last_due(now, time(2, 30), &zone));
            now += SignedDuration::from_mins(30);
        }
        assert!(
            (365..=366).contains(&dues.len()),
            "{zone:?}: {}",
            dues.len()
        );
    }
}

/// A site whose digest goes to a folder.
struct Site {
    config: Config,
    digest: Digest,
    store: Store,
    templates: Templates,
    folder: TempDir,
}

impl Site {
    fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = sample::config("");
        config.outgoing = crate::config::Outgoing::File(folder.path().join("out"));
        let digest = Digest {
            to: vec!["Operators <ops@corp.example>".parse().expect("a mailbox")],
            at: time(7, 0),
            language: config.site.language.clone(),
            url: "https://admin.corp.example".to_owned(),
        };
        std::fs::create_dir(folder.path().join("out")).expect("a folder");
        Self {
            store: Store::open(&folder.path().join("vestibule.db")).expect("a database"),
            config,
            digest,
            templates: Templates::load(None).expect("the built-in templates"),
            folder,
        }
    }

    async fn work(&self, now: &str) {
        let done = work(
            &self.config,
            &self.digest,
            &self.store,
            &self.templates,
            instant(now),
        );
        done.await.expect("done");
    }

    fn mails(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.folder.path().join("out")).expect("a folder");
        let read = |file: std::io::Result<std::fs::DirEntry>| {
            let path = file.expect("an entry").path();
            std::fs::read_to_string(path).expect("a mail")
        };
        files.map(read).collect()
    }

    async fn seed(&self) {
        let seeded = self
            .store
            .seed_access(self.config.access.clone(), instant("2026-01-01T00:00:00Z"));
        seeded.await.expect("the first settings");
    }

    async fn drop_mail(&self, from: &str, received_at: &str) {
        let arrival = Arrival {
            facts: sample::facts(from, "hello"),
            received_at: instant(received_at),
            ..sample::arrival(&self.config)
        };
        self.store.accept(arrival).await.expect("accepted");
    }
}

#[tokio::test]
async fn what_was_dropped_is_told_once_a_day() {
    let site = Site::open();
    site.seed().await;
    // After the last due time, but before digests began: the first digest does not cover it.
    site.drop_mail("eve@early.example", "2026-01-10T11:00:00Z")
        .await;
    site.work("2026-01-10T12:00:00Z").await;
    site.drop_mail("eve@partner.exmaple.org", "2026-01-10T13:00:00Z")
        .await;
    site.work("2026-01-10T14:00:00Z").await;
    assert_eq!(site.mails(), Vec::<String>::new());
    for now in [
        "2026-01-11T07:00:30Z",
        "2026-01-11T07:01:30Z",
        "2026-01-11T20:00:00Z",
    ] {
        site.work(now).await;
        assert_eq!(site.mails().len(), 1, "{now}");
    }
    let mail = site.mails().remove(0);
    for says in [
        "To: Operators <ops@corp.example>\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "partner[.]exmaple[.]org: 1 / 1\r\n",
        "  https://admin.corp.example/dropped/allow?domain=partner.exmaple.org\r\n",
    ] {
        assert!(mail.contains(says), "{says}: {mail}");
    }
    assert!(!mail.contains("eve"), "{mail}");
    assert!(!mail.contains("early"), "{mail}");
    assert!(mail.contains("since 10 January 2026, 12:00"), "{mail}");
    // Nothing to say.
    site.work("2026-01-12T07:00:30Z").await;
    assert_eq!(site.mails().len(), 1);
    // The period of a later digest starts at the due time of the last one.
    site.drop_mail("eve@late.example", "2026-01-12T07:00:10Z")
        .await;
    site.work("2026-01-13T07:00:30Z").await;
    let late = site.mails().into_iter().filter(|mail| {
        mail.contains("late[.]example: 1 / 1\r\n") && mail.contains("since 12 January 2026, 07:00")
    });
    assert_eq!(late.count(), 1);
}

/// Digests are moved to an earlier time of day before the first one was due.
#[tokio::test]
async fn the_first_digest_has_no_period_that_ends_before_digests_began() {
    let mut site = Site::open();
    site.seed().await;
    site.work("2026-01-10T06:50:00Z").await;
    site.drop_mail("eve@evil.example", "2026-01-10T06:51:00Z")
        .await;
    site.digest.at = time(6, 30);
    site.work("2026-01-10T06:52:00Z").await;
    assert_eq!(site.mails(), Vec::<String>::new());
    site.work("2026-01-11T06:30:30Z").await;
    let mail = site.mails().remove(0);
    assert!(mail.contains("evil[.]example: 1 / 1\r\n"), "{mail}");
}

#[tokio::test]
async fn one_that_was_not_sent_is_covered_by_the_next_and_one_node_sends_it() {
    let site = Site::open();
    site.seed().await;
    site.work("2026-01-10T12:00:00Z").await;
    site.drop_mail("eve@evil.example", "2026-01-10T13:00:00Z")
        .await;
    // No daemon ran for two days.
    site.drop_mail("eve@evil.example", "2026-01-12T13:00:00Z")
        .await;
    let out = site.folder.path().join("out");
    std::fs::remove_dir(&out).expect("removed");
    std::fs::write(&out, "no folder").expect("written");
    site.work("2026-01-13T08:00:00Z").await;
    std::fs::remove_file(&out).expect("removed");
    std::fs::create_dir(&out).expect("made");
    // The next attempt waits for its time, and another node does not take it.
    let other = Store::open(&site.folder.path().join("vestibule.db")).expect("a database");
    let due = instant("2026-01-13T07:00:00Z");
    let early = instant("2026-01-13T08:01:00Z");
    let claimed = other.claim_digest(due, early + LEASE, early).await;
    assert_eq!(claimed.expect("asked"), None);
    site.work("2026-01-13T08:16:00Z").await;
    let mails = site.mails();
    assert_eq!(mails.len(), 1);
    assert!(
        mails[0].contains("evil[.]example: 2 / 1\r\n"),
        "{}",
        mails[0]
    );
    let late = instant("2026-01-13T09:00:00Z");
    let claimed = other.claim_digest(due, late + LEASE, late).await;
    assert_eq!(claimed.expect("asked"), None);
}

#[tokio::test]
async fn verification_mail_that_was_given_up_is_told_once() {
    let site = Site::open();
    site.seed().await;
    site.work("2026-01-10T12:00:00Z").await;
    // Held: the domain is approved.
    site.drop_mail("ann@corp.example", "2026-01-10T13:00:00Z")
        .await;
    let now = instant("2026-01-10T13:01:00Z");
    let (limits, ttl) = (
        site.config.verification.limits,
        site.config.verification.token_ttl,
    );
    let tokens = vec![MailTokens::generate().expect("tokens").hashes()];
    let round = site
        .store
        .settle_and_claim_mail([], tokens, limits, ttl, now);
    let (_, claimed) = round.await.expect("claimed");
    let outcome = MailOutcome::Refused {
        cause: "given up: 554".to_owned(),
    };
    let outcomes = [(&claimed.verification_mails[0], outcome, now)];
    let round = site
        .store
        .settle_and_claim_mail(outcomes, Vec::new(), limits, ttl, now);
    round.await.expect("settled");
    for now in ["2026-01-11T07:00:30Z", "2026-01-12T07:00:30Z"] {
        site.work(now).await;
        assert_eq!(site.mails().len(), 1, "{now}");
    }
    let mail = site.mails().remove(0);
    let parsed = mail_parser::MessageParser::default().parse(mail.as_bytes());
    let text = parsed.as_ref().and_then(|mail| mail.body_text(0));
    let text = text.expect("a text");
    assert!(
        text.contains("https://admin.corp.example/mail?state=refused"),
        "{text}"
    );
}

#[test]
fn strangers_make_no_link_and_no_header() {
    let site_config = sample::config("");
    let claim = DigestClaim {
        due: instant("2026-01-11T07:00:00Z"),
        since: instant("2026-01-10T07:00:00Z"),
        attempt: 1,
        undeliverable_before: 0,
    };
    let hostile = "evil.example\r\nBcc: x@y.example\r\n\r\nhttps://evil.example/?a=b&c=<b>";
    let content = DigestContent {
        domains: vec![DroppedDomain {
            domain: hostile.to_owned(),
            messages: 3,
            people: 2,
            nearest: Some(DomainPattern::parse("partner.example").expect("a pattern")),
        }],
        expiring: Bounded {
            number: 2,
            more: false,
        },
        first_expiry: Some(instant("2026-01-12T07:00:00Z")),
        undeliverable: Bounded {
            number: 10_000,
            more: true,
        },
        given_up: Bounded {
            number: 3,
            more: false,
        },
        down: vec![DownDestination {
            name: DestinationName::parse("helpdesk").expect("a name"),
            since: instant("2026-01-11T01:00:00Z"),
            next_try_at: instant("2026-01-11T08:00:00Z"),
            last_error: "550 see https://evil.example".to_owned(),
            is_requested: false,
        }],
    };
    let templates = Templates::load(None).expect("the built-in templates");
    for language in templates.languages() {
        let digest = Digest {
            to: vec!["ops@corp.example".parse().expect("a mailbox")],
            at: time(7, 0),
            language: LanguageTag::parse(language.as_str()).expect("a tag"),
            url: "https://admin.corp.example".to_owned(),
        };
        let mail = compose_digest(
            &claim,
            &content,
            &site_config,
            &digest,
            &templates,
            claim.due,
        );
        let mail = mail.expect("composed");
        let to: Vec<_> = mail.envelope.to().iter().map(ToString::to_string).collect();
        assert_eq!(to, ["ops@corp.example"]);
        let parsed = mail_parser::MessageParser::default()
            .parse(&mail.content)
            .expect("a message");
        assert!(parsed.bcc().is_none());
        let text = parsed.body_text(0).expect("a text").into_owned();
        assert!(!text.contains("://evil") && !text.contains("<b>"), "{text}");
        assert!(text.contains("evil[.]example"), "{text}");
        assert!(text.contains("partner[.]example"), "{text}");
        let links = text.lines().filter(|line| line.contains("://"));
        for line in links {
            assert!(line.starts_with("  https://admin.corp.example/"), "{line}");
        }
        let again = compose_digest(
            &claim,
            &content,
            &site_config,
            &digest,
            &templates,
            claim.due,
        );
        assert_eq!(again.expect("composed").id, mail.id);
    }
}
