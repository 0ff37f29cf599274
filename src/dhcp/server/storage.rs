//! Where the slots are: [`Fixed`] in the server itself, [`Growable`] on the heap up to a limit.
//!
//! A storage hands out slices and appends to them; what is in them is the table's business, so both
//! run the same logic.

use heapless::Deque;

use super::event::Event;
use super::parked::Parked;
use super::pools::PoolRecord;
use super::slot::Slot;

/// Room for addresses, requests and pools. Implemented by [`Fixed`] and `Growable`; sealed, because
/// what is kept there is the server's own.
pub trait Storage: sealed::Sealed {}

pub(super) mod sealed {
    use super::{Event, Parked, PoolRecord, Slot};

    /// Room for a client identifier and a name behind it.
    pub trait Text: core::fmt::Debug {
        const EMPTY: Self;
        fn bytes(&self) -> &[u8];
        /// Takes both, or says that they do not fit and stays as it was.
        fn set(&mut self, id: &[u8], name: &[u8]) -> bool;
    }

    /// Room for a request.
    pub trait Room: core::fmt::Debug {
        const EMPTY: Self;
        /// How long a request can be.
        const LONGEST: usize;
        fn bytes(&self) -> &[u8];
        /// Takes one that is not too long.
        fn set(&mut self, request: &[u8]);
    }

    pub trait Sealed: core::fmt::Debug {
        type Text: Text;
        type Room: Room;

        /// How many addresses there can ever be.
        fn capacity(&self) -> usize;
        fn slots(&self) -> &[Slot<Self::Text>];
        fn slots_mut(&mut self) -> &mut [Slot<Self::Text>];
        /// Appends a slot; false at the limit, or when there is no memory for it.
        fn grow(&mut self) -> bool;

        /// How many requests can wait.
        fn parking(&self) -> usize;
        fn parked(&self) -> &[Parked<Self::Room>];
        fn parked_mut(&mut self) -> &mut [Parked<Self::Room>];
        fn grow_parked(&mut self) -> bool;

        fn pools(&self) -> &[PoolRecord];
        fn pools_mut(&mut self) -> &mut [PoolRecord];
        fn grow_pools(&mut self) -> bool;

        /// For how many more events there is room.
        fn room_for_events(&self) -> usize;
        /// Takes an event, if there is room.
        fn push_event(&mut self, event: Event);
        fn pop_event(&mut self) -> Option<Event>;
    }
}

use sealed::{Room, Text};

/// How many pools a [`Fixed`] tells apart, beside those of which nothing is kept.
const POOLS: usize = 8;
/// How many events wait in a [`Fixed`].
const EVENTS: usize = 32;

/// Everything in place, no allocator needed: `N` addresses, `PARKED` requests that wait to be answered
/// at the same time, and `TEXT` bytes beside each address for the client identifier and the name of
/// whoever has it. A client whose identifier does not fit is refused and counted; a name that does not
/// fit is left out.
///
/// Of more than eight pools, those that were not used for longest are looked through anew when they are
/// used again.
#[derive(Debug)]
pub struct Fixed<const N: usize, const PARKED: usize = 8, const TEXT: usize = 64> {
    slots: [Slot<Inline<TEXT>>; N],
    parked: [Parked<Kept>; PARKED],
    pools: [PoolRecord; POOLS],
    events: Deque<Event, EVENTS>,
}

impl<const N: usize, const PARKED: usize, const TEXT: usize> Fixed<N, PARKED, TEXT> {
    /// Nothing known, nobody waiting.
    pub const fn new() -> Self {
        const {
            assert!(N > 0, "a server needs at least one address");
            assert!(
                PARKED > 0,
                "a server answers at least one request at a time"
            );
            assert!(
                N < u32::MAX as usize && PARKED < u32::MAX as usize,
                "positions have 32 bits"
            );
            assert!(TEXT >= 2, "a client identifier has at least two bytes");
        }
        Self {
            slots: [const { Slot::VACANT }; N],
            parked: [const { Parked::EMPTY }; PARKED],
            pools: [const { PoolRecord::VACANT }; POOLS],
            events: Deque::new(),
        }
    }
}

impl<const N: usize, const PARKED: usize, const TEXT: usize> Default for Fixed<N, PARKED, TEXT> {
    fn default() -> Self {
        Self::new()
    }
}

/// Text in place. How much of it means something is known beside it.
#[derive(Debug)]
pub struct Inline<const TEXT: usize>([u8; TEXT]);

impl<const TEXT: usize> Text for Inline<TEXT> {
    const EMPTY: Self = Self([0; TEXT]);

    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn set(&mut self, id: &[u8], name: &[u8]) -> bool {
        if id.len() + name.len() > TEXT {
            return false;
        }
        let both = id.iter().chain(name);
        self.0
            .iter_mut()
            .zip(both)
            .for_each(|(to, from)| *to = *from);
        true
    }
}

/// The longest request that fits in place: what every client can send (RFC 2131 section 2), with room
/// for what a relay adds.
const KEPT: usize = 576;

/// A request in place.
#[derive(Debug)]
pub struct Kept {
    len: u16,
    bytes: [u8; KEPT],
}

impl Room for Kept {
    const EMPTY: Self = Self {
        len: 0,
        bytes: [0; KEPT],
    };
    const LONGEST: usize = KEPT;

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }

    fn set(&mut self, request: &[u8]) {
        if let Some(room) = self.bytes.get_mut(..request.len()) {
            room.copy_from_slice(request);
            self.len = request.len() as u16;
        }
    }
}

impl<const N: usize, const PARKED: usize, const TEXT: usize> Storage for Fixed<N, PARKED, TEXT> {}

impl<const N: usize, const PARKED: usize, const TEXT: usize> sealed::Sealed
    for Fixed<N, PARKED, TEXT>
{
    type Text = Inline<TEXT>;
    type Room = Kept;

    fn capacity(&self) -> usize {
        N
    }

    fn slots(&self) -> &[Slot<Self::Text>] {
        &self.slots
    }

    fn slots_mut(&mut self) -> &mut [Slot<Self::Text>] {
        &mut self.slots
    }

    fn grow(&mut self) -> bool {
        false
    }

    fn parking(&self) -> usize {
        PARKED
    }

    fn parked(&self) -> &[Parked<Kept>] {
        &self.parked
    }

    fn parked_mut(&mut self) -> &mut [Parked<Kept>] {
        &mut self.parked
    }

    fn grow_parked(&mut self) -> bool {
        false
    }

    fn pools(&self) -> &[PoolRecord] {
        &self.pools
    }

    fn pools_mut(&mut self) -> &mut [PoolRecord] {
        &mut self.pools
    }

    fn grow_pools(&mut self) -> bool {
        false
    }

    fn room_for_events(&self) -> usize {
        EVENTS - self.events.len()
    }

    fn push_event(&mut self, event: Event) {
        // Whoever has looked knows that there is room.
        let _ = self.events.push_back(event);
    }

    fn pop_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

#[cfg(feature = "alloc")]
pub use growable::Growable;

#[cfg(feature = "alloc")]
mod growable {
    use alloc::boxed::Box;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;

    use super::sealed::{Room, Sealed, Text};
    use super::{Event, Parked, PoolRecord, Slot, Storage};
    use crate::dhcp::server::pools::ELSEWHERE;

    /// Slots of 112 bytes on the heap, as many as are in use at the same time, up to a hard limit; and
    /// what the client identifier and the name of whoever has an address take.
    #[derive(Debug)]
    pub struct Growable {
        slots: Vec<Slot<Boxed>>,
        parked: Vec<Parked<Buffer>>,
        pools: Vec<PoolRecord>,
        events: VecDeque<Event>,
        limit: usize,
        parking: usize,
    }

    impl Growable {
        /// How many requests can wait unless somebody says otherwise.
        const PARKING: usize = 8_192;

        /// Nothing known; never more than `limit` addresses (at least 1, at most 4,294,967,294).
        pub const fn new(limit: usize) -> Self {
            Self {
                slots: Vec::new(),
                parked: Vec::new(),
                pools: Vec::new(),
                events: VecDeque::new(),
                limit: bounded(limit),
                parking: Self::PARKING,
            }
        }

        /// The same with room for all addresses taken from the system at once, if it has that much, so
        /// that growing never copies. Memory is used only for what is written to.
        pub fn reserved(limit: usize) -> Self {
            let mut this = Self::new(limit);
            // Where there is not enough it grows as it would have.
            let _ = this.slots.try_reserve_exact(this.limit);
            this
        }

        /// The same with room for so many requests that wait to be answered at the same time.
        pub fn with_parking(self, parking: usize) -> Self {
            Self {
                parking: bounded(parking),
                ..self
            }
        }
    }

    const fn bounded(limit: usize) -> usize {
        if limit == 0 {
            1
        } else if limit >= u32::MAX as usize {
            u32::MAX as usize - 1
        } else {
            limit
        }
    }

    /// Text on the heap, if there is any.
    #[derive(Debug)]
    pub struct Boxed(Option<Box<[u8]>>);

    impl Text for Boxed {
        const EMPTY: Self = Self(None);

        fn bytes(&self) -> &[u8] {
            self.0.as_deref().unwrap_or_default()
        }

        fn set(&mut self, id: &[u8], name: &[u8]) -> bool {
            let same = self.bytes().strip_prefix(id) == Some(name);
            if !same {
                let mut bytes = Vec::new();
                if bytes.try_reserve_exact(id.len() + name.len()).is_err() {
                    return false;
                }
                bytes.extend_from_slice(id);
                bytes.extend_from_slice(name);
                self.0 = (!bytes.is_empty()).then(|| bytes.into());
            }
            true
        }
    }

    /// A request on the heap. Its memory is kept for the next one.
    #[derive(Debug)]
    pub struct Buffer(Vec<u8>);

    impl Room for Buffer {
        const EMPTY: Self = Self(Vec::new());
        /// What an Ethernet frame has room for.
        const LONGEST: usize = 1_500 - 20 - 8;

        fn bytes(&self) -> &[u8] {
            &self.0
        }

        fn set(&mut self, request: &[u8]) {
            self.0.clear();
            self.0.extend_from_slice(request);
        }
    }

    impl Storage for Growable {}

    impl Sealed for Growable {
        type Text = Boxed;
        type Room = Buffer;

        fn capacity(&self) -> usize {
            self.limit
        }

        fn slots(&self) -> &[Slot<Boxed>] {
            &self.slots
        }

        fn slots_mut(&mut self) -> &mut [Slot<Boxed>] {
            &mut self.slots
        }

        fn grow(&mut self) -> bool {
            grow(&mut self.slots, self.limit, Slot::VACANT)
        }

        fn parking(&self) -> usize {
            self.parking
        }

        fn parked(&self) -> &[Parked<Buffer>] {
            &self.parked
        }

        fn parked_mut(&mut self) -> &mut [Parked<Buffer>] {
            &mut self.parked
        }

        fn grow_parked(&mut self) -> bool {
            grow(&mut self.parked, self.parking, Parked::EMPTY)
        }

        fn pools(&self) -> &[PoolRecord] {
            &self.pools
        }

        fn pools_mut(&mut self) -> &mut [PoolRecord] {
            &mut self.pools
        }

        fn grow_pools(&mut self) -> bool {
            grow(&mut self.pools, ELSEWHERE.into(), PoolRecord::VACANT)
        }

        /// All that wait may be answered at once, and each is told of by one event or two.
        fn room_for_events(&self) -> usize {
            let most = self.parking.saturating_mul(2).max(super::EVENTS);
            most - self.events.len()
        }

        fn push_event(&mut self, event: Event) {
            self.events.push_back(event);
        }

        fn pop_event(&mut self) -> Option<Event> {
            self.events.pop_front()
        }
    }

    fn grow<T>(all: &mut Vec<T>, limit: usize, another: T) -> bool {
        if all.len() >= limit || all.try_reserve(1).is_err() {
            return false;
        }
        all.push(another);
        true
    }
}
