//! What our own clients say, and what they hear.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use whohas::UnicastMac;
use whohas::wire::dhcp::{
    ClientHardware, DhcpHeader, LeaseTime, Message, MessageBuilder, MessageType, OptionCode,
};

use crate::network::SERVER;
use crate::way::Way;

/// After which no answer will come: much later than one that a server had to probe for.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A client, as servers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub mac: UnicastMac,
    pub id: Option<Vec<u8>>,
}

impl Who {
    /// The client of this number.
    pub fn number(n: u32) -> Self {
        let [a, b, c, d] = n.to_be_bytes();
        Self {
            mac: UnicastMac::new([0x02, 0xcc, a, b, c, d]).expect("a unicast address"),
            id: None,
        }
    }

    pub fn with_id(self, id: &[u8]) -> Self {
        Self {
            id: Some(id.to_vec()),
            ..self
        }
    }
}

/// A message from a client.
#[derive(Clone, Debug)]
pub struct Ask {
    kind: MessageType,
    header: DhcpHeader,
    mac: UnicastMac,
    options: Vec<(OptionCode, Vec<u8>)>,
}

impl Ask {
    /// Of this type, with a number that no other has.
    pub fn new(kind: MessageType, who: &Who) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0x5eed_0000);
        let xid = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut this = Self {
            kind,
            header: DhcpHeader::request(xid, who.mac),
            mac: who.mac,
            options: Vec::new(),
        };
        if let Some(id) = &who.id {
            this = this.option(OptionCode::CLIENT_ID, id);
        }
        // What every client wants to know; a boot ROM wants the file besides.
        this.option(
            OptionCode::PARAMETER_LIST,
            &[1, 3, 6, 15, 51, 54, 58, 59, 66, 67],
        )
    }

    pub fn discover(who: &Who) -> Self {
        Self::new(MessageType::Discover, who)
    }

    /// A request for what this server has offered.
    pub fn select(who: &Who, ip: Ipv4Addr, server: Ipv4Addr) -> Self {
        Self::new(MessageType::Request, who)
            .address(OptionCode::REQUESTED_IP, ip)
            .address(OptionCode::SERVER_ID, server)
    }

    /// A request for what it had before it was switched off.
    pub fn reboot(who: &Who, ip: Ipv4Addr) -> Self {
        Self::new(MessageType::Request, who).address(OptionCode::REQUESTED_IP, ip)
    }

    /// A request for more time.
    pub fn renew(who: &Who, ip: Ipv4Addr) -> Self {
        Self::new(MessageType::Request, who).from(ip)
    }

    pub fn decline(who: &Who, ip: Ipv4Addr) -> Self {
        Self::new(MessageType::Decline, who)
            .address(OptionCode::REQUESTED_IP, ip)
            .address(OptionCode::SERVER_ID, SERVER)
    }

    pub fn release(who: &Who, ip: Ipv4Addr) -> Self {
        Self::new(MessageType::Release, who)
            .from(ip)
            .address(OptionCode::SERVER_ID, SERVER)
    }

    /// A question for options alone.
    pub fn inform(who: &Who, ip: Ipv4Addr) -> Self {
        Self::new(MessageType::Inform, who).from(ip)
    }

    /// As a client that has this address.
    pub fn from(mut self, ip: Ipv4Addr) -> Self {
        self.header.client_ip = ip;
        self
    }

    pub fn option(mut self, code: OptionCode, value: &[u8]) -> Self {
        self.options.push((code, value.to_vec()));
        self
    }

    fn address(self, code: OptionCode, ip: Ipv4Addr) -> Self {
        self.option(code, &ip.octets())
    }

    pub fn xid(&self) -> u32 {
        self.header.xid
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut buffer = [0; 1024];
        let message = MessageBuilder::new(&mut buffer, &self.header, self.kind);
        let mut message = message.expect("room");
        for (code, value) in &self.options {
            message.option(*code, value).expect("room");
        }
        let len = message.finish();
        buffer[..len].to_vec()
    }

    /// Says it, and does not wait.
    pub fn say(&self, way: &impl Way) {
        way.send(self.mac, &self.bytes());
    }

    /// Says it, and says it again as clients do, until it is answered; `None` if it never is.
    pub fn answer(&self, way: &impl Way) -> Option<Reply> {
        let again = Duration::from_secs(2);
        let times = PATIENCE.as_secs() / again.as_secs();
        (0..times).find_map(|_| self.answer_within(way, again))
    }

    /// Says it once.
    pub fn answer_within(&self, way: &impl Way, patience: Duration) -> Option<Reply> {
        self.say(way);
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.checked_duration_since(Instant::now())?;
            let reply = Reply::parse(&way.receive(left)?);
            if reply.xid == self.header.xid {
                return Some(reply);
            }
        }
    }
}

/// A message from a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub kind: MessageType,
    pub xid: u32,
    pub hardware: ClientHardware,
    pub ip: Ipv4Addr,
    pub server: Option<Ipv4Addr>,
    pub seconds: Option<u32>,
    pub client_id: Option<Vec<u8>>,
    pub message: Option<String>,
    pub file: String,
    pub relay: Option<Vec<u8>>,
}

impl Reply {
    /// Whatever a server sends is a message.
    #[track_caller]
    pub fn parse(datagram: &[u8]) -> Self {
        let message = Message::parse(datagram);
        let message = message.unwrap_or_else(|error| panic!("{error}: {datagram:02x?}"));
        let header = message.header();
        let bytes = |code| {
            message
                .option(code)
                .map(|value| value.bytes().collect::<Vec<_>>())
        };
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let field = message.boot_file_field().split(|&byte| byte == 0);
        let field = field.map(<[u8]>::to_vec).next().unwrap_or_default();
        Self {
            kind: message.kind(),
            xid: header.xid,
            hardware: header.hardware,
            ip: header.your_ip,
            server: message.server_id().expect("four bytes"),
            seconds: message
                .lease_time()
                .expect("four bytes")
                .map(LeaseTime::number),
            client_id: bytes(OptionCode::CLIENT_ID),
            message: bytes(OptionCode::MESSAGE).map(text),
            file: text(bytes(OptionCode::BOOT_FILE_NAME).unwrap_or(field)),
            relay: bytes(OptionCode::RELAY_INFO),
        }
    }
}

/// The address that a client is offered.
pub fn offered(way: &impl Way, who: &Who) -> Option<Ipv4Addr> {
    let reply = Ask::discover(who).answer(way)?;
    assert_eq!(reply.kind, MessageType::Offer, "{reply:?}");
    Some(reply.ip)
}

/// The address that a client gets, from the first word to the last.
#[track_caller]
pub fn obtain(way: &impl Way, who: &Who) -> Ipv4Addr {
    let offer = Ask::discover(who).answer(way).expect("an offer");
    assert_eq!(offer.kind, MessageType::Offer, "{offer:?}");
    let server = offer.server.expect("offers say who makes them");
    let reply = Ask::select(who, offer.ip, server).answer(way);
    let reply = reply.expect("an answer");
    assert_eq!(
        (reply.kind, reply.ip),
        (MessageType::Ack, offer.ip),
        "{reply:?}"
    );
    offer.ip
}

/// That this is not answered: what is asked behind it is.
#[track_caller]
pub fn stays_unanswered(way: &impl Way, silent: &Ask, known: &Who, known_ip: Ipv4Addr) {
    silent.say(way);
    let question = Ask::reboot(known, known_ip);
    question.say(way);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let reply = way.receive(left).expect("the other one is answered");
        let reply = Reply::parse(&reply);
        assert_ne!(reply.xid, silent.xid(), "{silent:?} is answered: {reply:?}");
        if reply.xid == question.xid() {
            assert_eq!(reply.kind, MessageType::Ack, "{reply:?}");
            return;
        }
    }
}
