//! Reasons why `mailin-embedded` is not the listener (`docs/decisions/0001`). If one of these fails, upstream
//! has changed, and the decision can be reconsidered.

use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use mailin_embedded::response::OK;
use mailin_embedded::{Handler, Response, Server, SslConfig};

use super::harness::Client;

/// Records the senders of the messages.
#[derive(Clone, Default)]
struct Senders {
    sender: String,
    all: Arc<Mutex<Vec<String>>>,
}

impl Handler for Senders {
    fn mail(&mut self, _: std::net::IpAddr, _: &str, from: &str) -> Response {
        from.clone_into(&mut self.sender);
        OK
    }

    fn data_end(&mut self) -> Response {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(self.sender.clone());
        OK
    }
}

async fn greeted(senders: &Senders) -> Result<Client> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut server = Server::new(senders.clone());
    server.with_ssl(SslConfig::None).map_err(to_anyhow)?;
    server.with_tcp_listener(listener);
    // It cannot be stopped; it ends with the test's process.
    std::thread::spawn(move || server.serve().map_err(to_anyhow));
    let mut client = Client::connect(address).await?;
    client.reply().await?;
    client.say("HELO mta.corp.example").await?;
    Ok(client)
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn to_anyhow(error: mailin_embedded::err::Error) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}

#[tokio::test]
async fn it_does_not_parse_what_every_mta_sends() -> Result<()> {
    let mut client = greeted(&Senders::default()).await?;
    for line in [
        "MAIL FROM:<>",
        "MAIL FROM:<ann@corp.example> SIZE=100",
        "MAIL FROM:<ann@corp.example> SMTPUTF8",
        "MAIL FROM:<\"ann b\"@corp.example>",
        "NOOP hello",
    ] {
        assert_eq!(client.say(line).await?, "500 Syntax error", "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_message_can_be_smuggled_into_it() -> Result<()> {
    let senders = Senders::default();
    let mut client = greeted(&senders).await?;
    client.say("MAIL FROM:<ann@corp.example>").await?;
    client.say("RCPT TO:<it-help@corp.example>").await?;
    client.say("DATA").await?;
    client
        .send(
            b"one\n.\r\nMAIL FROM:<evil@corp.example>\r\nRCPT TO:<hr@corp.example>\r\nDATA\r\ntwo\r\n.\r\n",
            false,
        )
        .await;
    for _ in 0..5 {
        client.reply().await?;
    }
    let all = senders.all.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(*all, ["ann@corp.example", "evil@corp.example"]);
    Ok(())
}
