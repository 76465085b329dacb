//! The listening sockets: those that systemd passes by name, and for the rest those that the configuration
//! names.
//!
//! A socket unit keeps its port open while the service is down, so that an upgrade refuses no connection: new
//! connections wait in the socket until the next process accepts them (`sd_listen_fds(3)`).

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use anyhow::{Context, anyhow};
use listenfd::ListenFd;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::config::Config;

/// The bound listeners. They are bound before anything else starts, so that a port in use is reported at once.
#[derive(Debug)]
pub struct Listeners {
    pub smtp: Vec<TcpListener>,
    pub http: TcpListener,
    pub admin: TcpListener,
}

/// The actual addresses of the listeners, as in the ready file.
#[derive(Debug, Clone, Serialize)]
pub struct BoundAddresses {
    pub smtp: Vec<SocketAddr>,
    pub http: SocketAddr,
    pub admin: SocketAddr,
}

impl Listeners {
    /// Binds the configured addresses.
    ///
    /// # Errors
    /// An address that is in use or not of this machine; the error names its key.
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        Self::bind_missing(InheritedSockets::default(), config).await
    }

    /// Binds the configured addresses, except those that a socket of systemd replaces.
    ///
    /// # Errors
    /// An address that is in use or not of this machine; the error names its key.
    pub async fn bind_missing(
        inherited: InheritedSockets,
        config: &Config,
    ) -> anyhow::Result<Self> {
        let mut smtp = inherited.smtp;
        if smtp.is_empty() {
            for address in &config.smtp.listen {
                smtp.push(bind(*address, "smtp.listen").await?);
            }
        }
        let http = match inherited.http {
            Some(http) => http,
            None => bind(config.http.listen, "http.listen").await?,
        };
        let admin = match inherited.admin {
            Some(admin) => admin,
            None => bind(config.http.admin_listen, "http.admin_listen").await?,
        };
        Ok(Self { smtp, http, admin })
    }

    /// # Errors
    /// Errors of the operating system.
    pub fn bound_addresses(&self) -> io::Result<BoundAddresses> {
        Ok(BoundAddresses {
            smtp: self
                .smtp
                .iter()
                .map(TcpListener::local_addr)
                .collect::<Result<_, _>>()?,
            http: self.http.local_addr()?,
            admin: self.admin.local_addr()?,
        })
    }
}

async fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|cause| anyhow!("{key}: {}", describe_bind_error(address, &cause)))
}

/// Describes why the daemon cannot listen on an address, and what to do about it.
fn describe_bind_error(address: SocketAddr, cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{address} is used by another program, which may be a running vestibule; to find it: \
             ss -ltnp 'sport = :{}'",
            address.port()
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("this machine does not have the address {}", address.ip())
        }
        io::ErrorKind::PermissionDenied => format!(
            "this user may not listen on {address}; use a port above 1023, or a socket unit"
        ),
        _ => format!("cannot listen on {address}: {cause}"),
    }
}

/// Duplicates the handle of a listening socket.
pub(super) fn share(listener: &TcpListener) -> anyhow::Result<TcpListener> {
    let handle = listener.as_fd().try_clone_to_owned();
    let shared = handle.and_then(|handle| TcpListener::from_std(handle.into()));
    shared.context("cannot share a socket")
}

/// Sockets passed by systemd, which keeps them open while the daemon does not run.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    pub(super) smtp: Vec<TcpListener>,
    pub(super) http: Option<TcpListener>,
    pub(super) admin: Option<TcpListener>,
}

impl InheritedSockets {
    /// Takes the sockets that systemd passes under the names `smtp` (any number), `http` and `admin`. To be
    /// called once, at the start.
    ///
    /// # Errors
    /// A socket with another name, or two sockets of pages with the same name.
    pub fn from_environment() -> anyhow::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut sockets = ListenFd::from_env();
        let mut inherited = Self::default();
        for (index, name) in names_of(&names, sockets.len()).enumerate() {
            let socket = sockets
                .take_tcp_listener(index)
                .with_context(|| format!("the socket {name:?} from systemd"))?
                .with_context(|| format!("the socket {name:?} from systemd is missing"))?;
            socket.set_nonblocking(true)?;
            inherited.take(name, TcpListener::from_std(socket)?)?;
        }
        Ok(inherited)
    }

    /// Duplicates the handles.
    pub(super) fn share(&self) -> anyhow::Result<Self> {
        Ok(Self {
            smtp: self.smtp.iter().map(share).collect::<Result<_, _>>()?,
            http: self.http.as_ref().map(share).transpose()?,
            admin: self.admin.as_ref().map(share).transpose()?,
        })
    }

    fn take(&mut self, name: &str, socket: TcpListener) -> anyhow::Result<()> {
        let one = match name {
            "smtp" => {
                self.smtp.push(socket);
                return Ok(());
            }
            "http" => &mut self.http,
            "admin" => &mut self.admin,
            _ => anyhow::bail!(
                "systemd passed a socket named {name:?}; \
                 write FileDescriptorName=smtp, http or admin into its unit"
            ),
        };
        if one.replace(socket).is_some() {
            anyhow::bail!("systemd passed two sockets named {name:?}; only one can be used");
        }
        Ok(())
    }
}

/// Names of the sockets; an unnamed one has the empty name.
fn names_of(names: &str, sockets: usize) -> impl Iterator<Item = &str> {
    names.split(':').chain(std::iter::repeat("")).take(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn a_socket() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.expect("a port")
    }

    #[test]
    fn each_socket_has_a_name_if_only_an_empty_one() {
        let named = |names, sockets| names_of(names, sockets).collect::<Vec<_>>();
        assert_eq!(named("smtp:http", 2), ["smtp", "http"]);
        assert_eq!(named("smtp", 2), ["smtp", ""]);
        assert_eq!(named("", 1), [""]);
        assert!(named("smtp:http", 0).is_empty());
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_with_the_key_and_the_remedy() {
        let socket = a_socket().await;
        let address = socket.local_addr().expect("its address");
        let refused = bind(address, "smtp.listen").await;
        let text = refused.expect_err("in use").to_string();
        let found = format!("smtp.listen: {address} is used by another program");
        assert!(text.starts_with(&found), "{text}");
        let remedy = format!("ss -ltnp 'sport = :{}'", address.port());
        assert!(text.ends_with(&remedy), "{text}");
    }

    #[tokio::test]
    async fn smtp_may_have_several_sockets_and_pages_one() {
        let mut inherited = InheritedSockets::default();
        for name in ["smtp", "http", "smtp", "admin"] {
            inherited
                .take(name, a_socket().await)
                .expect("a name of ours");
        }
        assert_eq!(inherited.smtp.len(), 2);
        let twice = inherited.take("http", a_socket().await);
        assert!(twice.expect_err("refused").to_string().contains("two"));
    }

    #[tokio::test]
    async fn a_socket_with_an_unknown_name_is_refused_with_the_remedy() {
        for name in ["", "unknown", "vestibule.socket"] {
            let refused = InheritedSockets::default().take(name, a_socket().await);
            let text = refused.expect_err("refused").to_string();
            assert!(text.contains("FileDescriptorName="), "{text}");
        }
    }
}
