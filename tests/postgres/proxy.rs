//! A proxy between the store and the server that cuts connections at a chosen step.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A step of the protocol at which a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The connection ends in place of this piece from the client, counted from 1.
    ToServer(usize),
    /// The server has answered, and this piece of its answers does not arrive.
    FromServer(usize),
    /// In place of the piece from the client with this text.
    Before(&'static str),
    /// After the server has answered the piece with this text; the answer does not arrive.
    After(&'static str),
}

#[derive(Default)]
struct Plan {
    cut: Option<Cut>,
    to_server: usize,
    from_server: usize,
    /// The piece of `After` has passed.
    has_passed: bool,
    cuts: usize,
}

#[derive(Default)]
struct Counts {
    /// Number of times that a client sent something after its server had.
    round_trips: AtomicUsize,
    commits: AtomicUsize,
}

/// A running proxy; it ends with the program.
#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    plan: Arc<Mutex<Plan>>,
    away: Arc<AtomicBool>,
    counts: Arc<Counts>,
    /// Streams of the clients.
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Starts one in front of the socket in a folder.
    pub fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let proxy = Self {
            port: listener.local_addr().expect("an address").port(),
            plan: Arc::default(),
            away: Arc::default(),
            counts: Arc::default(),
            streams: Arc::default(),
        };
        let accepting = proxy.clone();
        std::thread::spawn(move || {
            let plan = accepting.plan;
            for client in listener.incoming().map_while(Result::ok) {
                let mut streams = accepting.streams.lock().expect("streams");
                if accepting.away.load(Ordering::SeqCst) {
                    continue;
                }
                streams.push(client.try_clone().expect("a stream"));
                drop(streams);
                let server = UnixStream::connect(folder.join(".s.PGSQL.5432")).expect("a server");
                serve(&plan, &accepting.counts, client, server);
            }
        });
        proxy
    }

    /// The place of a schema behind the proxy.
    pub fn url(&self, schema: &str) -> String {
        format!(
            "postgres://vestibule@127.0.0.1:{}/vestibule?schema={schema}",
            self.port
        )
    }

    /// Cuts once at this step, counted from now.
    pub fn cut(&self, cut: Cut) {
        *self.plan.lock().expect("a plan") = Plan {
            cut: Some(cut),
            ..Plan::default()
        };
    }

    /// Ends all connections and refuses others, until [`come_back`](Self::come_back).
    pub fn go_away(&self) {
        self.away.store(true, Ordering::SeqCst);
        for stream in self.streams.lock().expect("streams").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn come_back(&self) {
        self.away.store(false, Ordering::SeqCst);
    }

    /// Round trips of all connections so far, and transactions that wrote.
    pub fn counts(&self) -> [usize; 2] {
        let Counts {
            round_trips,
            commits,
        } = &*self.counts;
        [round_trips, commits].map(|count| count.load(Ordering::SeqCst))
    }

    /// Stops cutting. Returns true if a connection was cut.
    pub fn has_cut(&self) -> bool {
        std::mem::take(&mut *self.plan.lock().expect("a plan")).cuts > 0
    }
}

fn serve(plan: &Arc<Mutex<Plan>>, counts: &Arc<Counts>, client: TcpStream, server: UnixStream) {
    let counts = counts.clone();
    let has_answered = Arc::new(AtomicBool::new(true));
    let answers = has_answered.clone();
    let (mut from_client, mut to_client) = (client.try_clone().expect("a stream"), client);
    let (mut from_server, mut to_server) = (server.try_clone().expect("a stream"), server);
    let of_client = plan.clone();
    std::thread::spawn(move || {
        let mut piece = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from_client.read(&mut piece) {
            let text = String::from_utf8_lossy(&piece[..count]).into_owned();
            if of_client.lock().expect("a plan").cuts_before(&text) {
                let _ = from_client.shutdown(Shutdown::Both);
                break;
            }
            let begins = has_answered.swap(false, Ordering::SeqCst);
            let trips = &counts.round_trips;
            trips.fetch_add(usize::from(begins), Ordering::SeqCst);
            let commits = text.matches("INTO committed").count();
            counts.commits.fetch_add(commits, Ordering::SeqCst);
            if to_server.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let of_server = plan.clone();
    std::thread::spawn(move || {
        let mut piece = vec![0; 1 << 16];
        while let Ok(count @ 1..) = from_server.read(&mut piece) {
            if of_server.lock().expect("a plan").cuts_after() {
                break;
            }
            answers.store(true, Ordering::SeqCst);
            if to_client.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
        let _ = from_server.shutdown(Shutdown::Both);
    });
}

impl Plan {
    fn cuts_before(&mut self, text: &str) -> bool {
        self.to_server += 1;
        let cuts = match self.cut {
            Some(Cut::ToServer(number)) => self.to_server == number,
            Some(Cut::Before(wanted)) => text.contains(wanted),
            Some(Cut::After(wanted)) => {
                self.has_passed |= text.contains(wanted);
                false
            }
            _ => false,
        };
        self.count(cuts)
    }

    fn cuts_after(&mut self) -> bool {
        self.from_server += 1;
        let cuts = match self.cut {
            Some(Cut::FromServer(number)) => self.from_server == number,
            Some(Cut::After(_)) => std::mem::take(&mut self.has_passed),
            _ => false,
        };
        self.count(cuts)
    }

    fn count(&mut self, cuts: bool) -> bool {
        if cuts {
            self.cut = None;
            self.cuts += 1;
        }
        cuts
    }
}
