//! The host that both programs talk to, and what is said on its ports: MQTT 5 and OTLP over HTTP, as
//! far as they are needed here.

use std::time::Duration;

use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};
use whohas::net::{Connection, TcpError};
use whohas::sim::{LanClock, Rng};
use whohas::time::{Clock, Timer};

use crate::device::hear;
use crate::story::{BROKER, COLLECTOR, HUNG, Neighbours, Stack};

/// A clean start, a keep-alive of 60 s, no properties, and the client id "pico".
pub const CONNECT: &[u8] = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04pico";
pub const CONNACK: &[u8] = b"\x20\x03\x00\x00\x00";
pub const PINGREQ: &[u8] = b"\xc0\x00";
pub const PINGRESP: &[u8] = b"\xd0\x00";

pub const REQUEST: &[u8] = b"POST /v1/metrics HTTP/1.1\r\nHost: collector\r\n\
    Content-Type: application/json\r\nContent-Length: 22\r\n\r\n{\"resourceMetrics\":[]}";
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// The broker restarts, and resets every connection to it.
const RESTART_EVERY: Duration = Duration::from_secs(3_600);
/// How long a service stays with somebody who says nothing.
const PATIENCE: Duration = Duration::from_secs(20);

type Client<'n, 'a, R> = Connection<'n, 'a, crate::story::Wire<R>>;

/// Answers pings until it restarts.
pub async fn broker<R: Neighbours>(stack: &Stack<'_, R>, clock: &LanClock) {
    let mut listener = stack.listen(BROKER, 2).expect("a free port");
    let mut restart = clock.after(RESTART_EVERY);
    loop {
        let (mut client, _from) = listener.accept().await;
        while restart <= clock.now() {
            restart += RESTART_EVERY;
        }
        // A client that is gone connects again.
        let _ = select(serve_mqtt(&mut client), clock.wait_until(restart)).await;
        client.abort();
    }
}

async fn serve_mqtt<R: Neighbours>(client: &mut Client<'_, '_, R>) -> Result<(), TcpError> {
    hear(client, CONNECT).await?;
    client.write_all(CONNACK).await?;
    loop {
        hear(client, PINGREQ).await?;
        client.write_all(PINGRESP).await?;
    }
}

/// Takes up to 200 ms for an answer.
pub async fn collector<R: Neighbours>(stack: &Stack<'_, R>, clock: &LanClock) {
    let mut rng = Rng::new(0xC011);
    let mut listener = stack.listen(COLLECTOR, 2).expect("a free port");
    loop {
        let (mut client, _from) = listener.accept().await;
        let thought = Duration::from_millis(rng.range(0..=200));
        let answered = async {
            hear(&mut client, REQUEST).await?;
            clock.wait_until(clock.after(thought)).await;
            client.write_all(ANSWER).await
        };
        // Whoever was not served asks again.
        let _ = select(answered, clock.wait_until(clock.after(PATIENCE))).await;
    }
}

/// Accepts, and never answers; until the client has gone.
pub async fn hung<R: Neighbours>(stack: &Stack<'_, R>, clock: &LanClock) {
    let mut listener = stack.listen(HUNG, 2).expect("a free port");
    loop {
        let (mut client, _from) = listener.accept().await;
        let end = clock.after(PATIENCE);
        let mut ignored = [0; 64];
        while let Either::First(Ok(1..)) =
            select(client.read(&mut ignored), clock.wait_until(end)).await
        {}
    }
}
