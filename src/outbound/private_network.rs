//! In: the endpoint of a POST. Out: the addresses that may be called.
//!
//! A name is resolved once for each connection, and private addresses are removed from the answer: there is no
//! second lookup that could differ.

use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::Cause;
use crate::config::Endpoint;
use crate::domain::is_private_address;

/// Parses the URL of an endpoint.
///
/// # Errors
/// Its host is a private address, and the endpoint does not allow that.
pub(super) fn parse_url(endpoint: &Endpoint) -> Result<Url, Cause> {
    let url = Url::parse(&endpoint.url)
        .map_err(|e| Cause::of_destination(&format!("{}: {e}", endpoint.url)))?;
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        _ => None,
    };
    match address {
        Some(address) if !endpoint.allow_private && is_private_address(address) => Err(
            Cause::of_destination(&describe_private(&address.to_string())),
        ),
        _ => Ok(url),
    }
}

/// Resolves a name to the addresses that may be called.
pub(super) struct Resolver {
    pub(super) allow_private: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found
                .filter(|address| allow_private || !is_private_address(address.ip()))
                .collect();
            if addresses.is_empty() {
                return Err(describe_private(name.as_str()).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn describe_private(host: &str) -> String {
    format!("{host} has only addresses in private networks; set allow_private if that is intended")
}
