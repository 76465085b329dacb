//! A proxy that adds latency to a server: what the client sends arrives later, in order.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// A running proxy; it ends with the program.
pub struct DelayingProxy {
    port: u16,
}

impl DelayingProxy {
    /// Starts a proxy in front of the socket in a folder.
    pub fn start(folder: PathBuf, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                serve(client, &folder, delay);
            }
        });
        Self { port }
    }

    /// The URL of a schema behind the proxy.
    pub fn url(&self, schema: &str) -> String {
        format!(
            "postgres://vestibule@127.0.0.1:{}/vestibule?schema={schema}",
            self.port
        )
    }
}

fn serve(client: TcpStream, folder: &Path, delay: Duration) {
    client.set_nodelay(true).expect("a socket");
    let server = UnixStream::connect(folder.join(".s.PGSQL.5432")).expect("a server");
    let (from_client, to_client) = (client.try_clone().expect("a socket"), client);
    let (from_server, to_server) = (server.try_clone().expect("a socket"), server);
    let (sender, receiver) = channel();
    std::thread::spawn(move || read(from_client, delay, &sender));
    std::thread::spawn(move || write(to_server, &receiver));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut &from_server, &mut &to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
}

/// Reads pieces, each with the time at which it is due at the server.
fn read(mut from: TcpStream, delay: Duration, to: &Sender<(Instant, Vec<u8>)>) {
    let mut piece = vec![0; 1 << 16];
    while let Ok(count @ 1..) = from.read(&mut piece) {
        if to
            .send((Instant::now() + delay, piece[..count].to_vec()))
            .is_err()
        {
            return;
        }
    }
}

fn write(mut to: UnixStream, from: &Receiver<(Instant, Vec<u8>)>) {
    for (at, piece) in from {
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
