//! Writes the seeds of the fuzz targets into `fuzz/corpus`: always the same ones.
//!
//! Every run of bytes is a script, so random bytes make scripts of everything; what they hardly ever
//! make is a legal frame, so the targets that read frames get some of each kind.

use std::path::Path;
use std::{fs, io};

use whohas::UnicastMac;
use whohas::wire::dhcp::{DhcpHeader, DhcpOp, MessageBuilder, MessageType, OptionCode};
use whohas_model::{Address, Damage, Frame, Place, Speech, Station};

fn main() -> io::Result<()> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for number in 0..32 {
        let script = random.bytes(128 + 48 * number);
        write("operations", number, &script)?;
    }
    for (number, message) in messages().iter().enumerate() {
        write("dhcp", number, message)?;
    }
    let frames = frames();
    for (number, frame) in frames.iter().enumerate() {
        write("arp_roundtrip", number, frame)?;
    }
    for number in 0..32 {
        // No script, the profile's number, then frames with a pause after each.
        let mut script = vec![0];
        script.extend(random.bytes(4));
        for _ in 0..12 {
            let [pick] = random.bytes(1)[..] else { break };
            let frame = &frames[usize::from(pick) % frames.len()];
            script.push(frame.len() as u8);
            script.extend(frame);
            // A clear top bit: microseconds or milliseconds, so always six bytes.
            let mut pause = random.bytes(6);
            pause[3] &= 0x7f;
            script.extend(pause);
        }
        write("frame", number, &script)?;
    }
    // One deed all over again, and deeds of all kinds.
    for number in 0..32 {
        let mut script = random.bytes(2);
        script.push(0xff);
        for _ in 0..24 {
            let deed = match number {
                0..16 => number as u8 | 0x10,
                _ => random.bytes(1)[0],
            };
            // Between two of them some frames pass.
            script.extend([deed, 12, 0x18, 20, 0x20]);
        }
        write("stacks", number, &script)?;
    }
    for number in 0..32 {
        let life = random.bytes(256 + 48 * number);
        write("dhcp_server", number, &life)?;
    }
    Ok(())
}

fn write(target: &str, number: usize, bytes: &[u8]) -> io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let folder = corpus.join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("seed-{number:02}")), bytes)
}

/// A DHCP message of each type, with options in the field for them, split, and elsewhere.
fn messages() -> Vec<Vec<u8>> {
    use MessageType::*;
    let kinds = [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform];
    let lists = [
        1, 3, 6, 12, 15, 26, 28, 42, 50, 51, 54, 55, 57, 58, 59, 60, 61, 66, 81, 82,
    ];
    let mac = UnicastMac::new([2, 0, 0, 0, 0, 1]).expect("a station's");
    let mut messages = Vec::new();
    for kind in kinds {
        let header = DhcpHeader {
            op: match kind {
                Offer | Ack | Nak => DhcpOp::Reply,
                _ => DhcpOp::Request,
            },
            your_ip: [10, 0, 0, 7].into(),
            ..DhcpHeader::request(0x1234_5678, mac)
        };
        for long in [false, true] {
            let mut buffer = [0; 700];
            let builder = MessageBuilder::new(&mut buffer[..540], &header, kind);
            let mut builder = builder.expect("there is room").with_overload();
            for code in lists {
                let value: &[u8] = match code {
                    1 => &[255, 255, 255, 0],
                    26 | 57 => &[5, 220],
                    51 => &[0, 0, 14, 16],
                    82 => &[1, 2, 10, 0],
                    _ => &[10, 0, 0, 254],
                };
                builder
                    .option(OptionCode(code), value)
                    .expect("there is room");
            }
            if long {
                builder
                    .option(OptionCode(43), &[7; 100])
                    .expect("there is room");
                builder
                    .option(OptionCode(12), &[b'x'; 60])
                    .expect("there is room");
                builder
                    .option(OptionCode(12), &[b'y'; 40])
                    .expect("there is room");
            }
            let len = builder.finish();
            messages.push(buffer[..len].to_vec());
        }
    }
    messages
}

/// Of each kind an untouched one, and each kind of damage done to one.
fn frames() -> Vec<Vec<u8>> {
    let us: UnicastMac = Station::US.mac();
    let place = Place::near(5);
    let from = Station::number(3);
    let speeches = [
        Speech::Reply,
        Speech::Request,
        Speech::Announcement,
        Speech::GratuitousReply,
        Speech::Probe,
        Speech::BroadcastReply,
        Speech::UnicastRequest,
        Speech::RequestForAnother,
        Speech::ReplyToAnother,
        Speech::ProbeForOurs,
    ];
    let whole = speeches.map(|speech| Frame::new(speech, place, from));
    let tagged = speeches.map(|speech| Frame::new(speech, place.tagged(), from));
    let damaged = [
        Damage::Relayed(Station::number(4)),
        Damage::PriorityTag,
        // The hardware type, the operation and the sender's first byte.
        Damage::Byte { at: 15, is: 6 },
        Damage::Byte { at: 21, is: 9 },
        Damage::Byte { at: 22, is: 0xff },
        Damage::Cut(13),
        Damage::Cut(21),
        Damage::Cut(41),
    ]
    .map(|damage| Frame {
        damage,
        ..Frame::new(Speech::Reply, place, from)
    });
    let all = whole.iter().chain(&tagged).chain(&damaged);
    all.map(|frame| frame.bytes(us, Address::US)).collect()
}

/// Xorshift: enough to try many things.
struct Random(u64);

impl Random {
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u8
    }
}
