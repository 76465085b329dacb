//! IP addresses: their form in mail, the networks of a client, and those that are not on the public Internet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::strip_prefix_any_case;

/// Parses the content of an address literal (RFC 5321 4.1.3) or a bare address, without its zone (RFC 4007
/// 11). An IPv4-mapped address becomes an IPv4 address.
#[must_use]
pub fn parse_address(text: &str) -> Option<IpAddr> {
    let address = strip_prefix_any_case(text, "IPv6:").unwrap_or(text);
    let address: IpAddr = address.split('%').next()?.parse().ok()?;
    Some(address.to_canonical())
}

/// Prefix lengths of the networks of an IPv6 client, the smallest network first. A /64 is one client. One person may
/// have a whole /48 (RFC 6177 2), with 65,536 of them; a /32 is the usual allocation of a provider.
pub const IPV6_NETWORKS: [u8; 4] = [64, 56, 48, 32];

/// The networks of a client, the smallest first. An IPv4 address has only itself.
#[must_use]
pub fn client_networks(client: IpAddr) -> Vec<IpNet> {
    match client.to_canonical() {
        v4 @ IpAddr::V4(_) => vec![IpNet::from(v4)],
        v6 @ IpAddr::V6(_) => IPV6_NETWORKS
            .into_iter()
            .filter_map(|length| Some(IpNet::new(v6, length).ok()?.trunc()))
            .collect(),
    }
}

/// True if no host on the public Internet has this address (IANA special-purpose registries).
#[must_use]
pub fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match embedded_ipv4(address) {
            Some(address) => is_private_v4(address),
            None => is_private_v6(address),
        },
    }
}

/// True for a loopback address, with or without brackets, and for `localhost`: connections to it do not leave this
/// machine.
#[must_use]
pub fn is_this_machine(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// True for [this machine](is_this_machine), for `localhost` with a trailing dot and for names below it. Browsers
/// resolve those to loopback addresses (RFC 6761 6.3), but glibc may ask DNS servers for them.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    is_this_machine(host) || name == "localhost" || name.ends_with(".localhost")
}

/// Networks with their prefix lengths.
const PRIVATE_V4: [([u8; 4], u32); 15] = [
    ([0, 0, 0, 0], 8),
    ([10, 0, 0, 0], 8),
    ([100, 64, 0, 0], 10),
    ([127, 0, 0, 0], 8),
    ([169, 254, 0, 0], 16),
    ([172, 16, 0, 0], 12),
    ([192, 0, 0, 0], 24),
    ([192, 0, 2, 0], 24),
    ([192, 168, 0, 0], 16),
    ([198, 18, 0, 0], 15),
    ([198, 51, 100, 0], 24),
    ([203, 0, 113, 0], 24),
    ([192, 88, 99, 0], 24),
    ([224, 0, 0, 0], 4),
    ([240, 0, 0, 0], 4),
];

fn is_private_v4(address: Ipv4Addr) -> bool {
    PRIVATE_V4.iter().any(|(network, length)| {
        let differing = address.to_bits() ^ u32::from_be_bytes(*network);
        differing.leading_zeros() >= *length
    })
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    // Global unicast is 2000::/3, without its documentation, benchmarking and Teredo parts.
    first & 0xe000 != 0x2000
        || (first == 0x2001 && (second == 0x0db8 || second < 0x0200))
        || first & 0xfff0 == 0x3ff0
}

/// The IPv4 address that packets to this one finally reach: mapped, compatible, NAT64 or 6to4.
fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(join(high, low))
        }
        [0x2002, high, low, ..] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_four_networks_of_ipv6_or_one_address_of_ipv4() {
        for (client, networks) in [
            ("192.0.2.1", &["192.0.2.1/32"][..]),
            ("::ffff:192.0.2.1", &["192.0.2.1/32"][..]),
            (
                "2001:db8:1:203:4::5",
                &[
                    "2001:db8:1:203::/64",
                    "2001:db8:1:200::/56",
                    "2001:db8:1::/48",
                    "2001:db8::/32",
                ][..],
            ),
        ] {
            let found = client_networks(client.parse().expect(client));
            let found: Vec<_> = found.iter().map(IpNet::to_string).collect();
            assert_eq!(found, networks, "{client}");
        }
    }

    #[test]
    fn a_host_is_this_machine_or_a_name_below_localhost() {
        for (host, this_machine, loopback) in [
            ("127.0.0.1", true, true),
            ("127.9.9.9", true, true),
            ("::1", true, true),
            ("[::1]", true, true),
            ("::ffff:127.0.0.1", true, true),
            ("localhost", true, true),
            ("LOCALHOST", true, true),
            ("localhost.", false, true),
            ("desk.localhost", false, true),
            ("Desk.Localhost.", false, true),
            ("10.0.0.1", false, false),
            ("desk.internal", false, false),
            ("notlocalhost", false, false),
            ("localhost.example", false, false),
            ("127.0.0.1.example", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_this_machine(host), this_machine, "{host}");
            assert_eq!(is_loopback_host(host), loopback, "{host}");
        }
    }

    #[test]
    fn only_addresses_of_the_public_internet_are_not_private() {
        for (address, private) in [
            ("8.8.8.8", false),
            ("100.63.255.255", false),
            ("100.64.0.1", true),
            ("100.128.0.0", false),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.32.0.0", false),
            ("0.0.0.0", true),
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("192.168.0.1", true),
            ("169.254.169.254", true),
            ("192.0.0.1", true),
            ("192.0.1.0", false),
            ("192.0.2.1", true),
            ("192.88.99.1", true),
            ("192.88.100.0", false),
            ("198.17.255.255", false),
            ("198.18.0.1", true),
            ("198.19.255.255", true),
            ("198.20.0.0", false),
            ("198.51.100.1", true),
            ("203.0.113.1", true),
            ("223.255.255.255", false),
            ("224.0.0.1", true),
            ("255.255.255.255", true),
            ("2606:4700::1111", false),
            ("2001:4860::8888", false),
            ("::", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("::ffff:8.8.8.8", false),
            ("::10.0.0.1", true),
            ("64:ff9b::10.0.0.1", true),
            ("64:ff9b::8.8.8.8", false),
            ("2002:7f00:1::", true),
            ("2001:db8::1", true),
            ("2001::1", true),
            ("2001:1ff::1", true),
            ("2001:200::1", false),
            ("2000::1", false),
            ("4000::1", true),
            ("3fef::1", false),
            ("fe80::1", true),
            ("fc00::1", true),
            ("fd12:3456::1", true),
            ("ff02::1", true),
            ("3fff::1", true),
        ] {
            let parsed: IpAddr = address.parse().expect("an address");
            assert_eq!(is_private_address(parsed), private, "{address}");
        }
    }

    #[test]
    fn an_address_is_parsed_without_its_tag_and_its_zone() {
        for (text, address) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("ipv6:2001:db8::1", Some("2001:db8::1")),
            ("fe80::1%eth0", Some("fe80::1")),
            ("IPv6:::ffff:192.0.2.1", Some("192.0.2.1")),
            ("", None),
            ("[192.0.2.1]", None),
        ] {
            let address = address.map(|text| text.parse::<IpAddr>().expect("an address"));
            assert_eq!(parse_address(text), address, "{text}");
        }
    }
}
