//! TCP with kernel sockets.

use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::num::NonZeroU16;
use std::thread;

use embedded_io_async::{Read as _, Write as _};
use tokio::task::spawn_local;

use whohas::net::TcpError;

use crate::kernel::{self, Deaf};
use crate::support::cable::{OUR_IP, THEIR_IP};
use crate::us::{Conn, play};
use crate::wire_test;

/// How much is compared at a time.
const PIECE: usize = 64 << 10;

/// How many pieces go each way in a bulk transfer: 64 MiB, or 1 GiB where that was asked for.
fn pieces() -> usize {
    let long = env::var("WHOHAS_LONG").is_ok_and(|value| value == "1");
    let bytes: usize = if long { 1 << 30 } else { 64 << 20 };
    bytes / PIECE
}

/// A stream of bytes that repeats itself nowhere, which both ends make for themselves: what comes is
/// compared with what was sent, byte for byte.
struct Noise {
    state: u64,
    piece: Vec<u8>,
}

impl Noise {
    fn new() -> Self {
        Self {
            state: 0x9e37_79b9_7f4a_7c15,
            piece: vec![0; PIECE],
        }
    }

    /// The next piece.
    fn next(&mut self) -> &[u8] {
        for word in self.piece.as_chunks_mut::<8>().0 {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            *word = self.state.to_le_bytes();
        }
        &self.piece
    }
}

/// What a kernel that has received everything says.
const ALL_THERE: &[u8; 9] = b"all there";

/// Takes the noise until its end, and only then answers.
fn take_noise(mut stream: TcpStream) {
    let (mut noise, mut piece) = (Noise::new(), vec![0; PIECE]);
    for number in 0..pieces() {
        stream.read_exact(&mut piece).expect("we send");
        assert!(piece == noise.next(), "piece {number} arrived changed");
    }
    assert_eq!(stream.read(&mut piece).expect("the end"), 0);
    stream.write_all(ALL_THERE).expect("we still read");
}

/// Gives the noise and says the end, and then still reads.
fn give_noise(mut stream: TcpStream) {
    let mut noise = Noise::new();
    for _ in 0..pieces() {
        stream.write_all(noise.next()).expect("we receive");
    }
    stream.shutdown(Shutdown::Write).expect("the end is said");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("we answer");
    assert_eq!(answer, ALL_THERE);
}

wire_test! {
    fn bulk_to_the_kernel_arrives_whole_and_its_answer_comes_after_we_have_said_the_end() {
        play(|us| async move {
            let (port, kernel) = kernel::serve(1, take_noise);
            let mut conn = us.dial(port).await.expect("connected");
            let mut noise = Noise::new();
            for _ in 0..pieces() {
                conn.write_all(noise.next()).await.expect("written");
            }
            conn.shut_down().expect("the end is said");
            let mut answer = [0; ALL_THERE.len()];
            conn.read_exact(&mut answer).await.expect("an answer");
            assert_eq!(&answer, ALL_THERE);
            assert_eq!(conn.read(&mut answer).await, Ok(0));
            kernel::ended(kernel).await;
        });
    }
}

wire_test! {
    fn bulk_from_the_kernel_arrives_whole_and_after_its_end_we_can_still_answer() {
        play(|us| async move {
            let (port, kernel) = kernel::serve(1, give_noise);
            let mut conn = us.dial(port).await.expect("connected");
            let (mut noise, mut piece) = (Noise::new(), vec![0; PIECE]);
            for number in 0..pieces() {
                conn.read_exact(&mut piece).await.expect("read");
                assert!(piece == noise.next(), "piece {number} arrived changed");
            }
            assert_eq!(conn.read(&mut piece).await, Ok(0));
            conn.write_all(ALL_THERE).await.expect("written");
            conn.close().await.expect("acknowledged");
            kernel::ended(kernel).await;
        });
    }
}

wire_test! {
    fn a_port_without_a_listener_refuses() {
        play(|us| async move {
            let port = kernel::free_port(THEIR_IP);
            assert_eq!(us.dial(port).await.err(), Some(TcpError::Refused));
            assert_eq!(us.net.stats().tcp.refused, 1);
            assert_eq!(us.holds(), 0);
        });
    }
}

wire_test! {
    fn a_port_that_says_nothing_is_a_time_out_and_a_host_that_is_not_there_is_unreachable() {
        play(|us| async move {
            let deaf = Deaf::listen();
            let nobody = Ipv4Addr::new(10, 0, 0, 77);
            let (deaf, dead) = tokio::join!(us.dial(deaf.port), us.dial_at(nobody, 80));
            assert_eq!(deaf.err(), Some(TcpError::TimedOut));
            assert_eq!(dead.err(), Some(TcpError::Unreachable));
            assert_eq!(us.holds(), 0);
        });
    }
}

wire_test! {
    fn a_reset_by_the_kernel_is_told_by_name() {
        play(|us| async move {
            let (port, kernel) = kernel::serve(1, |mut stream| {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("we write one");
                kernel::will_reset(&stream);
            });
            let mut conn = us.dial(port).await.expect("connected");
            conn.write_all(b"x").await.expect("written");
            let mut buffer = [0; 16];
            assert_eq!(conn.read(&mut buffer).await, Err(TcpError::Reset));
            assert_eq!(conn.write(b"y").await, Err(TcpError::Reset));
            assert_eq!(us.net.stats().tcp.reset, 1);
            kernel::ended(kernel).await;
        });
    }
}

wire_test! {
    fn aborting_resets_the_kernel() {
        play(|us| async move {
            let (port, kernel) = kernel::serve(1, |mut stream| {
                let mut buffer = [0; 16];
                let read = stream.read(&mut buffer).expect_err("no end, but a reset");
                assert_eq!(read.kind(), ErrorKind::ConnectionReset);
            });
            let conn = us.dial(port).await.expect("connected");
            conn.abort();
            kernel::ended(kernel).await;
        });
    }
}

/// Says something, hears it again, says the end and hears the end.
async fn talk(mut conn: Conn, word: &[u8]) {
    conn.write_all(word).await.expect("written");
    let mut echo = vec![0; word.len()];
    conn.read_exact(&mut echo).await.expect("the echo");
    assert_eq!(echo, word);
    conn.shut_down().expect("the end is said");
    assert_eq!(conn.read(&mut echo).await, Ok(0));
    conn.close().await.expect("closed");
}

wire_test! {
    fn a_thousand_connections_one_after_the_other() {
        play(|us| async move {
            const TIMES: usize = 1_000;
            let (port, kernel) = kernel::serve(TIMES, kernel::echo);
            for number in 0..TIMES {
                let conn = us.dial(port).await.unwrap_or_else(|error| panic!("{number}: {error}"));
                talk(conn, &number.to_le_bytes()).await;
            }
            kernel::ended(kernel).await;
            let stats = us.net.stats().tcp;
            assert_eq!((stats.dialled, stats.connected), (1_000, 1_000));
            assert_eq!((stats.reset, stats.timed_out, stats.lingered), (0, 0, 0), "{stats:?}");
        });
    }
}

wire_test! {
    fn sixty_four_connections_at_once() {
        play(|us| async move {
            const TIMES: usize = 64;
            let (port, kernel) = kernel::serve(TIMES, kernel::echo);
            // All are open before the first has something to say.
            let open = std::rc::Rc::new(tokio::sync::Barrier::new(TIMES));
            let talks = (0..TIMES).map(|number| {
                let open = open.clone();
                spawn_local(async move {
                    let conn = us.dial(port).await.expect("connected");
                    open.wait().await;
                    // More than the kernel or we can buffer of one connection at a time.
                    let text = vec![number as u8; 4 << 10];
                    talk(conn, &text).await;
                })
            });
            for talk in talks.collect::<Vec<_>>() {
                talk.await.expect("it went well");
            }
            kernel::ended(kernel).await;
            assert_eq!(us.net.stats().tcp.connected, 64);
        });
    }
}

wire_test! {
    fn dropping_a_connection_loses_nothing_that_was_written() {
        play(|us| async move {
            const LEN: usize = 32 << 10;
            let (port, kernel) = kernel::serve(1, |mut stream| {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).expect("an end, and no reset");
                assert_eq!(all.len(), LEN);
            });
            let mut conn = us.dial(port).await.expect("connected");
            // It fits into the buffer: nothing of it need be sent by now.
            conn.write_all(&[7; LEN]).await.expect("written");
            drop(conn);
            kernel::ended(kernel).await;
        });
    }
}

wire_test! {
    fn the_kernel_connects_to_us_more_often_than_our_backlog_has_room() {
        play(|us| async move {
            const CALLERS: usize = 20;
            let port = NonZeroU16::new(7_007).expect("a port");
            let mut listener = us.net.listen(port, 4).expect("room");
            let callers = (0..CALLERS).map(|number| {
                thread::spawn(move || {
                    let us = SocketAddrV4::new(OUR_IP, 7_007);
                    let mut stream = TcpStream::connect(us).expect("sooner or later");
                    stream.write_all(&[number as u8]).expect("written");
                    let mut echo = Vec::new();
                    stream.read_to_end(&mut echo).expect("an answer and an end");
                    assert_eq!(echo, [number as u8]);
                })
            });
            let callers = callers.collect::<Vec<_>>();
            for _ in 0..CALLERS {
                let (mut conn, caller) = listener.accept().await;
                assert_eq!(*caller.ip(), THEIR_IP);
                spawn_local(async move {
                    let mut byte = [0];
                    conn.read_exact(&mut byte).await.expect("a byte");
                    conn.write_all(&byte).await.expect("written");
                });
            }
            for caller in callers {
                kernel::ended(caller).await;
            }
        });
    }
}
