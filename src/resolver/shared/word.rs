//! The two words that stand for one address: what is known of it, and who claims it.
//!
//! Each fits one atomic, so neither can be seen half-written.

use core::net::Ipv4Addr;

use crate::cache::{Destination, HoldError, Key};
use crate::wire::{UnicastMac, VlanId};

/// A neighbour's address and VLAN in one number: what the published table is indexed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Address(u64);

impl Address {
    /// How many bits there are.
    pub(super) const BITS: u32 = 44;

    #[inline]
    pub(super) fn new(key: Key) -> Self {
        let vlan = key.vlan.map_or(0, VlanId::get);
        Self(u64::from(vlan) << 32 | u64::from(key.ip.to_bits()))
    }

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) fn key(self) -> Key {
        Key {
            vlan: VlanId::new((self.0 >> 32) as u16).ok(),
            ip: Ipv4Addr::from_bits(self.0 as u32),
        }
    }
}

/// What everybody may know of an address: 48 bits of MAC, 2 of state, 14 of the generation of its
/// claims. All zeros: nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u64);

/// A [`Word`], read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing, or nothing yet.
    Nothing,
    /// Where the neighbour is.
    At(UnicastMac),
    /// That it does not answer.
    Unreachable,
    /// That those who claimed it could not have it.
    Refused(HoldError),
}

impl Word {
    /// The sign bit, which is the cheapest to look at.
    const AT: u64 = 1 << 63;
    /// That there is no address is known too: zero says that the neighbour does not answer, another
    /// number why the claim was refused.
    const IN_VAIN: u64 = 1 << 62;
    const TAG: u32 = 48;
    const TAG_BITS: u32 = 14;

    pub(super) const NOTHING: Self = Self(0);

    /// What is known to those who claimed the address in `generation`.
    pub(super) fn new(known: Known, generation: u32) -> Self {
        let value = match known {
            Known::Nothing => return Self::NOTHING,
            Known::At(mac) => {
                let [a, b, c, d, e, f] = mac.octets();
                Self::AT | u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
            }
            Known::Unreachable => Self::IN_VAIN,
            Known::Refused(error) => Self::IN_VAIN | u64::from(number_of(error)),
        };
        Self(Self::tag_of(generation) << Self::TAG | value)
    }

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    /// Whether it says something to those who claimed the address in `generation`. Only neighbouring
    /// generations can meet here, so a few bits tell them apart.
    pub(super) const fn is_of(self, generation: u32) -> bool {
        self.0 << 2 >> 2 >> Self::TAG == Self::tag_of(generation)
    }

    const fn tag_of(generation: u32) -> u64 {
        generation as u64 & ((1 << Self::TAG_BITS) - 1)
    }

    /// Where the neighbour is: the question that every packet asks.
    #[inline]
    pub(super) const fn mac(self) -> Option<UnicastMac> {
        if self.0 & Self::AT == 0 {
            return None;
        }
        let [a, b, c, d, e, f, _, _] = self.0.to_le_bytes();
        Some(UnicastMac::known([a, b, c, d, e, f]))
    }

    pub(super) fn known(self) -> Known {
        match (self.mac(), self.0 as u8) {
            (Some(mac), _) => Known::At(mac),
            (None, _) if self.0 & Self::IN_VAIN == 0 => Known::Nothing,
            (None, 0) => Known::Unreachable,
            (None, number) => Known::Refused(error_of(number)),
        }
    }

    /// Whether it says anything that outlives those whom it was said to.
    pub(super) fn is_of_use(self) -> bool {
        match self.known() {
            Known::At(_) | Known::Unreachable => true,
            Known::Nothing | Known::Refused(_) => false,
        }
    }
}

/// The errors with which the cache can refuse a hold that was given out before it was asked. An
/// address of a group is none of them, as that is known beforehand.
const REFUSALS: [HoldError; 10] = [
    HoldError::Denied,
    HoldError::LinkDown,
    HoldError::NoAddress,
    HoldError::NotANeighbour(Destination::Broadcast),
    HoldError::NotANeighbour(Destination::Invalid),
    HoldError::NotANeighbour(Destination::Local),
    HoldError::OffLink,
    HoldError::TableFull,
    HoldError::TooManyHolds,
    HoldError::TooManyUnresolved,
];

/// Not zero.
fn number_of(error: HoldError) -> u8 {
    let number = REFUSALS.iter().position(|&refusal| refusal == error);
    number.map_or(u8::MAX, |number| number as u8 + 1)
}

fn error_of(number: u8) -> HoldError {
    let error = REFUSALS.get(usize::from(number).wrapping_sub(1)).copied();
    error.unwrap_or(HoldError::OffLink)
}

/// Who claims an address: a count, the generation that the count is of, and two flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claims(u64);

impl Claims {
    const COUNT: u64 = u32::MAX as u64;
    /// The owner has been told to look.
    const QUEUED: u64 = 1 << 32;
    /// Counted among the cells in use of its block.
    const LIVE: u64 = 1 << 33;
    const GENERATION: u32 = 34;

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) const fn bits(self) -> u64 {
        self.0
    }

    pub(super) const fn count(self) -> u32 {
        self.0 as u32
    }

    pub(super) const fn generation(self) -> u32 {
        (self.0 >> Self::GENERATION) as u32
    }

    pub(super) const fn is_queued(self) -> bool {
        self.0 & Self::QUEUED != 0
    }

    pub(super) const fn is_live(self) -> bool {
        self.0 & Self::LIVE != 0
    }

    /// Nobody claims the address, and the owner knows.
    pub(super) const fn is_idle(self) -> bool {
        self.0 & (Self::COUNT | Self::QUEUED) == 0
    }

    /// One more; `None` at the end of the counter. The first is to be told to the owner.
    pub(super) const fn joined(self) -> Option<Self> {
        if self.0 & Self::COUNT == Self::COUNT {
            return None;
        }
        let first = if self.count() == 0 { Self::QUEUED } else { 0 };
        Some(Self((self.0 | Self::LIVE | first) + 1))
    }

    /// One less of `generation`; `None` if that has ended. The last is to be told to the owner.
    pub(super) const fn left(self, generation: u32) -> Option<Self> {
        if self.generation() != generation || self.count() == 0 {
            return None;
        }
        let last = if self.count() == 1 { Self::QUEUED } else { 0 };
        Some(Self((self.0 - 1) | last))
    }

    pub(super) const fn looked_at(self) -> Self {
        Self(self.0 & !Self::QUEUED)
    }

    pub(super) const fn counted_out(self) -> Self {
        Self(self.0 & !Self::LIVE)
    }

    /// All claims end: a new generation, which nobody has claimed yet. The owner, whose doing this
    /// is, need not look: so that the next claim is told to it again.
    pub(super) const fn ended(self) -> Self {
        let nobody = self.0 & !(Self::COUNT | Self::QUEUED);
        Self(nobody.wrapping_add(1 << Self::GENERATION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0xff, 0, 0x80, 1, 0xfe];

    #[test]
    fn what_is_known_survives_the_word() {
        let mac = UnicastMac::new(MAC).unwrap();
        for generation in [0, 1, (1 << 14) - 1, 1 << 14, (1 << 30) - 1] {
            for known in [Known::At(mac), Known::Unreachable]
                .into_iter()
                .chain(REFUSALS.map(Known::Refused))
            {
                let word = Word::new(known, generation);
                assert_eq!(word.known(), known);
                assert_eq!(word.mac().is_some(), known == Known::At(mac));
                assert!(word.is_of(generation) && !word.is_of(generation ^ 1));
            }
        }
        assert_eq!(Word::new(Known::Nothing, 9), Word::NOTHING);
        assert_eq!(Word::NOTHING.known(), Known::Nothing);
    }

    #[test]
    fn claims_count_to_the_end_and_never_past_it() {
        let full = Claims::from_bits(Claims::COUNT);
        assert_eq!(full.joined(), None);
        let one = Claims::from_bits(0).joined().unwrap();
        assert!(one.is_queued() && one.is_live() && one.count() == 1);
        let two = one.looked_at().joined().unwrap();
        assert!(!two.is_queued());
        assert_eq!(two.left(1), None);
        let none = two.left(0).unwrap().left(0).unwrap();
        assert!(none.is_queued() && none.count() == 0);
        assert_eq!(none.left(0), None);
    }

    #[test]
    fn a_new_generation_begins_with_nobody_and_wraps_without_touching_the_rest() {
        let last =
            Claims::from_bits(u64::MAX << Claims::GENERATION | Claims::LIVE | Claims::QUEUED | 7);
        assert_eq!(last.ended(), Claims::from_bits(Claims::LIVE));
        assert_eq!(last.ended().ended().generation(), 1);
    }

    #[test]
    fn addresses_unpack() {
        for vlan in [0, 1, 4094] {
            let key = Key {
                vlan: VlanId::new(vlan).ok(),
                ip: Ipv4Addr::new(255, 1, 2, 3),
            };
            assert_eq!(Address::new(key).key(), key);
            assert!(Address::new(key).bits() >> Address::BITS == 0);
        }
    }
}
