//! Compares any order of commands with a model of three states.

use proptest::prelude::*;

use super::*;
use crate::domain::{Domain, LedgerId, PortalName, RecipientRole, ReversePath};
use crate::smtp::handler::{TryLater, UnknownRecipient};

/// A handler with one address.
struct Desk;

impl MessageHandler for Desk {
    fn recipient(&self, address: &str) -> Result<RecipientRole, UnknownRecipient> {
        match address {
            "it@corp.example" => PortalName::parse("it")
                .map(RecipientRole::Portal)
                .map_err(|_| UnknownRecipient),
            _ => Err(UnknownRecipient),
        }
    }

    fn memory(&self, header: usize) -> usize {
        header
    }

    async fn receive(&self, _: Envelope, _: Vec<u8>) -> DataOutcome {
        DataOutcome::Stored(LedgerId::new())
    }
}

fn protocol() -> Protocol<Desk> {
    let mut settings = ServerSettings::new(Domain::parse("gate.corp.example").expect("a domain"));
    settings.max_errors = usize::MAX;
    settings.max_recipients = 3;
    Protocol::new(Arc::new(Desk), Arc::new(settings), [127, 0, 0, 1].into())
}

#[derive(Debug, Clone, Copy)]
enum Said {
    Ehlo,
    Mail,
    Rcpt,
    Stranger,
    /// DATA, and if it is accepted, true for a message within the size limit.
    Data(bool),
    Rset,
    Noop,
    Rubbish,
}

/// States of a client by RFC 5321 4.1.4.
#[derive(Debug, PartialEq, Eq)]
enum Model {
    Unknown,
    Greeted,
    Sender(usize),
}

impl Model {
    /// The expected reply code of `said`, and the next state.
    fn expect(self, said: Said) -> (u16, Self) {
        match (said, self) {
            (Said::Mail, Self::Greeted) => (250, Self::Sender(0)),
            (Said::Rcpt, Self::Sender(count)) if count < 3 => (250, Self::Sender(count + 1)),
            (Said::Rcpt | Said::Stranger, Self::Sender(count)) if count >= 3 => {
                (452, Self::Sender(count))
            }
            (Said::Stranger, Self::Sender(count)) => (550, Self::Sender(count)),
            (Said::Data(_), Self::Sender(count)) if count > 0 => (354, Self::Greeted),
            (Said::Rset, Self::Unknown) => (250, Self::Unknown),
            (Said::Ehlo | Said::Rset, _) => (250, Self::Greeted),
            (Said::Noop, state) => (250, state),
            (Said::Rubbish, state) => (500, state),
            (Said::Mail | Said::Rcpt | Said::Stranger | Said::Data(_), state) => (503, state),
        }
    }
}

proptest! {
    #[test]
    fn any_order_of_commands(said in prop::collection::vec(
        prop::sample::select(vec![
            Said::Ehlo, Said::Mail, Said::Rcpt, Said::Rcpt, Said::Stranger, Said::Data(true),
            Said::Data(false), Said::Rset, Said::Noop, Said::Rubbish,
        ]),
        0..40,
    )) {
        let mut protocol = protocol();
        let mut model = Model::Unknown;
        for said in said {
            let line: &[u8] = match said {
                Said::Ehlo => b"EHLO mta.example",
                Said::Mail => b"MAIL FROM:<>",
                Said::Rcpt => b"RCPT TO:<it@corp.example>",
                Said::Stranger => b"RCPT TO:<no@corp.example>",
                Said::Data(_) => b"DATA",
                Said::Rset => b"RSET",
                Said::Noop => b"NOOP",
                Said::Rubbish => b"RUBBISH",
            };
            let recipients = if let Model::Sender(count) = model { count } else { 0 };
            let answer = protocol.answer(line, false);
            let (code, next) = model.expect(said);
            prop_assert_eq!(answer.reply.code(), code, "{:?}", said);
            if let Next::Transfer(envelope, _) = answer.next {
                prop_assert_eq!(envelope.recipients.len(), recipients);
                prop_assert_eq!(envelope.reverse_path, ReversePath::Null);
                prop_assert!(protocol.in_transaction());
                let (answer, code) = if matches!(said, Said::Data(true)) {
                    (protocol.finish_data(DataOutcome::Stored(LedgerId::new())), 250)
                } else {
                    (protocol.too_large(TooLarge::Header), 552)
                };
                prop_assert_eq!(answer.reply.code(), code);
            }
            model = next;
            prop_assert_eq!(protocol.in_transaction(), matches!(model, Model::Sender(_)));
        }
    }
}

/// A node that knows no address, beside one with others.
struct OneOfTwo;

impl MessageHandler for OneOfTwo {
    fn recipient(&self, _: &str) -> Result<RecipientRole, UnknownRecipient> {
        Err(UnknownRecipient)
    }

    fn may_be_elsewhere(&self) -> bool {
        true
    }

    fn memory(&self, header: usize) -> usize {
        header
    }

    async fn receive(&self, _: Envelope, _: Vec<u8>) -> DataOutcome {
        DataOutcome::Stored(LedgerId::new())
    }
}

#[test]
fn an_address_that_another_node_may_know_is_refused_temporarily() {
    let settings = protocol().settings;
    let mut protocol = Protocol::new(Arc::new(OneOfTwo), settings, [127, 0, 0, 1].into());
    for line in [&b"HELO mta.example"[..], b"MAIL FROM:<>"] {
        assert_eq!(protocol.answer(line, false).reply.code(), 250);
    }
    let answer = protocol.answer(b"RCPT TO:<hr@corp.example>", false);
    let address = "hr@corp.example".to_owned();
    assert_eq!(answer.reply, Reply::RecipientElsewhere(address));
    assert_eq!(answer.reply.code(), 451);
}

/// A person replies to an address that the configuration no longer has.
#[test]
fn the_token_in_a_refused_address_is_not_logged() {
    let token = ReplyToken::generate().expect("random bytes").reveal();
    // In the reply addresses of version 0.1.
    let older = Token::generate().expect("random bytes").reveal();
    for (address, logged) in [
        (
            format!("confirm+{token}@corp.example"),
            "confirm+…@corp.example",
        ),
        (
            format!("confirm+{}@corp.example", token.to_uppercase()),
            "confirm+…@corp.example",
        ),
        (
            format!("confirm+{older}@corp.example"),
            "confirm+…@corp.example",
        ),
        (
            "hr+printer@corp.example".to_owned(),
            "hr+printer@corp.example",
        ),
        ("no address".to_owned(), "no address"),
    ] {
        assert_eq!(hide_token(&address), logged);
    }
    let mut protocol = protocol();
    for line in [&b"HELO mta.example"[..], b"MAIL FROM:<>"] {
        assert_eq!(protocol.answer(line, false).reply.code(), 250);
    }
    let line = format!("RCPT TO:<confirm+{token}@corp.example>");
    let answer = protocol.answer(line.as_bytes(), false);
    let logged = "confirm+…@corp.example".to_owned();
    assert_eq!(answer.reply, Reply::UnknownRecipient(logged));
}

#[test]
fn nothing_begins_during_shutdown() {
    let mut protocol = protocol();
    protocol.answer(b"EHLO mta.example", true);
    let answer = protocol.answer(b"MAIL FROM:<>", true);
    assert_eq!(answer, Response::close(Reply::ShuttingDown));
}

#[test]
fn recipients_beyond_the_limit_do_not_count_as_errors() {
    let mut protocol = protocol();
    Arc::make_mut(&mut protocol.settings).max_errors = 5;
    for line in [&b"HELO mta.example"[..], b"MAIL FROM:<>"] {
        assert_eq!(protocol.answer(line, false).reply.code(), 250);
    }
    let most = protocol.settings.max_recipients;
    for number in 0..most + protocol.settings.max_errors + 10 {
        let answer = protocol.answer(b"RCPT TO:<it@corp.example>", false);
        let code = if number < most { 250 } else { 452 };
        assert_eq!((answer.reply.code(), answer.next), (code, Next::Command));
    }
    let answer = protocol.answer(b"DATA", false);
    assert_eq!(answer.reply.code(), 354);
}

#[test]
fn only_a_stored_message_resets_the_number_of_errors() {
    for (outcome, closes) in [
        (DataOutcome::Stored(LedgerId::new()), false),
        (DataOutcome::TryLater(TryLater::Internal), true),
    ] {
        let mut protocol = protocol();
        Arc::make_mut(&mut protocol.settings).max_errors = 1;
        for (line, code) in [
            (&b"RUBBISH"[..], 500),
            (b"HELO mta.example", 250),
            (b"MAIL FROM:<>", 250),
            (b"RCPT TO:<it@corp.example>", 250),
            (b"DATA", 354),
        ] {
            assert_eq!(protocol.answer(line, false).reply.code(), code);
        }
        protocol.finish_data(outcome);
        let answer = protocol.answer(b"RUBBISH", false);
        assert_eq!(answer.next == Next::Close, closes, "{outcome:?}");
    }
}
