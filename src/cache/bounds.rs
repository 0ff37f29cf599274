//! How much room there is beside the entries: the user's choice, as a type.

use core::fmt::Debug;

use heapless::{Vec, VecView};

use super::slot::Index;

/// How much of everything a [`Fixed`](super::Fixed) storage has room for beside its entries.
///
/// [`Usual`] is the default, and [`Small`] what a chip with one address needs. Neither has to fit:
///
/// ```
/// use whohas::LocalResolver;
/// use whohas::cache::{Bounds, Fixed, Strict, UpTo};
///
/// /// A device with an address of its own and one for maintenance, which answers for one neighbour.
/// #[derive(Debug)]
/// struct Mine;
///
/// impl Bounds for Mine {
///     type SlotNumber = u8;
///     type Addresses = UpTo<2>;
///     type Proxied = UpTo<1>;
///     type Events = UpTo<4>;
///     type Replies = UpTo<2>;
/// }
///
/// static NEIGHBOURS: LocalResolver<Fixed<16, Mine>, Strict> =
///     LocalResolver::new(Strict, Fixed::new());
/// ```
///
/// None but `Proxied` can be `UpTo<0>`:
///
/// ```compile_fail
/// # use whohas::cache::{Bounds, Fixed, UpTo};
/// # #[derive(Debug)]
/// # struct Mute;
/// # impl Bounds for Mute {
/// #     type SlotNumber = u8;
/// #     type Addresses = UpTo<1>;
/// #     type Proxied = UpTo<1>;
/// #     type Events = UpTo<1>;
/// type Replies = UpTo<0>;
/// # }
/// let mute = Fixed::<16, Mute>::new();
/// ```
pub trait Bounds: Debug {
    /// How slots name each other: `u8` for up to 254 slots, of 40 bytes, each held up to 65,535 times;
    /// `u16` for up to 65,534 slots, of 48 bytes, each held up to 4,294,967,295 times.
    type SlotNumber: Index<Bucket = Self::SlotNumber>;
    /// Own addresses, of 16 bytes.
    type Addresses: Room;
    /// Prefixes that we answer for, of 8 bytes.
    type Proxied: Room;
    /// Events that were not fetched yet, of 20 bytes. One frame causes two at most, and one that finds
    /// no room has all who wait look again.
    type Events: Room;
    /// Replies that the driver has not taken yet, of 16 bytes. One after each frame is the rule.
    type Replies: Room;
}

/// Room for a server, or for a host that nobody has looked at closely.
#[derive(Clone, Copy, Debug)]
pub struct Usual;

impl Bounds for Usual {
    type SlotNumber = u16;
    type Addresses = UpTo<{ super::MAX_ADDRESSES }>;
    type Proxied = UpTo<{ super::MAX_ADDRESSES }>;
    type Events = UpTo<8>;
    type Replies = UpTo<4>;
}

/// Room for a device with one address that answers for nobody else.
///
/// On a chip a [`LocalResolver`](crate::LocalResolver) with these and 16 entries, of which two tasks wait
/// for some (the one that runs the link, and one that connects), takes less than 1 KiB:
///
/// ```
/// use whohas::LocalResolver;
/// use whohas::cache::{Fixed, Small, Strict};
///
/// static NEIGHBOURS: LocalResolver<Fixed<16, Small>, Strict, 2> =
///     LocalResolver::new(Strict, Fixed::new());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Small;

impl Bounds for Small {
    type SlotNumber = u8;
    type Addresses = UpTo<1>;
    type Proxied = UpTo<0>;
    type Events = UpTo<2>;
    type Replies = UpTo<1>;
}

/// Room for `N`, at most 255.
#[derive(Clone, Copy, Debug)]
pub struct UpTo<const N: usize>;

/// A bound. Implemented by [`UpTo`]; sealed, because what is kept in it is the cache's own.
pub trait Room: sealed::Room {}

impl<const N: usize> Room for UpTo<N> {}

pub(super) mod sealed {
    use super::{Debug, List, UpTo, Vec};

    pub trait Room: Debug {
        const MOST: usize;
        type List<T: Copy + Debug>: List<T>;
    }

    impl<const N: usize> Room for UpTo<N> {
        const MOST: usize = N;
        type List<T: Copy + Debug> = Vec<T, N, u8>;
    }
}

/// A list that is as long as there is room. Whatever is done with it is done with a view, so that it
/// is compiled once for all lengths.
pub trait List<T>: Clone + Debug {
    const EMPTY: Self;
    fn view(&self) -> &VecView<T, u8>;
    fn view_mut(&mut self) -> &mut VecView<T, u8>;
}

impl<T: Clone + Debug, const N: usize> List<T> for Vec<T, N, u8> {
    const EMPTY: Self = Self::new();

    fn view(&self) -> &VecView<T, u8> {
        self
    }

    fn view_mut(&mut self) -> &mut VecView<T, u8> {
        self
    }
}

/// The list of what there is room for.
pub(super) type ListOf<R, T> = <R as sealed::Room>::List<T>;

/// Takes out what came first. They are few: having the others move up is shorter than a ring.
pub(super) fn take_first<T>(list: &mut VecView<T, u8>) -> Option<T> {
    // One by one, as a chip may need no `memmove` for anything else.
    let mut all = list.iter_mut();
    let mut place = all.next()?;
    for next in all {
        core::mem::swap(place, next);
        place = next;
    }
    list.pop()
}
