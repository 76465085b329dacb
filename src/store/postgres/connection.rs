//! Connections: connects to an endpoint that accepts writes, logs in, and gives a session its settings.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use secrecy::ExposeSecret;

use super::endpoints::{self, LastEndpoint, PostgresEndpoint};
use super::error_codes::ServerMessage;
use super::stream::Stream;
use super::wire::ProtocolConnection;
use crate::config::{PostgresHost, PostgresServer, PostgresTls};
use crate::store::{Result, StoreError};

/// The use of a session, which decides how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Write,
    Read,
    /// A migration rewrites tables.
    Migrate,
    /// Reads or fills a whole store, and may be idle in its transaction while another database is at work.
    Copy,
    /// Waits for notifications, up to this long at a time.
    Listen(Duration),
}

/// Time for which a transaction waits for a lock, and for which one of ours may idle before the server ends its
/// session: a node that hangs holds its locks no longer than this.
const LOCK: &str = "10s";

/// Time that we wait for an answer: longer than the server waits for a lock.
const WRITING: Duration = Duration::from_secs(15);
const READING: Duration = Duration::from_mins(2);
const MIGRATING: Duration = Duration::from_hours(1);

/// Time for connecting to one address of a host.
pub(super) const CONNECTING: Duration = Duration::from_secs(5);

/// Time for the answers to a login.
const LOGIN: Duration = Duration::from_secs(10);

impl Purpose {
    pub(super) fn timeout(self) -> Duration {
        match self {
            Self::Write => WRITING,
            Self::Read => READING,
            Self::Migrate | Self::Copy => MIGRATING,
            Self::Listen(wait) => wait,
        }
    }
}

/// Connects to the first endpoint of a server's hosts that accepts.
///
/// # Errors
/// `Away`, with the cause of each endpoint; `Refused` if none can be used as configured.
pub(super) fn connect(server: &PostgresServer, purpose: Purpose) -> Result<ProtocolConnection> {
    connect_from(server, &LastEndpoint::default(), purpose, None)
}

/// Like [`connect`], beginning with the endpoint that accepted last, until a deadline.
///
/// # Errors
/// As [`connect`].
pub(super) fn connect_from(
    server: &PostgresServer,
    last: &LastEndpoint,
    purpose: Purpose,
    deadline: Option<Instant>,
) -> Result<ProtocolConnection> {
    let connect = |host: &PostgresHost, endpoint: &PostgresEndpoint| {
        connect_to(server, host, endpoint, purpose)
    };
    endpoints::connect_first(
        &server.hosts,
        last,
        deadline,
        PostgresEndpoint::all_of,
        connect,
    )
}

fn connect_to(
    server: &PostgresServer,
    host: &PostgresHost,
    endpoint: &PostgresEndpoint,
    purpose: Purpose,
) -> Result<ProtocolConnection> {
    let stream = Stream::connect(server, host, endpoint, LOGIN)?;
    let mut wire = ProtocolConnection::of(stream, LOGIN);
    let name = format!("vestibule {}", server.schema);
    let parameters = [
        ("user", server.user.as_str()),
        ("database", server.database.as_str()),
        ("client_encoding", "UTF8"),
        ("application_name", name.as_str()),
    ];
    frontend::startup_message(parameters, wire.output()).map_err(|cause| wire.fail(&cause))?;
    wire.send()?;
    log_in(&mut wire, server, host)?;
    wire.end_login();
    if !server.pooler {
        wire.simple(&settings(server, purpose, false))?;
    }
    // A standby may lag behind acknowledged commits.
    let sql =
        "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean";
    if wire.simple(sql)?.text(0).as_deref() != Some("f") {
        return Err(StoreError::Away(format!(
            "{host}: the server is a standby, or read-only"
        )));
    }
    wire.set_timeout(purpose.timeout())?;
    Ok(wire)
}

/// The settings of a session, or of a transaction behind a pooler. They override those of the role and the
/// database.
pub(super) fn settings(server: &PostgresServer, purpose: Purpose, is_local: bool) -> String {
    let set = if is_local { "SET LOCAL" } else { "SET" };
    let (statement, idle) = match purpose {
        Purpose::Write => ("0", LOCK),
        Purpose::Read => ("110s", LOCK),
        Purpose::Migrate | Purpose::Copy | Purpose::Listen(_) => ("0", "0"),
    };
    let mut settings = vec![
        ("lock_timeout", LOCK),
        ("statement_timeout", statement),
        ("idle_in_transaction_session_timeout", idle),
        ("enable_seqscan", "off"),
        ("jit", "off"),
        ("standard_conforming_strings", "on"),
    ];
    if !is_local {
        settings.extend([
            ("tcp_keepalives_idle", "5"),
            ("tcp_keepalives_interval", "2"),
            ("tcp_keepalives_count", "2"),
            ("tcp_user_timeout", "10s"),
            // Ends a query whose node is gone.
            ("client_connection_check_interval", "5s"),
        ]);
    }
    if purpose == Purpose::Read {
        // Statements read the first rows of an index in its order, whereas a bitmap scan collects all of them
        // first. Each is written for one index, whatever its parameters are.
        settings.extend([
            ("enable_bitmapscan", "off"),
            ("plan_cache_mode", "force_generic_plan"),
        ]);
    }
    if matches!(purpose, Purpose::Write | Purpose::Migrate | Purpose::Copy) {
        settings.extend([
            // Without the server's warning, a cancelled wait for the standby would look like a success.
            ("client_min_messages", "notice"),
            ("synchronous_commit", "on"),
        ]);
    }
    // With `pg_temp` last, no temporary table hides one of ours.
    let mut sql = format!("{set} search_path = {}, pg_temp;", server.quoted_schema());
    for (name, value) in settings {
        let _ = write!(sql, "{set} {name} = '{value}';");
    }
    sql
}

/// Answers the server's authentication requests, until it is ready for queries.
fn log_in(
    wire: &mut ProtocolConnection,
    server: &PostgresServer,
    host: &PostgresHost,
) -> Result<()> {
    let password = server.password.expose_secret();
    // A man in the middle could request the password in clear text, or accept the login without one.
    let is_verified =
        host.is_local() || matches!(server.tls, PostgresTls::VerifyFull | PostgresTls::VerifyCa);
    let mut has_proof = false;
    let needed = || {
        if password.is_empty() {
            return Err(StoreError::Refused(format!(
                "{host}: the server requires a password; set password_file or credential"
            )));
        }
        Ok(password.as_bytes())
    };
    let mut scram: Option<ScramSha256> = None;
    loop {
        match wire.receive()? {
            Message::AuthenticationOk | Message::BackendKeyData(_) => {}
            Message::AuthenticationCleartextPassword => {
                if !is_verified {
                    return Err(refuse_unverified(host));
                }
                let password = needed()?;
                answer(wire, |output| frontend::password_message(password, output))?;
            }
            Message::AuthenticationMd5Password(body) => {
                if !is_verified {
                    return Err(refuse_unverified(host));
                }
                let hash = md5_hash(server.user.as_bytes(), needed()?, body.salt());
                answer(wire, |output| {
                    frontend::password_message(hash.as_bytes(), output)
                })?;
            }
            Message::AuthenticationSasl(body) => {
                let mut mechanisms = body.mechanisms();
                let has_scram = mechanisms.any(|name| Ok(name == SCRAM_SHA_256));
                if !has_scram.unwrap_or(false) {
                    return Err(refuse_login(host));
                }
                let begun = ScramSha256::new(needed()?, ChannelBinding::unsupported());
                answer(wire, |output| {
                    frontend::sasl_initial_response(SCRAM_SHA_256, begun.message(), output)
                })?;
                scram = Some(begun);
            }
            Message::AuthenticationSaslContinue(body) => {
                let begun = scram.as_mut().ok_or_else(|| refuse_login(host))?;
                begun
                    .update(body.data())
                    .map_err(|cause| wire.fail(&cause))?;
                answer(wire, |output| {
                    frontend::sasl_response(begun.message(), output)
                })?;
            }
            // The server proves that it knows the password, too.
            Message::AuthenticationSaslFinal(body) => {
                let mut begun = scram.take().ok_or_else(|| refuse_login(host))?;
                begun
                    .finish(body.data())
                    .map_err(|cause| wire.fail(&cause))?;
                has_proof = true;
            }
            Message::ErrorResponse(body) => {
                let message = ServerMessage::read(body.fields());
                let cause = format!("{host}: {} ({})", message.text, message.code);
                let away = wire.fail(&cause);
                let remedy = match message.code.as_str() {
                    "28P01" => "correct the user in url, and password_file or credential",
                    "28000" | "42501" => {
                        "correct url, or allow the user on the server (pg_hba.conf)"
                    }
                    "3D000" => "correct url, or create the database",
                    _ => return Err(away),
                };
                return Err(StoreError::Refused(format!("{cause}; {remedy}")));
            }
            // A server that skips the end of the exchange has not proved that it knows the password.
            Message::ReadyForQuery(_) if scram.is_none() => {
                if !is_verified && !has_proof && !password.is_empty() {
                    return Err(refuse_unverified(host));
                }
                return Ok(());
            }
            _ => return Err(refuse_login(host)),
        }
    }
}

fn answer(
    wire: &mut ProtocolConnection,
    write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>,
) -> Result<()> {
    write(wire.output()).map_err(|cause| wire.fail(&cause))?;
    wire.send()
}

fn refuse_unverified(host: &PostgresHost) -> StoreError {
    StoreError::Refused(format!(
        "{host}: the certificate of the server is not verified, and the server does not prove that it knows \
         the password; set sslmode=verify-full, or set password_encryption = 'scram-sha-256' on the server"
    ))
}

fn refuse_login(host: &PostgresHost) -> StoreError {
    StoreError::Refused(format!(
        "{host}: the server requires an unsupported authentication method; use scram-sha-256"
    ))
}
