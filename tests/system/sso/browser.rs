//! As much of a browser as a sign-in needs: cookies by host, and no automatic redirects.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU16, Ordering};

use url::Url;

use crate::support::harness::DEADLINE;

#[derive(Clone)]
pub struct Browser {
    /// By the name of their host.
    pub cookies: BTreeMap<String, BTreeMap<String, String>>,
    /// The client address that a proxy reports, different for each browser, since the rate of each client is
    /// limited.
    client: String,
}

impl Default for Browser {
    fn default() -> Self {
        static CLIENTS: AtomicU16 = AtomicU16::new(1);
        let [high, low] = CLIENTS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        Self {
            cookies: BTreeMap::new(),
            client: format!("10.1.{high}.{low}"),
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.head.lines().filter_map(move |line| {
            let (own, value) = line.split_once(':')?;
            own.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub fn location(&self) -> Option<String> {
        self.fields("location").next().map(ToOwned::to_owned)
    }

    /// The address to which a page of ours leads.
    pub fn leads_on(&self) -> Option<String> {
        let (_, rest) = self
            .body
            .split_once("http-equiv=\"refresh\" content=\"0;url=")?;
        let to = rest.split('"').next()?;
        let to = to.replace("&amp;", "&").replace("&#x2f;", "/");
        Some(to.replace("&#x3d;", "="))
    }
}

impl Browser {
    pub fn get(&mut self, url: &str) -> Answer {
        self.ask("GET", url, "")
    }

    pub fn post(&mut self, url: &str, form: &str) -> Answer {
        self.ask("POST", url, form)
    }

    /// Sends an HTTP/1.0 request, so that no answer is chunked.
    fn ask(&mut self, method: &str, url: &str, form: &str) -> Answer {
        let url = Url::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let host = url.host_str().expect("a host").to_owned();
        let port = url.port().expect("a port");
        let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let own = self.cookies.entry(host.clone()).or_default();
        let cookies: Vec<_> = own.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connected");
        stream.set_read_timeout(Some(DEADLINE)).expect("an option");
        write!(
            stream,
            "{method} {target} HTTP/1.0\r\nHost: {host}:{port}\r\nCookie: {}\r\nX-Forwarded-For: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            cookies.join("; "),
            self.client,
            form.len()
        )
        .expect("written");
        let mut text = Vec::new();
        stream.read_to_end(&mut text).expect("an answer");
        let text = String::from_utf8(text).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let answer = Answer {
            status: head[9..12].parse().expect("a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        };
        for cookie in answer.fields("set-cookie") {
            let pair = cookie.split(';').next().expect("a pair");
            let (name, value) = pair.split_once('=').expect("a pair");
            let own = self.cookies.get_mut(&host).expect("entered above");
            if value.is_empty() || cookie.contains("Max-Age=0") {
                own.remove(name);
            } else {
                own.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}
