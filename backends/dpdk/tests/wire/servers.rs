//! What runs on our queues: echoes.

use core::net::Ipv4Addr;
use std::convert::Infallible;
use std::num::NonZeroU16;

use embassy_futures::join::join;
use embedded_io_async::{Read, Write};
use embedded_nal_async::{UdpStack, UnconnectedUdp};
use whohas::net::Connection;

use crate::host::{QueueLink, Station};
use crate::peer;

/// The echo service's port.
pub const ECHO: u16 = 7;
/// How many wait to be accepted on each queue.
const BACKLOG: usize = peer::AT_ONCE;

/// Sends back what comes, over TCP and UDP, for ever.
pub async fn echo(station: Station<'_, '_>) -> Infallible {
    join(echo_streams(&station), echo_datagrams(&station))
        .await
        .0
}

async fn echo_streams(station: &Station<'_, '_>) -> Infallible {
    let port = NonZeroU16::new(ECHO).expect("not zero");
    let listener = station.net.listen(port, BACKLOG);
    let mut listener = listener.expect("a stack of its own on every queue");
    loop {
        let (connection, _) = listener.accept().await;
        let spawned = station.tasks.spawn(echo_stream(connection));
        spawned.expect("room for more tasks than there are sockets");
    }
}

async fn echo_stream(mut connection: Connection<'_, 'static, QueueLink<'_>>) {
    let mut buffer = [0; 2_048];
    loop {
        // What goes wrong here is seen by whoever counts the answers.
        match connection.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(len) => {
                if connection.write_all(&buffer[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn echo_datagrams(station: &Station<'_, '_>) -> Infallible {
    let any = (Ipv4Addr::UNSPECIFIED, ECHO).into();
    let socket = station.net.udp().bind_multiple(any).await;
    let mut socket = socket.expect("a stack of its own on every queue");
    let mut buffer = [0; 2_048];
    loop {
        let received = socket.receive_into(&mut buffer).await;
        let (len, local, remote) = received.expect("datagrams that fit");
        let sent = socket.send(local, remote, &buffer[..len]).await;
        sent.expect("a way back");
    }
}
