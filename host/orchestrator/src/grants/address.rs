//! Which network addresses are public, and the networks that a grant names beside them.
//!
//! What is judged is the address that will be connected to, in whatever form it was found:
//! an IPv4 address inside an IPv6 one (mapped, NAT64) counts as what it leads to. For IPv6
//! only what is allotted as global unicast (2000::/3, RFC 4291) is public, less what the
//! registry of special-purpose addresses (RFC 6890 and its successors) takes out of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses where clouds answer their guests with credentials and the like, some of them
/// in ranges that are otherwise public or private.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// Special-purpose IPv4 networks.
const SPECIAL_V4: [(Ipv4Addr, u8, &str); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "an unspecified address"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private address"),
    (
        Ipv4Addr::new(100, 64, 0, 0),
        10,
        "a carrier's private address",
    ),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "a loopback address"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link-local address"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private address"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "a reserved address"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "a documentation address"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a tunnel's address"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private address"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "a benchmarking address"),
    (
        Ipv4Addr::new(198, 51, 100, 0),
        24,
        "a documentation address",
    ),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "a documentation address"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a multicast address"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "a reserved address"),
];

/// Special-purpose networks within IPv6's global unicast.
const SPECIAL_V6: [(Ipv6Addr, u8, &str); 4] = [
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        "a reserved or tunnel's address",
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        "a documentation address",
    ),
    (
        Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0),
        16,
        "a tunnel's address",
    ),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        "a documentation address",
    ),
];

/// What an address leads to: the IPv4 address of one that is mapped (`::ffff:a.b.c.d`), or
/// reached through the well-known NAT64 prefix (64:ff9b::/96), else itself.
pub fn effective(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else {
        return address;
    };
    let octets = v6.octets();
    let is_nat64 = octets.starts_with(&[0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]);
    match v6.to_ipv4_mapped() {
        Some(v4) => IpAddr::V4(v4),
        None if is_nat64 => {
            let [.., a, b, c, d] = octets;
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        None => address,
    }
}

/// What an address is where it is not public, with its article (`a loopback address`).
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    let address = effective(address);
    if METADATA.contains(&address) {
        return Some("the address of a cloud's metadata service");
    }
    match address {
        IpAddr::V4(v4) => SPECIAL_V4
            .iter()
            .find(|(network, length, _)| same_v4(*network, v4, *length))
            .map(|(_, _, what)| *what),
        IpAddr::V6(v6) if v6.is_loopback() => Some("a loopback address"),
        IpAddr::V6(v6) if v6.is_unspecified() => Some("an unspecified address"),
        IpAddr::V6(v6) if v6.is_multicast() => Some("a multicast address"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        IpAddr::V6(v6) if v6.is_unique_local() => Some("a private address"),
        IpAddr::V6(v6) if !same_v6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), v6, 3) => {
            Some("no address of the public network")
        }
        IpAddr::V6(v6) => SPECIAL_V6
            .iter()
            .find(|(network, length, _)| same_v6(*network, v6, *length))
            .map(|(_, _, what)| *what),
    }
}

fn same_v4(network: Ipv4Addr, address: Ipv4Addr, length: u8) -> bool {
    let rest = 32u32.saturating_sub(u32::from(length));
    let differing = network.to_bits() ^ address.to_bits();
    differing.checked_shr(rest).unwrap_or(0) == 0
}

fn same_v6(network: Ipv6Addr, address: Ipv6Addr, length: u8) -> bool {
    let rest = 128u32.saturating_sub(u32::from(length));
    let differing = network.to_bits() ^ address.to_bits();
    differing.checked_shr(rest).unwrap_or(0) == 0
}

/// An address, or all that begin alike (`10.0.0.0/8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    length: u8,
}

impl Network {
    /// Reads `ADDRESS` or `ADDRESS/LENGTH`; none where it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(most);
        (length <= most).then_some(Self { address, length })
    }

    /// Whether it names the address. A metadata service's address has to be named alone: no
    /// network that it happens to lie in is enough.
    pub fn names(&self, address: IpAddr) -> bool {
        let address = effective(address);
        if METADATA.contains(&address) {
            return self.is_single() && effective(self.address) == address;
        }
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => same_v4(network, address, self.length),
            (IpAddr::V6(network), IpAddr::V6(address)) => same_v6(network, address, self.length),
            // A mapped one, written as such.
            (network, address) => self.is_single() && effective(network) == address,
        }
    }

    /// Whether every address that `other` names is one that this names.
    pub fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.names(other.address)
    }

    fn is_single(&self) -> bool {
        self.length == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_not_public_is_known_in_every_form() {
        for text in [
            "8.8.8.8",
            "1.1.1.1",
            "172.15.255.255",
            "172.32.0.0",
            "100.63.255.255",
            "192.167.0.1",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(not_public(address(text)), None, "{text}");
        }
        for (text, what) in [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("10.255.0.1", "private"),
            ("100.64.0.1", "private"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("169.254.1.1", "link-local"),
            ("169.254.169.254", "metadata"),
            ("168.63.129.16", "metadata"),
            ("100.100.100.200", "metadata"),
            ("172.16.0.1", "private"),
            ("172.31.255.255", "private"),
            ("192.0.0.8", "reserved"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "tunnel"),
            ("192.168.1.1", "private"),
            ("198.19.255.255", "benchmarking"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::127.0.0.1", "no address of the public"),
            ("::ffff:127.0.0.1", "loopback"),
            ("::ffff:0:127.0.0.1", "no address of the public"),
            ("::ffff:169.254.169.254", "metadata"),
            ("64:ff9b::127.0.0.1", "loopback"),
            ("64:ff9b::a00:1", "private"),
            ("64:ff9b:1::1", "no address of the public"),
            ("100::1", "no address of the public"),
            ("2001::1", "tunnel"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "tunnel"),
            ("3fff::1", "documentation"),
            ("fc00::1", "private"),
            ("fd00:ec2::254", "metadata"),
            ("fe80::1", "link-local"),
            ("fec0::1", "no address of the public"),
            ("ff02::1", "multicast"),
        ] {
            let found = not_public(address(text)).unwrap_or_else(|| panic!("{text} is public"));
            assert!(found.contains(what), "{text}: {found}");
        }
    }

    #[test]
    fn networks_name_addresses() {
        for (network, text, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("127.0.0.1", "::ffff:127.0.0.1", true),
            ("127.0.0.1", "::1", false),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("10.0.0.0/8", "10.200.0.1", true),
            ("10.0.0.0/8", "64:ff9b::a00:1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("fd00::/8", "fd12::1", true),
            ("fd00::/8", "fe80::1", false),
            ("0.0.0.0/0", "192.168.0.1", true),
            ("0.0.0.0/0", "::1", false),
            ("0.0.0.0/0", "169.254.169.254", false),
            ("169.254.0.0/16", "169.254.169.254", false),
            ("169.254.169.254", "::ffff:169.254.169.254", true),
            ("fd00::/8", "fd00:ec2::254", false),
        ] {
            let parsed = Network::parse(network).unwrap();
            assert_eq!(parsed.names(address(text)), expected, "{network} {text}");
        }
        for text in [
            "",
            "10",
            "10.0.0",
            "010.0.0.1",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "0x7f.0.0.1",
            "localhost",
            "[::1]",
            "::1%eth0",
        ] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }

    #[test]
    fn networks_cover_networks() {
        for (outer, inner, expected) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.0.0.0/7", false),
            ("10.0.0.0/8", "11.0.0.0/16", false),
            ("169.254.0.0/16", "169.254.169.254", false),
            ("::/0", "::1", true),
        ] {
            let (a, b) = (
                Network::parse(outer).unwrap(),
                Network::parse(inner).unwrap(),
            );
            assert_eq!(a.covers(&b), expected, "{outer} {inner}");
        }
    }
}
