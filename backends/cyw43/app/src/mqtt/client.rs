//! One connection to the broker after the other.

use core::convert::Infallible;

use embassy_futures::select::{Either, select};
use embedded_io_async::{Read, Write};
use embedded_nal_async::TcpConnect;
use minimq::{
    Buffers, ConfigBuilder, ConnectEvent, Error, InboundPublish, Op, PeerError, PubError,
    Publication, QoS, Session, SubscriptionOptions, TopicFilter, Will,
};
use whohas::Instant;
use whohas::time::Timer;

use super::config::{Config, ConfigError, Presence};
use super::outbox::{Delivery, Message, Outbox, count};
use super::transport::Transport;
use crate::backoff::Backoff;
use crate::reach::Trouble;
use crate::timed::within;

/// The longest packet that is received, and room for those that are sent: the message that is not
/// acknowledged, the presence, subscriptions, and the CONNECT that goes before them again.
const RECEIVE: usize = 512;
const SEND: usize = 1_024;

/// Keeps a session with a broker.
pub struct Client<'a, const MESSAGES: usize = 8> {
    outbox: &'a Outbox<MESSAGES>,
    config: Config<'a>,
    backoff: Backoff,
    /// Beside those of the configuration.
    topic: Option<&'a str>,
}

/// What happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The broker has taken us.
    Connected {
        /// When the dial began.
        since: Instant,
        /// It had kept our session.
        is_resumed: bool,
    },
    /// There is no connection.
    Lost(Trouble),
    /// The broker says no, or says what is no MQTT.
    Refused,
    /// Somebody has published what we have subscribed to.
    Received(Received<'a>),
}

/// A message from the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Where it was published.
    pub topic: &'a str,
    /// What it says.
    pub payload: &'a [u8],
    /// The broker had kept it.
    pub is_retained: bool,
    /// Where whoever has published it wants an answer.
    pub response_topic: Option<&'a str>,
}

/// Why a connection has ended.
enum End {
    Lost(Trouble),
    Refused,
}

/// A message on its way, by its number.
type Flight = Option<(u64, Op)>;

/// What outlives a connection, beside the session.
struct Progress {
    flight: Flight,
    /// How many subscriptions the session has.
    subscribed: usize,
}

impl<'a, const MESSAGES: usize> Client<'a, MESSAGES> {
    /// Publishes what is in this outbox. The seed is for the jitter of its waits.
    pub const fn new(outbox: &'a Outbox<MESSAGES>, config: Config<'a>, seed: u64) -> Self {
        Self {
            outbox,
            backoff: Backoff::new(config.patience, seed),
            config,
            topic: None,
        }
    }

    /// Subscribes to one more topic than the configuration names.
    pub const fn also_subscribed_to(mut self, topic: Option<&'a str>) -> Self {
        self.topic = topic;
        self
    }

    /// Connects, and connects again, for ever. `tell` is told what happens.
    ///
    /// Dropping the future loses no message of the outbox.
    pub async fn run<C: TcpConnect, T: Timer>(
        mut self,
        tcp: &C,
        timer: &T,
        mut tell: impl FnMut(Event<'_>),
    ) -> Result<Infallible, ConfigError> {
        let (mut receive, mut send) = ([0; RECEIVE], [0; SEND]);
        let builder = ConfigBuilder::new(Buffers::new(&mut receive, &mut send));
        let mut session = Session::new(configure(builder, &self.config)?);
        let mut progress = Progress {
            flight: None,
            subscribed: 0,
        };
        loop {
            let began = timer.now();
            let end = self.connect(tcp, timer, &mut session, &mut progress, &mut tell);
            let end = end.await;
            self.outbox.count(|counters| match end {
                End::Lost(trouble) => counters.reach.count(trouble),
                End::Refused => count(&mut counters.protocol),
            });
            tell(match end {
                End::Lost(trouble) => Event::Lost(trouble),
                End::Refused => Event::Refused,
            });
            // One that takes us and throws us out at once is not to be dialled all the time.
            let now = timer.now();
            if now - began >= self.config.patience.most {
                self.backoff.reset();
            }
            timer.wait_until(now + self.backoff.next_wait()).await;
        }
    }

    /// One connection, from its dial to its end.
    async fn connect<C: TcpConnect, T: Timer>(
        &self,
        tcp: &C,
        timer: &T,
        session: &mut Session<'_>,
        progress: &mut Progress,
        tell: &mut impl FnMut(Event<'_>),
    ) -> End {
        let since = timer.now();
        let deadline = since + self.config.timeout;
        self.outbox
            .count(|counters| count(&mut counters.reach.dialled));
        let connection = match within(timer, deadline, tcp.connect(self.config.broker)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return End::Lost(Trouble::of(&error)),
            Err(_) => return End::Lost(Trouble::TimedOut),
        };
        self.outbox
            .count(|counters| count(&mut counters.reach.connected));
        let transport = Transport {
            connection,
            timer,
            timeout: self.config.timeout,
        };
        let mut connection = match within(timer, deadline, session.connect(transport)).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return end_of(&error),
            Err(_) => return End::Lost(Trouble::TimedOut),
        };
        let is_resumed = connection.connect_event() == ConnectEvent::Reconnected;
        if is_resumed {
            self.outbox.count(|counters| count(&mut counters.resumed));
        }
        tell(Event::Connected { since, is_resumed });
        match self.talk(&mut connection, progress, tell).await {
            Err(error) => end_of(&error),
        }
    }

    async fn talk<I: Read + Write>(
        &self,
        connection: &mut minimq::Connection<'_, '_, I>,
        Progress { flight, subscribed }: &mut Progress,
        tell: &mut impl FnMut(Event<'_>),
    ) -> Result<Infallible, Error<I::Error>> {
        if connection.connect_event() == ConnectEvent::Connected {
            *subscribed = 0;
        }
        self.subscribe(connection, subscribed, tell).await?;
        if let Some(presence) = &self.config.presence {
            let online = Publication::bytes(presence.topic, presence.online)
                .qos(QoS::AtLeastOnce)
                .retain();
            // One of an earlier connection may still be on its way, which says the same.
            if connection.can_publish(QoS::AtLeastOnce) {
                self.publish(connection, online).await?;
            }
        }
        loop {
            self.land(connection, flight, false);
            let next = self.outbox.front().filter(|_| flight.is_none());
            let may_publish = |message: &Message| connection.can_publish(quality(message.delivery));
            let progress = match next {
                Some((number, message)) if may_publish(&message) => {
                    *flight = self.send(connection, number, &message).await?;
                    continue;
                }
                None if flight.is_none() => {
                    match select(connection.poll(), self.outbox.filled()).await {
                        Either::First(progress) => progress,
                        Either::Second(()) => continue,
                    }
                }
                Some(_) | None => connection.poll().await,
            };
            match progress {
                Ok(Some(message)) => self.receive(&message, tell),
                Ok(None) => {}
                Err(Error::Peer(PeerError::Rejected(_))) => {
                    if !self.land(connection, flight, true) {
                        self.outbox.count(|counters| count(&mut counters.unwanted));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Subscribes to what the session does not have yet, and waits for the answer to each: they share
    /// the room for what is not acknowledged.
    async fn subscribe<I: Read + Write>(
        &self,
        connection: &mut minimq::Connection<'_, '_, I>,
        subscribed: &mut usize,
        tell: &mut impl FnMut(Event<'_>),
    ) -> Result<(), Error<I::Error>> {
        let filters = self.config.subscriptions.iter().chain(&self.topic);
        for filter in filters.skip(*subscribed) {
            let options = SubscriptionOptions::default().maximum_qos(QoS::AtLeastOnce);
            let filter = TopicFilter::new(filter).options(options);
            let asked = connection.subscribe(&[filter], &[]).await?;
            while connection.is_pending(&asked) {
                match connection.poll().await {
                    Ok(Some(message)) => self.receive(&message, tell),
                    Ok(None) => {}
                    Err(Error::Peer(PeerError::Rejected(_))) => {
                        self.outbox.count(|counters| count(&mut counters.unwanted));
                    }
                    Err(error) => return Err(error),
                }
            }
            *subscribed += 1;
        }
        Ok(())
    }

    fn receive(&self, message: &InboundPublish<'_>, tell: &mut impl FnMut(Event<'_>)) {
        self.outbox.count(|counters| count(&mut counters.received));
        tell(Event::Received(Received {
            topic: message.topic(),
            payload: message.payload(),
            is_retained: message.retained(),
            response_topic: message.response_topic(),
        }));
    }

    /// Sends this message. It stays in the outbox if it is to be acknowledged.
    async fn send<I: Read + Write>(
        &self,
        connection: &mut minimq::Connection<'_, '_, I>,
        number: u64,
        message: &Message,
    ) -> Result<Flight, Error<I::Error>> {
        let mut publication =
            Publication::bytes(&message.topic, &message.payload).qos(quality(message.delivery));
        if message.retain {
            publication = publication.retain();
        }
        match self.publish(connection, publication).await {
            Ok(Some(op)) => return Ok(Some((number, op))),
            Ok(None) => self.outbox.remove(number, false),
            // This broker will never take it.
            Err(Error::InvalidRequest | Error::Resource(_)) => self.outbox.remove(number, true),
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    async fn publish<I: Read + Write>(
        &self,
        connection: &mut minimq::Connection<'_, '_, I>,
        publication: Publication<'_, &[u8]>,
    ) -> Result<Option<Op>, Error<I::Error>> {
        match connection.publish(publication).await {
            Ok(op) => Ok(op),
            Err(PubError::Session(error)) => Err(error),
            // Bytes are what they are.
            Err(PubError::Payload(_)) => Err(Error::InvalidRequest),
        }
    }

    /// Takes the message out of the outbox if it has arrived, or has it sent again if the session
    /// that it was a part of is no more. True if it had arrived.
    fn land<I: Read + Write>(
        &self,
        connection: &minimq::Connection<'_, '_, I>,
        flight: &mut Flight,
        is_refused: bool,
    ) -> bool {
        let Some((number, op)) = flight else {
            return false;
        };
        if connection.is_pending(op) {
            return false;
        }
        let has_arrived = connection.is_complete(op);
        if has_arrived {
            self.outbox.remove(*number, is_refused);
        }
        *flight = None;
        has_arrived
    }
}

fn configure<'b>(
    builder: ConfigBuilder<'b>,
    config: &Config<'b>,
) -> Result<ConfigBuilder<'b>, ConfigError> {
    let mut builder = builder
        .client_id(config.client_id)
        .map_err(|_| ConfigError::ClientIdTooLong)?
        .keepalive_interval(config.keep_alive)
        .session_expiry_interval(config.session_expiry)
        .autodowngrade_qos();
    if let Some((user, password)) = config.credentials {
        let result = builder.auth(user, password);
        builder = result.map_err(|_| ConfigError::Presence)?;
    }
    if let Some(Presence { topic, offline, .. }) = config.presence {
        let will = Will::new(topic, offline, &[]).map_err(|_| ConfigError::Presence)?;
        let will = will.retained().qos(QoS::AtLeastOnce);
        builder = builder.will(will).map_err(|_| ConfigError::Presence)?;
    }
    Ok(builder)
}

const fn quality(delivery: Delivery) -> QoS {
    match delivery {
        Delivery::AtMostOnce => QoS::AtMostOnce,
        Delivery::AtLeastOnce => QoS::AtLeastOnce,
    }
}

fn end_of<E: embedded_io_async::Error>(error: &Error<E>) -> End {
    match error {
        Error::Transport(error) => End::Lost(Trouble::of(error)),
        Error::Disconnected | Error::WriteZero => End::Lost(Trouble::Closed),
        _ => End::Refused,
    }
}
