//! URLs of servers: SMTP by scheme, HTTP for webhooks and for people.

use std::net::IpAddr;

use url::{Host, Url};

use super::SmtpSecurity;
use crate::domain::{is_loopback_host, is_private_address};

/// Host, port and protection of an SMTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
    pub security: SmtpSecurity,
}

const SMTP_EXAMPLE: &str = "write smtp://HOST, smtp+opportunistic://HOST, smtp+starttls://HOST or smtps://HOST, \
     each with :PORT if it is not the default";

/// The ports are those of RFC 5321 4.5.4.2 (25), RFC 6409 3.1 (587) and RFC 8314 7.3 (465).
const SMTP_SCHEMES: [(&str, u16, SmtpSecurity); 4] = [
    ("smtp", 25, SmtpSecurity::None),
    ("smtp+opportunistic", 25, SmtpSecurity::Opportunistic),
    ("smtp+starttls", 587, SmtpSecurity::StartTls),
    ("smtps", 465, SmtpSecurity::Tls),
];

impl SmtpUrl {
    /// # Errors
    /// Another scheme, no host, a path, or credentials, which are never part of a URL.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = parse_url(text).map_err(|cause| format!("{text:?}: {cause}; {SMTP_EXAMPLE}"))?;
        let (_, port, security) = SMTP_SCHEMES
            .into_iter()
            .find(|(scheme, ..)| *scheme == url.scheme())
            .ok_or_else(|| {
                format!(
                    "{text:?}: {}:// is not an SMTP scheme; {SMTP_EXAMPLE}",
                    url.scheme()
                )
            })?;
        refuse_login(&url)?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(format!(
                "{text:?}: nothing may follow the host; {SMTP_EXAMPLE}"
            ));
        }
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => crate::domain::Domain::parse(name)
                .map(String::from)
                .or_else(|cause| {
                    name.parse::<IpAddr>()
                        .map(|ip| ip.to_string())
                        .map_err(|_| cause)
                })
                .map_err(|cause| format!("{text:?}: {cause}; {SMTP_EXAMPLE}"))?,
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            _ => return Err(format!("{text:?}: the host is missing; {SMTP_EXAMPLE}")),
        };
        Ok(Self {
            host,
            port: url.port().unwrap_or(port),
            security,
        })
    }
}

/// Parses an HTTP URL for people or programs.
pub(crate) fn parse_http(text: &str) -> Result<Url, String> {
    let url =
        parse_url(text).map_err(|cause| format!("{text:?}: {cause}; write https://HOST/PATH"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!(
            "{text:?}: {}:// is not an HTTP scheme; write https://HOST/PATH",
            url.scheme()
        ));
    }
    refuse_login(&url)?;
    Ok(url)
}

/// Parses the public URL of the pages, without a trailing slash.
pub(crate) fn parse_public(text: &str) -> Result<String, String> {
    let url = parse_http(text)?;
    if url.scheme() != "https" && !is_loopback(&url) {
        return Err(format!(
            "{text:?}: links in mail must be https:// (http:// on loopback only)"
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?}: nothing may follow the path"));
    }
    // Pages link to each other by path: `//x/verify` would lead to the host `x` (RFC 3986 4.2).
    if url.path().trim_end_matches('/').starts_with("//") {
        return Err(format!(
            "{text:?}: the path begins with two slashes; write one"
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Parses the issuer of an OpenID provider (OpenID Connect Discovery 1.0, 2): https, or http on loopback. The
/// text is kept as it is, since tokens repeat it letter by letter.
pub(crate) fn parse_provider(text: &str) -> Result<String, String> {
    let url = parse_http(text)?;
    if !is_secure(&url) {
        return Err(format!(
            "{text:?}: the issuer must be https:// (http:// on loopback only)"
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!(
            "{text:?}: an issuer has neither query nor fragment; copy it from the provider's \
             .well-known/openid-configuration"
        ));
    }
    Ok(text.to_owned())
}

/// True if nobody between the two ends can read or change what is exchanged.
pub(crate) fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url))
}

fn parse_url(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|cause| match cause {
        url::ParseError::RelativeUrlWithoutBase => "it does not begin with a scheme".to_owned(),
        other => other.to_string(),
    })
}

fn refuse_login(url: &Url) -> Result<(), String> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    // The URL is not repeated: it may contain a password.
    Err("a login is not part of the URL; write username and password_file".to_owned())
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(is_loopback_host)
}

/// True if the URL itself names an address that is not on the Internet, to which nothing is delivered.
pub(crate) fn is_private(url: &Url) -> bool {
    is_loopback(url)
        || match url.host() {
            Some(Host::Ipv4(ip)) => is_private_address(ip.into()),
            Some(Host::Ipv6(ip)) => is_private_address(ip.into()),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smtp_urls_give_host_port_and_protection() {
        for (text, host, port, security) in [
            (
                "smtp://127.0.0.1:2526",
                "127.0.0.1",
                2526,
                SmtpSecurity::None,
            ),
            (
                "smtp://desk.internal",
                "desk.internal",
                25,
                SmtpSecurity::None,
            ),
            (
                "smtp://desk.internal/",
                "desk.internal",
                25,
                SmtpSecurity::None,
            ),
            (
                "smtp+opportunistic://desk.example",
                "desk.example",
                25,
                SmtpSecurity::Opportunistic,
            ),
            (
                "smtp+starttls://Desk.Example",
                "desk.example",
                587,
                SmtpSecurity::StartTls,
            ),
            (
                "smtp+starttls://desk.example:25",
                "desk.example",
                25,
                SmtpSecurity::StartTls,
            ),
            (
                "smtps://desk.example",
                "desk.example",
                465,
                SmtpSecurity::Tls,
            ),
            ("smtp://[::1]:25", "::1", 25, SmtpSecurity::None),
            (
                "smtps://[2001:db8::1]",
                "2001:db8::1",
                465,
                SmtpSecurity::Tls,
            ),
            ("smtp://localhost", "localhost", 25, SmtpSecurity::None),
        ] {
            let expected = SmtpUrl {
                host: host.to_owned(),
                port,
                security,
            };
            assert_eq!(SmtpUrl::parse(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "desk.example",
            "desk.example:25",
            "http://desk.example",
            "smtp:desk.example",
            "smtp://",
            "smtp://:25",
            "smtp://desk.example:99999",
            "smtp://desk.example/queue",
            "smtp://desk.example?tls=1",
            "smtp://ann:pw@desk.example",
            "smtp://desk example",
        ] {
            assert!(SmtpUrl::parse(text).is_err(), "{text}");
        }
        let refusal = SmtpUrl::parse("smtp://ann:hunter2@desk.example").expect_err("a login");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }

    #[test]
    fn private_addresses_are_recognized_in_every_form() {
        for (text, private) in [
            ("http://127.0.0.1/", true),
            ("http://127.0.0.1./", true),
            ("http://2130706433/", true),
            ("http://0x7f000001/", true),
            ("http://0177.0.0.1/", true),
            ("http://127.1/", true),
            ("http://localhost/", true),
            ("http://LOCALHOST./", true),
            ("http://desk.localhost/", true),
            ("http://[::1]/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://[::ffff:10.1.2.3]/", true),
            ("http://[::10.1.2.3]/", true),
            ("http://[64:ff9b::10.1.2.3]/", true),
            ("http://[2002:a01:203::]/", true),
            ("http://[fd00::1]/", true),
            ("http://10.1.2.3/", true),
            ("http://100.64.0.1/", true),
            ("http://169.254.169.254/", true),
            ("http://0.0.0.0/", true),
            ("http://0/", true),
            ("https://desk.corp.example/", false),
            ("https://8.8.8.8/", false),
            ("https://[2606:4700::1111]/", false),
            ("https://[::ffff:8.8.8.8]/", false),
        ] {
            let url = parse_http(text).expect(text);
            assert_eq!(is_private(&url), private, "{text}");
        }
    }

    #[test]
    fn a_public_url_is_https_or_loopback() {
        for (text, shown) in [
            ("https://gate.corp.example", "https://gate.corp.example"),
            ("https://gate.corp.example/", "https://gate.corp.example"),
            ("https://gate.corp.example//", "https://gate.corp.example"),
            ("https://corp.example/gate/", "https://corp.example/gate"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:8080/", "http://localhost:8080"),
        ] {
            assert_eq!(parse_public(text).as_deref(), Ok(shown));
        }
        for text in [
            "",
            "gate.corp.example",
            "http://gate.corp.example",
            "http://192.0.2.1",
            "ftp://gate.corp.example",
            "https://gate.corp.example/?a=b",
            "https://gate.corp.example//x",
            "https://gate.corp.example/\\x/",
            "https://gate.corp.example/a/..//x",
            "https://ann:pw@gate.corp.example",
        ] {
            assert!(parse_public(text).is_err(), "{text}");
        }
    }
}
