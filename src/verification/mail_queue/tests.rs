//! The worker with a real database, against our own listener, which accepts the null reverse-path.

mod refusals;

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mail_parser::MessageParser;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::*;
use crate::config::{Outgoing, SmtpSecurity, SmtpServer};
use crate::domain::{
    Domain, Envelope, LedgerId, PortalName, RecipientRole, ReversePath, Token, TokenHash,
};
use crate::smtp::{self, DataOutcome, MessageHandler, TryLater, UnknownRecipient};
use crate::store::{Arrival, ClaimedMail, Link, Settled};
use crate::templates::built_in;
use crate::verification::tests::sample;

/// Generous, for a machine under load.
const TIMEOUT: Duration = Duration::from_mins(5);

/// Connections by default.
const CONNECTIONS: usize = 16;

/// Accepts every message, except that a recipient `451…` is deferred and `550…` does not exist.
struct Sink {
    arrived: AtomicUsize,
    received: Mutex<Vec<(Envelope, Vec<u8>)>>,
    /// One permit for each message that is accepted.
    open: Semaphore,
}

impl MessageHandler for Sink {
    fn recipient(&self, address: &str) -> Result<RecipientRole, UnknownRecipient> {
        if address.starts_with("550") {
            return Err(UnknownRecipient);
        }
        let portal = PortalName::parse("sink").map_err(|_| UnknownRecipient)?;
        Ok(RecipientRole::Portal(portal))
    }

    fn memory(&self, header: usize) -> usize {
        header
    }

    async fn receive(&self, envelope: Envelope, raw: Vec<u8>) -> DataOutcome {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        self.open.acquire().await.expect("never closed").forget();
        if envelope.recipients[0].address.starts_with("451") {
            return DataOutcome::TryLater(TryLater::Internal);
        }
        self.received.lock().expect("a lock").push((envelope, raw));
        DataOutcome::Stored(LedgerId::new())
    }
}

/// A database, a server, and the worker between them.
struct Harness {
    store: Store,
    config: Arc<Config>,
    sink: Arc<Sink>,
    stop_sink: CancellationToken,
    _reloads: watch::Sender<Arc<Config>>,
    receiver: watch::Receiver<Arc<Config>>,
    folder: tempfile::TempDir,
}

impl Harness {
    async fn open(permits: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("vestibule.db")).expect("a database");
        let sink = Arc::new(Sink {
            arrived: AtomicUsize::new(0),
            received: Mutex::default(),
            open: Semaphore::new(permits),
        });
        let stop_sink = CancellationToken::new();
        let server = listen(&sink, &stop_sink).await;
        let mut config = sample::config("");
        let server = SmtpServer {
            host: server.ip().to_string(),
            port: server.port(),
            security: SmtpSecurity::None,
            tls_verify: true,
        };
        config.outgoing = Outgoing::Smtp(server, None);
        store
            .seed_access(config.access.clone(), Timestamp::now())
            .await
            .expect("the first settings");
        let config = Arc::new(config);
        let (reloads, receiver) = watch::channel(Arc::clone(&config));
        Self {
            store,
            config,
            sink,
            stop_sink,
            _reloads: reloads,
            receiver,
            folder,
        }
    }

    fn start(&self) -> (JoinHandle<()>, CancellationToken) {
        let shutdown = CancellationToken::new();
        let templates = built_in();
        let worker = run(
            self.receiver.clone(),
            self.store.clone(),
            templates,
            shutdown.clone(),
        );
        (tokio::spawn(worker), shutdown)
    }

    async fn mail(&self, from: &str) {
        let arrival = Arrival {
            facts: sample::facts(from, "secret subject"),
            ..sample::arrival(&self.config)
        };
        self.store.accept(arrival).await.expect("accepted");
    }

    async fn until_received(&self, count: usize) -> Vec<(Envelope, Vec<u8>)> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let received = self.sink.received.lock().expect("a lock").clone();
            if received.len() >= count {
                return received;
            }
            assert!(Instant::now() < deadline, "{} mails", received.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The mail that would be sent at that time.
    async fn due(&self, at: Timestamp) -> ClaimedMail {
        let token = Token::generate().unwrap_or_else(|error| panic!("{error}"));
        let round = self.store.settle_and_claim_mail(
            [],
            vec![token.hash().into()],
            self.config.verification.limits,
            self.config.verification.token_ttl,
            at,
        );
        round.await.expect("claimed").1
    }
}

async fn listen(sink: &Arc<Sink>, stop: &CancellationToken) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let hostname = Domain::parse("sink.example").expect("a domain");
    let (sender, settings) = watch::channel(Arc::new(smtp::ServerSettings::new(hostname)));
    let serving = smtp::serve(vec![listener], settings, Arc::clone(sink), stop.clone());
    tokio::spawn(async move {
        serving.await;
        drop(sender);
    });
    address
}

async fn until_counted(counter: &AtomicUsize, count: usize) {
    let deadline = Instant::now() + TIMEOUT;
    while counter.load(Ordering::SeqCst) < count {
        assert!(Instant::now() < deadline, "{counter:?} of {count}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn end(worker: (JoinHandle<()>, CancellationToken)) {
    let (task, shutdown) = worker;
    shutdown.cancel();
    tokio::time::timeout(TIMEOUT, task)
        .await
        .expect("the worker ends in time")
        .expect("and does not panic");
}

fn token_in(raw: &[u8]) -> TokenHash {
    let parsed = MessageParser::new().parse(raw).expect("a mail");
    let text = parsed.body_text(0).expect("a text").into_owned();
    let (_, rest) = text.split_once("/verify/").expect("a link");
    let (token, _) = rest.split_once("\r\n").unwrap_or((rest, ""));
    Token::parse_link(token)
        .unwrap_or_else(|error| panic!("{error}"))
        .hash()
}

#[tokio::test]
async fn each_gets_one_mail_with_a_link_that_works() {
    let harness = Harness::open(Semaphore::MAX_PERMITS).await;
    harness.mail("before@corp.example").await;
    let worker = harness.start();
    harness.until_received(1).await;
    // The database wakes the worker.
    for name in ["ann", "bob", "eve"] {
        harness.mail(&format!("{name}@corp.example")).await;
        harness.mail(&format!("{name}@corp.example")).await;
    }
    let received = harness.until_received(4).await;
    end(worker).await;
    assert_eq!(harness.sink.received.lock().expect("a lock").len(), 4);
    for (envelope, raw) in &received {
        assert_eq!(envelope.reverse_path, ReversePath::Null);
        assert_eq!(envelope.recipients.len(), 1);
        let now = Timestamp::now();
        let link = harness.store.look_at_link(token_in(raw), now).await;
        let Link::Open { address, .. } = link.expect("the database") else {
            panic!("an open link");
        };
        assert_eq!(address.to_string(), envelope.recipients[0].address);
        let text = String::from_utf8_lossy(raw);
        assert!(!text.contains("secret subject"));
    }
    assert!(
        harness
            .due(Timestamp::now())
            .await
            .verification_mails
            .is_empty()
    );
}

#[tokio::test]
async fn a_mail_that_has_to_wait_comes_again_and_one_to_nobody_does_not() {
    let harness = Harness::open(Semaphore::MAX_PERMITS).await;
    let begin = Timestamp::now();
    let worker = harness.start();
    for from in ["451@corp.example", "550@corp.example", "ann@corp.example"] {
        harness.mail(from).await;
    }
    harness.until_received(1).await;
    // The other two are settled when the worker has ended.
    end(worker).await;
    // A retry is due a minute after the attempt, and the attempt was after `begin`.
    let too_early = begin + Duration::from_secs(59);
    assert!(harness.due(too_early).await.verification_mails.is_empty());
    let again = harness
        .due(Timestamp::now() + Duration::from_secs(67))
        .await;
    let again = again.verification_mails;
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].address.to_string(), "451@corp.example");
    assert_eq!(again[0].attempt, 2);
}

#[tokio::test]
async fn mail_in_progress_is_finished_and_settled_before_the_end() {
    let harness = Harness::open(0).await;
    harness.mail("ann@corp.example").await;
    let (task, shutdown) = harness.start();
    until_counted(&harness.sink.arrived, 1).await;
    shutdown.cancel();
    assert!(!task.is_finished());
    harness.sink.open.add_permits(1);
    end((task, shutdown)).await;
    assert_eq!(harness.sink.received.lock().expect("a lock").len(), 1);
    let later = Timestamp::now() + Duration::from_mins(10);
    assert!(harness.due(later).await.verification_mails.is_empty());
}

#[tokio::test]
async fn a_mail_that_another_worker_sent_while_it_waited_for_a_connection_is_not_sent_again() {
    let harness = Harness::open(0).await;
    for n in 0..=CONNECTIONS {
        harness.mail(&format!("person{n}@corp.example")).await;
    }
    let worker = harness.start();
    until_counted(&harness.sink.arrived, CONNECTIONS).await;
    // All leases have expired by the time of the other worker.
    let other = harness.store.clone().for_workers();
    let tokens = (0..=CONNECTIONS).map(|_| MailTokens::generate().expect("tokens").hashes());
    let settings = &harness.config.verification;
    let later = Timestamp::now() + Duration::from_hours(24);
    let (limits, ttl) = (settings.limits, settings.token_ttl);
    let round = other.settle_and_claim_mail([], tokens.collect(), limits, ttl, later);
    let (_, claimed) = round.await.expect("claimed");
    assert_eq!(claimed.verification_mails.len(), CONNECTIONS + 1);
    let sent = claimed.verification_mails.iter();
    let sent = sent.map(|mail| (mail, MailOutcome::Sent, later));
    let round = other
        .settle_and_claim_mail(sent, Vec::new(), limits, ttl, later)
        .await;
    let (settled, _) = round.expect("settled");
    assert_eq!(settled, [Settled::Recorded; CONNECTIONS + 1]);
    harness.sink.open.add_permits(Semaphore::MAX_PERMITS / 2);
    // This one is due after the one that waited.
    harness.mail("last@corp.example").await;
    loop {
        let received = harness.until_received(CONNECTIONS + 1).await;
        let to_last = |(envelope, _): &(Envelope, Vec<u8>)| {
            envelope.recipients[0].address.starts_with("last@")
        };
        if received.iter().any(to_last) {
            assert_eq!(received.len(), CONNECTIONS + 1);
            break;
        }
    }
    end(worker).await;
}

#[tokio::test]
async fn the_configuration_limits_the_connections() {
    let harness = Harness::open(0).await;
    let mut config = (*harness.config).clone();
    assert_eq!(config.outgoing_concurrency, CONNECTIONS);
    config.outgoing_concurrency = 3;
    let queue = MailQueue(Mailer {
        store: harness.store.clone(),
        transport: MailTransport::new(&config.outgoing, &config.hostname, 3).expect("a transport"),
        config: Arc::new(config),
        templates: built_in(),
    });
    assert_eq!(queue.concurrency(), 3);
}

#[tokio::test]
async fn a_server_that_is_down_gets_no_mail_of_those_that_wait() {
    const MAILS: usize = 3 * CONNECTIONS;
    let mut harness = Harness::open(0).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut config = (*harness.config).clone();
    let Outgoing::Smtp(server, _) = &mut config.outgoing else {
        panic!("a server");
    };
    server.port = listener.local_addr().expect("an address").port();
    // Just enough for all of them, of one kind.
    let limits = &mut config.verification.limits;
    limits.per_domain_hour = u32::try_from(MAILS).expect("a number");
    limits.total_hour = 1000;
    (limits.sign_up_hour, limits.authenticated_hour) = (1, 1);
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    // Every connection ends before the greeting.
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    let (reloads, receiver) = watch::channel(Arc::new(config.clone()));
    harness.receiver = receiver;
    for n in 0..MAILS {
        harness.mail(&format!("person{n}@corp.example")).await;
    }
    let worker = harness.start();
    until_counted(&connections, 5).await;
    end(worker).await;
    drop(reloads);
    // Four failures do not open the breaker, and attempts in flight when the fifth opens it had no answer yet.
    let attempted = connections.load(Ordering::SeqCst);
    assert!(attempted <= 4 + CONNECTIONS, "{attempted} attempts");

    // Nothing is lost, and unsent mail does not count against the limits.
    let tokens = (0..MAILS).map(|_| MailTokens::generate().expect("tokens").hashes());
    let later = Timestamp::now() + Duration::from_mins(5);
    let verification = &config.verification;
    let (limits, ttl) = (verification.limits, verification.token_ttl);
    let round = harness
        .store
        .settle_and_claim_mail([], tokens.collect(), limits, ttl, later);
    let (_, claimed) = round.await.expect("claimed");
    assert_eq!(claimed.verification_mails.len(), MAILS);
    let first_attempts = claimed.verification_mails.iter();
    let first_attempts = first_attempts.filter(|mail| mail.attempt == 1).count();
    assert_eq!(first_attempts, MAILS - attempted);
}

#[tokio::test]
async fn a_folder_serves_for_trying_out() {
    let mut harness = Harness::open(0).await;
    let outgoing = harness.folder.path().join("outgoing");
    let mut config = (*harness.config).clone();
    config.outgoing = Outgoing::File(outgoing.clone());
    let (reloads, receiver) = watch::channel(Arc::new(config));
    harness.receiver = receiver;
    harness.mail("ann@corp.example").await;
    let worker = harness.start();
    let deadline = Instant::now() + TIMEOUT;
    let file = loop {
        let found = std::fs::read_dir(&outgoing).ok().and_then(|mut files| {
            files.find_map(|file| {
                let path = file.ok()?.path();
                (path.extension()? == "eml").then_some(path)
            })
        });
        match found {
            Some(file) => break file,
            None => assert!(Instant::now() < deadline),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    end(worker).await;
    drop(reloads);
    let raw = std::fs::read(file).expect("the file");
    assert!(raw.starts_with(b"From: \"Corp Help\" <no-reply@corp.example>\r\n"));
    harness.stop_sink.cancel();
}
