//! What kind of address an IP address is (IANA special-purpose registries, RFC 6890), also when it
//! carries an IPv4 address inside.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kinds of addresses that the guard tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressClass {
    /// Reachable by anyone; the only kind that needs no permission.
    Public,
    /// Where clouds offer the metadata and credentials of a machine, and all of IPv4's link-local
    /// network, in which most of them do. Never allowed.
    Metadata,
    /// This machine itself.
    Loopback,
    /// A private network (RFC 1918, RFC 4193), or IPv6's old site-local one.
    Private,
    /// One link only (IPv6, RFC 4291).
    LinkLocal,
    /// A provider's shared network (RFC 6598).
    Shared,
    /// Many receivers, or all.
    Multicast,
    /// No address: `0.0.0.0/8` and `::`, which reach this machine on some systems.
    Unspecified,
    /// For documentation and measurements.
    Documentation,
    /// Not assigned for use on the internet.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "a public address",
            Self::Metadata => "a metadata address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Shared => "an address of a shared network",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "the unspecified address",
            Self::Documentation => "an address for documentation or measurements",
            Self::Reserved => "a reserved address",
        })
    }
}

/// Metadata services outside of `169.254.0.0/16`.
const METADATA_V4: &[Ipv4Addr] = &[
    // Alibaba Cloud.
    Ipv4Addr::new(100, 100, 100, 200),
    // Azure's wire server.
    Ipv4Addr::new(168, 63, 129, 16),
    // Oracle Cloud's older service.
    Ipv4Addr::new(192, 0, 0, 192),
];

const METADATA_V6: &[Ipv6Addr] = &[
    // AWS: instance metadata, credentials of EKS pods, DNS, time.
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123),
    // Google Cloud.
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    // Oracle Cloud.
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    // Scaleway.
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    // OpenStack.
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

/// The kind of `address`. One that carries IPv4 addresses inside (mapped, compatible, NAT64, 6to4,
/// Teredo, ISATAP) is of the least public kind among them.
#[must_use]
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(address) => classify_v4(address),
        IpAddr::V6(address) => classify_v6(address),
    }
}

fn classify_v4(address: Ipv4Addr) -> AddressClass {
    if METADATA_V4.contains(&address) {
        return AddressClass::Metadata;
    }
    match address.octets() {
        [169, 254, ..] => AddressClass::Metadata,
        [0, ..] => AddressClass::Unspecified,
        [127, ..] => AddressClass::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [100, 64..=127, ..] => AddressClass::Shared,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => {
            AddressClass::Documentation
        }
        // Protocol assignments, and the withdrawn relays of 6to4.
        [192, 0, 0, _] | [192, 88, 99, _] => AddressClass::Reserved,
        [224..=239, ..] | [255, 255, 255, 255] => AddressClass::Multicast,
        [240..=255, ..] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn classify_v6(address: Ipv6Addr) -> AddressClass {
    if METADATA_V6.contains(&address) {
        return AddressClass::Metadata;
    }
    if address.is_unspecified() {
        return AddressClass::Unspecified;
    }
    if address.is_loopback() {
        return AddressClass::Loopback;
    }
    let segments = address.segments();
    let outer = match segments {
        // Mapped and NAT64 (RFC 6052): as public as what they carry.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => AddressClass::Public,
        // NAT64 of one's own network (RFC 8215).
        [0x64, 0xff9b, 1, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] | [0x2001, 2, 0, ..] => {
            AddressClass::Documentation
        }
        // Teredo (RFC 4380), then the other protocol assignments.
        [0x2001, 0, ..] => AddressClass::Public,
        [0x2001, 1..=0x1ff, ..] => AddressClass::Reserved,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        _ => AddressClass::Reserved,
    };
    let inner = embedded(segments).map(classify_v4);
    // A metadata address inside outweighs every other kind: no setting may allow it.
    if inner.clone().any(|class| class == AddressClass::Metadata) {
        return AddressClass::Metadata;
    }
    if outer != AddressClass::Public {
        return outer;
    }
    let mut inner = inner.filter(|class| *class != AddressClass::Public);
    inner.next().unwrap_or(AddressClass::Public)
}

/// The IPv4 addresses that an IPv6 address carries.
fn embedded(segments: [u16; 8]) -> impl Iterator<Item = Ipv4Addr> + Clone {
    let bytes = Ipv6Addr::from(segments).octets();
    let at = |places: [usize; 4]| Some(Ipv4Addr::from(places.map(|place| bytes[place])));
    let last = at([12, 13, 14, 15]);
    let found = match segments {
        // Mapped and compatible (RFC 4291), translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff | 0, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..] => [last, None, None, None],
        // NAT64 of one's own network: prefixes of 48, 56, 64 and 96 bits (RFC 6052, section 2.2),
        // which step over the ninth byte.
        [0x64, 0xff9b, 1, ..] => [
            at([6, 7, 9, 10]),
            at([7, 9, 10, 11]),
            at([9, 10, 11, 12]),
            last,
        ],
        // 6to4 (RFC 3056).
        [0x2002, ..] => [at([2, 3, 4, 5]), None, None, None],
        // Teredo: the server, and the client with its bits turned.
        [0x2001, 0, ..] => {
            let client = [12, 13, 14, 15].map(|place: usize| !bytes[place]);
            [at([4, 5, 6, 7]), Some(client.into()), None, None]
        }
        // ISATAP (RFC 5214), under any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [last, None, None, None],
        _ => [None; 4],
    };
    found.into_iter().flatten()
}
