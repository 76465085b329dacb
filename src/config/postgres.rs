//! Location of a PostgreSQL database: a URL in the format of libpq, without a password.
//!
//! `postgres://USER@HOST:PORT,HOST:PORT/DATABASE?sslmode=verify-full&target_session_attrs=read-write`, or
//! `postgres:///DATABASE?host=/run/postgresql` for a socket of this machine.

use std::path::PathBuf;

use super::Secret;
use crate::domain::{is_this_machine, join};

/// A PostgreSQL database, and the parameters to connect to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresServer {
    /// Tried in order until one accepts the connection.
    pub hosts: Vec<PostgresHost>,
    pub user: String,
    pub database: String,
    /// The schema with the tables.
    pub schema: String,
    pub password: Secret,
    pub tls: PostgresTls,
    /// PEM file with the trusted certificate authorities; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// True if a pooler in transaction mode is in between: session state does not outlive a transaction.
    pub pooler: bool,
    /// Number of connections for short reads, and for long ones.
    pub readers: usize,
    pub long_readers: usize,
    /// The file with the id of this node; `None` in other processes.
    pub node_file: Option<PathBuf>,
}

/// One server of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PostgresHost {
    Tcp {
        /// A name, or an address without brackets.
        host: String,
        port: u16,
    },
    /// The folder of a socket, and the port in its name.
    Socket { folder: PathBuf, port: u16 },
}

/// Protection of the connection, named as in libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresTls {
    Disable,
    /// Encrypted, with any certificate: protects against passive eavesdropping only.
    Require,
    /// The certificate comes from a trusted authority; its name is not checked.
    VerifyCa,
    VerifyFull,
}

/// The port registered for PostgreSQL.
const PORT: u16 = 5432;

const EXAMPLE: &str = "write postgres://USER@HOST/DATABASE, with several HOST:PORT between commas, or \
     postgres:///DATABASE?host=/run/postgresql";

/// Longest name of a schema: it is part of the name of a notification channel, which has 63 octets at most.
const MAX_SCHEMA: usize = 40;

impl PostgresServer {
    /// # Errors
    /// Another scheme, an unknown option, a password, or a missing part.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |cause: &str| format!("{cause}; {EXAMPLE}");
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
            .ok_or_else(|| wrong("is not a postgres:// URL"))?;
        // A password may contain any character, so it is detected before the URL is parsed.
        if rest.rfind('@').is_some_and(|at| rest[..at].contains(':')) {
            return Err(wrong(
                "a password does not belong in a URL, write password_file or credential",
            ));
        }
        if rest.contains('#') {
            return Err(wrong("a fragment (#) is not allowed"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (user, hosts),
            None => ("", authority),
        };
        let mut server = Self {
            hosts: Vec::new(),
            user: decode(user)?,
            database: decode(database)?,
            schema: "vestibule".to_owned(),
            password: Secret::default(),
            tls: PostgresTls::VerifyFull,
            ca_file: None,
            pooler: false,
            readers: 4,
            long_readers: 2,
            node_file: None,
        };
        let (mut mode, mut named, mut port) = (None, String::new(), PORT);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value)?;
            match name {
                "host" => named = value,
                "port" => port = value.parse().map_err(|_| wrong("port is not a number"))?,
                "user" => server.user = value,
                "dbname" => server.database = value,
                "schema" => server.schema = Self::parse_schema(&value)?,
                "target_session_attrs" if matches!(&*value, "read-write" | "primary") => {}
                "target_session_attrs" => {
                    return Err(wrong(
                        "target_session_attrs must be read-write or primary: a standby may lack acknowledged messages",
                    ));
                }
                "sslmode" => mode = Some(PostgresTls::parse(&value)?),
                "sslrootcert" => return Err("write ca_file in place of sslrootcert".to_owned()),
                "password" => {
                    return Err(wrong(
                        "a password does not belong in a URL, write password_file or credential",
                    ));
                }
                _ => {
                    return Err(format!(
                        "{name} is unknown; valid names are host, port, user, dbname, schema, sslmode \
                         and target_session_attrs"
                    ));
                }
            }
        }
        let hosts = if hosts.is_empty() { &named } else { hosts };
        for host in hosts.split(',').filter(|host| !host.is_empty()) {
            server
                .hosts
                .push(PostgresHost::parse(host, port).map_err(|cause| wrong(&cause))?);
        }
        for (what, part) in [
            ("the user", &server.user),
            ("the database", &server.database),
        ] {
            if part.is_empty() || part.contains('\0') {
                return Err(wrong(&format!("{what} is missing")));
            }
        }
        if server.hosts.is_empty() {
            return Err(wrong("the host is missing"));
        }
        let is_local = server.hosts.iter().all(PostgresHost::is_local);
        server.tls = mode.unwrap_or(if is_local {
            PostgresTls::Disable
        } else {
            PostgresTls::VerifyFull
        });
        Ok(server)
    }

    /// The name of the schema, quoted for a statement: it may be an SQL keyword, such as `user`.
    #[must_use]
    pub fn quoted_schema(&self) -> String {
        format!("\"{}\"", self.schema)
    }

    /// Checks the name of a schema.
    ///
    /// # Errors
    /// A name that would have to be quoted, or that is too long.
    pub fn parse_schema(text: &str) -> Result<String, String> {
        let mut chars = text.chars();
        let begins = chars
            .next()
            .is_some_and(|c| c.is_ascii_lowercase() || c == '_');
        let goes_on = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !begins || !chars.all(goes_on) || text.starts_with("pg_") {
            return Err(format!(
                "{text:?}: write lower-case letters, digits and underscores, as in vestibule"
            ));
        }
        if text.len() > MAX_SCHEMA {
            return Err(format!("{text:?} is longer than {MAX_SCHEMA} octets"));
        }
        Ok(text.to_owned())
    }
}

impl PostgresHost {
    fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let is_port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
        let (host, port) = if let Some(inner) = text.strip_prefix('[') {
            let (host, rest) = inner.split_once(']').ok_or("a ] is missing")?;
            (host, rest.strip_prefix(':'))
        } else {
            match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            }
        };
        let port = match port {
            Some(port) => is_port(port).ok_or_else(|| format!("{port:?} is not a port"))?,
            None => default_port,
        };
        let host = decode(host)?;
        if host.starts_with('/') {
            return Ok(Self::Socket {
                folder: host.into(),
                port,
            });
        }
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(format!("{host:?} is not a host"));
        }
        Ok(Self::Tcp { host, port })
    }

    /// True if the connection does not leave this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Socket { .. } => true,
            Self::Tcp { host, .. } => is_this_machine(host),
        }
    }
}

impl std::fmt::Display for PostgresHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Socket { folder, port } => write!(f, "{}/.s.PGSQL.{port}", folder.display()),
        }
    }
}

/// Shows the location as an operator writes it, without secrets.
impl std::fmt::Display for PostgresServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "PostgreSQL {} (database {}, schema {})",
            join(&self.hosts, ","),
            self.database,
            self.schema
        )
    }
}

impl PostgresTls {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "disable" => Ok(Self::Disable),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyCa),
            "verify-full" => Ok(Self::VerifyFull),
            "allow" | "prefer" => Err(format!(
                "sslmode={text} lets an attacker on the network path force plain text; \
                 write disable, require, verify-ca or verify-full"
            )),
            _ => Err(format!(
                "sslmode={text} is unknown; write disable, require, verify-ca or verify-full"
            )),
        }
    }
}

/// Decodes percent-encoding (RFC 3986 2.1).
fn decode(text: &str) -> Result<String, String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'%' {
            octets.push(octet);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(|digit| {
            digit.and_then(|digit| {
                char::from(digit)
                    .to_digit(16)
                    .and_then(|n| u8::try_from(n).ok())
            })
        });
        match digits {
            [Some(high), Some(low)] => octets.push(high * 16 + low),
            _ => return Err(format!("{text:?}: % is not followed by two digits")),
        }
    }
    String::from_utf8(octets).map_err(|_| format!("{text:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PostgresServer {
        PostgresServer::parse(text).unwrap_or_else(|cause| panic!("{text}: {cause}"))
    }

    #[test]
    fn several_hosts_a_socket_and_an_address_are_read() {
        let server = parse("postgresql://gate@a.example,b.example:5433,[2001:db8::1]:5/mail");
        let hosts: Vec<_> = server.hosts.iter().map(ToString::to_string).collect();
        assert_eq!(
            hosts,
            ["a.example:5432", "b.example:5433", "[2001:db8::1]:5"]
        );
        assert_eq!(
            (server.user.as_str(), server.database.as_str()),
            ("gate", "mail")
        );
        assert_eq!(server.tls, PostgresTls::VerifyFull, "not of this machine");

        for socket in [
            "postgres:///mail?host=/run/postgresql&user=gate&port=5433",
            "postgres://gate@%2Frun%2Fpostgresql:5433/mail",
        ] {
            let server = parse(socket);
            assert_eq!(server.hosts[0].to_string(), "/run/postgresql/.s.PGSQL.5433");
            assert_eq!(server.tls, PostgresTls::Disable);
        }
        for local in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
            let server = parse(&format!("postgres://u@{local}/d"));
            assert_eq!(server.tls, PostgresTls::Disable, "{local}");
        }
        let below = "postgres://u@db.localhost/d";
        assert_eq!(parse(below).tls, PostgresTls::VerifyFull, "DNS may have it");
        let required = "postgres://u@db.example/d?sslmode=require&target_session_attrs=read-write";
        assert_eq!(parse(required).tls, PostgresTls::Require);
    }

    #[test]
    fn an_invalid_url_is_refused_with_the_remedy() {
        for (text, cause) in [
            ("mysql://u@h/d", "postgres://"),
            ("postgres://u:secret@h/d", "password_file"),
            ("postgres://u:secret/ret@h/d", "password_file"),
            ("postgres://u:secret?ret@h/d", "password_file"),
            ("postgres://u:secret/r%zzet@h/d", "password_file"),
            ("postgres://u@h/d?password=x", "password_file"),
            ("postgres://h/d", "user"),
            ("postgres://u@h", "database"),
            ("postgres://u@/d", "host"),
            ("postgres://u@h:0/d", "port"),
            ("postgres://u@h:x/d", "port"),
            ("postgres://u@[::1/d", "]"),
            ("postgres://u@h/d?sslmode=prefer", "plain text"),
            ("postgres://u@h/d?sslrootcert=/x", "ca_file"),
            ("postgres://u@h/d?options=-c", "unknown"),
            ("postgres://u@h/d?target_session_attrs=any", "standby"),
            ("postgres://u@h/d?target_session_attrs=standby", "standby"),
            ("postgres://u%2@h/d", "%"),
        ] {
            let found = PostgresServer::parse(text).expect_err(text);
            assert!(found.contains(cause), "{text}: {found}");
            assert!(!found.contains("secret"), "{found}");
        }
        for name in ["", "Mail", "pg_mail", "a\"b", "a-b", &"a".repeat(41)] {
            assert!(PostgresServer::parse_schema(name).is_err(), "{name}");
        }
    }
}
