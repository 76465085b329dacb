//! Endpoints of a server: the sockets and addresses of its hosts, in the order in which they are tried.
//!
//! A host name may have several addresses, such as one name for all members of a cluster. Each of them is tried as if
//! it were a host, because only one may accept writes.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::config::PostgresHost;
use crate::store::{Result, StoreError};

/// An endpoint of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PostgresEndpoint {
    Socket(PathBuf),
    Tcp {
        /// The name that the server's certificate must have.
        name: String,
        address: SocketAddr,
    },
}

impl PostgresEndpoint {
    /// Endpoints of a host, in the order of the system's resolver, which decides how long this takes.
    ///
    /// # Errors
    /// The name has no address, or the resolver fails.
    pub(super) fn all_of(host: &PostgresHost) -> io::Result<Vec<Self>> {
        let (name, port) = match host {
            PostgresHost::Socket { folder, port } => {
                let path = folder.join(format!(".s.PGSQL.{port}"));
                return Ok(vec![Self::Socket(path)]);
            }
            PostgresHost::Tcp { host, port } => (host.as_str(), *port),
        };
        let endpoints: Vec<_> = (name, port)
            .to_socket_addrs()?
            .map(|address| Self::Tcp {
                name: name.to_owned(),
                address,
            })
            .collect();
        if endpoints.is_empty() {
            let cause = "the host name has no address";
            return Err(io::Error::new(io::ErrorKind::NotFound, cause));
        }
        Ok(endpoints)
    }
}

impl fmt::Display for PostgresEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Tcp { address, .. } => address.fmt(f),
        }
    }
}

/// The endpoint that accepted a connection last, with the index of its host. It is tried first: an unreachable one
/// costs seconds.
#[derive(Debug, Default)]
pub(super) struct LastEndpoint(Mutex<Option<(usize, PostgresEndpoint)>>);

impl LastEndpoint {
    fn get(&self) -> Option<(usize, PostgresEndpoint)> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
    }

    fn set(&self, host: usize, endpoint: PostgresEndpoint) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Some((host, endpoint));
    }
}

/// Connects to the first endpoint that accepts, beginning with that of the last connection, until a deadline.
///
/// # Errors
/// `Away`, with the cause of each endpoint; `Refused` if none can be used as configured.
pub(super) fn connect_first<T>(
    hosts: &[PostgresHost],
    last: &LastEndpoint,
    deadline: Option<Instant>,
    resolve: impl Fn(&PostgresHost) -> io::Result<Vec<PostgresEndpoint>>,
    mut connect: impl FnMut(&PostgresHost, &PostgresEndpoint) -> Result<T>,
) -> Result<T> {
    let is_late = || deadline.is_some_and(|deadline| Instant::now() >= deadline);
    let (mut causes, mut may_come_back) = (Vec::new(), false);
    let before = last.get();
    let first = before.as_ref().map_or(0, |(host, _)| *host);
    let in_order = hosts.iter().enumerate().cycle().skip(first);
    for (number, host) in in_order.take(hosts.len()) {
        if is_late() {
            may_come_back = true;
            break;
        }
        let mut endpoints = match resolve(host) {
            Ok(endpoints) => endpoints,
            Err(cause) => {
                may_come_back = true;
                causes.push(format!("{host}: {cause}"));
                continue;
            }
        };
        if let Some((_, before)) = &before
            && let Some(at) = endpoints.iter().position(|endpoint| endpoint == before)
        {
            endpoints.rotate_left(at);
        }
        let has_several = endpoints.len() > 1;
        for endpoint in endpoints {
            if is_late() {
                may_come_back = true;
                break;
            }
            let error = match connect(host, &endpoint) {
                Ok(connection) => {
                    last.set(number, endpoint);
                    return Ok(connection);
                }
                Err(error) => error,
            };
            may_come_back |= error.passes();
            let cause = match error {
                StoreError::Refused(cause) | StoreError::Away(cause) => cause,
                error => error.to_string(),
            };
            causes.push(if has_several {
                format!("{cause} ({endpoint})")
            } else {
                cause
            });
        }
    }
    let causes = causes.join("; ");
    Err(if may_come_back {
        StoreError::Away(causes)
    } else {
        StoreError::Refused(causes)
    })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::config::PostgresServer;

    fn hosts() -> Vec<PostgresHost> {
        let server = PostgresServer::parse("postgres://gate@db.example,spare.example/mail");
        server.expect("a URL").hosts
    }

    fn endpoint(octet: u8) -> PostgresEndpoint {
        PostgresEndpoint::Tcp {
            name: "db.example".to_owned(),
            address: SocketAddr::from(([192, 0, 2, octet], 5432)),
        }
    }

    /// `db.example` has three addresses, `spare.example` has one.
    fn resolve(host: &PostgresHost) -> Vec<PostgresEndpoint> {
        match host {
            PostgresHost::Tcp { host, .. } if host == "db.example" => {
                [1, 2, 3].map(endpoint).into()
            }
            _ => vec![endpoint(9)],
        }
    }

    /// The endpoints that are tried, and the one that accepts, if it is the `primary`.
    fn connect(
        last: &LastEndpoint,
        primary: u8,
    ) -> (Vec<PostgresEndpoint>, Result<PostgresEndpoint>) {
        let tried = RefCell::new(Vec::new());
        let accepted = connect_first(
            &hosts(),
            last,
            None,
            |host| Ok(resolve(host)),
            |host, tried_now| {
                tried.borrow_mut().push(tried_now.clone());
                if *tried_now == endpoint(primary) {
                    return Ok(tried_now.clone());
                }
                let cause = format!("{host}: the server is a standby, or read-only");
                Err(StoreError::Away(cause))
            },
        );
        (tried.into_inner(), accepted)
    }

    #[test]
    fn each_address_of_a_host_is_tried_and_the_last_that_accepted_comes_first() {
        let last = LastEndpoint::default();
        for (primary, expected) in [
            (2, &[1, 2][..]),
            (2, &[2]),
            // A failover to another address of the name, and to another host.
            (1, &[2, 3, 1]),
            (9, &[1, 2, 3, 9]),
            (9, &[9]),
            (3, &[9, 1, 2, 3]),
        ] {
            let (tried, accepted) = connect(&last, primary);
            let expected: Vec<_> = expected.iter().copied().map(endpoint).collect();
            assert_eq!(tried, expected);
            assert_eq!(accepted.expect("a primary"), endpoint(primary));
        }
    }

    #[test]
    fn the_causes_of_all_addresses_are_reported() {
        let (tried, accepted) = connect(&LastEndpoint::default(), 0);
        assert_eq!(tried.len(), 4);
        let Err(StoreError::Away(cause)) = &accepted else {
            panic!("{accepted:?}");
        };
        let causes: Vec<_> = cause.split("; ").collect();
        let why = "5432: the server is a standby, or read-only";
        assert_eq!(
            causes,
            [
                format!("db.example:{why} (192.0.2.1:5432)"),
                format!("db.example:{why} (192.0.2.2:5432)"),
                format!("db.example:{why} (192.0.2.3:5432)"),
                format!("spare.example:{why}"),
            ]
        );
    }

    #[test]
    fn only_an_endpoint_that_may_come_back_is_waited_for() {
        let fail = |errors: &[StoreError], is_resolved: bool| {
            let errors = RefCell::new(errors.to_vec());
            let failed = connect_first(
                &hosts(),
                &LastEndpoint::default(),
                None,
                |_| {
                    let found = is_resolved.then(|| vec![endpoint(1)]);
                    found.ok_or_else(|| io::Error::other("no such name"))
                },
                |_, _| Err::<(), _>(errors.borrow_mut().remove(0)),
            );
            failed.expect_err("none accepts")
        };
        let refused = || StoreError::Refused("wrong password".to_owned());
        let away = || StoreError::Away("refused".to_owned());
        let none = fail(&[refused(), refused()], true);
        assert!(matches!(none, StoreError::Refused(_)), "{none:?}");
        let one = fail(&[refused(), away()], true);
        assert!(matches!(one, StoreError::Away(_)), "{one:?}");
        let unresolved = fail(&[], false);
        assert!(matches!(unresolved, StoreError::Away(_)), "{unresolved:?}");
    }

    #[test]
    fn nothing_is_tried_after_the_deadline() {
        let late = connect_first(
            &hosts(),
            &LastEndpoint::default(),
            Some(Instant::now()),
            |host| Ok(resolve(host)),
            |_, _| -> Result<()> { panic!("tried") },
        );
        assert!(matches!(late, Err(StoreError::Away(_))), "{late:?}");
    }
}
