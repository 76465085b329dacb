//! Transactions through poolers that say whether the server behind them is a standby.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::config::PostgresServer;
use crate::store::StoreError;
use crate::store::engine::driver::Driver;
use crate::store::postgres::driver::PostgresDriver;

/// Beginning of a transaction that a standby refuses.
const WRITING: &[u8] = b"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// A pooler. Its server answers each query with one row, that says whether it is a standby.
struct Pooler {
    port: u16,
    is_standby: Arc<AtomicBool>,
    /// Number of queries so far.
    queries: Arc<AtomicUsize>,
}

impl Pooler {
    fn start(is_standby: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let pooler = Self {
            port: listener.local_addr().expect("an address").port(),
            is_standby: Arc::new(AtomicBool::new(is_standby)),
            queries: Arc::default(),
        };
        let (is_standby, queries) = (pooler.is_standby.clone(), pooler.queries.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (is_standby, queries) = (is_standby.clone(), queries.clone());
                std::thread::spawn(move || serve(stream, &is_standby, &queries));
            }
        });
        pooler
    }

    fn becomes_standby(&self, is_standby: bool) {
        self.is_standby.store(is_standby, Ordering::SeqCst);
    }

    fn queries(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("short").to_be_bytes();
    [&[tag], &length[..], body].concat()
}

fn read_body(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    let mut body = vec![0; length.checked_sub(4)?];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}

/// Serves one client until it ends the session.
fn serve(mut stream: TcpStream, is_standby: &AtomicBool, queries: &AtomicUsize) -> Option<()> {
    read_body(&mut stream)?;
    let ready = message(b'Z', b"I");
    let login = [message(b'R', &[0; 4]), ready.clone()].concat();
    stream.write_all(&login).ok()?;
    loop {
        let mut tag = [0];
        stream.read_exact(&mut tag).ok()?;
        let sql = read_body(&mut stream)?;
        if tag != *b"Q" {
            return None;
        }
        queries.fetch_add(1, Ordering::SeqCst);
        if sql.starts_with(WRITING) && is_standby.load(Ordering::SeqCst) {
            let refusal =
                b"SERROR\0C0A000\0Mcannot set transaction read-write mode during recovery\0\0";
            let refusal = [message(b'E', refusal), ready.clone()].concat();
            stream.write_all(&refusal).ok()?;
            continue;
        }
        let value = if is_standby.load(Ordering::SeqCst) {
            b't'
        } else {
            b'f'
        };
        let column = [b"n\0".as_slice(), &[0; 6], &16_u32.to_be_bytes(), &[0; 8]].concat();
        let answer = [
            message(b'T', &[&[0, 1][..], column.as_slice()].concat()),
            message(b'D', &[0, 1, 0, 0, 0, 1, value]),
            message(b'C', b"SELECT 1\0"),
            ready.clone(),
        ];
        stream.write_all(&answer.concat()).ok()?;
    }
}

#[test]
fn a_reader_leaves_a_pooler_whose_server_became_a_standby() {
    let (first, second) = (Pooler::start(false), Pooler::start(true));
    let url = format!(
        "postgres://gate@127.0.0.1:{},127.0.0.1:{}/mail?sslmode=disable",
        first.port, second.port
    );
    let mut place = PostgresServer::parse(&url).expect("a URL");
    place.pooler = true;
    let reader = PostgresDriver::of(&place).open_reader().expect("a session");
    reader.begin_reading().expect("begun");
    reader.end_reading().expect("ended");
    assert_eq!((first.queries(), second.queries()), (3, 0));

    // A failover: the connection to the first pooler stays, but its server only follows the new primary.
    first.becomes_standby(true);
    second.becomes_standby(false);
    reader.begin_reading().expect("begun at the other");
    reader.end_reading().expect("ended");
    assert_eq!(second.queries(), 3);

    second.becomes_standby(true);
    let refused = reader.begin_reading();
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
}

#[test]
fn a_writer_behind_a_pooler_whose_server_became_a_standby_counts_as_disconnected() {
    let pooler = Pooler::start(false);
    let url = format!(
        "postgres://gate@127.0.0.1:{}/mail?sslmode=disable",
        pooler.port
    );
    let mut place = PostgresServer::parse(&url).expect("a URL");
    place.pooler = true;
    let writer = PostgresDriver::of(&place)
        .open_writer(false)
        .expect("a session");
    pooler.becomes_standby(true);
    let refused = writer.begin();
    assert!(matches!(refused, Err(StoreError::Away(_))), "{refused:?}");
}
