//! Receive rings: memory that the kernel writes frames to and we read them from, without a system
//! call.
//!
//! Slots and blocks are the kernel's or ours; a status word says whose. Whoever owns one writes to
//! it and then gives it away by writing the word, so the word is read with acquire and written with
//! release ordering.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use super::check;
use super::socket::set_option;

/// Memory shared with the kernel. Every access is checked against its length.
#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the memory belongs to the process, not to a thread, and is reached through this only.
unsafe impl Send for Mapping {}

impl Mapping {
    fn new(socket: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping at a place of the kernel's choice touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                socket.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(base.cast::<u8>()) {
            Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => Ok(Self { base, len }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The start of `len` bytes at `at`, all of them inside.
    fn at(&self, at: usize, len: usize) -> NonNull<u8> {
        let end = at.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.len),
            "outside of the ring"
        );
        // SAFETY: `at` is inside of the mapping, as was just checked.
        unsafe { self.base.add(at) }
    }

    /// The status word at `at`.
    fn status(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(align_of::<AtomicU32>()));
        // SAFETY: inside and aligned (the mapping begins at a page), alive as long as `self`; status
        // words are only ever accessed as atomics, by us here and by the kernel.
        unsafe { AtomicU32::from_ptr(self.at(at, size_of::<u32>()).as_ptr().cast()) }
    }

    /// Copies a header out.
    ///
    /// # Safety
    ///
    /// The memory is ours at the moment, and every pattern of bits is a `T`.
    unsafe fn read<T: Copy>(&self, at: usize) -> T {
        // SAFETY: inside; valid for every pattern, and not written meanwhile, says the caller.
        unsafe { self.at(at, size_of::<T>()).cast::<T>().read_unaligned() }
    }

    /// # Safety
    ///
    /// The memory is ours as long as the slice lives, and no other slice of it does.
    unsafe fn bytes(&mut self, at: usize, len: usize) -> &mut [u8] {
        // SAFETY: inside, initialised by the kernel (zeroed, then written), and nobody else's.
        unsafe { NonNull::slice_from_raw_parts(self.at(at, len), len).as_mut() }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: exactly what was mapped, once; everything that points into it borrows `self`.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// How a ring is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One slot for a frame (TPACKET_V2): a frame is ours as soon as it is there.
    Slots {
        /// Bytes for each, headers included.
        size: usize,
        /// How many are in a block, the unit in which the kernel allocates.
        per_block: usize,
        /// Bytes for each block: whole pages.
        block: usize,
        /// How many blocks there are.
        blocks: usize,
    },
    /// Blocks with as many frames as fit (TPACKET_V3): they are ours when full, or after a time.
    Blocks {
        /// Bytes for each.
        size: usize,
        /// How many there are.
        count: usize,
        /// After how many milliseconds one with a frame in it is ours.
        retire_after: u32,
    },
}

impl Layout {
    fn len(self) -> usize {
        match self {
            Self::Slots { block, blocks, .. } => block * blocks,
            Self::Blocks { size, count, .. } => size * count,
        }
    }
}

impl Layout {
    /// Where this slot begins; behind the slots of a block there may be a rest.
    fn slot(self, index: usize) -> usize {
        match self {
            Self::Slots {
                size,
                per_block,
                block,
                ..
            } => index / per_block * block + index % per_block * size,
            Self::Blocks { size, .. } => index * size,
        }
    }
}

/// A receive ring of a packet socket, which it keeps open.
#[derive(Debug)]
pub(crate) struct Ring {
    // Before the socket, so that it is gone first.
    mapping: Mapping,
    socket: OwnedFd,
    layout: Layout,
    /// The slot or block that the kernel fills next or has filled first.
    next: usize,
    /// Where in the current block, if it is ours: see [`Place`].
    place: Option<Place>,
}

/// The next frame in a block that is ours.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where its header is in the mapping.
    header: usize,
    /// How many are left with it.
    left: u32,
}

/// What the kernel says of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Described {
    /// Bits `TP_STATUS_*`.
    pub(crate) status: u32,
    /// How long it was on the wire.
    pub(crate) original_len: usize,
    /// The tag that was taken from it.
    pub(crate) tag: Option<[u8; 4]>,
    /// How much of it is here.
    pub(crate) len: usize,
    at: usize,
}

/// The space that a tag takes, which is always there in front of a frame.
pub(crate) const HEADROOM: usize = 4;

impl Ring {
    /// Gives a socket, bound or not, a receive ring.
    pub(crate) fn new(socket: OwnedFd, layout: Layout) -> io::Result<Self> {
        let fd = socket.as_fd();
        match layout {
            Layout::Slots {
                size,
                per_block,
                block,
                blocks,
            } => {
                set_version(fd, libc::tpacket_versions::TPACKET_V2)?;
                // What does not fit into a slot can be received by itself.
                set_option(fd, libc::SOL_PACKET, libc::PACKET_COPY_THRESH, &1i32)?;
                let request = libc::tpacket_req {
                    tp_block_size: block as libc::c_uint,
                    tp_block_nr: blocks as libc::c_uint,
                    tp_frame_size: size as libc::c_uint,
                    tp_frame_nr: (per_block * blocks) as libc::c_uint,
                };
                set_option(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
            }
            Layout::Blocks {
                size,
                count,
                retire_after,
            } => {
                set_version(fd, libc::tpacket_versions::TPACKET_V3)?;
                let request = libc::tpacket_req3 {
                    tp_block_size: size as libc::c_uint,
                    tp_block_nr: count as libc::c_uint,
                    // Frames are as long as they are; the kernel wants to hear of a size all the same.
                    tp_frame_size: size as libc::c_uint,
                    tp_frame_nr: count as libc::c_uint,
                    tp_retire_blk_tov: retire_after,
                    tp_sizeof_priv: 0,
                    tp_feature_req_word: 0,
                };
                set_option(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
            }
        }
        Ok(Self {
            mapping: Mapping::new(fd, layout.len())?,
            socket,
            layout,
            next: 0,
            place: None,
        })
    }

    /// What the kernel says of the next frame, if there is one. It stays there until it is
    /// [released](Self::release).
    pub(crate) fn peek(&mut self) -> Option<Described> {
        match self.layout {
            Layout::Slots { size, .. } => self.peek_slot(self.layout.slot(self.next), size),
            Layout::Blocks { size, count, .. } => self.peek_block(size, count),
        }
    }

    /// The next frame, with [`HEADROOM`] bytes of anything in front. Empty if there is none.
    pub(crate) fn frame(&mut self) -> &mut [u8] {
        let Some(described) = self.peek() else {
            return &mut [];
        };
        // SAFETY: the frame was just seen to be ours, and stays so until `release`, which needs the
        // ring that the slice borrows. Its bounds were checked when it was described; the bytes in
        // front lie behind its header.
        unsafe {
            self.mapping
                .bytes(described.at - HEADROOM, described.len + HEADROOM)
        }
    }

    /// Gives the place of the next frame back to the kernel.
    pub(crate) fn release(&mut self) {
        match self.layout {
            Layout::Slots {
                per_block, blocks, ..
            } => {
                if self.peek().is_some() {
                    let status = self.mapping.status(self.layout.slot(self.next));
                    status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
                    self.next = (self.next + 1) % (per_block * blocks);
                }
            }
            Layout::Blocks { size, count, .. } => self.release_in_block(size, count),
        }
    }

    fn peek_slot(&self, at: usize, size: usize) -> Option<Described> {
        const STATUS: usize = offset_of!(libc::tpacket2_hdr, tp_status);
        let status = self.mapping.status(at + STATUS).load(Ordering::Acquire);
        if status & libc::TP_STATUS_USER == 0 {
            return None;
        }
        // SAFETY: the status says that the slot is ours; the header is made of integers.
        let header = unsafe { self.mapping.read::<libc::tpacket2_hdr>(at) };
        Some(described(
            at,
            size,
            status,
            [header.tp_mac.into(), header.tp_snaplen, header.tp_len],
            super::socket::tag(status, header.tp_vlan_tci, header.tp_vlan_tpid),
        ))
    }

    fn peek_block(&mut self, size: usize, count: usize) -> Option<Described> {
        let block = self.next * size;
        if self.place.is_none() {
            const STATUS: usize = offset_of!(libc::tpacket_block_desc, hdr)
                + offset_of!(libc::tpacket_hdr_v1, block_status);
            let status = self.mapping.status(block + STATUS).load(Ordering::Acquire);
            if status & libc::TP_STATUS_USER == 0 {
                return None;
            }
            // SAFETY: the status says that the block is ours; the header is made of integers.
            let header = unsafe {
                self.mapping
                    .read::<libc::tpacket_hdr_v1>(block + offset_of!(libc::tpacket_block_desc, hdr))
            };
            if header.num_pkts == 0 {
                // Closed without a frame, which a kernel should not do: on to the next.
                self.release_block(size, count);
                return None;
            }
            self.place = Some(Place {
                header: block + header.offset_to_first_pkt as usize,
                left: header.num_pkts,
            });
        }
        let Place { header: at, .. } = self.place?;
        // SAFETY: in a block that is ours until `release_block`; the header is made of integers.
        let header = unsafe { self.mapping.read::<libc::tpacket3_hdr>(at) };
        Some(described(
            at,
            block + size - at,
            header.tp_status,
            [header.tp_mac.into(), header.tp_snaplen, header.tp_len],
            super::socket::tag(
                header.tp_status,
                header.hv1.tp_vlan_tci as u16,
                header.hv1.tp_vlan_tpid,
            ),
        ))
    }

    fn release_in_block(&mut self, size: usize, count: usize) {
        let Some(Place { header: at, left }) = self.place else {
            return;
        };
        // SAFETY: in a block that is ours until `release_block`; the header is made of integers.
        let header = unsafe { self.mapping.read::<libc::tpacket3_hdr>(at) };
        match left - 1 {
            0 => self.release_block(size, count),
            left => {
                self.place = Some(Place {
                    header: at + header.tp_next_offset as usize,
                    left,
                });
            }
        }
    }

    fn release_block(&mut self, size: usize, count: usize) {
        const STATUS: usize = offset_of!(libc::tpacket_block_desc, hdr)
            + offset_of!(libc::tpacket_hdr_v1, block_status);
        let status = self.mapping.status(self.next * size + STATUS);
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.next = (self.next + 1) % count;
        self.place = None;
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Where a frame is, if its header at `at` says that it lies within the `room` bytes from there on;
/// otherwise it is empty.
fn described(
    at: usize,
    room: usize,
    status: u32,
    [offset, len, original_len]: [u32; 3],
    tag: Option<[u8; 4]>,
) -> Described {
    let (offset, len) = (offset as usize, len as usize);
    // The longer one of the two kinds of headers.
    const FIRST: usize = size_of::<libc::tpacket3_hdr>() + HEADROOM;
    let fits = offset >= FIRST && offset + len <= room;
    let (offset, len) = if fits { (offset, len) } else { (FIRST, 0) };
    Described {
        status,
        original_len: original_len as usize,
        tag,
        at: at + offset,
        len,
    }
}

fn set_version(socket: BorrowedFd<'_>, version: libc::tpacket_versions) -> io::Result<()> {
    let version = version as libc::c_int;
    set_option(socket, libc::SOL_PACKET, libc::PACKET_VERSION, &version)
}

/// Joins the group of sockets between which the kernel divides flows.
pub(crate) fn join_fanout(socket: BorrowedFd<'_>, group: u16) -> io::Result<()> {
    // The members' own wish to leave out what we send does not count in a group.
    const MODE: u32 = libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_IGNORE_OUTGOING;
    let value = u32::from(group) | MODE << 16;
    set_option(socket, libc::SOL_PACKET, libc::PACKET_FANOUT, &value)
}

/// How many frames the kernel gave to the ring, and how many found it full, since the last question.
pub(crate) fn statistics(socket: BorrowedFd<'_>) -> io::Result<[u32; 2]> {
    let mut statistics = [0u32; 3];
    let mut len = size_of_val(&statistics) as libc::socklen_t;
    // SAFETY: the pointers and the length describe `statistics` and `len`, which are ours alone during
    // the call; the kernel writes at most that many bytes, two integers or, for blocks, three.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            statistics.as_mut_ptr().cast(),
            &raw mut len,
        )
    })?;
    let [packets, drops, _freezes] = statistics;
    Ok([packets, drops])
}
