//! Where connections to servers that strangers name may go: to public addresses, and to what the operator allows beside them.
//!
//! Without this, whoever may name a server could have this one ask others that only it can reach, such as what tells a machine in a
//! cloud its own keys.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A part of the network: an address, or a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(|net| Network(net.trunc())).map_err(|_| "must look like 10.0.0.0/8 or 127.0.0.1 or fd00::/8".to_owned())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Where connections may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Public addresses, and these.
    #[must_use]
    pub const fn public_and(allowed: Vec<Network>) -> Networks {
        Networks(allowed)
    }

    /// Checks whether a connection may be made to an address. Without TLS, only to what is allowed beside public addresses.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, address: IpAddr, is_encrypted: bool) -> Result<(), &'static str> {
        let address = address.to_canonical();
        if self.0.iter().any(|Network(net)| net.contains(&address)) {
            return Ok(());
        }
        let is_public = match address {
            IpAddr::V4(address) => is_public_v4(address),
            IpAddr::V6(address) => is_public_v6(address),
        };
        match (is_public, is_encrypted) {
            (true, true) => Ok(()),
            (true, false) => Err("it speaks no TLS"),
            (false, _) => Err("it is not public, and the server's webhook_networks do not name it"),
        }
    }

    /// Returns true where nothing is allowed beside public addresses.
    #[must_use]
    pub const fn is_public_alone(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is not public, by the registries of special addresses (RFC 6890 and its successors): each as its first address and the bits
/// that count.
const SPECIAL_V4: [(Ipv4Addr, u8); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, and all behind it.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Of what is given out to everybody: what stands for something else, such as an address of version 4.
const SPECIAL_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |(first, bits): (Ipv4Addr, u8)| Ipv4Net::new(first, bits).is_ok_and(|net| net.contains(&address));
    !SPECIAL_V4.into_iter().any(is_in)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let is_in = |(first, bits): (Ipv6Addr, u8)| Ipv6Net::new(first, bits).is_ok_and(|net| net.contains(&address));
    // Nothing else is given out to everybody yet.
    is_in((Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)) && !SPECIAL_V6.into_iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn only_what_is_public_is_reached() {
        let public = Networks::default();
        for address in ["1.1.1.1", "8.8.8.8", "100.63.255.255", "172.32.0.1", "192.0.1.1", "223.255.255.255"] {
            assert_eq!(public.check(ip(address), true), Ok(()), "{address}");
            assert_eq!(public.check(ip(address), false), Err("it speaks no TLS"), "{address}");
        }
        assert_eq!(public.check(ip("2606:4700::1111"), true), Ok(()));
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            // An address of version 4 in one of version 6: mapped, compatible, translated, 6to4, Teredo.
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001::1",
            "2001:db8::1",
            "3fff::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "100::1",
        ] {
            assert!(public.check(ip(address), true).is_err(), "{address}");
        }
    }

    #[test]
    fn what_an_operator_allows_is_reached_too() {
        let allowed = ["10.0.0.7/8", "::1"].map(|text| text.parse().expect(text));
        let networks = Networks::public_and(allowed.to_vec());
        for address in ["10.255.0.1", "::ffff:10.0.0.1", "::1"] {
            assert_eq!(networks.check(ip(address), false), Ok(()), "{address}");
        }
        assert!(networks.check(ip("127.0.0.1"), true).is_err());
        assert_eq!(allowed.map(|net: Network| net.to_string()), ["10.0.0.0/8", "::1/128"]);
        for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0.0/", "10.0.0"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
