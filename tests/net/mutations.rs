//! Somebody on the LAN who sends what he has seen once more, changed, with all sums right.

use std::collections::VecDeque;
use std::future::Future;

use embedded_io_async::{Read, Write};
use whohas::sim::{PortId, Rng};

use super::*;
use crate::world::{both, until};

const ETHERNET: usize = 14;
const IP: usize = ETHERNET + 20;

fn sum(bytes: impl Iterator<Item = u8>) -> u16 {
    let bytes: Vec<u8> = bytes.collect();
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Makes the sums of an IPv4 packet with TCP or UDP right again, whatever else it says.
fn set_sums(frame: &mut [u8]) {
    frame[ETHERNET + 10..ETHERNET + 12].fill(0);
    let header = sum(frame[ETHERNET..IP].iter().copied());
    frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&header.to_be_bytes());
    let total = u16::from_be_bytes([frame[ETHERNET + 2], frame[ETHERNET + 3]]);
    let end = frame.len().min(ETHERNET + usize::from(total));
    let protocol = frame[ETHERNET + 9];
    let place = match protocol {
        6 => IP + 16,
        17 => IP + 6,
        _ => return,
    };
    if end < place + 2 {
        return;
    }
    frame[place..place + 2].fill(0);
    let len = ((end - IP) as u16).to_be_bytes();
    let addresses = frame[ETHERNET + 12..IP].to_vec();
    let pseudo = [0, protocol].into_iter().chain(len);
    let all = addresses.into_iter().chain(pseudo);
    let check = sum(all.chain(frame[IP..end].iter().copied()));
    frame[place..place + 2].copy_from_slice(&check.to_be_bytes());
}

/// Changes a few bytes of the headers, or cuts or stretches the packet.
fn mutate(frame: &mut Vec<u8>, rng: &mut Rng) {
    for _ in 0..rng.range(1..=3) {
        let last = frame.len().min(IP + 40) as u64 - 1;
        let at = rng.range(ETHERNET as u64..=last) as usize;
        frame[at] = match rng.range(0..=3) {
            0 => rng.next_u64() as u8,
            1 => frame[at] ^ (1 << rng.range(0..=7)),
            2 => frame[at].wrapping_add(1),
            _ => [0, 0xff][rng.range(0..=1) as usize],
        };
    }
    if rng.chance(0.1) {
        frame.truncate(rng.range(IP as u64..=frame.len() as u64) as usize);
        let total = (frame.len() - ETHERNET) as u16;
        frame[ETHERNET + 2..ETHERNET + 4].copy_from_slice(&total.to_be_bytes());
    }
    // Mostly to whom it was for: others are not even looked at.
    if rng.chance(0.9) {
        frame[ETHERNET] = 0x45;
        frame[ETHERNET + 6..ETHERNET + 8].fill(0);
        frame[ETHERNET + 16..ETHERNET + 19].copy_from_slice(&[10, 0, 0]);
    }
    set_sums(frame);
}

/// Sends changed copies of what he sees, for ever.
async fn meddle(pair: &Pair, tap: PortId, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut seen = VecDeque::new();
    loop {
        while let Some(frame) = { pair.world.lan.lan().receive(tap) } {
            if frame.len() > IP + 8 && frame[12..14] == [8, 0] {
                seen.push_back(frame);
            }
        }
        while seen.len() > 8 {
            seen.pop_front();
        }
        if !seen.is_empty() {
            let number = rng.range(0..=seen.len() as u64 - 1) as usize;
            let mut frame = seen[number].clone();
            mutate(&mut frame, &mut rng);
            pair.world.lan.lan().send(tap, &frame);
        }
        pair.pause(Duration::from_micros(rng.range(20..=200))).await;
    }
}

/// Dials, talks and hangs up; the meddler may have his way with it.
async fn talk(pair: &Pair, rounds: usize) {
    for _ in 0..rounds {
        let dial = until(&pair.world, pair.now() + secs(3), pair.us.dial(at(PEER, 7)));
        let Some(Ok(mut connection)) = dial.await else {
            pair.pause(millis(50)).await;
            continue;
        };
        let (mut reader, mut writer) = connection.split();
        let mut back = [0; 900];
        let both_ways = both(writer.write_all(&[1; 900]), reader.read_exact(&mut back));
        let _ = until(&pair.world, pair.now() + secs(3), both_ways).await;
        let _ = until(&pair.world, pair.now() + secs(1), connection.close()).await;
    }
}

async fn serve(pair: &Pair) {
    let mut listener = pair.peer.listen(port(7), 2).unwrap();
    loop {
        let (mut connection, _from) = listener.accept().await;
        let echo = async {
            let mut buffer = [0; 256];
            while let Ok(len @ 1..) = connection.read(&mut buffer).await {
                if connection.write_all(&buffer[..len]).await.is_err() {
                    return;
                }
            }
        };
        until(&pair.world, pair.now() + secs(4), echo).await;
    }
}

#[test]
fn whatever_a_meddler_sends_nobody_panics_and_every_socket_and_hold_comes_back() {
    // More of them on request.
    let seeds = std::env::var("MEDDLERS").map_or(3, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let pair = Pair::new(seed);
        // Slow enough for him to get a word in.
        pair.each_cable(Cable::delayed(millis(1)));
        let tap = pair.world.lan.lan().add_tap();
        {
            let mut server = std::pin::pin!(serve(&pair));
            let mut meddler = std::pin::pin!(meddle(&pair, tap, seed));
            let mut users = std::pin::pin!(both(talk(&pair, 8), talk(&pair, 8)));
            pair.world.block_on(std::future::poll_fn(|context| {
                let _ = server.as_mut().poll(context);
                let _ = meddler.as_mut().poll(context);
                users.as_mut().poll(context).map(drop)
            }));
        }
        let stats = pair.us.stats();
        assert!(stats.packets.received > 100, "seed {seed}: {stats:?}");
        pair.sleep(secs(60));
        let all: u32 = (0..=255).map(|n| pair.holds_on(n)).sum();
        assert_eq!(all, 0, "seed {seed}: {:?}", pair.us.stats());
        let _others: Vec<_> = (1..=SOCKETS)
            .map(|n| pair.us.listen(port(n as u16), 1).unwrap())
            .collect();
    }
}
