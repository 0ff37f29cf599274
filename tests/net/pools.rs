//! Where sockets come from and go to: pools that grow, stacks that are polled by hand, and days of
//! everything at once.

use std::future::Future;
use std::task::{Context, Poll, Waker};

use embedded_io_async::{Read, Write};
use whohas::net::{Limits, TcpError};
use whohas::sim::Rng;

use super::*;
use crate::world::{both, cut, until};

fn growing(world: &World, n: u8, limits: Limits) -> &'static Stack {
    let net: &'static Stack = Box::leak(Box::new(Net::growing(
        wire(world, n),
        limits,
        Config::new(n.into()),
    )));
    let clock = world.lan.clock();
    world.spawn(async move {
        net.run(&clock).await;
    });
    net
}

#[test]
fn a_growing_stack_has_as_many_sockets_as_are_wanted_and_no_more_than_it_may() {
    let world = World::new(1);
    let limits = Limits {
        connections: 64,
        datagram_sockets: 2,
        ..Limits::default()
    };
    let us = growing(&world, US, limits);
    let peer = growing(&world, PEER, limits);
    let mut listener = peer.listen(port(7), 16).unwrap();
    let mut open = Vec::new();
    for n in 0..64 {
        let (dialled, accepted) = world.block_on(both(
            us.dial(at(PEER, 7)),
            cut(listener.accept(), usize::MAX),
        ));
        open.push((dialled.unwrap(), accepted.unwrap(), n));
    }
    let error = world.block_on(us.dial(at(PEER, 7))).unwrap_err();
    assert_eq!(error, TcpError::OutOfSockets);
    for (ours, (theirs, _from), n) in &mut open {
        let mut heard = [0; 1];
        world.block_on(async {
            ours.write_all(&[*n]).await.unwrap();
            theirs.read_exact(&mut heard).await.unwrap();
        });
        assert_eq!(heard, [*n]);
    }
    let (ours, theirs, _) = open.remove(10);
    drop((theirs, ours));
    let clock = world.lan.clock();
    world.block_on(clock.wait_until(world.now() + secs(1)));
    let again = both(us.dial(at(PEER, 7)), listener.accept());
    let again = until(&world, world.now() + secs(9), again);
    let (dialled, _accepted) = world.block_on(again).expect("there is room again");
    dialled.unwrap().abort();

    use embedded_nal_async::UdpStack;
    let bind = || world.block_on(us.udp().bind_single(at(US, 0).into()));
    let (_one, _two) = (bind().unwrap(), bind().unwrap());
    assert!(bind().is_err());
}

#[test]
fn a_stack_polled_by_hand_does_the_same() {
    let world = World::new(2);
    let pools = || Box::leak(Box::new(Pools::<Wire, 2, RX, TX, 1, 512>::new()));
    let us = Net::new(wire(&world, US), pools(), Config::new(1));
    let peer = Net::new(wire(&world, PEER), pools(), Config::new(2));
    let mut listener = peer.listen(port(7), 1).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut story = std::pin::pin!(both(
        async {
            let mut ours = us.dial(at(PEER, 7)).await.unwrap();
            ours.write_all(b"busy").await.unwrap();
            ours.close().await
        },
        async {
            let (mut theirs, _from) = listener.accept().await;
            let mut heard = [0; 8];
            let len = theirs.read(&mut heard).await.unwrap();
            (heard, len)
        },
    ));
    loop {
        let now = world.now();
        us.poll(now, &mut context);
        peer.poll(now, &mut context);
        world.lan.advance_to(now);
        if let Poll::Ready((closed, (heard, len))) = story.as_mut().poll(&mut context) {
            assert_eq!(closed, Ok(()));
            assert_eq!(&heard[..len], b"busy");
            break;
        }
        let next = [
            us.poll_timeout(),
            peer.poll_timeout(),
            world.lan.next_event(),
        ];
        let next = next.into_iter().flatten().min().expect("something is due");
        world.lan.advance_to(next.max(now));
    }
}

#[test]
fn a_stack_that_is_dropped_gives_its_neighbours_back_also_where_its_pools_stay() {
    use embedded_nal_async::UdpStack;
    let world = World::new(3);
    let pools = Box::leak(Box::new(Pools::<Wire, 2, RX, TX, 1, 512>::new()));
    let net = Net::new(wire(&world, US), pools, Config::new(1));
    let neighbours = net.with_link(|link| *link.resolver());
    let holds = || neighbours.entry(ip(PEER)).map_or(0, |entry| entry.holds);
    let socket = world.block_on(net.udp().connect(at(PEER, 7).into()));
    // Nobody gives it back.
    std::mem::forget(socket.unwrap());
    assert_eq!(holds(), 1);
    drop(net);
    assert_eq!(holds(), 0);
}

/// One user of a stack, who does this and that for a while.
async fn user(pair: &Pair, seed: u64, rounds: usize) {
    let mut rng = Rng::new(seed);
    for _ in 0..rounds {
        let polls = if rng.chance(0.3) {
            rng.range(0..=6) as usize
        } else {
            usize::MAX
        };
        let dial = until(
            &pair.world,
            pair.now() + secs(60),
            pair.us.dial(at(PEER, 7)),
        );
        let Some(Some(Ok(mut connection))) = cut(dial, polls).await else {
            pair.pause(millis(rng.range(1..=500))).await;
            continue;
        };
        let body = vec![7; rng.range(1..=6_000) as usize];
        let mut back = vec![0; body.len()];
        let talk = async {
            let (mut reader, mut writer) = connection.split();
            let written = both(writer.write_all(&body), reader.read_exact(&mut back)).await;
            matches!(written, (Ok(()), Ok(())))
        };
        let polls = if rng.chance(0.3) {
            rng.range(0..=20) as usize
        } else {
            usize::MAX
        };
        let talked = until(&pair.world, pair.now() + secs(30), cut(talk, polls)).await;
        if talked == Some(Some(true)) {
            assert_eq!(back, body);
        }
        match rng.range(0..=3) {
            0 => connection.abort(),
            1 => {
                let _ = cut(connection.close(), rng.range(0..=9) as usize).await;
            }
            2 => pair.pause(millis(rng.range(1..=2_000))).await,
            _ => drop(connection),
        }
    }
}

/// Sends back what it hears, to whoever comes.
async fn echo(pair: &Pair, seed: u64) {
    let mut rng = Rng::new(seed);
    let mut listener = pair.peer.listen(port(7), 2).unwrap();
    loop {
        let (mut connection, _from) = listener.accept().await;
        let mut buffer = [0; 700];
        let talk = async {
            while let Ok(len @ 1..) = connection.read(&mut buffer).await {
                if connection.write_all(&buffer[..len]).await.is_err() {
                    return;
                }
            }
        };
        until(&pair.world, pair.now() + secs(20), talk).await;
        if rng.chance(0.2) {
            connection.abort();
        }
    }
}

#[test]
fn after_hours_of_everything_at_once_every_socket_and_every_hold_is_back() {
    for seed in 0..8 {
        let pair = Pair::new(seed);
        pair.fade(0.03);
        let users = both(
            both(
                user(&pair, seed * 10 + 1, 60),
                user(&pair, seed * 10 + 2, 60),
            ),
            user(&pair, seed * 10 + 3, 60),
        );
        let mut users = Some(users);
        let mut server = std::pin::pin!(echo(&pair, seed));
        let mut users = std::pin::pin!(users.take().unwrap());
        pair.world.block_on(std::future::poll_fn(|context| {
            let _ = server.as_mut().poll(context);
            users.as_mut().poll(context).map(drop)
        }));
        // Linger, and the wait for stragglers.
        pair.sleep(secs(60));
        assert_eq!(pair.holds(), 0, "seed {seed}");
        let stats = pair.us.stats().tcp;
        assert!(stats.connected > 60, "{stats:?}");
        pair.each_cable(Cable::PERFECT);
        let _others: Vec<_> = (1..=SOCKETS)
            .map(|n| pair.us.listen(port(n as u16), 1).unwrap())
            .collect();
    }
}

#[test]
fn flipped_bits_and_cut_packets_are_as_good_as_lost_ones() {
    for seed in 0..5 {
        let pair = Pair::new(seed);
        let mut listener = pair.peer.listen(port(7), 1).unwrap();
        let (ours, (mut theirs, _)) = pair
            .world
            .block_on(both(pair.us.dial(at(PEER, 7)), listener.accept()));
        let mut ours = ours.unwrap();
        pair.each_cable(Cable {
            corruption: 0.05,
            truncation: 0.05,
            ..Cable::delayed(millis(1))
        });
        let body: Vec<u8> = (0..60_000_u32).map(|n| (n / 3) as u8).collect();
        let mut received = vec![0; body.len()];
        let (read, written) = pair.world.block_on(both(
            theirs.read_exact(&mut received),
            ours.write_all(&body),
        ));
        assert_eq!((read, written), (Ok(()), Ok(())), "seed {seed}");
        assert!(received == body, "seed {seed}");
    }
}

/// What the stack itself takes depends on which features of the engine others have turned on.
#[test]
#[cfg(target_pointer_width = "64")]
fn beside_its_buffers_a_socket_takes_what_the_docs_say() {
    const fn pools<const TCP: usize, const UDP: usize>() -> usize {
        size_of::<Pools<'static, Wire, TCP, 0, 0, UDP, 0>>()
    }
    let none = pools::<0, 0>();
    let (connection, socket) = (pools::<1, 0>() - none, pools::<0, 1>() - none);
    assert!(connection <= 744, "{connection} bytes for a connection");
    assert!(socket <= 152, "{socket} bytes for a UDP socket");
}
