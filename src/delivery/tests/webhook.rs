//! Tests of the webhook destination: the request, the meaning of answers, and the addresses that may be called.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::fault_server::acceptor;
use super::*;
use crate::config::{Endpoint, HttpCredentials, RetrySchedule, WebhookDestination, WebhookFormat};
use crate::delivery::destinations::webhook::Webhook;
use crate::domain::Timestamp;
use crate::outbound::body_stream::BodyStream;
use crate::outbound::http::{HttpClient, RequestMeta};
use crate::outbound::webhook_signature;
use crate::store::StoreError;

#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    does: String,
    #[serde(default)]
    https: bool,
    /// Seconds of the server's Retry-After.
    after: Option<i64>,
    #[serde(flatten)]
    expected: Expected,
}

/// One received request.
struct Posted {
    line: String,
    fields: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// A server that answers every request as a case describes.
async fn server(does: &str) -> (SocketAddr, mpsc::UnboundedReceiver<Posted>) {
    let (posted, received) = mpsc::unbounded_channel();
    if does == "nobody" {
        return (NOBODY, received);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let does = does.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (posted, does) = (posted.clone(), does.clone());
            tokio::spawn(async move { answer(stream, &does, &posted).await });
        }
    });
    (address, received)
}

async fn answer(
    stream: TcpStream,
    does: &str,
    posted: &mpsc::UnboundedSender<Posted>,
) -> std::io::Result<()> {
    if does == "tls" {
        return acceptor().accept(stream).await.map(drop);
    }
    let mut stream = BufStream::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut fields = BTreeMap::new();
    loop {
        let mut field = String::new();
        stream.read_line(&mut field).await?;
        let Some((name, value)) = field.trim_end().split_once(": ") else {
            break;
        };
        fields.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = fields
        .get("content-length")
        .and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    let _ = posted.send(Posted { line, fields, body });
    let bytes = match does {
        "drop" => return Ok(()),
        "hang" => std::future::pending().await,
        "slow" => {
            for octet in b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" {
                stream.write_all(&[*octet]).await?;
                stream.flush().await?;
                tokio::task::yield_now().await;
            }
            return stream.shutdown().await;
        }
        "half-answer" => "HTTP/1.1 200".to_owned(),
        "garbage" => "220 fault.example ESMTP\r\n\r\n".to_owned(),
        answer => format!("{answer}\r\n\r\n"),
    };
    stream.write_all(bytes.as_bytes()).await?;
    stream.shutdown().await
}

fn destination(address: SocketAddr, format: WebhookFormat) -> WebhookDestination {
    WebhookDestination {
        endpoint: Endpoint {
            url: format!("http://{address}/hook?key=1"),
            secret: None,
            credentials: None,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            timeout: Duration::from_mins(5),
            allow_private: true,
        },
        format,
        field: "email".to_owned(),
        concurrency: 1,
        retry: RetrySchedule::default(),
    }
}

#[tokio::test]
async fn every_answer_has_its_outcome() {
    let table: Table<Case> =
        toml::from_str(include_str!("../../../testdata/faults/webhook.toml")).expect("a table");
    let mut wrong = Vec::new();
    for case in &table.case {
        let (address, mut received) = server(&case.does).await;
        let before = Timestamp::now().as_second();
        let mut config = destination(address, WebhookFormat::Raw);
        if case.https {
            config.endpoint.url = format!("https://{address}/");
        }
        let (webhook, outgoing) = (Webhook::new(&config), outgoing());
        let attempt = webhook.attempt(&outgoing);
        let attempt = if case.does == "hang" {
            leave_hanging(attempt, received.recv()).await
        } else {
            attempt.await
        };
        let took = Timestamp::now().as_second() - before;
        if let Some(found) = case.expected.differs_from(&attempt) {
            wrong.push(format!("{}: {found}", case.name));
        }
        let asked = match &attempt {
            AttemptOutcome::Retry(cause) => cause.not_before.map(|time| time.as_second() - before),
            _ => None,
        };
        let good = match (case.after, asked) {
            (Some(expected), Some(found)) => (expected..=expected + took).contains(&found),
            (expected, found) => expected == found,
        };
        assert!(good, "{}: {asked:?}", case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_raw_message_is_posted_unchanged_and_signed() {
    let (address, mut received) = server("HTTP/1.1 204 No Content").await;
    let mut config = destination(address, WebhookFormat::Raw);
    let secret = secrecy::SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    config.endpoint.secret = Some(secret.clone().into());
    config.endpoint.credentials = Some(HttpCredentials::Bearer("letmein\n".to_owned().into()));
    config.endpoint.secret_headers =
        BTreeMap::from([("X-Api-Key".to_owned(), "hunter2".to_owned().into())]);
    config.endpoint.headers = BTreeMap::from([("X-Queue".to_owned(), "it".to_owned())]);
    let outgoing = outgoing();
    let before = Timestamp::now().as_second();
    assert_eq!(
        Webhook::new(&config).attempt(&outgoing).await,
        AttemptOutcome::Delivered
    );

    let posted = received.recv().await.expect("a request");
    let id = outgoing.claim().request().to_string();
    assert_eq!(posted.line, "POST /hook?key=1 HTTP/1.1\r\n");
    assert_eq!(posted.body, whole(&outgoing).await);
    let field = |name: &str| posted.fields.get(name).map(String::as_str);
    assert_eq!(field("content-type"), Some("message/rfc822"));
    assert_eq!(field("webhook-id"), Some(id.as_str()));
    assert_eq!(field("idempotency-key"), Some(id.as_str()));
    assert_eq!(field("authorization"), Some("Bearer letmein"));
    assert_eq!(field("x-queue"), Some("it"));
    assert_eq!(field("x-api-key"), Some("hunter2"));
    assert_eq!(
        field("content-length"),
        Some(posted.body.len().to_string().as_str())
    );
    let seconds = field("webhook-timestamp")
        .expect("a time")
        .parse()
        .expect("seconds");
    assert!((before..=Timestamp::now().as_second()).contains(&seconds));
    let signature = webhook_signature::sign(&secret, &id, seconds, &posted.body);
    assert_eq!(field("webhook-signature"), signature.as_deref());
}

#[tokio::test]
async fn a_form_has_the_message_in_base64_and_is_signed_as_it_is_sent() {
    let (address, mut received) = server("HTTP/1.1 200 OK\r\ncontent-length: 0").await;
    let mut config = destination(address, WebhookFormat::Form);
    config.field = "email encoded".to_owned();
    let secret = secrecy::SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    config.endpoint.secret = Some(secret.clone().into());
    config.endpoint.credentials = Some(HttpCredentials::Basic(
        "actionmailbox".to_owned(),
        "pass:word".to_owned().into(),
    ));
    let outgoing = outgoing();
    let webhook = Webhook::new(&config);
    assert_eq!(webhook.attempt(&outgoing).await, AttemptOutcome::Delivered);

    let posted = received.recv().await.expect("a request");
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(posted.fields["content-type"], kind);
    let login = format!("Basic {}", STANDARD.encode("actionmailbox:pass:word"));
    assert_eq!(posted.fields["authorization"], login);
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(&posted.body)
        .into_owned()
        .collect();
    let [(name, value)] = fields.as_slice() else {
        panic!("{fields:?}");
    };
    assert_eq!(name, "email encoded");
    let message = STANDARD.decode(value).expect("base64");
    assert_eq!(message, whole(&outgoing).await);
    let id = outgoing.claim().request().to_string();
    let seconds = posted.fields["webhook-timestamp"].parse().expect("seconds");
    let signature = webhook_signature::sign(&secret, &id, seconds, &posted.body);
    assert_eq!(
        Some(&posted.fields["webhook-signature"]),
        signature.as_ref()
    );
}

#[tokio::test]
async fn a_message_as_json_has_its_parts() {
    let raw = "From: Ann <ann@corp.example>\r\n\
        To: it-help@corp.example\r\n\
        Subject: =?utf-8?q?Dr=C3=BCcker?=\r\n\
        In-Reply-To: <0@corp.example>\r\n\
        MIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=x\r\n\
        \r\n\
        --x\r\n\
        Content-Type: text/plain; charset=iso-8859-1\r\n\
        Content-Transfer-Encoding: quoted-printable\r\n\
        \r\n\
        br=FCllt\r\n\
        --x\r\n\
        Content-Type: application/octet-stream\r\n\
        Content-Disposition: attachment; filename=log.bin\r\n\
        Content-Transfer-Encoding: base64\r\n\
        \r\n\
        AAEC/w==\r\n\
        --x--\r\n";
    let (address, mut received) = server("HTTP/1.1 200 OK\r\ncontent-length: 0").await;
    let claim = Claim::for_testing();
    let outgoing = Arc::new(OutgoingMessage::in_memory(
        claim.clone(),
        raw.into(),
        &hostname(),
    ));
    let webhook = Webhook::new(&destination(address, WebhookFormat::Json));
    assert_eq!(webhook.attempt(&outgoing).await, AttemptOutcome::Delivered);

    let posted = received.recv().await.expect("a request");
    assert_eq!(posted.fields["content-type"], "application/json");
    let found: serde_json::Value = serde_json::from_slice(&posted.body).expect("JSON");
    let expected = serde_json::json!({
        "type": "request.released",
        "timestamp": "2026-11-23T10:05:01Z",
        "data": {
            "request": claim.request(),
            "ledger": claim.ledger,
            "portal": "it",
            "recipient": "it-help@corp.example",
            "account": {
                "address": "ann@corp.example",
                "kind": "internal",
                "verified": "link 2026-11-23T10:05:00Z",
                "groups": ["staff", "Größe"],
            },
            "received_at": "2026-11-23T10:00:00Z",
            "message_id": "1@corp.example",
            "message": {
                "subject": "Drücker",
                "date": null,
                "from": [{"name": "Ann", "address": "ann@corp.example"}],
                "reply_to": [],
                "to": [{"name": null, "address": "it-help@corp.example"}],
                "cc": [],
                "in_reply_to": ["0@corp.example"],
                "references": [],
                "text": "brüllt",
                "html": null,
                "authentication": "none",
                "attachments": [{
                    "name": "log.bin",
                    "content_type": "application/octet-stream",
                    "content_id": null,
                    "inline": false,
                    "size": 4,
                    "content": "AAEC/w==",
                }],
                "raw": STANDARD.encode(raw),
                "raw_url": null,
            },
        },
    });
    assert_eq!(found, expected, "{found:#}");
}

#[tokio::test]
async fn private_networks_are_called_only_if_allowed() {
    let (address, mut received) = server("HTTP/1.1 200 OK\r\ncontent-length: 0").await;
    let port = address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "0x7f.1",
    ] {
        let mut config = destination(address, WebhookFormat::Raw);
        config.endpoint.url = format!("http://{host}:{port}/");
        config.endpoint.allow_private = false;
        let webhook = Webhook::new(&config);
        match webhook.attempt(&outgoing()).await {
            AttemptOutcome::Retry(cause) => {
                assert_eq!(cause.scope, Scope::Destination);
                assert!(
                    cause.text.contains("set allow_private"),
                    "{host}: {}",
                    cause.text
                );
            }
            other => panic!("{host}: {other:?}"),
        }
    }
    assert!(received.try_recv().is_err());

    let mut config = destination(address, WebhookFormat::Raw);
    config.endpoint.url = format!("http://localhost:{port}/");
    let webhook = Webhook::new(&config);
    assert_eq!(
        webhook.attempt(&outgoing()).await,
        AttemptOutcome::Delivered
    );
}

/// A failure of the store after the connection was opened is not an answer of the server.
#[tokio::test]
async fn a_message_that_cannot_be_read_to_its_end_says_nothing_about_the_server() {
    let (address, _received) = server("HTTP/1.1 200 OK").await;
    let endpoint = destination(address, WebhookFormat::Raw).endpoint;
    let unread = || StoreError::Other("unread".to_owned());
    let body = BodyStream::begin(2, move |sender| async move {
        for piece in [Ok(Bytes::from_static(b"a")), Err(unread())] {
            let _ = sender.send(piece).await;
        }
    });
    let meta = RequestMeta {
        id: "1",
        seconds: 0,
        content_type: "message/rfc822",
        signature: None,
    };
    let client = HttpClient::new(&endpoint, 1);
    let attempt = client.post(meta, reqwest::Body::wrap(body)).await;
    assert_eq!(attempt, AttemptOutcome::from(unread()));
}
