//! A broker of MQTT 5 with as much of it as the client uses, and the troubles that brokers have.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};
use whohas::Instant;
use whohas::net::{Connection, TcpError};
use whohas::sim::LanClock;
use whohas::time::{Clock, Timer};

use crate::lab::{Lab, MQTT, Wire, port, secs};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    pub at: Instant,
    pub topic: String,
    pub payload: String,
    pub qos: u8,
    pub retain: bool,
}

#[derive(Default)]
struct State {
    published: Vec<Published>,
    connects: usize,
    clean: usize,
    subscriptions: Vec<String>,
    pings: usize,
    /// What is said to the client.
    to_say: VecDeque<(String, String)>,
    /// It has a session.
    remembers: bool,
    is_down: bool,
    /// Publications that are heard and not acknowledged.
    swallows: usize,
    /// Reason codes of the acknowledgements that come next.
    reasons: VecDeque<u8>,
    is_mute: bool,
    raw: Option<Vec<u8>>,
}

/// Clones are the same.
#[derive(Clone, Default)]
pub struct Broker(Rc<RefCell<State>>);

impl Broker {
    pub fn start(lab: &Lab) -> Self {
        let this = Self::default();
        let (served, net, clock) = (this.clone(), lab.server, lab.clock());
        lab.spawn(async move {
            loop {
                while served.0.borrow().is_down {
                    clock.wait_until(clock.now() + secs(1)).await;
                }
                let mut listener = net.listen(port(MQTT), 2).unwrap();
                while !served.0.borrow().is_down {
                    let later = clock.wait_until(clock.now() + secs(1));
                    let Either::First((mut connection, _)) = select(listener.accept(), later).await
                    else {
                        continue;
                    };
                    // An error is that the client has gone.
                    let _ = served.serve(&mut connection, &clock).await;
                }
            }
        });
        this
    }

    pub fn published(&self) -> Vec<Published> {
        self.0.borrow().published.clone()
    }

    /// What was published at this topic.
    pub fn heard_at(&self, topic: &str) -> Vec<String> {
        let published = self.published().into_iter();
        let published = published.filter(|message| message.topic == topic);
        published.map(|message| message.payload).collect()
    }

    pub fn connects(&self) -> usize {
        self.0.borrow().connects
    }

    /// How many of them wanted no old session.
    pub fn clean_connects(&self) -> usize {
        self.0.borrow().clean
    }

    pub fn pings(&self) -> usize {
        self.0.borrow().pings
    }

    pub fn subscriptions(&self) -> Vec<String> {
        self.0.borrow().subscriptions.clone()
    }

    pub fn say(&self, topic: &str, payload: &str) {
        let said = (topic.to_owned(), payload.to_owned());
        self.0.borrow_mut().to_say.push_back(said);
    }

    pub fn set_down(&self, is_down: bool) {
        self.0.borrow_mut().is_down = is_down;
    }

    /// It has lost its sessions when it comes up.
    pub fn forget(&self) {
        self.0.borrow_mut().remembers = false;
    }

    pub fn swallow(&self, number: usize) {
        self.0.borrow_mut().swallows = number;
    }

    pub fn answer_with(&self, reasons: impl IntoIterator<Item = u8>) {
        self.0.borrow_mut().reasons.extend(reasons);
    }

    /// It hears and says nothing.
    pub fn mute(&self, is_mute: bool) {
        self.0.borrow_mut().is_mute = is_mute;
    }

    /// What it says instead of taking the client.
    pub fn greet_with(&self, raw: Option<&[u8]>) {
        self.0.borrow_mut().raw = raw.map(<[u8]>::to_vec);
    }

    async fn serve(
        &self,
        connection: &mut Connection<'static, 'static, Wire>,
        clock: &LanClock,
    ) -> Result<(), TcpError> {
        let mut input = Vec::new();
        loop {
            while let Some((first, body)) = packet(&mut input) {
                let Some(answer) = self.answer(clock.now(), first, &body) else {
                    continue;
                };
                connection.write_all(&answer).await?;
            }
            let said = self.0.borrow_mut().to_say.pop_front();
            if let Some((topic, payload)) = said {
                let mut body = (topic.len() as u16).to_be_bytes().to_vec();
                body.extend(topic.bytes());
                body.push(0);
                body.extend(payload.bytes());
                connection.write_all(&framed(0x30, &body)).await?;
                continue;
            }
            let mut buffer = [0; 200];
            let wait = clock.wait_until(clock.now() + secs(1));
            match select(connection.read(&mut buffer), wait).await {
                Either::First(read) => match read? {
                    0 => return Ok(()),
                    len => input.extend_from_slice(&buffer[..len]),
                },
                Either::Second(()) if self.0.borrow().is_down => return Ok(()),
                Either::Second(()) => {}
            }
        }
    }

    fn answer(&self, now: Instant, first: u8, body: &[u8]) -> Option<Vec<u8>> {
        let mut state = self.0.borrow_mut();
        if state.is_mute {
            return None;
        }
        match first >> 4 {
            1 => {
                assert_eq!(&body[..7], b"\0\x04MQTT\x05");
                state.connects += 1;
                if let Some(raw) = &state.raw {
                    return Some(raw.clone());
                }
                let is_clean = body[7] & 2 != 0;
                state.clean += usize::from(is_clean);
                let is_present = state.remembers && !is_clean;
                if !is_present {
                    state.subscriptions.clear();
                }
                state.remembers = true;
                Some(framed(0x20, &[u8::from(is_present), 0, 0]))
            }
            3 => {
                let qos = (first >> 1) & 3;
                let len = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = String::from_utf8(body[2..2 + len].to_vec()).unwrap();
                let mut rest = &body[2 + len..];
                let id = rest[..2].to_vec();
                if qos > 0 {
                    rest = &rest[2..];
                }
                let properties = usize::from(rest[0]);
                let payload = String::from_utf8(rest[1 + properties..].to_vec()).unwrap();
                state.published.push(Published {
                    at: now,
                    topic,
                    payload,
                    qos,
                    retain: first & 1 != 0,
                });
                if qos == 0 {
                    return None;
                }
                if state.swallows > 0 {
                    state.swallows -= 1;
                    return None;
                }
                let reason = state.reasons.pop_front().unwrap_or(0);
                Some(framed(0x40, &[id[0], id[1], reason, 0]))
            }
            4 => None,
            8 => {
                let properties = usize::from(body[2]);
                let filter = &body[3 + properties..];
                let len = usize::from(u16::from_be_bytes([filter[0], filter[1]]));
                let filter = String::from_utf8(filter[2..2 + len].to_vec()).unwrap();
                state.subscriptions.push(filter);
                let reason = state.reasons.pop_front().unwrap_or(1);
                Some(framed(0x90, &[body[0], body[1], 0, reason]))
            }
            12 => {
                state.pings += 1;
                Some(vec![0xd0, 0])
            }
            other => panic!("packet {other} from the client"),
        }
    }
}

/// Takes a packet out of what was read: its first byte, and what follows its length.
fn packet(input: &mut Vec<u8>) -> Option<(u8, Vec<u8>)> {
    let (mut len, mut at) = (0, 1);
    loop {
        let byte = *input.get(at)?;
        len |= usize::from(byte & 127) << (7 * (at - 1));
        at += 1;
        if byte & 128 == 0 {
            break;
        }
    }
    if input.len() < at + len {
        return None;
    }
    let first = input[0];
    let body = input.drain(..at + len).skip(at).collect();
    Some((first, body))
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    let mut packet = vec![first, body.len() as u8];
    packet.extend_from_slice(body);
    packet
}
