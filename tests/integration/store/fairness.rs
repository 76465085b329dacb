//! Order of verification mail; neither a wrong clock nor a crowd of senders exceeds the limits.

use std::net::IpAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use vestibule::config::MailLimits;
use vestibule::mail::AuthenticationResult;
use vestibule::store::{Arrival, LanguageWish, MailOutcome, MaxDelays, Store};

use super::harness::{
    DAY, Harness, LIMITS, address, at, block_on, mail, minutes, operator, random_sequences, start,
    token,
};
use crate::support::claims::{claim_mail, settle_mail};

/// Shares of the total: four for the pages, four for authenticated senders, twelve for all others.
const SMALL: MailLimits = MailLimits {
    per_address_hour: 1,
    per_address_day: 3,
    per_domain_hour: 20,
    total_hour: 20,
    sign_up_hour: 4,
    sign_up_per_client_hour: 2,
    authenticated_hour: 4,
    delimiters: vestibule::domain::AddressDelimiters::PLUS,
};

/// Claims once and sends the claimed mail.
async fn claim(store: &Store, limits: MailLimits, now: Timestamp) -> (Vec<String>, bool) {
    let tokens = (0..64).map(|_| token());
    let claimed = claim_mail(store, tokens, limits, 7 * DAY, now).await;
    let mut sent = Vec::new();
    for verification_mail in claimed.verification_mails {
        settle_mail(store, &verification_mail, MailOutcome::Sent, now).await;
        sent.push(verification_mail.address.to_string());
    }
    (sent, claimed.next_due.is_some_and(|due| due <= now))
}

/// Claims like the mailer: repeatedly, as long as something is due.
async fn claim_all(store: &Store, limits: MailLimits, now: Timestamp) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        let (some, more) = claim(store, limits, now).await;
        sent.extend(some);
        if !more {
            return sent;
        }
    }
}

fn authenticated(mut arrival: Arrival) -> Arrival {
    arrival.facts.authentication.dmarc = Some(AuthenticationResult::Pass);
    arrival
}

fn by_client(mut arrival: Arrival, client: &str) -> Arrival {
    arrival.client = Some(client.parse().expect(client));
    arrival
}

async fn flood(harness: &Harness, count: usize, from: impl Fn(usize) -> String) {
    for number in 0..count {
        let from = from(number);
        harness
            .accept(mail(&from, &format!("{from}.{number}@x"), start()))
            .await;
    }
}

#[tokio::test]
async fn an_authenticated_sender_gets_mail_although_forgers_used_up_their_share() {
    let harness = Harness::open().await;
    flood(&harness, 300, |n| format!("forged{n}@corp.example")).await;
    assert_eq!(claim_all(&harness.store, SMALL, start()).await.len(), 12);
    let real = mail("ann@corp.example", "real@x", minutes(1));
    harness.accept(authenticated(real)).await;
    let (sent, _) = claim(&harness.store, SMALL, minutes(1)).await;
    assert_eq!(sent, ["ann@corp.example"]);
}

#[tokio::test]
async fn a_waiting_mail_moves_to_the_first_lane_once_authenticated() {
    let harness = Harness::open().await;
    flood(&harness, 100, |n| format!("forged{n}@corp.example")).await;
    claim_all(&harness.store, SMALL, start()).await;
    harness
        .accept(mail("ann@corp.example", "forged@x", minutes(1)))
        .await;
    assert!(
        claim_all(&harness.store, SMALL, minutes(1))
            .await
            .is_empty()
    );
    let real = mail("ann@corp.example", "real@x", minutes(2));
    harness.accept(authenticated(real)).await;
    assert_eq!(
        claim_all(&harness.store, SMALL, minutes(2)).await,
        ["ann@corp.example"]
    );
}

#[tokio::test]
async fn the_pages_have_their_own_share_and_no_client_uses_it_up() {
    let harness = Harness::open().await;
    flood(&harness, 300, |n| format!("forged{n}@corp.example")).await;
    claim_all(&harness.store, SMALL, start()).await;

    let greedy: IpAddr = "2001:db8::1".parse().expect("an address");
    for n in 0..50_u128 {
        let client = IpAddr::from(
            (u128::from_be_bytes(match greedy {
                IpAddr::V6(address) => address.octets(),
                IpAddr::V4(_) => unreachable!(),
            }) + n)
                .to_be_bytes(),
        );
        let who = address(&format!("signed-up{n}@d{n}.example"));
        let added = harness
            .store
            .sign_up(who, None, client, LanguageWish::default(), minutes(1));
        added.await.expect("added");
    }
    let other: IpAddr = "192.0.2.7".parse().expect("an address");
    let who = address("honest@shop.example");
    let added = harness
        .store
        .sign_up(who, None, other, LanguageWish::default(), minutes(1));
    added.await.expect("added");
    let sent = claim_all(&harness.store, SMALL, minutes(1)).await;
    assert_eq!(sent.len(), 3, "two of the greedy one: {sent:?}");
    assert!(sent.contains(&"honest@shop.example".to_owned()), "{sent:?}");

    // The pages do not use up the share of mail.
    let later = minutes(120);
    for n in 0..50_u8 {
        let client = IpAddr::from([198, 51, 100, n]);
        let who = address(&format!("more{n}@e{n}.example"));
        harness
            .store
            .sign_up(who, None, client, LanguageWish::default(), later)
            .await
            .expect("added");
    }
    let real = mail("ann@corp.example", "real@x", later);
    harness.accept(authenticated(real)).await;
    let sent = claim_all(&harness.store, SMALL, later).await;
    assert_eq!(sent[0], "ann@corp.example");
    let signed_up = sent.iter().filter(|who| who.starts_with("more"));
    assert!(signed_up.count() <= 4, "{sent:?}");
    assert_eq!(sent.len(), 12 + 1 + 4, "{sent:?}");
}

#[tokio::test]
async fn no_network_of_ipv6_uses_up_the_share_of_the_pages() {
    let harness = Harness::open().await;
    let sign_up = async |client: IpAddr, who: String| {
        let (who, wish) = (address(&who), LanguageWish::default());
        let added = harness.store.sign_up(who, None, client, wish, start());
        added.await.expect("added");
    };
    // A client in each /56 of a /48.
    for n in 0..50_u16 {
        let client = IpAddr::from([0x2001, 0xdb8, 1, n << 8, 0, 0, 0, 1]);
        sign_up(client, format!("greedy{n}@d{n}.example")).await;
    }
    let other = IpAddr::from([0x2001, 0xdb9, 1, 0, 0, 0, 0, 1]);
    sign_up(other, "honest@shop.example".to_owned()).await;
    let sent = claim_all(&harness.store, SMALL, start()).await;
    assert_eq!(sent.len(), 4, "three of the /48: {sent:?}");
    assert!(sent.contains(&"honest@shop.example".to_owned()), "{sent:?}");
}

/// Mails that wait for the same moment take turns by flow, and a flood is one flow among many.
#[tokio::test]
async fn mail_from_another_client_does_not_wait_for_thousands_of_forgeries() {
    let harness = Harness::open().await;
    for n in 0..300 {
        // From one client, in the name of the honest sender's domain.
        let from = format!("forged{n}@corp.example");
        let forged = mail(&from, &format!("{n}@x"), start());
        harness.accept(by_client(forged, "203.0.113.9")).await;
    }
    claim_all(&harness.store, SMALL, start()).await;
    let honest = mail("ann@corp.example", "real@x", minutes(1));
    harness.accept(by_client(honest, "192.0.2.1")).await;
    claim_all(&harness.store, SMALL, minutes(1)).await;
    let sent = claim_all(&harness.store, SMALL, minutes(61)).await;
    assert!(sent.contains(&"ann@corp.example".to_owned()), "{sent:?}");
}

/// One person may have 65,536 networks of one client each.
#[tokio::test]
async fn mail_from_another_client_does_not_wait_for_forgeries_from_a_whole_network() {
    let harness = Harness::open().await;
    for n in 0..300 {
        let from = format!("forged{n}@corp.example");
        let forged = mail(&from, &format!("{n}@x"), start());
        let client = format!("2001:db8:1:{n:x}::9");
        harness.accept(by_client(forged, &client)).await;
        // Neither among the oldest nor among the newest.
        if n == 150 {
            let honest = mail("ann@corp.example", "real@x", start());
            harness.accept(by_client(honest, "192.0.2.1")).await;
        }
    }
    let sent = claim_all(&harness.store, SMALL, start()).await;
    assert_eq!(sent.len(), 12, "{sent:?}");
    assert!(sent.contains(&"ann@corp.example".to_owned()), "{sent:?}");
}

#[tokio::test]
async fn a_flood_of_one_domain_or_of_many_does_not_delay_later_mail() {
    for many in [false, true] {
        let harness = Harness::open().await;
        let mut settings = super::harness::settings();
        settings.site.external.verify = true;
        let by = operator("root");
        let changed = harness.store.change_access(1, settings, by, start());
        changed.await.expect("changed");
        flood(&harness, 300, |n| {
            if many {
                format!("forged@evil{n}.example")
            } else {
                format!("forged{n}@evil.example")
            }
        })
        .await;
        claim_all(&harness.store, SMALL, start()).await;
        harness
            .accept(mail("bob@shop.example", "real@x", minutes(30)))
            .await;
        claim_all(&harness.store, SMALL, minutes(30)).await;
        let sent = claim_all(&harness.store, SMALL, minutes(61)).await;
        assert!(sent.contains(&"bob@shop.example".to_owned()), "{sent:?}");
    }
}

#[tokio::test]
async fn two_processes_and_a_clock_set_back_add_to_the_same_counts() {
    let harness = Harness::open().await;
    let again = harness.again();
    for n in 0..100 {
        let from = format!("person{n}@corp.example");
        harness
            .accept(mail(&from, &format!("{n}@x"), start()))
            .await;
    }
    let mut sent = 0;
    for (store, seconds) in [
        (&harness.store, 65),
        (&again, 5),
        (&harness.store, 61),
        (&again, 3),
    ] {
        let now = at(Duration::from_secs(seconds));
        let tokens = (0..5).map(|_| token());
        let claimed = claim_mail(store, tokens, SMALL, 7 * DAY, now).await;
        sent += claimed.verification_mails.len();
    }
    assert_eq!(sent, 12);
}

#[derive(Debug, Clone)]
struct Round {
    passed: i64,
    set_back: i64,
    mended: bool,
    other_process: bool,
}

fn round() -> impl Strategy<Value = Round> {
    (
        0..1500_i64,
        prop_oneof![3 => Just(0), 2 => 0..90_i64, 1 => 0..20_000_i64],
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(passed, set_back, mended, other_process)| Round {
            passed,
            set_back,
            mended,
            other_process,
        })
}

proptest! {
    #![proptest_config(random_sequences())]

    #[test]
    fn no_hour_has_more_mail_than_the_limits_wherever_the_clock_goes(
        rounds in prop::collection::vec(round(), 1..25)
    ) {
        block_on(go_through(rounds));
    }
}

async fn go_through(rounds: Vec<Round>) {
    let limits = MailLimits {
        per_domain_hour: 6,
        total_hour: 8,
        sign_up_hour: 1,
        authenticated_hour: 1,
        ..LIMITS
    };
    let harness = Harness::open().await;
    let again = harness.again();
    let (mut real, mut clock) = (0_i64, at(30 * DAY));
    let mut sent: Vec<(i64, String)> = Vec::new();
    for (number, round) in rounds.into_iter().enumerate() {
        real += round.passed;
        clock += SignedDuration::from_secs(round.passed - round.set_back);
        if round.set_back > 0 && round.mended {
            let delays = MaxDelays {
                hold_for: 14 * DAY,
                token_ttl: 7 * DAY,
                keep_dropped: 7 * DAY,
                quiet_for: 30 * DAY,
            };
            harness
                .store
                .repair_times(clock, delays, 10)
                .await
                .expect("mended");
        }
        let people = [
            "same@corp.example".to_owned(),
            format!("new{number}@corp.example"),
            format!("other{number}@corp.example"),
            format!("b{number}@branch.corp.example"),
        ];
        for who in &people {
            harness
                .accept(mail(who, &format!("{number}.{who}"), clock))
                .await;
        }
        let store = if round.other_process {
            &again
        } else {
            &harness.store
        };
        for who in claim(store, limits, clock).await.0 {
            sent.push((real, who));
        }
    }
    for (end, _) in &sent {
        let hour = || sent.iter().filter(|(at, _)| *at > end - 3600 && at <= end);
        assert!(hour().count() <= 6, "{sent:?}");
        let same = hour().filter(|(_, who)| who == "same@corp.example");
        assert!(same.count() <= 1, "{sent:?}");
    }
}
