//! A broker of MQTT 5 with as much of it as the client uses, and the troubles that brokers have.

use core::cell::RefCell;
use core::num::NonZeroU16;
use std::collections::VecDeque;
use std::rc::Rc;

use embassy_futures::select::{Either, Either3, select, select3};
use embedded_io_async::{Read, Write};
use whohas::Instant;
use whohas::link::IpLink;
use whohas::net::{Connection, Net, TcpError};
use whohas::time::Clock;

use crate::KEEP_ALIVE;
use crate::news::News;

/// What a client has published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// When it was heard.
    pub at: Instant,
    /// Where.
    pub topic: String,
    /// What.
    pub payload: String,
    /// At most once (0) or at least once (1).
    pub qos: u8,
    /// It is to be kept.
    pub retain: bool,
    /// The client says that it has said so before.
    pub is_again: bool,
}

#[derive(Default)]
struct State {
    published: Vec<Published>,
    connects: Vec<Instant>,
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

/// A broker for one client. Clones are the same.
#[derive(Clone, Default)]
pub struct Broker(Rc<Shared>);

#[derive(Default)]
struct Shared {
    state: RefCell<State>,
    news: News,
}

impl Broker {
    /// Listens here for ever: for a task of its own.
    ///
    /// # Panics
    ///
    /// If somebody listens there, or the client says what none of ours says.
    pub async fn run<L: IpLink>(self, net: &Net<'static, L>, port: NonZeroU16, clock: impl Clock) {
        loop {
            self.until_down(false).await;
            let mut listener = net.listen(port, 2).expect("nobody else listens there");
            while let Either::First((mut connection, _)) =
                select(listener.accept(), self.until_down(true)).await
            {
                connection.set_keep_alive(Some(KEEP_ALIVE));
                // An error is that the client has gone.
                let _ = self.serve(&mut connection, &clock).await;
            }
        }
    }

    /// All that was published.
    pub fn published(&self) -> Vec<Published> {
        self.0.state.borrow().published.clone()
    }

    /// What was published at this topic.
    pub fn heard_at(&self, topic: &str) -> Vec<String> {
        let published = self.published().into_iter();
        let published = published.filter(|message| message.topic == topic);
        published.map(|message| message.payload).collect()
    }

    /// How often clients have come.
    pub fn connects(&self) -> usize {
        self.0.state.borrow().connects.len()
    }

    /// When they have.
    pub fn connected_at(&self) -> Vec<Instant> {
        self.0.state.borrow().connects.clone()
    }

    /// How many of them wanted no old session.
    pub fn clean_connects(&self) -> usize {
        self.0.state.borrow().clean
    }

    /// How often it was asked for a sign of life.
    pub fn pings(&self) -> usize {
        self.0.state.borrow().pings
    }

    /// What the session has subscribed to.
    pub fn subscriptions(&self) -> Vec<String> {
        self.0.state.borrow().subscriptions.clone()
    }

    /// Has this said to the client.
    pub fn say(&self, topic: &str, payload: &str) {
        let said = (topic.to_owned(), payload.to_owned());
        self.0.state.borrow_mut().to_say.push_back(said);
        self.0.news.tell();
    }

    /// It does not listen, and closes what it has; or it listens again.
    pub fn set_down(&self, is_down: bool) {
        self.0.state.borrow_mut().is_down = is_down;
        self.0.news.tell();
    }

    /// It has lost its sessions when it comes up.
    pub fn forget(&self) {
        self.0.state.borrow_mut().remembers = false;
    }

    /// Hears so many of the next publications and acknowledges none of them.
    pub fn swallow(&self, number: usize) {
        self.0.state.borrow_mut().swallows = number;
    }

    /// Reason codes of the acknowledgements that come next.
    pub fn answer_with(&self, reasons: impl IntoIterator<Item = u8>) {
        self.0.state.borrow_mut().reasons.extend(reasons);
    }

    /// It hears and says nothing.
    pub fn mute(&self, is_mute: bool) {
        self.0.state.borrow_mut().is_mute = is_mute;
    }

    /// What it says instead of taking the client.
    pub fn greet_with(&self, raw: Option<&[u8]>) {
        self.0.state.borrow_mut().raw = raw.map(<[u8]>::to_vec);
    }

    async fn until_down(&self, is_down: bool) {
        let look = || (self.0.state.borrow().is_down == is_down).then_some(());
        self.0.news.until(look).await;
    }

    async fn next_to_say(&self) -> (String, String) {
        let next = || self.0.state.borrow_mut().to_say.pop_front();
        self.0.news.until(next).await
    }

    async fn serve<L: IpLink>(
        &self,
        connection: &mut Connection<'_, 'static, L>,
        clock: &impl Clock,
    ) -> Result<(), TcpError> {
        let mut input = Vec::new();
        loop {
            while let Some((first, body)) = packet(&mut input) {
                let Some(answer) = self.answer(clock.now(), first, &body) else {
                    continue;
                };
                connection.write_all(&answer).await?;
            }
            let mut buffer = [0; 200];
            let (down, say) = (self.until_down(true), self.next_to_say());
            match select3(connection.read(&mut buffer), down, say).await {
                Either3::First(read) => match read? {
                    0 => return Ok(()),
                    len => input.extend_from_slice(&buffer[..len]),
                },
                Either3::Second(()) => return Ok(()),
                Either3::Third((topic, payload)) => {
                    connection.write_all(&publication(&topic, &payload)).await?;
                }
            }
        }
    }

    fn answer(&self, now: Instant, first: u8, body: &[u8]) -> Option<Vec<u8>> {
        let mut state = self.0.state.borrow_mut();
        if state.is_mute {
            return None;
        }
        match first >> 4 {
            1 => {
                assert_eq!(&body[..7], b"\0\x04MQTT\x05");
                state.connects.push(now);
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
                let topic = String::from_utf8(body[2..2 + len].to_vec()).expect("text");
                let mut rest = &body[2 + len..];
                let id = rest[..2].to_vec();
                if qos > 0 {
                    rest = &rest[2..];
                }
                let properties = usize::from(rest[0]);
                let payload = String::from_utf8(rest[1 + properties..].to_vec()).expect("text");
                state.published.push(Published {
                    at: now,
                    topic,
                    payload,
                    qos,
                    retain: first & 1 != 0,
                    is_again: first & 8 != 0,
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
                let filter = String::from_utf8(filter[2..2 + len].to_vec()).expect("text");
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

fn publication(topic: &str, payload: &str) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend(topic.bytes());
    body.push(0);
    body.extend(payload.bytes());
    framed(0x30, &body)
}

fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    let mut packet = vec![first, body.len() as u8];
    packet.extend_from_slice(body);
    packet
}
