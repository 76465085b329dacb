//! Acceptance of a message: records all its ledger entries and their consequences, in one transaction.

use crate::access::Consequence;
use crate::domain::{LedgerId, Reason, Verdict};
use crate::store::accounts::replies::ConfirmationReply;
use crate::store::engine::job::{Operation, Work};
use crate::store::hooks::subscriptions;
use crate::store::intake::arrival::{Arrival, ArrivalOutcome, ArrivalPart};
use crate::store::intake::decide_part::{Decided, PartContext};
use crate::store::intake::own_addresses::may_be_by_a_person;
use crate::store::intake::prepared::{PreparedMessage, PreparedPart};
use crate::store::requests::decided_message::DecidedMessage;
use crate::store::requests::hold_quota::{QuotaDropped, offer};
use crate::store::rows::account_rows::{AccountRow, SenderAccount};
use crate::store::rows::dropped_content::{Author, count, is_wanted};
use crate::store::rows::duplicates::{Earlier, upgrade};
use crate::store::rows::keys::octets;
use crate::store::sql::sql_types::json;
use crate::store::sql::{CountedEntry, Tx, insert_deferred};
use crate::store::verification::bounces::note_report;
use crate::store::verification::mail_lanes::QueuePlace;
use crate::store::verification::notices::{self, NotTaken};
use crate::store::verification::verification_mail::{Occasion, owe};
use crate::store::{MailCause, MailKind, Result, Store, StoreError, Topic};

impl Store {
    /// Decides and records a message, and returns once the commit is synced. Returns one entry for each part,
    /// in order.
    ///
    /// # Errors
    /// Nothing was recorded, and the MTA must keep the message.
    pub async fn accept(&self, arrival: Arrival) -> Result<Vec<ArrivalOutcome>> {
        let is_authenticated = arrival.facts.authentication.passes();
        self.health
            .admit_mail(is_authenticated, arrival.raw.len())?;
        // Boxed, because the operation is moved to the writer and back.
        let message = Box::new(PreparedMessage::of(arrival)?);
        let weight = message.arrival.raw.len();
        self.writer.run_operation(weight, message).await
    }
}

impl Operation<Vec<ArrivalOutcome>> for Box<PreparedMessage> {
    fn run(&mut self, work: &mut Work) -> Result<Vec<ArrivalOutcome>> {
        self.record(work)
    }

    fn prefetch(&self, work: &mut Work) {
        work.settings.prefetch(work.tx);
        for prepared in &self.parts {
            // The results are not used here, and an error recurs when the operation runs the query itself.
            let _ = self.look_up(work.tx, prepared);
        }
        subscriptions::prefetch(work.tx);
    }
}

impl PreparedMessage {
    fn record(&self, work: &mut Work) -> Result<Vec<ArrivalOutcome>> {
        let mut entries = Vec::with_capacity(self.parts.len());
        // Entry under which the content is stored, once for all entries.
        let mut carrier = None;
        for (part, prepared) in self.arrival.parts.iter().zip(&self.parts) {
            entries.push(self.record_part(work, part, prepared, &mut carrier)?);
        }
        let any = |is: fn(&ArrivalOutcome) -> bool| entries.iter().any(is);
        if let (Some(carrier), false) = (carrier, any(|entry| entry.request.is_some())) {
            // A copy may have replaced the message that it repeats.
            if any(|entry| entry.reason == Reason::Duplicate) && is_wanted(work.tx, carrier)? {
                return Ok(entries);
            }
            let author = Author {
                sender: self.parts.iter().find_map(|part| part.sender.as_ref()),
                authenticated: self.arrival.facts.authentication.passes(),
            };
            count(work.tx, carrier, &author, self.arrival.max_dropped)?;
        }
        Ok(entries)
    }

    fn record_part(
        &self,
        work: &mut Work,
        part: &ArrivalPart,
        prepared: &PreparedPart,
        carrier: &mut Option<i64>,
    ) -> Result<ArrivalOutcome> {
        let keys = self.id_key.map(|key| (key, prepared.copy_key));
        if keys.is_some_and(|keys| work.entered.contains(&keys)) {
            // This message may repeat one of the same batch.
            work.tx.discard_prefetched();
        }
        let context = self.look_up(work.tx, prepared)?;
        let decided = self.decide(work, part, &context.standing)?;
        let decision = &decided.decision;
        let ledger = LedgerId::new();
        let n = self.write(
            work.tx,
            (part, prepared, ledger),
            &context,
            &decided,
            carrier,
        )?;
        work.entered.extend(keys);
        let outcome = ArrivalOutcome {
            ledger,
            portal: prepared.portal.clone(),
            verdict: decision.verdict,
            reason: decision.reason,
            rule: decision.rule,
            sender: prepared.sender.clone(),
            account: context
                .account
                .as_ref()
                .map(|account| (account.row.id, account.row.kind)),
            account_created: false,
            request: None,
            message_id: self.arrival.facts.message_id.clone(),
            undeliverable: None,
            verification: None,
        };
        let Some(earlier) = context.original else {
            return self.follow(work, (part, prepared, n), context, &decided, outcome);
        };
        if let (true, Some(carrier)) = (self.replaces(&earlier), *carrier) {
            self.take_the_place(work, &earlier, (carrier, prepared), context.account)?;
        }
        Ok(outcome)
    }

    /// True for an authenticated copy of a held request that is not.
    fn replaces(&self, earlier: &Earlier) -> bool {
        earlier.held_unauthenticated && self.arrival.facts.authentication.passes()
    }

    /// Writes and counts the entry, and writes the content where it is kept. Returns the number of the entry.
    fn write(
        &self,
        tx: &Tx,
        (part, prepared, ledger): (&ArrivalPart, &PreparedPart, LedgerId),
        context: &PartContext,
        decided: &Decided,
        carrier: &mut Option<i64>,
    ) -> Result<i64> {
        let (decision, original) = (&decided.decision, context.original);
        // Also mail to an address of our own: a person may have written a request into it. Its tokens are masked.
        let may_be_recovered =
            matches!(part, ArrivalPart::Portal { .. }) || may_be_by_a_person(&self.arrival.facts);
        let has_copies = original.is_none()
            && (decision.verdict != Verdict::Dropped || decision.reason == Reason::Bounce);
        let forgotten =
            decision.verdict == Verdict::Dropped && original.is_none() && may_be_recovered;
        let domain = prepared.sender.as_ref().map(|s| s.domain().as_str());
        let n = tx.next_number()?;
        insert_deferred!(
            tx,
            ledger {
                n,
                id: ledger,
                received_at: self.at,
                portal: prepared.portal,
                recipient: prepared.recipient,
                verdict: decision.verdict,
                rule: decision.reason,
                revision: decided.revision,
                sender: prepared.sender_key,
                domain,
                original: original.map(|earlier| earlier.n),
                message: original.is_none().then_some(*carrier).flatten(),
                forget_at: forgotten.then(|| self.at.plus(self.arrival.keep_dropped)),
                message_key: self.id_key,
                copy_key: if has_copies { prepared.copy_key } else { 0 },
                facts: self.facts,
                envelope: self.envelope,
                circumstances: prepared.circumstances,
                standing: json(&context.standing)?
            }
        )?;
        tx.count_entry(&CountedEntry {
            received_at: self.at,
            portal: prepared.portal.as_ref(),
            verdict: decision.verdict,
            reason: decision.reason,
            domain,
        })?;
        let is_kept = original.is_none_or(|earlier| self.replaces(&earlier));
        if is_kept && carrier.is_none() && may_be_recovered {
            insert_deferred!(
                tx,
                content {
                    ledger: n,
                    raw: self.arrival.raw
                }
            )?;
            *carrier = Some(n);
        }
        Ok(n)
    }

    /// Applies the consequences of the decision about a message that repeats no other.
    fn follow(
        &self,
        work: &mut Work,
        (part, prepared, n): (&ArrivalPart, &PreparedPart, i64),
        context: PartContext,
        decided: &Decided,
        mut outcome: ArrivalOutcome,
    ) -> Result<ArrivalOutcome> {
        let facts = &self.arrival.facts;
        if let (Reason::HoldQuota, Some(account)) = (decided.decision.reason, &context.account) {
            let dropped = QuotaDropped {
                n,
                account: account.row.n,
                authenticated: facts.authentication.passes(),
                octets: octets(facts.size),
                kept_otherwise_until: self.at.plus(self.arrival.keep_dropped),
            };
            let until = self.at.plus(self.arrival.hold_for);
            offer(work.tx, &dropped, until, self.arrival.quota)?;
        }
        if let (Some(report), Some(verification_mail)) = (&facts.report, prepared.verification_mail)
        {
            outcome.undeliverable = note_report(work.tx, report, verification_mail, n, self.at)?;
        }
        self.apply(work, decided, context, prepared, n, &mut outcome)?;
        if let (
            Reason::Confirmation,
            ArrivalPart::Confirmation { token, answer, .. },
            Some(sender_key),
        ) = (decided.decision.reason, part, &prepared.sender_key)
        {
            let reply = ConfirmationReply {
                n,
                token: *token,
                answer: answer.clone(),
                sender_key,
            };
            outcome.verification = work.take_reply(&reply, self.at)?;
        }
        Ok(outcome)
    }

    /// Creates the account, request and mail that the decision calls for.
    fn apply(
        &self,
        work: &mut Work,
        decided: &Decided,
        context: PartContext,
        prepared: &PreparedPart,
        n: i64,
        entry: &mut ArrivalOutcome,
    ) -> Result<()> {
        let (Some(portal), Some(sender)) = (&prepared.portal, &prepared.sender) else {
            // Mail to our own addresses, or without a usable sender.
            if decided.decision.consequence == Consequence::Nothing {
                return Ok(());
            }
            let cause = "a decision without a portal or a sender";
            return Err(StoreError::Other(cause.to_owned()));
        };
        let (mut account, standing) = (context.account, context.standing);
        if let (Some(account), true) = (
            &mut account,
            decided.decision.consequence != Consequence::Nothing,
        ) {
            self.end_quiet(work.tx, prepared, &mut account.row)?;
        }
        self.tell_sender(work, decided, prepared, n)?;
        let message = DecidedMessage {
            n,
            ledger: entry.ledger,
            sender,
            portal,
            message_id: self.arrival.facts.message_id.as_deref(),
            languages: &self.arrival.facts.languages,
            size: self.arrival.facts.size,
            received_at: self.at,
            now: self.at,
            hold_for: self.arrival.hold_for,
            authenticated: self.arrival.facts.authentication.passes(),
            client: self.arrival.client,
            quota: self.arrival.quota,
            full: standing.account.filter(|account| account.quota_reached),
        };
        let applied = work.apply(&message, &decided.decision, &decided.settings, account)?;
        if let Some(applied) = applied {
            entry.account = Some((applied.account.id, applied.account.kind));
            entry.account_created = applied.created;
            entry.request = Some(applied.request);
        }
        Ok(())
    }

    /// Owes the sender a notice that their mail is not accepted, if the portal is configured to send such notices.
    fn tell_sender(
        &self,
        work: &mut Work,
        decided: &Decided,
        prepared: &PreparedPart,
        n: i64,
    ) -> Result<()> {
        let reason = decided.decision.reason;
        let is_refused = matches!(
            reason,
            Reason::DomainNotAllowed | Reason::ExternalAccountsDisabled
        );
        let (true, true, Some(portal), Some(sender)) = (
            is_refused,
            decided.settings.external.tell_refused,
            &prepared.portal,
            &prepared.sender,
        ) else {
            return Ok(());
        };
        let facts = &self.arrival.facts;
        if !notices::reaches_a_person(facts, &self.arrival.envelope.reverse_path, sender) {
            return Ok(());
        }
        let about = NotTaken {
            entry: n,
            sender,
            portal,
            reason,
            message_id: facts.message_id.as_deref(),
        };
        let is_owed = notices::owe(work.tx, &about, self.at)?;
        work.wakeups.add_if(Topic::Notices, is_owed);
        Ok(())
    }

    /// Ends the quiet time of a sender when an authenticated message from them arrives.
    fn end_quiet(&self, tx: &Tx, prepared: &PreparedPart, account: &mut AccountRow) -> Result<()> {
        let facts = &self.arrival.facts;
        // Authentication of a mailing list says nothing about the author.
        if facts.authentication.passes_dmarc() && prepared.sender.as_ref() == facts.sender.address()
        {
            account.resume_mail(tx, self.at)?;
        }
        Ok(())
    }

    /// Replaces a held request by an authenticated copy of it.
    fn take_the_place(
        &self,
        work: &mut Work,
        earlier: &Earlier,
        (carrier, prepared): (i64, &PreparedPart),
        account: Option<SenderAccount>,
    ) -> Result<()> {
        let facts = &self.arrival.facts;
        upgrade(work.tx, earlier.n, carrier, facts, self.at)?;
        let (Some(mut account), Some(sender)) = (account, &prepared.sender) else {
            return Ok(());
        };
        self.end_quiet(work.tx, prepared, &mut account.row)?;
        let occasion = Occasion {
            kind: MailKind::Verification,
            cause: MailCause::Mail,
            portal: prepared.portal.as_ref(),
            in_reply_to: facts.message_id.as_deref(),
            place: QueuePlace::of_mail(true, None, sender.domain()),
        };
        let is_owed = owe(work.tx, &account.row, &occasion, self.at)?;
        work.wakeups.add_if(Topic::VerificationMail, is_owed);
        Ok(())
    }
}
