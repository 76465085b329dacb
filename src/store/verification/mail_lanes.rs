//! The order in which verification mail is sent: the lane of each mail, and its flow within the lane.
//!
//! Anybody can forge any number of senders. So mail for authenticated messages goes first, and mail from the
//! pages has its own lane. The flows of a lane take turns: a flow with a thousand mails does not delay one
//! with a single mail.

use ipnet::IpNet;
use sha2::{Digest, Sha256};
use std::net::IpAddr;

use crate::domain::{Domain, IPV6_NETWORKS, client_networks};
use crate::store::Result;
use crate::store::rows::keys::{registered_domain, short};
use crate::store::sql::{Bind, FromSql, SqlValue, ToSql, Tx};

/// A queue of verification mail; the first lane is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// The sender's domain vouches for the message, or an operator asked for the mail.
    Authenticated = 0,
    /// A person asked for it on a page.
    Pages = 1,
    /// Mail for messages that anybody may have written.
    Others = 2,
}

impl Lane {
    pub(crate) const ALL: [Self; 3] = [Self::Authenticated, Self::Pages, Self::Others];
}

impl ToSql for Lane {
    fn bind(&self, bind: &mut Bind<'_>) -> Result<()> {
        bind(SqlValue::Integer(*self as i64))
    }
}

impl FromSql for Lane {
    fn from_sql(value: SqlValue<'_>) -> Result<Self> {
        Ok(match value.integer()? {
            0 => Self::Authenticated,
            1 => Self::Pages,
            _ => Self::Others,
        })
    }
}

/// Position of a new mail in the queues.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueuePlace {
    pub(crate) lane: Lane,
    pub(crate) flow: i64,
}

impl QueuePlace {
    /// Place of the mail for a message. The flow is the authenticated domain, else the client that handed it
    /// to our MTA, else the domain in From. A /48 of IPv6 is one client: whoever has it could otherwise forge
    /// senders in 65,536 flows.
    pub(crate) fn of_mail(authenticated: bool, client: Option<IpAddr>, domain: &Domain) -> Self {
        let (lane, client) = if authenticated {
            (Lane::Authenticated, None)
        } else {
            (Lane::Others, client.map(first_of_person))
        };
        Self {
            lane,
            flow: flow(client, domain),
        }
    }

    /// Place of the mail that a person asked for on a page.
    pub(crate) fn of_page(client: Option<IpAddr>, domain: &Domain) -> Self {
        Self {
            lane: Lane::Pages,
            flow: flow(client, domain),
        }
    }

    pub(crate) fn of_operator(domain: &Domain) -> Self {
        Self {
            lane: Lane::Authenticated,
            flow: flow(None, domain),
        }
    }

    /// The flow of a client, and the beginnings that it shares with the other flows of each of its larger
    /// [networks](client_networks), the smallest network first. A flow without networks shares them only by chance.
    pub(crate) fn networks(self) -> [i64; NETWORKS] {
        std::array::from_fn(|step| self.flow >> (NETWORK_BITS * step))
    }

    /// Turn of a new mail: after the other mails of its flow, and not before the current turn.
    pub(crate) fn next_turn(self, tx: &Tx) -> Result<i64> {
        let last: Option<i64> = tx.maybe(
            "SELECT turn FROM letter WHERE flow = ? AND lane = ? AND due_at IS NOT NULL
                 ORDER BY turn DESC LIMIT 1",
            &[&self.flow, &self.lane],
        )?;
        let now: Option<i64> = tx.maybe(
            "SELECT turn FROM letter WHERE lane = ? AND due_at IS NOT NULL
                 ORDER BY turn LIMIT 1",
            &[&self.lane],
        )?;
        Ok(now.unwrap_or(0).max(last.map_or(0, |last| last + 1)))
    }
}

/// Number of the networks of an IPv6 client, and the bits that its flow has for each of them.
const NETWORKS: usize = IPV6_NETWORKS.len();
const NETWORK_BITS: usize = 16;

/// Position of the largest network that one person may have, a /48, among the networks of an IPv6 client.
const NETWORK_OF_PERSON: usize = 2;

/// The first address of the largest network that the person at this IPv6 client may have; an IPv4 client itself.
fn first_of_person(client: IpAddr) -> IpAddr {
    let networks = client_networks(client);
    networks
        .get(NETWORK_OF_PERSON)
        .map_or(client, IpNet::network)
}

/// The flow of a client, or of a domain where no client is named. The flow of an IPv6 client has bits for each of its
/// networks, the largest first: so flows of one network begin with the same bits, by which mail is counted.
fn flow(client: Option<IpAddr>, domain: &Domain) -> i64 {
    let hash = |name: String| short(Sha256::digest(name).as_slice());
    let Some(client) = client else {
        return hash(format!("domain {}", registered_domain(domain)));
    };
    match client_networks(client).as_slice() {
        [address] => hash(format!("client {}", address.addr())),
        networks => networks.iter().rev().fold(0_i64, |flow, network| {
            let bits = hash(format!("network {network}")) & ((1 << NETWORK_BITS) - 1);
            flow << NETWORK_BITS | bits
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(client: Option<&str>, domain: &str) -> i64 {
        let domain = Domain::parse(domain).expect(domain);
        let client = client.map(|client| client.parse().expect(client));
        QueuePlace::of_mail(false, client, &domain).flow
    }

    #[test]
    fn flows_begin_alike_as_far_as_they_share_networks() {
        let domain = Domain::parse("a.example").expect("a domain");
        let networks = |client: &str| {
            let client = client.parse().expect(client);
            QueuePlace::of_page(Some(client), &domain).networks()
        };
        let own = networks("2001:db8:1:203::1");
        for (other, shared) in [
            ("2001:db8:1:203::2", 4),
            ("2001:db8:1:204::1", 3),
            ("2001:db8:1:403::1", 2),
            ("2001:db8:2:203::1", 1),
            ("2001:db9:1:203::1", 0),
            ("192.0.2.1", 0),
        ] {
            let other_networks = networks(other);
            let alike = own.iter().zip(other_networks).filter(|(a, b)| **a == *b);
            assert_eq!(alike.count(), shared, "{other}");
        }
    }

    #[test]
    fn a_flow_is_a_client_or_else_a_registered_domain() {
        for (one, other, same) in [
            (
                (Some("192.0.2.1"), "a.example"),
                (Some("192.0.2.1"), "b.example"),
                true,
            ),
            (
                (Some("192.0.2.1"), "a.example"),
                (Some("::ffff:192.0.2.1"), "a.example"),
                true,
            ),
            (
                (Some("192.0.2.1"), "a.example"),
                (Some("192.0.2.2"), "a.example"),
                false,
            ),
            (
                (Some("2001:db8::1"), "a.example"),
                (Some("2001:db8::2:1"), "b.example"),
                true,
            ),
            (
                (Some("2001:db8::1"), "a.example"),
                (Some("2001:db8:0:ffff::1"), "b.example"),
                true,
            ),
            (
                (Some("2001:db8::1"), "a.example"),
                (Some("2001:db8:1::1"), "a.example"),
                false,
            ),
            ((None, "x.acme.co.uk"), (None, "y.acme.co.uk"), true),
            ((None, "acme.co.uk"), (None, "other.co.uk"), false),
            ((Some("192.0.2.1"), "a.example"), (None, "a.example"), false),
        ] {
            assert_eq!(
                place(one.0, one.1) == place(other.0, other.1),
                same,
                "{one:?} {other:?}"
            );
        }
    }
}
