//! Each part by itself, tried completely.

use alloc::vec::Vec;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};

use core::net::Ipv4Addr;

use loom::cell::UnsafeCell;
use loom::thread::spawn;

use super::{Alarm, address, mac, model};
use crate::cache::{Addresses, Prefix, Status};
use crate::resolver::shared::block::{Block, ClaimError, Claimed, Standing, block_of};
use crate::resolver::shared::directory::{Published, View};
use crate::resolver::shared::feed::{Feed, Read};
use crate::resolver::shared::seat::{News, Seat, Wait};
use crate::resolver::shared::sync::{AtomicU32, AtomicU64};
use crate::resolver::shared::token::Token;
use crate::resolver::shared::word::Known;
use crate::time::Instant;

/// In one block, as models have blocks of two.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const BESIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
/// In another.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 6);
/// The last octet of the MAC of who has moved.
const MOVED: u8 = 9;

// --- The token ------------------------------------------------------------------------------

/// Of two that want it one at a time has it, and sees what the other did.
///
/// Fails, with two accesses that nothing orders, if taking the token is not `Acquire` or letting it
/// go not `Release`, in any of the four places.
#[test]
fn whoever_has_the_token_has_it_alone() {
    model(|| {
        let token = Arc::new(Token::new(()));
        let around = Arc::new(UnsafeCell::new(0));
        let visit = |gives_up: bool| {
            let (token, around) = (token.clone(), around.clone());
            move || {
                let Some(mut held) = token.take() else { return };
                around.with_mut(|_seen_by_loom| ());
                if gives_up {
                    return drop(held);
                }
                while let Err(noted) = held.release() {
                    held = noted;
                }
            }
        };
        let other = spawn(visit(true));
        visit(false)();
        other.join().unwrap();
        assert!(token.take().is_some(), "it was let go");
    });
}

/// Who has too much to do, or panics, lets go and leaves the note to the next, who looks only because
/// of that.
///
/// Fails, with work that nobody does, if a note is taken away with `Relaxed`.
#[test]
fn a_note_outlives_who_found_it() {
    model(|| {
        let token = Arc::new(Token::new(()));
        let left = Arc::new(AtomicU32::new(0));
        let look = {
            let (token, left) = (token.clone(), left.clone());
            move || {
                let mut held = token.take()?;
                let mut found = None;
                while let Err(noted) = held.release() {
                    held = noted;
                    found = Some(left.load(Relaxed));
                }
                found
            }
        };
        let owner = spawn({
            let token = token.clone();
            move || drop(token.take())
        });
        let next = spawn(look.clone());
        left.store(1, Relaxed);
        drop(token.take_or_note());
        owner.join().unwrap();
        let found = next.join().unwrap();
        assert!(found == Some(1) || look() == Some(1));
    });
}

/// Work is left, then the token taken or a note left: all of it is done when all have gone.
///
/// Fails, with work left undone, if leaving a note is not `Release`, if taking it away is not
/// `Acquire`, and if the note is a step of its own after the token was not to be had.
#[test]
fn work_that_was_left_is_done_by_the_one_or_the_other() {
    model(|| {
        let token = Arc::new(Token::new(0));
        let left = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let queue = |number: usize| {
            let (token, left) = (token.clone(), left.clone());
            move || {
                left[number].store(1, Relaxed);
                let Some(mut held) = token.take_or_note() else {
                    return;
                };
                loop {
                    for work in left.iter() {
                        if work.load(Relaxed) > 0 {
                            work.store(0, Relaxed);
                            *held += 1;
                        }
                    }
                    let Err(noted) = held.release() else { return };
                    held = noted;
                }
            }
        };
        let (one, other) = (queue(0), queue(1));
        let other = spawn(other);
        one();
        other.join().unwrap();
        assert_eq!(*token.wait(), 2);
    });
}

// --- A cell ---------------------------------------------------------------------------------

/// Two claim an address that nobody claimed: both count, and one of them tells the owner.
///
/// Fails, with one claim counted of two, if a claim is a load and a store; and with both telling,
/// if the mark that was there before is not looked at.
#[test]
fn the_first_of_two_claims_is_told() {
    model(|| {
        let block = Arc::new(Block::new(block_of(address(HERE))).unwrap());
        let claim = {
            let block = block.clone();
            move || block.claim(address(HERE)).unwrap()
        };
        let other = spawn(claim.clone());
        let told = [claim(), other.join().unwrap()].map(|claimed| u32::from(claimed.tell));
        assert_eq!(told.iter().sum::<u32>(), 1);
        assert_eq!(block.claims(address(HERE)).count(), 2);
    });
}

/// The last claim is given back while the owner looks: it finds the address unclaimed, or is told
/// to look again.
///
/// Fails, with a release that nobody looks at, if the owner reads the count before it takes the
/// mark away; and if a release is a load and a store.
#[test]
fn the_owner_learns_of_the_last_release() {
    model(|| {
        let block = Arc::new(Block::new(block_of(address(HERE))).unwrap());
        let Claimed { generation, tell } = block.claim(address(HERE)).unwrap();
        assert!(tell);
        let user = spawn({
            let block = block.clone();
            move || block.release(address(HERE), generation)
        });
        let claimed = block.look_at(address(HERE)).count() > 0;
        let told = user.join().unwrap();
        assert_eq!(
            claimed, told,
            "what the owner saw, and whether it comes again"
        );
        assert_eq!(block.claims(address(HERE)).is_queued(), told);
    });
}

/// The cache wants the slot of a neighbour whom a queue claims. If the claim wins, the neighbour
/// stays what it is. If the eviction wins, the claim is of the next generation, and is never answered
/// by what was said to the last.
///
/// Fails, with a hold that speaks of the evicted entry, if the count is looked at outside of the
/// exchange; and if the tag of the word is not looked at.
#[test]
fn an_eviction_or_a_claim_wins() {
    model(|| {
        let block = Arc::new(Block::new(block_of(address(HERE))).unwrap());
        block.publish(address(HERE), Known::At(mac(1)), Some(1));
        let queue = spawn({
            let block = block.clone();
            move || {
                let Claimed { generation, tell } = block.claim(address(HERE)).unwrap();
                assert!(tell);
                (generation, block.standing(address(HERE), generation))
            }
        });
        let evicted = block.win_from_zero(address(HERE));
        if evicted {
            block.publish(address(HERE), Known::Nothing, Some(2));
        }
        let (generation, standing) = queue.join().unwrap();
        let stays = Standing::Status(Status::Resolved(mac(1)));
        match (evicted, generation) {
            // It may come back before it was asked whether it is there.
            (false, 0) => assert_eq!(standing, stays),
            (true, 1) => assert_eq!(standing, Standing::Status(Status::Pending)),
            (_, _) => panic!("{evicted} {generation} {standing:?}"),
        }
        assert_eq!(block.claims(address(HERE)).count(), 1);
        assert!(block.claims(address(HERE)).is_queued());
    });
}

/// The entry is removed under a hold, and comes back for somebody else with another address: the
/// hold says the old one, or that it is gone.
///
/// Fails, with a hold that is `Pending` though its entry is gone, if the claims are read before the
/// word; and if the word is not stored with `Release` or not loaded with `Acquire`.
#[test]
fn a_hold_never_speaks_of_another_generation() {
    model(|| {
        let block = Arc::new(Block::new(block_of(address(HERE))).unwrap());
        let Claimed { generation, .. } = block.claim(address(HERE)).unwrap();
        block.look_at(address(HERE));
        block.publish(address(HERE), Known::At(mac(1)), Some(1));
        let user = spawn({
            let block = block.clone();
            move || block.standing(address(HERE), generation)
        });
        assert!(block.abort(address(HERE)));
        block.publish(address(HERE), Known::Nothing, Some(2));
        block.publish(address(HERE), Known::At(mac(2)), Some(3));
        let standing = user.join().unwrap();
        let (old, gone) = (Status::Resolved(mac(1)), Status::Gone);
        assert!(
            [old, gone].map(Standing::Status).contains(&standing),
            "{standing:?}"
        );
    });
}

/// A block in which nothing is used is taken out while somebody comes: one of the two wins.
///
/// Fails, with a claim in a closed block, if closing is a load and a store.
#[test]
fn a_block_goes_or_is_claimed() {
    model(|| {
        let block = Arc::new(Block::new(block_of(address(HERE))).unwrap());
        let queue = spawn({
            let block = block.clone();
            move || block.claim(address(HERE))
        });
        let beside = block.claim(address(BESIDE)).unwrap();
        assert!(block.release(address(BESIDE), beside.generation) || beside.tell);
        block.look_at(address(BESIDE));
        block.leave_idle(address(BESIDE));
        let closed = block.close_idle();
        match queue.join().unwrap() {
            Ok(_) => assert!(!closed),
            Err(error) => assert!(closed && error == ClaimError::Closed),
        }
    });
}

/// A cell that nobody claims any more is counted out of its block while somebody claims it again: the
/// block knows that it is in use for as long as it is.
///
/// Fails, with a claimed cell that is not counted, if counting it out is a store, and if a claim is
/// a load and a store.
#[test]
fn a_cell_is_counted_in_its_block_once() {
    model(|| {
        let block = Arc::new(Block::new(block_of(address(HERE))).unwrap());
        let Claimed { generation, .. } = block.claim(address(HERE)).unwrap();
        block.look_at(address(HERE));
        block.release(address(HERE), generation);
        let queue = spawn({
            let block = block.clone();
            move || block.claim(address(HERE)).unwrap()
        });
        block.look_at(address(HERE));
        block.leave_idle(address(HERE));
        queue.join().unwrap();
        assert!(!block.close_idle(), "somebody claims it");
        block.release(address(HERE), generation);
        block.look_at(address(HERE));
        block.leave_idle(address(HERE));
        assert!(block.close_idle(), "nobody does");
    });
}

// --- The feed -------------------------------------------------------------------------------

/// Publishes as the owner does.
fn publish(block: &Block, feed: &Feed, ip: Ipv4Addr, number: u8) {
    block.publish(address(ip), Known::At(mac(number)), Some(feed.head()));
    feed.push(address(ip));
}

/// A neighbour moves twice, another once, while a queue reads: a MAC is under its own address only,
/// no change is told twice, and the last of each is told.
///
/// Fails, with a change that is told twice or of which nothing is seen, if the word or the counter of
/// the feed is stored with `Relaxed`, or the number of the change after the word.
#[test]
fn who_reads_the_feed_to_its_end_knows_the_last_of_each() {
    model(|| {
        let block = Arc::new(Block::new(block_of(address(HERE))).unwrap());
        let feed = Arc::new(Feed::new(4));
        let start = feed.head();
        let read = {
            let (block, feed) = (block.clone(), feed.clone());
            move |mut at: u64| {
                let mut told = Vec::new();
                while let Read::Changed(address) = feed.read(at) {
                    let (word, changed) = (block.word(address), block.changed(address));
                    if changed <= at {
                        told.push((address, word.mac().unwrap()));
                    }
                    at += 1;
                }
                (at, told)
            }
        };
        let queue = spawn({
            let read = read.clone();
            move || read(start)
        });
        publish(&block, &feed, HERE, 1);
        publish(&block, &feed, BESIDE, 2);
        publish(&block, &feed, HERE, 3);
        let (at, mut told) = queue.join().unwrap();
        let (at, rest) = read(at);
        told.extend(rest);
        assert_eq!(feed.read(at), Read::Nothing);
        let of = |ip| told.iter().filter(move |(told, _)| *told == address(ip));
        assert!(of(BESIDE).map(|(_, mac)| *mac).eq([mac(2)]));
        let here: Vec<_> = of(HERE).map(|(_, mac)| *mac).collect();
        assert!(here == [mac(1), mac(3)] || here == [mac(3)], "{here:?}");
    });
}

/// The ring is written over while a queue reads: it is told of an overrun, never of a change that
/// was not at the place where it reads.
///
/// Fails, with another's change, if the entry does not say in which lap it was written.
#[test]
fn who_is_overtaken_notices() {
    model(|| {
        let feed = Arc::new(Feed::new(2));
        feed.push(address(HERE));
        feed.push(address(HERE));
        let start = feed.head() - 2;
        let owner = spawn({
            let feed = feed.clone();
            move || {
                feed.push(address(BESIDE));
                feed.push(address(BESIDE));
            }
        });
        match feed.read(start) {
            Read::Changed(changed) => assert_eq!(changed, address(HERE)),
            Read::Overrun(until) => assert!(until > start),
            Read::Nothing => panic!("there were two changes"),
        }
        owner.join().unwrap();
        assert_eq!(feed.read(start), Read::Overrun(start + 4));
    });
}

// --- Waiting --------------------------------------------------------------------------------

/// A task begins to wait while the owner publishes: it is woken, or it sees the outcome when it looks
/// once more.
///
/// Fails, with a task that sleeps for ever, if it says with `Relaxed` that it is asleep.
#[test]
fn no_wake_up_is_lost() {
    model(|| {
        let seat = Arc::new(Seat::new(1));
        let asleep = Arc::new(AtomicU64::new(0));
        let outcome = Arc::new(AtomicU32::new(0));
        let owner = spawn({
            let (seat, asleep, outcome) = (seat.clone(), asleep.clone(), outcome.clone());
            move || {
                outcome.store(1, Relaxed);
                // As `Shared::publish` and `Shared::wake` do.
                if asleep.fetch_or(0, AcqRel) & 1 != 0 {
                    seat.tell(&asleep, 1, &News::Changed(&[address(HERE)]));
                }
            }
        });
        let (alarm, task) = Alarm::new();
        // As `SharedHold::poll_resolved` does.
        let waits = seat.wait(&asleep, 1, Wait::Neighbour(address(HERE)), &task);
        let sees = outcome.load(Relaxed) == 1;
        owner.join().unwrap();
        assert!(!waits || sees || alarm.rang());
    });
}

/// Several tell at the same time, each of a neighbour that somebody waits for: who comes late leaves
/// it to the first to wake all.
///
/// Fails, with one that sleeps on, if the note is a step of its own, and if letting go is a load
/// and a store. It found that whoever took the token threw away a note that had come since.
#[test]
fn those_who_wake_at_the_same_time_wake_all() {
    model(|| {
        let seat = Arc::new(Seat::new(1));
        let asleep = Arc::new(AtomicU64::new(0));
        let alarms = [HERE, BESIDE, OUTSIDE].map(|ip| {
            let (alarm, task) = Alarm::new();
            assert!(seat.wait(&asleep, 1, Wait::Neighbour(address(ip)), &task));
            alarm
        });
        let tell = |ip| {
            let (seat, asleep) = (seat.clone(), asleep.clone());
            move || seat.tell(&asleep, 1, &News::Changed(&[address(ip)]))
        };
        let others = [HERE, BESIDE].map(|ip| spawn(tell(ip)));
        tell(OUTSIDE)();
        for other in others {
            other.join().unwrap();
        }
        assert!(alarms.iter().all(|alarm| alarm.rang()));
    });
}

// --- The table ------------------------------------------------------------------------------

fn prefix(ip: Ipv4Addr, bits: u8) -> Addresses {
    let mut addresses = Addresses::new();
    let own = Prefix::new(ip, bits).expect("an address that a host can have");
    let set = addresses.set_own(&[own], 0, Instant::ZERO);
    set.expect("room for one");
    addresses
}

/// A prefix goes and comes back while a queue looks up a neighbour in it, who has moved meanwhile, and
/// one who is in both: a MAC is always that of the address, who is in both is found, and who has come
/// back is found by whoever looks afterwards.
///
/// Fails, with a neighbour that is not found for ever, if a picture is drawn before its number is read.
#[test]
fn a_look_up_sees_the_old_table_or_the_new() {
    model(|| {
        let published = Arc::new(Published::new(4));
        let both = prefix(Ipv4Addr::new(10, 0, 0, 1), 29);
        published.redraw(&both, None);
        let blocks = [HERE, OUTSIDE].map(|ip| {
            let block = published.block_or_new(block_of(address(ip))).unwrap();
            block.publish(address(ip), Known::At(mac(ip.octets()[3])), Some(1));
            block
        });
        let nowhere = Arc::new(Block::nowhere());
        let mut view = View::new(&published, nowhere);
        let queue = spawn({
            let published = published.clone();
            move || {
                let found = [HERE, OUTSIDE].map(|ip| view.mac(&published, address(ip)));
                (view, found)
            }
        });
        let [_, outside] = blocks;
        outside.publish(address(OUTSIDE), Known::Nothing, Some(2));
        published.redraw(&prefix(Ipv4Addr::new(10, 0, 0, 1), 30), None);
        assert_eq!(published.blocks(), 1);
        published.redraw(&both, None);
        let again = published.block_or_new(block_of(address(OUTSIDE)));
        let moved = Known::At(mac(MOVED));
        again.unwrap().publish(address(OUTSIDE), moved, Some(3));
        let (mut view, found) = queue.join().unwrap();
        assert_eq!(found[0], Some(mac(HERE.octets()[3])));
        let [before, after] = [OUTSIDE.octets()[3], MOVED].map(|last| Some(mac(last)));
        assert!([None, before, after].contains(&found[1]));
        assert_eq!(view.mac(&published, address(HERE)), found[0]);
        assert_eq!(view.mac(&published, address(OUTSIDE)), after);
    });
}

/// Two queues are the first in a block: both get the same one, though there may be no other.
///
/// Fails, with a queue that is refused, if each counts its block before it knows which one stays.
#[test]
fn two_who_make_a_block_make_one() {
    model(|| {
        let published = Arc::new(Published::new(1));
        published.redraw(&prefix(Ipv4Addr::new(10, 0, 0, 1), 30), None);
        let make = {
            let published = published.clone();
            move || {
                let mut view = View::new(&published, Arc::new(Block::nowhere()));
                let number = block_of(address(HERE));
                view.block_or_new(&published, number).map(Arc::clone)
            }
        };
        let other = spawn(make.clone());
        let blocks = [make().unwrap(), other.join().unwrap().unwrap()];
        assert!(Arc::ptr_eq(&blocks[0], &blocks[1]));
        assert_eq!(published.blocks(), 1);
    });
}

/// An idle block is taken out while a queue wants to claim in it: the claim is in the block that the
/// table shows, be it the old one or a new one.
///
/// Fails, with a claim in a closed block, if closing is a load and a store; and with a queue that is
/// refused, if a closed block counts.
#[test]
fn a_claim_is_in_a_block_that_stays() {
    model(|| {
        let published = Arc::new(Published::new(1));
        published.redraw(&prefix(Ipv4Addr::new(10, 0, 0, 1), 30), None);
        let number = block_of(address(HERE));
        published.block_or_new(number).unwrap();
        let queue = spawn({
            let published = published.clone();
            move || loop {
                let block = published.block_or_new(number).unwrap();
                if block.claim(address(HERE)).is_ok() {
                    return block;
                }
            }
        });
        published.reclaim();
        let block = queue.join().unwrap();
        let found = published.block(number).expect("somebody is in it");
        assert!(Arc::ptr_eq(&found, &block));
        assert!(!block.is_closed());
        assert_eq!(published.blocks(), 1);
    });
}
