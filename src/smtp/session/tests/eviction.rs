//! Tests of evictions for a slot or for memory, and of a shutdown.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_evicted() {
    let in_message = [ADDRESSED, b"Hi."].concat();
    for said in [
        &b""[..],
        b"HELO mta.example\r\nMAIL FROM:<>\r\nRC",
        &in_message,
    ] {
        let connection_slots = Arc::new(ConnectionSlots::new());
        let (mut client, task) = session_in_slot(
            connection_slots.take(1, PEER).expect("a slot"),
            CancellationToken::new(),
            settings(),
            10_000,
        );
        client.write_all(said).await.expect("a pipe");
        let begin = Instant::now();
        while connection_slots.take(1, PEER).is_none() {
            sleep(Duration::from_secs(1)).await;
        }
        assert!(begin.elapsed() < Duration::from_secs(12));
        let heard = all(&mut client).await;
        let last = "\r\n421 4.3.2 Idle or slow while others wait, closing\r\n";
        assert!(heard.ends_with(last), "{heard}");
        drop(client);
        assert!(task.await.expect("no panic").is_empty());
    }
}

/// Reads the replies that were written together.
async fn replies(client: &mut DuplexStream) -> String {
    let mut said = vec![0; 1000];
    let count = client.read(&mut said).await.expect("a pipe");
    String::from_utf8_lossy(&said[..count]).into_owned()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_answered_is_evicted_and_told_of_a_shutdown() {
    let commands = ["HELO mta.example\r\n", "MAIL FROM:<>\r\n"];
    for (count, moment) in [(0, Duration::ZERO), (1, Duration::ZERO), (2, LAST_COMMAND)] {
        for is_shutdown in [true, false] {
            let connection_slots = Arc::new(ConnectionSlots::new());
            let leave = CancellationToken::new();
            let slot = connection_slots.take(1, PEER).expect("a slot");
            let (mut client, task) = session_in_slot(slot, leave.clone(), settings(), 10_000);
            assert!(replies(&mut client).await.starts_with("220 "));
            for command in &commands[..count] {
                client.write_all(command.as_bytes()).await.expect("a pipe");
                assert!(replies(&mut client).await.starts_with("250 "), "{command}");
            }
            let end = if is_shutdown {
                leave.cancel();
                if moment > Duration::ZERO {
                    // Each command of the transaction gives the client another moment.
                    sleep(moment.saturating_sub(Duration::from_secs(1))).await;
                    let recipient = b"RCPT TO:<it@corp.example>\r\n";
                    client.write_all(recipient).await.expect("a pipe");
                    assert!(replies(&mut client).await.starts_with("250 "));
                }
                "421 4.3.2 Shutting down, try again later\r\n"
            } else {
                while connection_slots.take(1, PEER).is_none() {
                    sleep(Duration::from_secs(1)).await;
                }
                "421 4.3.2 Idle or slow while others wait, closing\r\n"
            };
            let begin = Instant::now();
            assert_eq!(all(&mut client).await, end, "{count} commands");
            if is_shutdown {
                let took = begin.elapsed();
                let most = moment + Duration::from_millis(10);
                assert!((moment..most).contains(&took), "{count} commands: {took:?}");
            }
            drop(client);
            assert!(task.await.expect("no panic").is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_message_in_transfer_is_evicted_for_memory() {
    let stored = [ADDRESSED, b"Hi.\r\n.\r\n"].concat();
    let discarded = [ADDRESSED, &[b'a'; 2000]].concat();
    let in_message = [ADDRESSED, b"Hi."].concat();
    for (sent, is_evicted) in [(stored, false), (discarded, false), (in_message, true)] {
        let connection_slots = Arc::new(ConnectionSlots::new());
        let take = || connection_slots.take(2, PEER).expect("a slot");
        let (waiting, slot) = (take(), take());
        let mut settings = settings();
        settings.max_message_size = 1000;
        let (mut client, task) = session_in_slot(slot, CancellationToken::new(), settings, 10_000);
        client.write_all(&sent).await.expect("a pipe");
        let memory = waiting.acquire_evicting(std::future::pending());
        let waited = timeout(Duration::from_mins(1), memory).await;
        assert!(waited.is_err());
        client.shutdown().await.expect("a pipe");
        let said = all(&mut client).await;
        assert_eq!(said.contains("421 4.3.2 Idle"), is_evicted, "{said}");
        drop(client);
        task.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_memory_does_not_count_as_time_of_the_client() {
    let mut settings = settings();
    settings.memory_budget = 0;
    let shared = shared(&settings);
    let mut reserve = shared.budget.reservation(PEER);
    reserve.grow(1).await;
    let slot = Arc::new(ConnectionSlots::new()).take(1, PEER);
    let (mut client, task) = session_with(
        Arc::clone(&shared),
        slot.expect("a slot"),
        CancellationToken::new(),
        settings,
        10_000,
    );
    client.write_all(ADDRESSED).await.expect("a pipe");
    client.write_all(b"Hi.\r\n").await.expect("a pipe");
    sleep(Duration::from_mins(40)).await;
    drop(reserve);
    sleep(Duration::from_secs(1)).await;
    let end = client.write_all(b".\r\nQUIT\r\n").await;
    end.expect("a pipe");
    let said = all(&mut client).await;
    assert!(said.ends_with("\r\n221 2.0.0 Bye\r\n"), "{said}");
    drop(client);
    assert_eq!(task.await.expect("no panic"), [5]);
}
