//! The host that a request is meant for (RFC 9110 7.2, RFC 9112 3.2), and the hosts that the operators'
//! listener answers to.
//!
//! A page of another site can point its own name at this machine (DNS rebinding); to the browser it is then
//! the same site as ours. Only the name in Host reveals it. So the operators' listener answers under IP
//! addresses and loopback names, which other sites cannot have, and under the names that the configuration
//! lists.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode, Uri, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use crate::config::Config;
use crate::domain::is_loopback_host;

/// The host, without its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    Address(IpAddr),
    /// In lower case, without a trailing dot.
    Name(String),
}

/// Reasons why a request has no usable host. Each is answered 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHost {
    /// An HTTP/1.1 request without a Host field; HTTP/1.0 does not require one.
    Missing,
    Several,
    Malformed,
}

impl BadHost {
    pub(super) fn answer(self) -> Response {
        let text = match self {
            Self::Missing => "The request has no Host field.\n",
            Self::Several => "The request has more than one Host field.\n",
            Self::Malformed => "The Host field is not a host name or an IP address.\n",
        };
        (StatusCode::BAD_REQUEST, text).into_response()
    }
}

impl Host {
    /// Reads the host of a request; `None` where HTTP/1.0 leaves it out. The host of an absolute target takes
    /// precedence over the field.
    pub(super) fn of(
        version: Version,
        target: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, BadHost> {
        let mut fields = headers.get_all(HOST).iter();
        let field = fields.next();
        if fields.next().is_some() {
            return Err(BadHost::Several);
        }
        let field = match field {
            Some(value) => {
                let text = value.to_str().map_err(|_| BadHost::Malformed)?;
                Some(Self::parse(text).ok_or(BadHost::Malformed)?)
            }
            None if version == Version::HTTP_10 => None,
            None => return Err(BadHost::Missing),
        };
        match target.authority() {
            Some(authority) => Self::parse(authority.as_str())
                .ok_or(BadHost::Malformed)
                .map(Some),
            None => Ok(field),
        }
    }

    /// Reads `host [":" port]`, without user information or a zone.
    fn parse(text: &str) -> Option<Self> {
        let is_port =
            |port: &str| port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            let ends = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
            return ends.then_some(Self::Address(address.into()));
        }
        let (host, port) = text.split_once(':').unwrap_or((text, ""));
        if !is_port(port) {
            return None;
        }
        if let Ok(address) = host.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        let is_name = !name.is_empty()
            && name.len() <= 253
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
        is_name.then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// True if another site cannot have this host. `localhost` and its subdomains never come from DNS (RFC
    /// 6761 6.3); the other two names are in the `/etc/hosts` of Debian.
    fn is_of_this_machine(&self) -> bool {
        match self {
            Self::Address(_) => true,
            Self::Name(name) => {
                is_loopback_host(name) || matches!(name.as_str(), "ip6-localhost" | "ip6-loopback")
            }
        }
    }
}

/// Answers only requests for a host of the operators' listener.
pub(super) async fn own_hosts_only(
    State(config): State<watch::Receiver<Arc<Config>>>,
    request: Request,
    next: Next,
) -> Response {
    match Host::of(request.version(), request.uri(), request.headers()) {
        // A request without a host did not come from a browser.
        Ok(None) | Err(BadHost::Missing) => {}
        Ok(Some(host)) => {
            let is_listed = |name: &String| config.borrow().http.admin_hosts.contains(name);
            let is_ours =
                host.is_of_this_machine() || matches!(&host, Host::Name(name) if is_listed(name));
            if !is_ours {
                return misdirected_response();
            }
        }
        Err(bad) => return bad.answer(),
    }
    next.run(request).await
}

fn misdirected_response() -> Response {
    let text = "This port does not answer under this host name.\n\
                Use its IP address or localhost, or add the name to http.admin_hosts in the \
                configuration.\n";
    (StatusCode::MISDIRECTED_REQUEST, text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn named(name: &str) -> Host {
        Host::Name(name.to_owned())
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        let name = |text: &str| Some(named(text));
        let address = |text: &str| Some(Host::Address(text.parse().expect(text)));
        for (text, host) in [
            ("Desk.Corp.Example", name("desk.corp.example")),
            ("desk.corp.example.:8081", name("desk.corp.example")),
            ("desk:", name("desk")),
            ("127.0.0.1:8081", address("127.0.0.1")),
            ("[::1]", address("::1")),
            ("[::ffff:192.0.2.1]:80", address("::ffff:192.0.2.1")),
            // Names to this parser. A browser treats them as addresses and normalizes them, so it never sends them.
            ("2130706433", name("2130706433")),
            ("127.1", name("127.1")),
            ("", None),
            (".", None),
            (":80", None),
            ("::1", None),
            ("[::1", None),
            ("[::1]x", None),
            ("[fe80::1%25eth0]", None),
            ("a@desk", None),
            ("desk:80a", None),
            ("desk:123456", None),
            ("desk/x", None),
            ("desk x", None),
            ("desk, localhost", None),
        ] {
            assert_eq!(Host::parse(text), host, "{text:?}");
        }
    }

    #[test]
    fn names_of_loopback_and_addresses_are_this_machines() {
        for (text, ours) in [
            ("localhost", true),
            ("LOCALHOST.:80", true),
            ("desk.localhost", true),
            ("ip6-localhost", true),
            ("192.0.2.1", true),
            ("[2001:db8::1]:8081", true),
            ("localhost.evil.example", false),
            ("notlocalhost", false),
            ("127.0.0.1.evil.example", false),
            ("2130706433", false),
            ("desk", false),
        ] {
            let host = Host::parse(text).expect(text);
            assert_eq!(host.is_of_this_machine(), ours, "{text}");
        }
    }

    #[test]
    fn there_is_one_host_and_an_absolute_target_has_it() {
        for (version, target, fields, host) in [
            (
                Version::HTTP_11,
                "/",
                &["desk"][..],
                Ok(Some(named("desk"))),
            ),
            (Version::HTTP_11, "/", &[], Err(BadHost::Missing)),
            (Version::HTTP_10, "/", &[], Ok(None)),
            (
                Version::HTTP_11,
                "/",
                &["desk", "desk"],
                Err(BadHost::Several),
            ),
            (Version::HTTP_11, "/", &["a b"], Err(BadHost::Malformed)),
            (Version::HTTP_11, "/", &[""], Err(BadHost::Malformed)),
            (
                Version::HTTP_11,
                "http://evil.example/",
                &["localhost"],
                Ok(Some(named("evil.example"))),
            ),
            (
                Version::HTTP_11,
                "http://localhost:1/",
                &["evil.example"],
                Ok(Some(named("localhost"))),
            ),
            (
                Version::HTTP_11,
                "http://a@localhost/",
                &["localhost"],
                Err(BadHost::Malformed),
            ),
            (
                Version::HTTP_11,
                "http://localhost/",
                &["a", "b"],
                Err(BadHost::Several),
            ),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(HOST, HeaderValue::from_static(field));
            }
            let target: Uri = target.parse().expect(target);
            assert_eq!(
                Host::of(version, &target, &headers),
                host,
                "{target} {fields:?}"
            );
        }
    }
}
