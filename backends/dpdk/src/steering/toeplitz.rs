//! The hash by which network cards spread flows over queues (receive-side scaling).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The key that Microsoft's specification gives its examples with, which many drivers start with.
pub const DEFAULT_KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
    0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
    0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// A key with which both directions of a flow hash alike: it repeats every 16 bits, so that source and
/// destination may change places. Give a card as many of its bytes as its keys have.
pub const SYMMETRIC_KEY: [u8; 52] = {
    let mut key = [0x6d; 52];
    let mut odd = 1;
    while odd < key.len() {
        key[odd] = 0x5a;
        odd += 2;
    }
    key
};

/// Both addresses, then both ports.
const INPUT: usize = 4 + 4 + 2 + 2;

/// The Toeplitz hash over the addresses of an IPv4 flow and its ports, with one key.
///
/// Each bit that is set in the input adds the 32 bits of the key that begin at its place. What the bits
/// of a byte add up to is kept in a table for each of the twelve bytes: 12 KiB that all queues read and
/// nobody writes. A hash takes about 2.5 ns (one core of a server, the tables in its first cache); with
/// tables of half bytes, an eighth of the memory, it took 4, and bit by bit 33.
#[derive(Clone)]
pub struct Toeplitz {
    tables: Box<[[u32; 256]; INPUT]>,
}

impl Toeplitz {
    /// How many bytes of a key are used: what follows them is for addresses longer than IPv4's.
    pub const KEY_LEN: usize = INPUT + size_of::<u32>();

    /// The hash with this key, of which there have to be [`KEY_LEN`](Self::KEY_LEN) bytes.
    pub fn new(key: &[u8]) -> Result<Self, KeyTooShort> {
        let key = *key
            .first_chunk::<{ Self::KEY_LEN }>()
            .ok_or(KeyTooShort(key.len()))?;
        let mut bits = u128::from_be_bytes(key);
        let mut tables = Box::new([[0; 256]; INPUT]);
        for table in tables.iter_mut() {
            for bit in [0x80, 0x40, 0x20, 0x10, 0x08, 0x04, 0x02, 0x01] {
                table[bit] = (bits >> 96) as u32;
                bits <<= 1;
            }
            for byte in 1..table.len() {
                let lowest = byte & byte.wrapping_neg();
                table[byte] = table[byte - lowest] ^ table[lowest];
            }
        }
        Ok(Self { tables })
    }

    /// The hash of what is sent from one port to another.
    #[inline]
    pub fn hash(&self, source: SocketAddrV4, destination: SocketAddrV4) -> u32 {
        let ports = self.bytes(8, source.port().to_be_bytes())
            ^ self.bytes(10, destination.port().to_be_bytes());
        ports ^ self.hash_addresses(*source.ip(), *destination.ip())
    }

    /// The hash of what is sent from one host to another, whatever the ports.
    #[inline]
    pub fn hash_addresses(&self, source: Ipv4Addr, destination: Ipv4Addr) -> u32 {
        self.bytes(0, source.octets()) ^ self.bytes(4, destination.octets())
    }

    /// What these bytes add, the first of them at this place in the input.
    #[inline(always)]
    fn bytes<const N: usize>(&self, place: usize, bytes: [u8; N]) -> u32 {
        (place..).zip(bytes).fold(0, |sum, (place, byte)| {
            sum ^ self.tables[place][usize::from(byte)]
        })
    }
}

impl fmt::Debug for Toeplitz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toeplitz").finish_non_exhaustive()
    }
}

/// The key has fewer bytes than the hash of an IPv4 flow takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key of {0} bytes is too short: addresses and ports of IPv4 take 16, cards have 40 or 52"
)]
pub struct KeyTooShort(pub usize);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The hash as it is defined, bit by bit.
    fn defined(key: &[u8], input: &[u8]) -> u32 {
        let bit = |bytes: &[u8], place: usize| bytes[place / 8] >> (7 - place % 8) & 1;
        let window = |place| (place..place + 32).fold(0, |w, p| w << 1 | u32::from(bit(key, p)));
        (0..input.len() * 8)
            .filter(|&place| bit(input, place) == 1)
            .fold(0, |hash, place| hash ^ window(place))
    }

    fn input(source: SocketAddrV4, destination: SocketAddrV4) -> Vec<u8> {
        let mut input = [source.ip().octets(), destination.ip().octets()].concat();
        input.extend(source.port().to_be_bytes());
        input.extend(destination.port().to_be_bytes());
        input
    }

    prop_compose! {
        fn end()(ip: u32, port: u16) -> SocketAddrV4 {
            SocketAddrV4::new(ip.into(), port)
        }
    }

    #[test]
    fn the_hashes_are_those_of_the_specification() {
        let hash = Toeplitz::new(&DEFAULT_KEY).unwrap();
        for (destination, source, addresses, ports) in [
            (
                "161.142.100.80:1766",
                "66.9.149.187:2794",
                0x323e_8fc2,
                0x51cc_c178,
            ),
            (
                "65.69.140.83:4739",
                "199.92.111.2:14230",
                0xd718_262a,
                0xc626_b0ea,
            ),
            (
                "12.22.207.184:38024",
                "24.19.198.95:12898",
                0xd2d0_a5de,
                0x5c2b_394a,
            ),
            (
                "209.142.163.6:2217",
                "38.27.205.30:48228",
                0x8298_9176,
                0xafc7_327f,
            ),
            (
                "202.188.127.2:1303",
                "153.39.163.191:44251",
                0x5d18_09c5,
                0x10e8_28a2,
            ),
        ] {
            let destination: SocketAddrV4 = destination.parse().unwrap();
            let source: SocketAddrV4 = source.parse().unwrap();
            let of_addresses = hash.hash_addresses(*source.ip(), *destination.ip());
            assert_eq!(of_addresses, addresses, "{source} to {destination}");
            assert_eq!(
                hash.hash(source, destination),
                ports,
                "{source} to {destination}"
            );
        }
    }

    #[test]
    fn a_key_is_long_enough_from_sixteen_bytes_on_and_what_follows_does_not_count() {
        assert_eq!(
            Toeplitz::new(&DEFAULT_KEY[..15]).unwrap_err(),
            KeyTooShort(15)
        );
        assert_eq!(Toeplitz::new(&[]).unwrap_err(), KeyTooShort(0));
        let whole = Toeplitz::new(&DEFAULT_KEY).unwrap();
        let start = Toeplitz::new(&DEFAULT_KEY[..16]).unwrap();
        assert_eq!(whole.tables, start.tables);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn tables_and_definition_agree_for_keys_of_every_card(
            key in prop_oneof![
                prop::collection::vec(any::<u8>(), 40),
                prop::collection::vec(any::<u8>(), 52),
            ],
            source in end(),
            destination in end(),
        ) {
            let hash = Toeplitz::new(&key).unwrap();
            let input = input(source, destination);
            prop_assert_eq!(hash.hash(source, destination), defined(&key, &input));
            let of_addresses = hash.hash_addresses(*source.ip(), *destination.ip());
            prop_assert_eq!(of_addresses, defined(&key, &input[..8]));
        }

        #[test]
        fn both_directions_hash_alike_with_the_symmetric_key(here in end(), there in end()) {
            let hash = Toeplitz::new(&SYMMETRIC_KEY).unwrap();
            prop_assert_eq!(hash.hash(here, there), hash.hash(there, here));
            let (here, there) = (*here.ip(), *there.ip());
            prop_assert_eq!(hash.hash_addresses(here, there), hash.hash_addresses(there, here));
        }
    }
}
