//! Messages until the broker has acknowledged them.

use core::fmt;
use core::future::poll_fn;
use core::task::{Poll, Waker};

use heapless::{Deque, String, Vec};

use crate::reach::Reach;
use crate::shared::Shared;

/// The longest topic of a message.
pub const TOPIC_LEN: usize = 64;
/// The longest payload of a message.
pub const PAYLOAD_LEN: usize = 256;

/// What a message carries.
pub type Payload = Vec<u8, PAYLOAD_LEN>;

/// Messages to be published: a `static`, for any task or interrupt. The parameter is how many.
///
/// ```
/// use whohas_app::mqtt::{Delivery, Outbox, PublishError};
///
/// static OUTBOX: Outbox = Outbox::new();
///
/// fn door(open: bool) -> Result<(), PublishError> {
///     let state = if open { "open" } else { "shut" };
///     OUTBOX.publish("house/door", state.as_bytes(), Delivery::AtLeastOnce)
/// }
/// # door(true).unwrap();
/// ```
pub struct Outbox<const MESSAGES: usize = 8> {
    state: Shared<State<MESSAGES>>,
}

struct State<const MESSAGES: usize> {
    messages: Deque<Message, MESSAGES>,
    /// The number of the oldest.
    head: u64,
    client: Option<Waker>,
    counters: Counters,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it is published.
    pub topic: String<TOPIC_LEN>,
    /// What it says.
    pub payload: Payload,
    /// How surely.
    pub delivery: Delivery,
    /// The broker keeps it for those who subscribe later.
    pub retain: bool,
}

/// How surely a message is to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Delivery {
    /// QoS 0: once or, if the connection is lost, never.
    AtMostOnce,
    /// QoS 1: once or, if an acknowledgement is lost, again.
    AtLeastOnce,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PublishError {
    /// So many wait for the broker already.
    #[error("the outbox is full: the broker has not acknowledged what is in it")]
    Full,
    /// The payload is longer than a message can be.
    #[error("the payload is longer than {PAYLOAD_LEN} bytes")]
    PayloadTooLong,
    /// The topic is empty, longer than one can be, or has a wildcard.
    #[error("the topic is empty, longer than {TOPIC_LEN} bytes, or has a wildcard")]
    Topic,
}

/// What became of messages and connections. They wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counters {
    /// Messages taken to be published.
    pub accepted: u32,
    /// Messages not taken because too many waited.
    pub overflowed: u32,
    /// Messages that took the place of older ones, which are gone.
    pub replaced: u32,
    /// Messages that the broker has acknowledged, and those at most once that were written.
    pub published: u32,
    /// Messages that the broker did not want.
    pub refused: u32,
    /// Messages received.
    pub received: u32,
    /// Sessions that the broker had kept.
    pub resumed: u32,
    /// Subscriptions, or presences, that the broker did not want.
    pub unwanted: u32,
    /// Answers of the broker that were no MQTT, or said no.
    pub protocol: u32,
    /// The broker, dialled.
    pub reach: Reach,
}

impl<const MESSAGES: usize> Outbox<MESSAGES> {
    /// Empty.
    pub const fn new() -> Self {
        Self {
            state: Shared::new(State {
                messages: Deque::new(),
                head: 0,
                client: None,
                counters: Counters {
                    accepted: 0,
                    overflowed: 0,
                    replaced: 0,
                    published: 0,
                    refused: 0,
                    received: 0,
                    resumed: 0,
                    unwanted: 0,
                    protocol: 0,
                    reach: Reach::ZERO,
                },
            }),
        }
    }

    /// Takes a message to be published.
    pub fn publish(
        &self,
        topic: &str,
        payload: &[u8],
        delivery: Delivery,
    ) -> Result<(), PublishError> {
        self.push(Message {
            topic: topic_of(topic)?,
            payload: Vec::from_slice(payload).map_err(|_| PublishError::PayloadTooLong)?,
            delivery,
            retain: false,
        })
    }

    /// Takes a message that makes older ones at its topic worthless: it takes the place of one that has
    /// not left yet, if there is any.
    pub fn publish_latest(&self, topic: &str, payload: &[u8]) -> Result<(), PublishError> {
        let topic = topic_of(topic)?;
        let payload = Vec::from_slice(payload).map_err(|_| PublishError::PayloadTooLong)?;
        let payload = self.state.with(|state| {
            // The first may be on its way.
            let mut waiting = state.messages.iter_mut().skip(1);
            match waiting.find(|message| message.topic == topic) {
                Some(message) => {
                    message.payload = payload;
                    count(&mut state.counters.replaced);
                    None
                }
                None => Some(payload),
            }
        });
        let Some(payload) = payload else {
            return Ok(());
        };
        self.push(Message {
            topic,
            payload,
            delivery: Delivery::AtLeastOnce,
            retain: false,
        })
    }

    /// Takes a message as it is.
    pub fn push(&self, message: Message) -> Result<(), PublishError> {
        topic_of(&message.topic)?;
        let waker = self.state.with(|state| {
            if state.messages.push_back(message).is_err() {
                count(&mut state.counters.overflowed);
                return Err(PublishError::Full);
            }
            count(&mut state.counters.accepted);
            Ok(state.client.take())
        })?;
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// How many wait to be acknowledged.
    pub fn waiting(&self) -> usize {
        self.state.with(|state| state.messages.len())
    }

    /// What became of messages and connections.
    pub fn counters(&self) -> Counters {
        self.state.with(|state| state.counters)
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Counters)) {
        self.state.with(|state| count(&mut state.counters));
    }

    /// The oldest, and its number.
    pub(super) fn front(&self) -> Option<(u64, Message)> {
        self.state
            .with(|state| Some((state.head, state.messages.front()?.clone())))
    }

    /// The one with this number is done with.
    pub(super) fn remove(&self, number: u64, is_refused: bool) {
        self.state.with(|state| {
            if state.head != number || state.messages.pop_front().is_none() {
                return;
            }
            state.head += 1;
            count(match is_refused {
                true => &mut state.counters.refused,
                false => &mut state.counters.published,
            });
        });
    }

    /// Ends when there is something to publish.
    pub(super) async fn filled(&self) {
        poll_fn(|context| {
            self.state.with(|state| {
                if !state.messages.is_empty() {
                    return Poll::Ready(());
                }
                state.client = Some(context.waker().clone());
                Poll::Pending
            })
        })
        .await;
    }
}

impl<const MESSAGES: usize> Default for Outbox<MESSAGES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const MESSAGES: usize> fmt::Debug for Outbox<MESSAGES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("waiting", &self.waiting())
            .field("counters", &self.counters())
            .finish()
    }
}

fn topic_of(topic: &str) -> Result<String<TOPIC_LEN>, PublishError> {
    if topic.is_empty() || topic.contains(['#', '+', '\0']) {
        return Err(PublishError::Topic);
    }
    String::try_from(topic).map_err(|_| PublishError::Topic)
}

pub(super) const fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish<const N: usize>(outbox: &Outbox<N>, text: &str) -> Result<(), PublishError> {
        outbox.publish("a/b", text.as_bytes(), Delivery::AtLeastOnce)
    }

    #[test]
    fn a_full_outbox_says_so_and_keeps_what_it_has() {
        let outbox = Outbox::<2>::new();
        assert_eq!(publish(&outbox, "1"), Ok(()));
        assert_eq!(publish(&outbox, "2"), Ok(()));
        assert_eq!(publish(&outbox, "3"), Err(PublishError::Full));
        let (number, first) = outbox.front().unwrap();
        assert_eq!(first.payload, b"1");
        outbox.remove(number, false);
        assert_eq!(publish(&outbox, "4"), Ok(()));
        let counters = outbox.counters();
        assert_eq!((counters.accepted, counters.overflowed), (3, 1));
        assert_eq!(counters.published, 1);
    }

    #[test]
    fn one_that_was_done_with_is_not_removed_again() {
        let outbox = Outbox::<2>::new();
        publish(&outbox, "1").unwrap();
        publish(&outbox, "2").unwrap();
        outbox.remove(0, false);
        outbox.remove(0, false);
        assert_eq!(outbox.waiting(), 1);
    }

    #[test]
    fn the_latest_takes_the_place_of_what_has_not_left_but_not_of_the_first() {
        let outbox = Outbox::<4>::new();
        for text in ["1", "2", "3"] {
            outbox.publish_latest("state", text.as_bytes()).unwrap();
        }
        publish(&outbox, "other").unwrap();
        let mut said = std::vec::Vec::new();
        while let Some((number, message)) = outbox.front() {
            said.push(message.payload);
            outbox.remove(number, false);
        }
        assert_eq!(said, [&b"1"[..], b"3", b"other"]);
        let counters = outbox.counters();
        assert_eq!((counters.accepted, counters.replaced), (3, 1));
    }

    #[test]
    fn what_no_broker_would_take_is_refused_at_once() {
        let outbox = Outbox::<2>::new();
        let long = [b'x'; PAYLOAD_LEN + 1];
        let result = outbox.publish("a", &long, Delivery::AtMostOnce);
        assert_eq!(result, Err(PublishError::PayloadTooLong));
        for topic in ["", "a/#", "+/b", "a\0", &"x".repeat(TOPIC_LEN + 1)] {
            let result = outbox.publish(topic, b"", Delivery::AtMostOnce);
            assert_eq!(result, Err(PublishError::Topic), "{topic}");
        }
        assert_eq!(outbox.waiting(), 0);
    }
}
