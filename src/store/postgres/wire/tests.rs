use super::*;
use crate::store::postgres::rows::{ResultColumns, ResultRow, oid};
use crate::store::sql::{Columns, SqlValue};
use std::io::Write;
use std::os::unix::net::UnixStream;

/// Timeout of a connection whose server stays silent, or sends without an end.
const SHORT: Duration = Duration::from_millis(50);

/// A connection whose server sends these octets and then closes, or stays silent.
fn connection(said: &[u8], closes: bool) -> (ProtocolConnection, UnixStream) {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    theirs.write_all(said).expect("written");
    if closes {
        theirs.shutdown(std::net::Shutdown::Write).expect("closed");
    }
    let stream = Stream::Socket(ours);
    // A server that closes has sent everything already, so only a silent one is waited for.
    let timeout = if closes {
        Duration::from_mins(1)
    } else {
        SHORT
    };
    stream.set_timeout(timeout).expect("set");
    (ProtocolConnection::of(stream, timeout), theirs)
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
    [&[tag], &length[..], body].concat()
}

/// The answer to one simple query: a column, a row, the end.
fn whole_answer() -> Vec<u8> {
    let column = [b"n\0".as_slice(), &[0; 6], &20_u32.to_be_bytes(), &[0; 8]].concat();
    let column = [&1_u16.to_be_bytes(), column.as_slice()].concat();
    let row = [
        &1_u16.to_be_bytes(),
        8_u32.to_be_bytes().as_slice(),
        &7_i64.to_be_bytes(),
    ]
    .concat();
    [
        message(b'T', &column),
        message(b'D', &row),
        message(b'C', b"SELECT 1\0"),
        message(b'Z', b"I"),
    ]
    .concat()
}

#[test]
fn an_answer_is_read_and_a_truncated_one_breaks_the_connection() {
    let whole = whole_answer();
    let (mut wire, _server) = connection(&whole, true);
    let answer = wire.simple("SELECT n").expect("an answer");
    let columns = answer.columns.expect("columns");
    let row = ResultRow::of(&columns, &answer.rows[0]).expect("a row");
    assert_eq!(row.value(0).expect("a value"), SqlValue::Integer(7));
    assert_eq!(row.number("n"), Some(0));
    assert!(row.value(1).is_err());
    assert_eq!((answer.command.as_str(), answer.count), ("SELECT", 1));
    assert_eq!(wire.state(), TransactionState::None);

    for end in 0..whole.len() {
        for closes in [true, false] {
            // Silence is tested once only: each case costs a timeout.
            if !closes && end != whole.len() / 2 {
                continue;
            }
            let (mut wire, _server) = connection(&whole[..end], closes);
            let answer = wire.simple("SELECT n").err();
            assert!(
                matches!(answer, Some(StoreError::Away(_))),
                "{end}: {answer:?}"
            );
            assert!(wire.is_broken(), "{end}");
            // It takes no further query, so no answer is taken for that of another.
            assert!(matches!(wire.simple("SELECT n"), Err(StoreError::Away(_))));
        }
    }
}

#[test]
fn an_invalid_answer_breaks_the_connection() {
    let short_row = message(b'D', &[0, 3, 0, 0]);
    let cases: &[(&str, Vec<u8>)] = &[
        ("an unknown message", message(b'!', b"")),
        (
            "a length below that of itself",
            vec![b'Z', 0, 0, 0, 3, b'I'],
        ),
        (
            "a negative length",
            vec![b'Z', 0xff, 0xff, 0xff, 0xff, b'I'],
        ),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()),
        ("a login in the midst", message(b'R', &[0, 0, 0, 0])),
        ("a copy", message(b'G', &[0, 0, 0])),
        ("a tag without its end", message(b'C', b"SELECT 1")),
        ("a column without its end", message(b'T', &[0, 1, b'n'])),
        (
            "an error of the session's end",
            message(b'E', b"VFATAL\0C57P01\0Mgone\0\0"),
        ),
        ("noise", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        (
            "a row that is cut",
            [short_row, message(b'Z', b"I")].concat(),
        ),
    ];
    for (name, said) in cases {
        let (mut wire, _server) = connection(said, true);
        let answer = wire.simple("SELECT n");
        match answer {
            Err(StoreError::Away(_)) => {}
            // A row is decoded only when it is read.
            Ok(answer) => {
                let columns = ResultColumns(vec![("n".to_owned(), oid::INT8)]);
                let read = ResultRow::of(&columns, &answer.rows[0]);
                assert!(read.is_err(), "{name}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn an_answer_that_never_ends_times_out() {
    let (mut wire, mut server) = connection(&[], false);
    let notice = message(b'N', b"VNOTICE\0C00000\0Mstill there\0\0");
    let talking = std::thread::spawn(move || while server.write_all(&notice).is_ok() {});
    let answer = wire.simple("SELECT n").err();
    assert!(matches!(answer, Some(StoreError::Away(_))), "{answer:?}");
    drop(wire);
    talking.join().expect("no panic");
}

#[test]
fn the_time_for_an_answer_begins_once_the_message_is_sent() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    const LENGTH: usize = 1 << 20;
    let (ours, mut theirs) = UnixStream::pair().expect("a pair");
    let stream = Stream::Socket(ours);
    stream.set_timeout(Duration::from_mins(1)).expect("set");
    let mut wire = ProtocolConnection::of(stream, TIMEOUT);
    let begin = Instant::now();
    // The message is longer than the buffers of the socket. The answer is there already: once the message is sent, this
    // test waits for nothing.
    let server = std::thread::spawn(move || {
        theirs.write_all(&whole_answer()).expect("answered");
        while begin.elapsed() <= TIMEOUT {
            std::thread::yield_now();
        }
        theirs.read_exact(&mut vec![0; LENGTH]).expect("a query");
        theirs
    });
    let answer = wire.simple(&" ".repeat(LENGTH)).expect("an answer");
    assert_eq!(answer.count, 1);
    server.join().expect("no panic");
}

#[test]
fn an_error_is_returned_and_a_notice_is_counted() {
    let error = message(b'E', b"SERROR\0VERROR\0C55P03\0Mlock timeout\0\0");
    let notice = message(b'N', b"VWARNING\0C01000\0Mcanceling wait\0\0");
    let ready = message(b'Z', b"E");
    let (mut wire, _server) = connection(&[notice, error, ready].concat(), true);
    let answer = wire.simple("SELECT n").err();
    assert!(matches!(answer, Some(StoreError::Busy(_))), "{answer:?}");
    assert_eq!((wire.notices(), wire.last_notice()), (1, "canceling wait"));
    assert_eq!(wire.state(), TransactionState::Failed);
    assert!(!wire.is_broken());
}
