//! Rate limits of verification mail: per mailbox within an hour and a day, per domain and in total within an
//! hour. Counts are rows, so that a restart forgets nothing.
//!
//! A mailbox has a row for each claim, shared by all addresses that arrive in it: they belong to one person,
//! and anyone can invent any number of them. A domain and the total have a count for each minute, because a
//! forger can cause many. A minute counts until all of it is more than an hour old, so the limit is never
//! exceeded, and a mail is at most a minute late.
//!
//! A count is lowered only for a mail that was certainly not sent. Counts in the future apply, too: they come from
//! a clock that was set back since, or from another process.
//!
//! A limit has parts: for mail from the pages, for mail to senders, and for the unauthenticated share of the
//! latter. So no kind of mail can use up the share of another.

use std::collections::HashMap;

use crate::config::MailLimits;
use crate::domain::{AddressDelimiters, EmailAddress, MailboxKey};
use crate::store::rows::keys::registered_domain;
use crate::store::sql::sql_types::Millis;
use crate::store::sql::{Tx, insert};
use crate::store::verification::mail_lanes::{Lane, QueuePlace};
use crate::store::{Result, StoreError};

/// Name of the counter of all verification mail.
const TOTAL: &str = "";

/// A minute counts for the 60 minutes after it.
const MINUTES: i64 = 60;

/// Divisor of a limit for the share of notices, which comes on top of verification mail.
const NOTICES_PART: u32 = 10;

/// Counts under one name over the last hour.
struct Window {
    /// Counts by minute, oldest first.
    minutes: Vec<(i64, u32)>,
    used: u32,
    /// Taken by the present claim, and not yet written.
    taken: u32,
}

impl Window {
    /// Time at which one more mail is allowed; None if it is now.
    fn free_at(&self, limit: u32, now: Millis) -> Option<Millis> {
        if self.used < limit {
            return None;
        }
        // The present claim's mails are not among the minutes.
        let mut left = self.used;
        for (minute, count) in &self.minutes {
            left -= count;
            if left < limit {
                return Some(Millis((minute + MINUTES + 1) * Millis::MINUTE));
            }
        }
        // The present claim's mails have to age first; or the limit is 0, which permits no mail at any time.
        Some(Millis((minute_of(now) + MINUTES + 1) * Millis::MINUTE))
    }

    fn take(&mut self) {
        self.used += 1;
        self.taken += 1;
    }
}

/// Result of asking for a share of the limits.
pub(crate) enum Share {
    /// The mail may be sent; the claim is recorded under this time.
    Taken(Millis),
    /// The limits are used up until this time.
    FreeAt(Millis),
}

/// The counters that a mail of this place uses, each with its limit.
fn counters(address: &EmailAddress, place: QueuePlace, limits: MailLimits) -> Vec<(String, u32)> {
    let domain = registered_domain(address.domain());
    let mut counters = Vec::with_capacity(10);
    for (name, limit) in [(domain, limits.per_domain_hour), (TOTAL, limits.total_hour)] {
        let part = |of: u32| {
            let part = u64::from(limit) * u64::from(of) / u64::from(limits.total_hour.max(1));
            u32::try_from(part).unwrap_or(limit).min(limit)
        };
        let pages = part(limits.sign_up_hour);
        let authenticated = part(limits.authenticated_hour);
        // At least one is allowed, as long as the total is within its limit.
        let pages_or_one = pages.max(1);
        let mail = limit.saturating_sub(pages).max(1);
        let others = limit.saturating_sub(pages + authenticated).max(1);
        counters.push((name.to_owned(), limit));
        match place.lane {
            Lane::Pages => counters.push((format!("{name}+pages"), pages_or_one)),
            Lane::Authenticated => counters.push((format!("{name}+mail"), mail)),
            Lane::Others => {
                counters.push((format!("{name}+mail"), mail));
                counters.push((format!("{name}+others"), others));
            }
        }
    }
    if place.lane == Lane::Pages {
        counters.extend(client_counters(place, limits));
    }
    counters
}

/// The counters of a client of the pages and of its larger networks. Their limits rise in equal steps from that of a
/// client, and none reaches that of the pages: so no network uses up the limit of the next larger one, and no /32 that
/// of everybody.
fn client_counters(place: QueuePlace, limits: MailLimits) -> impl Iterator<Item = (String, u32)> {
    let networks = place.networks();
    let steps = networks.len() as u64;
    let own = limits.sign_up_per_client_hour;
    let rest = limits.sign_up_hour.saturating_sub(own);
    networks
        .into_iter()
        .zip(0..steps)
        .map(move |(network, step)| {
            let name = match step {
                0 => format!("+client {network:x}"),
                step => format!("+client {network:x}, {step}"),
            };
            let more = u64::from(rest) * step / steps;
            (
                name,
                own.saturating_add(u32::try_from(more).unwrap_or(rest)),
            )
        })
}

/// State of the limits while a batch is claimed. [`Self::keep`] writes it.
pub(crate) struct Shares<'c> {
    tx: &'c Tx,
    limits: MailLimits,
    now: Millis,
    windows: HashMap<String, Window>,
}

impl<'c> Shares<'c> {
    pub(crate) fn at(tx: &'c Tx, limits: MailLimits, now: Millis) -> Self {
        Self {
            tx,
            limits,
            now,
            windows: HashMap::new(),
        }
    }

    /// Takes a mail's share of all limits, or returns the time until which they are used up.
    pub(crate) fn take(
        &mut self,
        address: &EmailAddress,
        verification_mail: i64,
        place: QueuePlace,
    ) -> Result<Share> {
        let mailbox = MailboxKey::of(address, self.limits.delimiters);
        let mailbox = mailbox.as_str();
        let limits = self.limits;
        let now = self.now;
        let by_address = [
            (limits.per_address_hour, Millis::HOUR),
            (limits.per_address_day, Millis::DAY),
        ];
        let mut free_at = None;
        for (limit, span) in by_address {
            free_at = free_at.max(self.mailbox_free_at(mailbox, limit, span)?);
        }
        let counters = counters(address, place, limits);
        for (name, limit) in &counters {
            free_at = free_at.max(self.window(name)?.free_at(*limit, now));
        }
        if let Some(free_at) = free_at {
            return Ok(Share::FreeAt(free_at));
        }
        self.tx.run(
            "DELETE FROM letter_claim WHERE mailbox = ? AND at < ?",
            &[&mailbox, &now.0.saturating_sub(Millis::DAY)],
        )?;
        let at = self.record(mailbox, verification_mail)?;
        for (name, _) in &counters {
            self.window(name)?.take();
        }
        Ok(Share::Taken(at))
    }

    /// Takes a share for a notice, apart from verification mail: a tenth of the limits of its domain and of the
    /// total, and at least one. Returns the time until which the limits are used up, or None if the share was
    /// taken.
    pub(crate) fn take_for_notice(&mut self, address: &EmailAddress) -> Result<Option<Millis>> {
        let now = self.now;
        let domain = registered_domain(address.domain());
        let counters = [
            (format!("{domain}+notices"), self.limits.per_domain_hour),
            ("+notices".to_owned(), self.limits.total_hour),
        ];
        let mut free_at = None;
        for (name, limit) in &counters {
            let share = (limit / NOTICES_PART).max(1);
            free_at = free_at.max(self.window(name)?.free_at(share, now));
        }
        if free_at.is_none() {
            for (name, _) in &counters {
                self.window(name)?.take();
            }
        }
        Ok(free_at)
    }

    /// Records a claim at the first time, from now on, without another claim of the same mail: a clock that
    /// was set back can show the same time again.
    fn record(&self, mailbox: &str, verification_mail: i64) -> Result<Millis> {
        let mut at = self.now;
        while insert!(
            self.tx,
            letter_claim {
                mailbox,
                at,
                letter: verification_mail
            },
            "ON CONFLICT (mailbox, at, letter) DO NOTHING"
        )? == 0
        {
            at = Millis(at.0 + 1);
        }
        Ok(at)
    }

    /// Time at which the oldest of the claims that use up the limit is `span` old.
    fn mailbox_free_at(&self, mailbox: &str, limit: u32, span: i64) -> Result<Option<Millis>> {
        let Some(others) = limit.checked_sub(1) else {
            return Ok(Some(Millis(self.now.0.saturating_add(span))));
        };
        let oldest: Option<i64> = self.tx.maybe(
            "SELECT at FROM letter_claim WHERE mailbox = ? AND at > ?
                 ORDER BY at DESC LIMIT 1 OFFSET ?",
            &[&mailbox, &self.now.0.saturating_sub(span), &others],
        )?;
        Ok(oldest.map(|at| Millis(at.saturating_add(span))))
    }

    fn window(&mut self, name: &str) -> Result<&mut Window> {
        if !self.windows.contains_key(name) {
            let minutes: Vec<(i64, u32)> = self.tx.all(
                "SELECT minute, letters FROM letter_minute
                 WHERE domain = ? AND minute >= ? ORDER BY minute",
                &[&name, &(minute_of(self.now) - MINUTES)],
            )?;
            let window = Window {
                used: minutes.iter().map(|(_, count)| count).sum(),
                minutes,
                taken: 0,
            };
            self.windows.insert(name.to_owned(), window);
        }
        self.windows
            .get_mut(name)
            .ok_or_else(|| StoreError::Other("a rate limit counter is missing".to_owned()))
    }

    /// Adds the taken mails to the counts; the claims are rows already.
    pub(crate) fn keep(self) -> Result<()> {
        let minute = minute_of(self.now);
        for (name, window) in self.windows.iter().filter(|(_, window)| window.taken > 0) {
            let sql = "DELETE FROM letter_minute WHERE domain = ? AND minute < ?";
            self.tx.run(sql, &[&name, &(minute - MINUTES)])?;
            self.tx.run(
                "INSERT INTO letter_minute (domain, minute, letters) VALUES (?1, ?2, ?3)
                     ON CONFLICT (domain, minute) DO UPDATE
                         SET letters = letter_minute.letters + ?3",
                &[&name, &minute, &window.taken],
            )?;
        }
        Ok(())
    }
}

/// Gives back the share of a mail that was certainly not sent.
pub(crate) fn give_back(
    tx: &Tx,
    address: &EmailAddress,
    verification_mail: i64,
    place: QueuePlace,
    claimed_at: Millis,
) -> Result<()> {
    let sql = "DELETE FROM letter_claim WHERE letter = ? AND at = ?";
    let there = tx.run(sql, &[&verification_mail, &claimed_at])?;
    if there == 0 {
        return Ok(());
    }
    // Only the names of the counters matter here.
    let limits = MailLimits {
        per_address_hour: 1,
        per_address_day: 1,
        per_domain_hour: 1,
        total_hour: 1,
        sign_up_hour: 1,
        sign_up_per_client_hour: 1,
        authenticated_hour: 1,
        delimiters: AddressDelimiters::PLUS,
    };
    for (name, _) in counters(address, place, limits) {
        tx.run(
            "UPDATE letter_minute SET letters = letters - 1
                 WHERE domain = ?1 AND minute = ?2 AND letters > 0",
            &[&name, &minute_of(claimed_at)],
        )?;
    }
    Ok(())
}

/// Moves counts that a wrong clock dated in the future to this minute: they stand for sent mails.
pub(crate) fn bring_back(tx: &Tx, now: Millis) -> Result<()> {
    let minute = minute_of(now);
    tx.run(
        "INSERT INTO letter_minute (domain, minute, letters)
             SELECT domain, ?1, sum(letters) FROM letter_minute WHERE minute > ?1 GROUP BY domain
             ON CONFLICT (domain, minute) DO UPDATE
                 SET letters = letter_minute.letters + excluded.letters",
        &[&minute],
    )?;
    tx.run("DELETE FROM letter_minute WHERE minute > ?", &[&minute])?;
    Ok(())
}

/// Erases the claims of an account's verification mails. Those of other addresses of the same mailbox stay.
pub(crate) fn erase_claims(tx: &Tx, account: i64) -> Result<()> {
    tx.run(
        "DELETE FROM letter_claim
             WHERE letter IN (SELECT n FROM letter WHERE account = ?)",
        &[&account],
    )?;
    Ok(())
}

fn minute_of(at: Millis) -> i64 {
    at.0.div_euclid(Millis::MINUTE)
}
