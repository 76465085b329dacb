//! A stand-in for a help desk that cannot be installed here: answers HTTP as its documentation describes, and
//! records the requests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use crate::support::harness::DEADLINE;

/// One received request.
pub struct Asked {
    pub line: String,
    /// By lower-case name.
    pub fields: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

pub struct StandIn {
    pub address: SocketAddr,
    asked: Receiver<Asked>,
}

impl StandIn {
    /// Each answer is a status line and a body, as returned by `answer`.
    pub fn start(
        mut answer: impl FnMut(&Asked) -> (&'static str, &'static str) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = serve(stream, &mut answer, &sender);
            }
        });
        Self { address, asked }
    }

    pub fn next(&self) -> Asked {
        self.asked.recv_timeout(DEADLINE).expect("a request")
    }
}

fn serve(
    stream: TcpStream,
    answer: &mut impl FnMut(&Asked) -> (&'static str, &'static str),
    sender: &Sender<Asked>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let mut fields = BTreeMap::new();
    loop {
        let mut field = String::new();
        stream.read_line(&mut field)?;
        let Some((name, value)) = field.trim_end().split_once(':') else {
            break;
        };
        fields.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = fields
        .get("content-length")
        .and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let asked = Asked {
        line: line.trim_end().to_owned(),
        fields,
        body,
    };
    let (status, text) = answer(&asked);
    let _ = sender.send(asked);
    write!(
        stream.get_mut(),
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}
