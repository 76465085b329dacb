//! Refusals of our own relay.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::*;
use crate::config::LogFormat;
use crate::domain::{Actor, EmailAddress, Interface};
use crate::observe::events::tests::capture;
use crate::outbound::Cause;
use crate::store::{CustomerFilter, QueuedMailFilter};

fn operator() -> Actor {
    Actor::operator("root", Interface::CommandLine)
}

/// The beginning of a command, and the reply that it gets. An empty one stands for the greeting.
type Refusal = (&'static str, &'static str);

/// A relay that accepts every mail, except for one refusal.
#[derive(Clone)]
struct Relay {
    port: u16,
    refusal: Arc<Mutex<Option<Refusal>>>,
    refused: Arc<AtomicUsize>,
    accepted: Arc<AtomicUsize>,
}

impl Relay {
    async fn start(refusal: Refusal) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let relay = Self {
            port: listener.local_addr().expect("an address").port(),
            refusal: Arc::new(Mutex::new(Some(refusal))),
            refused: Arc::default(),
            accepted: Arc::default(),
        };
        let own = relay.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let own = own.clone();
                // The client may disconnect at any point.
                tokio::spawn(async move { own.serve(stream).await.ok() });
            }
        });
        relay
    }

    /// The refusal of a command, which is counted.
    fn refuse(&self, command: &str) -> Option<&'static str> {
        let (refused, reply) = (*self.refusal.lock().expect("a lock"))?;
        let is_refused = command.starts_with(refused) && command.is_empty() == refused.is_empty();
        is_refused.then(|| {
            self.refused.fetch_add(1, Ordering::SeqCst);
            reply
        })
    }

    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        if let Some(reply) = self.refuse("") {
            return stream.write_all(format!("{reply}\r\n").as_bytes()).await;
        }
        stream.write_all(b"220 relay.example\r\n").await?;
        let (mut line, mut is_content) = (String::new(), false);
        while stream.read_line(&mut line).await? > 0 {
            let command = std::mem::take(&mut line);
            let is_end = is_content && command == ".\r\n";
            if is_content && !is_end {
                continue;
            }
            let reply = match self.refuse(&command) {
                Some(reply) => reply,
                None if is_end => {
                    self.accepted.fetch_add(1, Ordering::SeqCst);
                    "250 accepted"
                }
                None if command.starts_with("DATA") => "354 go",
                None if command.starts_with("QUIT") => "221 bye",
                None => "250 ok",
            };
            is_content = reply.starts_with("354");
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        }
        Ok(())
    }

    /// The harness with this relay in place of its server.
    async fn harness(&self) -> (Harness, watch::Sender<Arc<Config>>) {
        let mut harness = Harness::open(0).await;
        let mut config = (*harness.config).clone();
        let Outgoing::Smtp(server, _) = &mut config.outgoing else {
            panic!("a server");
        };
        server.port = self.port;
        let (reloads, receiver) = watch::channel(Arc::new(config));
        harness.receiver = receiver;
        (harness, reloads)
    }
}

fn ann() -> EmailAddress {
    EmailAddress::parse("ann@corp.example").expect("an address")
}

async fn undeliverable(store: &Store) -> usize {
    let filter = CustomerFilter {
        undeliverable: true,
        ..CustomerFilter::default()
    };
    store.customers(filter).await.expect("a list").rows.len()
}

#[tokio::test]
async fn a_relay_that_refuses_this_machine_gets_the_mail_when_it_accepts_it() {
    for refusal in [
        ("", "554 5.7.1 not you"),
        ("MAIL", "550 5.7.1 not this sender"),
        ("RCPT", "554 5.7.1 relay denied"),
        (".\r\n", "554 5.7.1 policy"),
    ] {
        let relay = Relay::start(refusal).await;
        let (harness, reloads) = relay.harness().await;
        harness.mail("ann@corp.example").await;
        let worker = harness.start();
        until_counted(&relay.refused, 1).await;
        end(worker).await;
        let queued = harness.store.queued_mail(QueuedMailFilter::default()).await;
        let queued = queued.expect("a list").rows;
        assert_eq!(queued.len(), 1, "{refusal:?}");
        let mail = &queued[0].mail;
        assert_eq!((mail.state.as_str(), mail.attempts), ("waiting", 1));
        let cause = mail.last_error.as_deref().unwrap_or_default();
        assert!(cause.contains("5.7.1"), "{refusal:?}: {cause:?}");
        assert_eq!(undeliverable(&harness.store).await, 0, "{refusal:?}");

        // The operator has repaired the relay. The failed attempt did not count against the limits.
        *relay.refusal.lock().expect("a lock") = None;
        let resend = harness
            .store
            .renew_link(ann(), operator(), Timestamp::now());
        resend.await.expect("asked");
        let worker = harness.start();
        until_counted(&relay.accepted, 1).await;
        end(worker).await;
        drop(reloads);
    }
}

#[tokio::test]
async fn an_address_that_the_relay_does_not_know_gets_no_more_mail() {
    let relay = Relay::start(("RCPT", "550 5.1.1 no such user")).await;
    let (harness, reloads) = relay.harness().await;
    harness.mail("ann@corp.example").await;
    let worker = harness.start();
    until_counted(&relay.refused, 1).await;
    end(worker).await;
    drop(reloads);
    assert_eq!(undeliverable(&harness.store).await, 1);
    harness.mail("ann@corp.example").await;
    let later = Timestamp::now() + Duration::from_hours(24);
    assert!(harness.due(later).await.verification_mails.is_empty());
    let resend = harness.store.renew_link(ann(), operator(), later);
    resend.await.expect("asked");
    assert_eq!(harness.due(later).await.verification_mails.len(), 1);
}

/// The queue of a harness, and a mail of it.
fn queue_and_task(harness: &Harness) -> (MailQueue, MailTask) {
    let config = Arc::clone(&harness.config);
    let queue = MailQueue(Mailer {
        store: harness.store.clone(),
        transport: MailTransport::new(&config.outgoing, &config.hostname, 1).expect("a transport"),
        config,
        templates: built_in(),
    });
    let task = MailTask {
        mail: sample::verification_mail(),
        tokens: MailTokens::generate().expect("tokens"),
    };
    (queue, task)
}

#[tokio::test]
async fn every_attempt_that_is_retried_is_logged() {
    let harness = Harness::open(0).await;
    let (queue, task) = queue_and_task(&harness);
    let cause = Cause::of_destination("no reply to the content");
    for attempt in [
        AttemptOutcome::Retry(cause.clone()),
        AttemptOutcome::Unknown(cause),
    ] {
        let lines = capture(LogFormat::Text, false, || {
            queue.conclude(&task, Some(&attempt), Timestamp::now());
        });
        let [line] = lines.as_slice() else {
            panic!("one line: {lines:?}");
        };
        assert!(line.contains(" WARN verification.deferred "), "{line}");
        assert!(
            line.ends_with(" cause=\"no reply to the content\"\n"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_retried_on_schedule_and_then_given_up() {
    let harness = Harness::open(0).await;
    let (queue, mut task) = queue_and_task(&harness);
    let now = Timestamp::now();
    let refusal = AttemptOutcome::Retry(Cause::of_request("RCPT: 554 5.7.1 relay denied"));
    let outcome = queue.conclude(&task, Some(&refusal), now);
    let MailOutcome::Retry { at, .. } = &outcome else {
        panic!("{outcome:?}");
    };
    assert!(*at >= now + Duration::from_mins(1) && *at < now + Duration::from_mins(2));
    // The last attempt, five days after the first.
    task.mail.attempt = 36;
    let outcome = queue.conclude(&task, Some(&refusal), now);
    assert!(
        matches!(&outcome, MailOutcome::Refused { cause } if cause.starts_with("given up: ")),
        "{outcome:?}"
    );
    let silence = AttemptOutcome::Unknown(Cause::of_request("no reply to the content"));
    let outcome = queue.conclude(&task, Some(&silence), now);
    assert!(
        matches!(&outcome, MailOutcome::GivenUp { .. }),
        "{outcome:?}"
    );
}
