//! A DNS server that knows one small zone, and can fail in several ways.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex};

use mail_auth::hickory_resolver::proto::op::{Message, Query, ResponseCode};
use mail_auth::hickory_resolver::proto::rr::rdata::{A, AAAA, MX, PTR, SOA, TXT};
use mail_auth::hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// Maximum octets of an answer over UDP. A longer one is truncated, and repeated over TCP (RFC 1035 4.2.1).
const MAX_UDP: usize = 1232;

/// A running server; it ends when this value is dropped.
pub struct Dns {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// Effect of a line of the zone on its name.
enum Line {
    Data(RecordType, RData),
    ServFail,
    Silent,
}

struct Zone {
    lines: Vec<(String, Line)>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Dns {
    /// `zone` has a line for each record, `NAME TYPE VALUE`. The types are TXT, A, AAAA, MX and PTR; SERVFAIL
    /// and SILENT hold for all queries of a name and its subdomains.
    pub async fn start(zone: &str) -> Self {
        let asked = Arc::default();
        let zone = Arc::new(Zone {
            lines: zone.lines().filter_map(line).collect(),
            asked: Arc::clone(&asked),
        });
        // The same port for both: choose one that is free for TCP, and retry if UDP has it.
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = tcp.local_addr().expect("an address");
            if let Ok(udp) = UdpSocket::bind(address).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().expect("an address");
        let tasks = vec![
            tokio::spawn(serve_udp(Arc::clone(&zone), udp)),
            tokio::spawn(serve_tcp(zone, tcp)),
        ];
        Self {
            address,
            asked,
            tasks,
        }
    }

    /// The queries so far, each as `NAME TYPE`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn line(line: &str) -> Option<(String, Line)> {
    let mut parts = line.trim().splitn(3, ' ');
    let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
    let kind = parts.next().expect("a type");
    let value = parts.next().unwrap_or_default();
    let data = match kind {
        "SERVFAIL" => return Some((name, Line::ServFail)),
        "SILENT" => return Some((name, Line::Silent)),
        "TXT" => RData::TXT(TXT::from_bytes(value.as_bytes().chunks(255).collect())),
        "A" => RData::A(A(value.parse().expect("an address"))),
        "AAAA" => RData::AAAA(AAAA(value.parse().expect("an address"))),
        "MX" => RData::MX(MX::new(10, Name::from_str(value).expect("a name"))),
        "PTR" => RData::PTR(PTR(Name::from_str(value).expect("a name"))),
        other => panic!("{other}"),
    };
    Some((name, Line::Data(data.record_type(), data)))
}

impl Zone {
    /// `None` if the server stays silent.
    fn answer(&self, request: &[u8]) -> Option<Message> {
        let request = Message::from_vec(request).expect("a question");
        let query = request.queries.first().expect("a question").clone();
        let name = query.name().to_lowercase().to_ascii();
        let name = name.trim_end_matches('.');
        let kind = query.query_type();
        self.asked
            .lock()
            .expect("no panic")
            .push(format!("{name} {kind}"));

        let mut response = Message::response(request.metadata.id, request.metadata.op_code);
        response.metadata.recursion_desired = true;
        response.metadata.recursion_available = true;
        response.metadata.response_code = ResponseCode::NXDomain;
        let below = |own: &str| {
            name.strip_suffix(own)
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        for (own, line) in &self.lines {
            match line {
                Line::Silent if below(own) => return None,
                Line::ServFail if below(own) => {
                    response.metadata.response_code = ResponseCode::ServFail;
                    response.add_query(query);
                    return Some(response);
                }
                Line::Data(..) if own == name || own.ends_with(&format!(".{name}")) => {
                    response.metadata.response_code = ResponseCode::NoError;
                }
                _ => {}
            }
        }
        for (own, line) in &self.lines {
            if let Line::Data(own_kind, data) = line
                && own == name
                && *own_kind == kind
            {
                let record = Record::from_rdata(query.name().clone(), 300, data.clone());
                response.add_answer(record);
            }
        }
        if response.answers.is_empty() {
            response.add_authority(start_of_authority());
        }
        response.add_query(query);
        Some(response)
    }
}

/// The record that lets a resolver cache a negative answer (RFC 2308 3).
fn start_of_authority() -> Record {
    let root = Name::root();
    let data = SOA::new(root.clone(), root.clone(), 1, 60, 60, 60, 60);
    Record::from_rdata(root, 60, RData::SOA(data))
}

async fn serve_udp(zone: Arc<Zone>, socket: UdpSocket) {
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let Some(answer) = zone.answer(&buffer[..length]) else {
            continue;
        };
        let mut octets = answer.to_vec().expect("an answer");
        if octets.len() > MAX_UDP {
            octets = answer.truncate().to_vec().expect("an answer");
        }
        let _ = socket.send_to(&octets, peer).await;
    }
}

async fn serve_tcp(zone: Arc<Zone>, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve_connection(Arc::clone(&zone), stream));
    }
}

/// Each message is preceded by its length (RFC 1035 4.2.2).
async fn serve_connection(zone: Arc<Zone>, mut stream: TcpStream) {
    while let Ok(length) = stream.read_u16().await {
        let mut request = vec![0; usize::from(length)];
        if stream.read_exact(&mut request).await.is_err() {
            return;
        }
        let Some(answer) = zone.answer(&request) else {
            continue;
        };
        let octets = answer.to_vec().expect("an answer");
        let length = u16::try_from(octets.len()).expect("a length");
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend(octets);
        if stream.write_all(&framed).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn the_server_answers_as_its_zone_says() {
    let dns = Dns::start("a.example TXT one\na.example TXT two\nbad.example SERVFAIL\n").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    for (name, kind, code, answers) in [
        ("a.example.", RecordType::TXT, ResponseCode::NoError, 2),
        ("a.example.", RecordType::A, ResponseCode::NoError, 0),
        ("example.", RecordType::TXT, ResponseCode::NoError, 0),
        ("b.example.", RecordType::TXT, ResponseCode::NXDomain, 0),
        ("x.bad.example.", RecordType::TXT, ResponseCode::ServFail, 0),
    ] {
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_str(name).expect("a name"), kind));
        let octets = question.to_vec().expect("a question");
        socket.send_to(&octets, dns.address).await.expect("sent");
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).await.expect("an answer");
        let answer = Message::from_vec(&buffer[..length]).expect("an answer");
        assert_eq!(answer.metadata.response_code, code, "{name}");
        assert_eq!(answer.answers.len(), answers, "{name}");
    }
    assert_eq!(dns.asked().len(), 5);
}
