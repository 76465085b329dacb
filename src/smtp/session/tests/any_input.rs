//! Tests of any octets in chunks of any length.

use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn one_byte_at_a_time_both_ways() {
    let (client, task) = session(settings(), 1);
    let (mut read, mut write) = tokio::io::split(client);
    let writer = tokio::spawn(async move {
        write.write_all(ADDRESSED).await.expect("a pipe");
        write
            .write_all(b"..\r\n.a\r\n.\r\nQUIT\r\n")
            .await
            .expect("a pipe");
        write
    });
    let mut said = String::new();
    read.read_to_string(&mut said).await.expect("a pipe");
    let codes: Vec<_> = said.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "250", "354", "250", "221"]);
    drop((writer.await, read));
    assert_eq!(task.await.expect("no panic"), [6]);
}

/// Pieces of dialogues, so that rubbish gets past the first line.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "EHLO a.example\r\n", "MAIL FROM:<>\r\n", "MAIL FROM:<a@b.example> SIZE=5\r\n",
            "RCPT TO:<c@d.example>\r\n", "DATA\r\n", ".\r\n", "a\r\n", "RSET\r\n", "STARTTLS\r\n",
            "XFORWARD NAME=a\r\n", "QUIT\r\n", "\r", "\n", ".", "\r\n.", "NOOP", "<", "\"",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 0_usize..3000).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rubbish_ends_in_well_formed_replies(
        pieces in prop::collection::vec(piece(), 0..30),
        cut in 1_usize..2000,
    ) {
        let input = pieces.concat();
        let said = paused_runtime().block_on(async {
            let mut settings = settings();
            settings.max_message_size = 2000;
            let (client, task) = session(settings, 64);
            let (mut read, mut write) = tokio::io::split(client);
            let writer = tokio::spawn(async move {
                for chunk in input.chunks(cut) {
                    if write.write_all(chunk).await.is_err() {
                        break;
                    }
                }
                // The session may have ended already.
                let _ = write.shutdown().await;
            });
            let mut said = Vec::new();
            read.read_to_end(&mut said).await.expect("a pipe");
            writer.await.expect("no panic");
            drop(read);
            let sizes = task.await.expect("no panic");
            assert!(sizes.iter().all(|size| *size <= 2000));
            String::from_utf8(said).expect("replies are text")
        });
        for line in said.split_inclusive("\r\n") {
            let line = line.strip_suffix("\r\n").expect("a reply ends in CRLF");
            prop_assert!(line.is_ascii() && line.len() < 200, "{}", line);
            let (code, rest) = line.split_at(3);
            prop_assert!(matches!(code.as_bytes(), [b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']));
            prop_assert!(rest.starts_with([' ', '-']));
        }
    }
}
