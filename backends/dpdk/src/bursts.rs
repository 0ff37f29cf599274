//! Frames from the card and to it, counted, and those that are another queue's to that queue.

use whohas::wire::Transport;

use std::mem;

use crate::handover::{Fabric, Handed};
use crate::sys::device::Pair;
use crate::sys::mbuf::{BURST, Burst, Mbuf, Sum};

/// How often frames are fetched in a row of which none is for this queue.
const TRIES: usize = 4;
/// How many of others' frames are taken before those of the card: room is left for these.
const FROM_OTHERS: usize = BURST / 2;

/// Fetches what others have left for this queue, and what the card has; false if that was nothing.
pub(crate) fn fetch(pair: &mut Pair, fabric: &Fabric, frames: &mut Burst) -> bool {
    for _ in 0..TRIES {
        let before = frames.len();
        let taken_over = take_over(pair.queue(), fabric, frames);
        let refused = pair.receive(frames);
        let received = frames.len() - before - taken_over;
        let tally = fabric.tally(pair.queue());
        tally.refused.add(refused.into());
        tally.received.add(received as u64);
        let not_ours = sort_out(pair.queue(), fabric, frames, before + taken_over);
        tally.kept.add((received - not_ours) as u64);
        if frames.len() > before {
            return true;
        }
        if received == 0 && refused == 0 {
            return false;
        }
    }
    false
}

/// Sends as many as the card has room for of the first `count`. Returns how many that were.
pub(crate) fn send(pair: &mut Pair, fabric: &Fabric, frames: &mut Burst, count: usize) -> usize {
    let mut left = count;
    while left > 0 {
        let sent = pair.send(frames, left);
        let tally = fabric.tally(pair.queue());
        tally.sent.add(sent as u64);
        if sent == 0 {
            tally.postponed.add(1);
            break;
        }
        left -= sent;
    }
    count - left
}

/// Takes what others have left for this queue. Returns how many frames that were.
fn take_over(queue: u16, fabric: &Fabric, frames: &mut Burst) -> usize {
    let mut count = 0;
    if fabric.hands_over() {
        while count < FROM_OTHERS
            && !frames.is_full()
            && let Some(frame) = fabric.fetch(queue)
        {
            // Cannot fail: there is room.
            let _ = frames.push(frame);
            count += 1;
        }
        fabric.tally(queue).taken_over.add(count as u64);
    }
    count
}

/// Takes out what is not for this queue, of all but the first frames. Returns how many that were.
fn sort_out(queue: u16, fabric: &Fabric, frames: &mut Burst, first: usize) -> usize {
    let is_bad = |frame: &Mbuf| fabric.offloads_sums() && !has_right_sum(frame);
    let is_ours = |frame: &Mbuf| !is_bad(frame) && other_owner(queue, fabric, frame).is_none();
    if frames.as_mut_slice()[first..].iter().all(is_ours) {
        return 0;
    }
    let tally = fabric.tally(queue);
    let before = frames.len();
    let mut unsorted = mem::take(frames);
    while let Some(mut frame) = unsorted.pop() {
        let number = before - unsorted.len() - 1;
        if number < first || is_ours(&frame) {
            // Cannot fail: all of them have room.
            let _ = frames.push(frame);
        } else if is_bad(&frame) {
            tally.bad_sum.add(1);
        } else if let Some(owner) = other_owner(queue, fabric, &frame) {
            frame.disown();
            match fabric.hand_over(owner, frame) {
                Handed::Over => tally.handed_over.add(1),
                Handed::Lost => tally.lost_over.add(1),
            }
        }
    }
    before - frames.len()
}

/// Whether the checksum of TCP or UDP is right, as the card says, or we where it has not looked.
fn has_right_sum(frame: &Mbuf) -> bool {
    match frame.sum() {
        Sum::Bad => false,
        Sum::Good => true,
        Sum::Unknown => Transport::find(frame).is_none_or(|transport| transport.is_intact(frame)),
    }
}

/// The queue whose frame this is, if it is another than this.
fn other_owner(queue: u16, fabric: &Fabric, frame: &[u8]) -> Option<u16> {
    if !fabric.hands_over() {
        return None;
    }
    let owner = fabric.steering().owner_of_frame(frame)?;
    (owner != queue).then_some(owner)
}
