//! Limits of a whole listener: connections, reload, drain.

use std::sync::Arc;

use super::harness::{self, Client, Harness, Outcome};
use anyhow::{Result, ensure};
use vestibule::domain::Domain;

async fn greeted(harness: &Harness) -> Result<Client> {
    let mut client = Client::connect(harness.address).await?;
    let greeting = client.reply().await?;
    ensure!(greeting.starts_with("220 "), "{greeting}");
    Ok(client)
}

async fn addressed(harness: &Harness) -> Result<Client> {
    let mut client = greeted(harness).await?;
    client.say("EHLO mta.corp.example").await?;
    client.say("MAIL FROM:<ann@corp.example>").await?;
    let answer = client.say("RCPT TO:<it-help@corp.example>").await?;
    ensure!(answer == "250 2.1.5 Ok", "{answer}");
    Ok(client)
}

#[tokio::test]
async fn the_drain_finishes_transactions_and_starts_none() -> Result<()> {
    let harness = Harness::alone(harness::settings()).await?;
    let mut idle = greeted(&harness).await?;
    let mut busy = addressed(&harness).await?;
    harness.shutdown.cancel();

    // A client in a transaction has a few seconds for its next command.
    assert!(busy.say("DATA").await?.starts_with("354 "));
    assert_eq!(
        idle.reply().await?,
        "421 4.3.2 Shutting down, try again later"
    );
    idle.closed().await?;

    let answer = busy.say("Hi.\r\n.").await?;
    assert!(answer.starts_with("250 2.0.0 Ok: queued as "), "{answer}");
    assert_eq!(
        busy.reply().await?,
        "421 4.3.2 Shutting down, try again later"
    );
    busy.closed().await?;
    drop((idle, busy));

    assert_eq!(harness.handler.count(), 1);
    let address = harness.address;
    harness.close().await?;
    assert!(Client::connect(address).await.is_err(), "still listening");
    Ok(())
}

#[tokio::test]
async fn the_drain_does_not_begin_another_transaction_of_a_group() -> Result<()> {
    let harness = Harness::open(harness::settings(), Outcome::Stored).await?;
    let mut busy = addressed(&harness).await?;
    harness.shutdown.cancel();
    busy.say("DATA").await?;
    busy.send(b"Hi.\r\n.\r\nMAIL FROM:<ann@corp.example>\r\n", false)
        .await;
    assert!(busy.reply().await?.starts_with("250 2.0.0 Ok: queued as "));
    assert!(busy.reply().await?.starts_with("421 4.3.2 "));
    busy.closed().await?;
    drop(busy);
    harness.close().await
}

#[tokio::test]
async fn the_drain_waits_for_the_handler() -> Result<()> {
    let harness = Harness::with_gate(harness::settings()).await?;
    let mut client = addressed(&harness).await?;
    client.say("DATA").await?;
    client.send(b"Hi.\r\n.\r\n", false).await;
    harness.shutdown.cancel();
    tokio::task::yield_now().await;
    assert!(!harness.served.is_finished());
    harness.handler.let_pass();
    let answer = client.reply().await?;
    assert!(answer.starts_with("250 2.0.0 Ok: queued as "), "{answer}");
    drop(client);
    assert_eq!(harness.handler.count(), 1);
    harness.close().await
}

#[tokio::test]
async fn a_message_is_accepted_even_if_its_client_disconnects() -> Result<()> {
    let harness = Harness::with_gate(harness::settings()).await?;
    let mut client = addressed(&harness).await?;
    client.say("DATA").await?;
    client.send(b"Hi.\r\n.\r\n", false).await;
    drop(client);
    harness.handler.let_pass();
    let handler = Arc::clone(&harness.handler);
    harness.close().await?;
    assert_eq!(handler.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_slot_is_freed_when_its_client_disconnects() -> Result<()> {
    let mut settings = harness::settings();
    settings.max_connections = 2;
    let harness = Harness::open(settings, Outcome::Stored).await?;
    let mut first = greeted(&harness).await?;
    let second = greeted(&harness).await?;
    let mut third = Client::connect(harness.address).await?;
    assert_eq!(
        third.reply().await?,
        "421 4.3.2 Too many connections, try again later"
    );
    third.closed().await?;

    assert!(first.say("QUIT").await?.starts_with("221 "));
    first.closed().await?;
    drop(first);
    // The listener frees the slot asynchronously.
    let mut fourth = Client::connect(harness.address).await?;
    while fourth.reply().await?.starts_with("421 ") {
        fourth = Client::connect(harness.address).await?;
    }
    assert_eq!(fourth.say("NOOP").await?, "250 2.0.0 Ok");
    drop((fourth, second));
    harness.close().await
}

#[tokio::test]
async fn a_reload_applies_to_later_connections() -> Result<()> {
    let harness = Harness::open(harness::settings(), Outcome::Stored).await?;
    let mut before = greeted(&harness).await?;
    let mut settings = harness::settings();
    settings.hostname = Domain::parse("new.corp.example")?;
    settings.tls = Some(harness::tls(false)?);
    harness.settings.send(Arc::new(settings))?;
    let mut after = Client::connect(harness.address).await?;
    assert_eq!(after.reply().await?, "220 new.corp.example ESMTP Vestibule");
    assert_eq!(after.say("EHLO a.example").await?, "250 STARTTLS");
    assert_eq!(before.say("HELO a.example").await?, "250 gate.corp.example");
    drop((before, after));
    harness.close().await
}

#[tokio::test]
async fn all_messages_pass_a_budget_of_one_message() -> Result<()> {
    let mut settings = harness::settings();
    settings.max_message_size = 1_000_000;
    settings.memory_budget = 0;
    let harness = Harness::open(settings, Outcome::Stored).await?;
    let address = harness.address;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await?;
                client.reply().await?;
                client.say("HELO mta.corp.example").await?;
                client.say("MAIL FROM:<ann@corp.example>").await?;
                client.say("RCPT TO:<it-help@corp.example>").await?;
                client.say("DATA").await?;
                let mut body = b"Subject: large\r\n\r\n".to_vec();
                body.resize(900_000, b'a');
                body.extend_from_slice(b"\r\n.");
                let body = String::from_utf8(body)?;
                client.say(&body).await
            })
        })
        .collect();
    for client in clients {
        let answer = client.await??;
        assert!(answer.starts_with("250 2.0.0 Ok: queued as "), "{answer}");
    }
    assert_eq!(harness.handler.count(), 8);
    harness.close().await
}
