//! Who talks over the two stacks, and what they must have heard.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::num::NonZeroU16;

use embassy_futures::join::join;
use embassy_futures::select::select;
use embedded_io_async::{Read, Write};
use embedded_nal_async::{ConnectedUdp, UdpStack, UnconnectedUdp};
use whohas::net::{Connection, TcpError};
use whohas::sim::LanClock;
use whohas::time::Timer;

use super::{EXCUSED, Harm, PEER, Plan, Stack, Wire, at};

const ECHO: NonZeroU16 = NonZeroU16::new(7).unwrap();
const MIRROR: u16 = 9;

/// What the programs have heard.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// What each connection brought to the server.
    there: RefCell<Vec<Vec<u8>>>,
    /// What came back.
    back: RefCell<Vec<u8>>,
    /// How that ended, if it did before we lost interest.
    end: RefCell<Option<Result<(), TcpError>>>,
    datagrams: RefCell<Vec<Vec<u8>>>,
}

impl Notes {
    pub(super) fn check(&self, plan: &Plan, harm: Harm) {
        // A forger can say anything in anybody's name.
        if harm.forged > 0 {
            return;
        }
        let text = &plan.text;
        for there in self.there.borrow().iter() {
            assert!(text.starts_with(there), "heard what was never said");
        }
        let back = self.back.borrow();
        assert!(text.starts_with(&back), "an echo of what was never said");
        let end = *self.end.borrow();
        if end == Some(Ok(())) {
            assert_eq!(back.len(), text.len(), "an end before the end");
        }
        for datagram in self.datagrams.borrow().iter() {
            assert!(plan.datagrams.contains(datagram), "{datagram:?}");
        }
        let excused = harm.damaged > 0 || harm.dropped > EXCUSED || plan.patience.is_some();
        if !excused {
            assert_eq!(end, Some(Ok(())), "after {harm:?}");
        }
    }
}

/// Sends back what it hears, on one connection after the other.
pub(super) async fn echo(stack: &Stack<'_, '_>, notes: &Notes) {
    let mut listener = stack.listen(ECHO, 1).expect("a free port");
    loop {
        let (mut connection, _from) = listener.accept().await;
        notes.there.borrow_mut().push(Vec::new());
        if repeat(&mut connection, notes).await.is_err() {
            connection.abort();
        }
    }
}

async fn repeat(
    connection: &mut Connection<'_, '_, Wire<'_>>,
    notes: &Notes,
) -> Result<(), TcpError> {
    let mut buffer = [0; 300];
    loop {
        let heard = match connection.read(&mut buffer).await? {
            0 => return connection.shut_down(),
            len => &buffer[..len],
        };
        if let Some(there) = notes.there.borrow_mut().last_mut() {
            there.extend_from_slice(heard);
        }
        connection.write_all(heard).await?;
    }
}

/// Says the text, and listens to it until it ends or nobody cares any more.
pub(super) async fn talk(stack: &Stack<'_, '_>, plan: &Plan, clock: &LanClock, notes: &Notes) {
    let dialogue = async {
        let end = converse(stack, plan, notes).await;
        *notes.end.borrow_mut() = Some(end);
    };
    match plan.patience {
        None => dialogue.await,
        Some(patience) => {
            let patience = clock.wait_until(clock.after(patience));
            select(dialogue, patience).await;
        }
    }
}

async fn converse(stack: &Stack<'_, '_>, plan: &Plan, notes: &Notes) -> Result<(), TcpError> {
    let mut connection = stack.dial(at(PEER, ECHO.get())).await?;
    let (mut reader, mut writer) = connection.split();
    let say = async {
        writer.write_all(&plan.text).await?;
        writer.shut_down()
    };
    let listen = async {
        let mut buffer = [0; 700];
        loop {
            match reader.read(&mut buffer).await? {
                0 => return Ok(()),
                len => notes.back.borrow_mut().extend_from_slice(&buffer[..len]),
            }
        }
    };
    let (said, heard) = join(say, listen).await;
    said.and(heard)
}

/// Sends datagrams back to where they came from.
pub(super) async fn mirror(stack: &Stack<'_, '_>) {
    let port = SocketAddr::from((PEER, MIRROR));
    let (_, mut socket) = stack.udp().bind_single(port).await.expect("a free port");
    let mut buffer = [0; 512];
    loop {
        let Ok((len, local, from)) = socket.receive_into(&mut buffer).await else {
            return;
        };
        // Nobody has to be told that a forged sender cannot be answered.
        let _ = socket.send(local, from, &buffer[..len.min(512)]).await;
    }
}

/// Throws datagrams at the mirror, and catches what comes back.
pub(super) async fn throw(stack: &Stack<'_, '_>, plan: &Plan, notes: &Notes) {
    let mirror = SocketAddr::from((PEER, MIRROR));
    let (_, mut socket) = stack.udp().connect(mirror).await.expect("a free socket");
    for datagram in &plan.datagrams {
        if socket.send(datagram).await.is_err() {
            return;
        }
    }
    let mut buffer = [0; 512];
    while let Ok(len) = socket.receive_into(&mut buffer).await {
        notes
            .datagrams
            .borrow_mut()
            .push(buffer[..len.min(512)].to_vec());
    }
}
