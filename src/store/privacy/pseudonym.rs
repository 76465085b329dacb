//! Pseudonyms: takes the facts and the envelope of a message, and returns them without anything that reveals its
//! author or content. The inputs of the rules stay, so that the entry still explains itself; the values quoted as
//! evidence do not.

use crate::domain::{EmailAddress, Envelope, MailId, Recipient, ReversePath};
use crate::mail::{Evidence, Facts, Fingerprint, Sender};

/// Replaces a quoted value that a sender wrote.
const FORGOTTEN: &str = "(forgotten)";

/// Replaces a domain that identifies the person (RFC 2606 2).
const NOWHERE: &str = "forgotten.invalid";

/// Address that replaces another one from now on.
#[derive(Debug, Clone)]
pub(crate) struct Pseudonym(EmailAddress);

impl Pseudonym {
    /// Creates a new pseudonym, with the domain of the address unless that is to be forgotten, too.
    pub(crate) fn of(address: &EmailAddress, domain_too: bool) -> Option<Self> {
        let name = MailId::new().to_string().to_lowercase();
        let domain = address.domain().as_str();
        let domain = if domain_too { NOWHERE } else { domain };
        EmailAddress::parse(&format!("forgotten-{name}@{domain}"))
            .ok()
            .map(Self)
    }

    pub(crate) fn address(&self) -> &EmailAddress {
        &self.0
    }

    /// True if it would give an entry under this domain the person's domain again, which another run has erased.
    pub(crate) fn restores_domain(&self, domain: Option<&str>) -> bool {
        domain == Some(NOWHERE) && self.0.domain().as_str() != NOWHERE
    }

    /// Rewrites the facts of a message that the person wrote.
    pub(crate) fn rewrite_author(&self, facts: Facts) -> Facts {
        let sender = Sender::Usable {
            address: self.0.clone(),
            written: self.0.to_string(),
            lookalike: None,
            lenient: false,
        };
        Facts {
            sender,
            from_is_list: false,
            ..without_content(facts)
        }
    }
}

/// Rewrites the facts of a message about the person, such as a bounce.
pub(crate) fn without_content(facts: Facts) -> Facts {
    let mut authentication = facts.authentication;
    authentication.evidence = authentication.evidence.map(without_value);
    authentication.details.clear();
    Facts {
        sender: facts.sender,
        author_behind_list: None,
        from_is_list: facts.from_is_list,
        subject: None,
        message_id: None,
        date: None,
        automatic: facts.automatic.map(without_value),
        presumed_automatic: facts.presumed_automatic.map(without_value),
        bulk: facts.bulk.map(without_value),
        list_ids: facts.list_ids,
        languages: facts.languages,
        report: facts.report.map(|mut report| {
            report.evidence = without_value(report.evidence);
            report.recipients.clear();
            report.original_message_id = None;
            report
        }),
        own_mark: facts.own_mark.map(without_value),
        received_fields: facts.received_fields,
        masked_links: facts.masked_links,
        mbox_line: facts.mbox_line.map(without_value),
        spam: facts.spam.map(without_value),
        authentication,
        fingerprint: Fingerprint::FORGOTTEN,
        size: facts.size,
    }
}

/// Rewrites the envelope of a message by or about the person.
pub(crate) fn without_people(envelope: Envelope) -> Envelope {
    let recipients = envelope.recipients.into_iter().map(|recipient| Recipient {
        address: without_detail(recipient.address),
        role: recipient.role,
    });
    Envelope {
        reverse_path: match envelope.reverse_path {
            ReversePath::Null => ReversePath::Null,
            ReversePath::Mailbox(_) | ReversePath::Unknown => ReversePath::Unknown,
        },
        recipients: recipients.collect(),
        helo: String::new(),
        client: None,
        ..envelope
    }
}

/// A recipient address of ours without the detail after the plus, which a sender chose.
pub(crate) fn without_detail(recipient: String) -> String {
    match EmailAddress::parse(&recipient) {
        Ok(address) => address.without_detail().to_string(),
        Err(_) => recipient,
    }
}

fn without_value(evidence: Evidence) -> Evidence {
    Evidence {
        field: evidence.field,
        value: FORGOTTEN.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{self, Identity};

    const ASCII_LETTER: &str = "From: \"Ann Example\" <ann@secret.example>\r\nSubject: my secret\r\n\
        Message-ID: <secret@secret.example>\r\nAuto-Submitted: auto-secret\r\n\
        List-Unsubscribe: <https://secret.example>\r\n\r\nsecret\r\n";

    fn envelope() -> Envelope {
        Envelope {
            reverse_path: ReversePath::Mailbox("ann@secret.example".to_owned()),
            recipients: vec![Recipient {
                address: "it-help+secret@corp.example".to_owned(),
                role: crate::domain::RecipientRole::Bounces,
            }],
            helo: "secret.example".to_owned(),
            peer: None,
            client: Some(crate::domain::ForwardedClient {
                name: Some("secret.example".to_owned()),
                address: None,
                helo: None,
            }),
            tls: false,
            smtputf8: false,
        }
    }

    #[test]
    fn nothing_of_the_person_is_left_and_the_class_stays() {
        let own = Identity {
            hostname: "gate.corp.example".parse().expect("a domain"),
            authserv_id: None,
            spam: [].into(),
        };
        let facts = mail::read(ASCII_LETTER.as_bytes(), &envelope(), &own);
        let ann = EmailAddress::parse("ann@secret.example").expect("an address");
        let pseudonym = Pseudonym::of(&ann, true).expect("a pseudonym");
        let class = facts.class();
        assert!(!facts.is_forgotten());
        let after = pseudonym.rewrite_author(facts);
        assert!(after.is_forgotten());
        assert_eq!(after.class(), class);
        let text = serde_json::to_string(&after).expect("JSON")
            + &serde_json::to_string(&without_people(envelope())).expect("JSON");
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains("it-help@corp.example"), "{text}");
    }

    #[test]
    fn the_domain_stays_unless_it_is_the_persons_own() {
        let ann = EmailAddress::parse("ann@corp.example").expect("an address");
        let kept = Pseudonym::of(&ann, false).expect("a pseudonym");
        assert_eq!(kept.address().domain(), ann.domain());
        let gone = Pseudonym::of(&ann, true).expect("a pseudonym");
        assert_eq!(gone.address().domain().as_str(), NOWHERE);
    }
}
