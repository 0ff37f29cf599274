//! What the fuzz targets do, as functions, so that their corpus can be replayed without a fuzzer.

use arbitrary::{Arbitrary, Unstructured};
use whohas::wire::{
    ARP_LEN, ArpError, ArpPacket, ETHERNET_MIN_LEN, EthernetError, EthernetFrame, HardwareTypes,
};

use crate::dhcp;
use crate::profile::Profile;
use crate::rig::Rig;
use crate::server;
use crate::stacks;
use crate::step::{Span, Step, Time, raw_frame};
use crate::store;

/// The longest script that is run: what goes wrong goes wrong sooner.
const STEPS: usize = 255;

/// A fuzz target.
pub struct Target {
    /// The name of its binary, and of its folder in the corpus.
    pub name: &'static str,
    /// Panics where something is wrong.
    pub run: fn(&[u8]),
}

/// All there are.
pub const TARGETS: [Target; 8] = [
    Target {
        name: "arp_roundtrip",
        run: arp_roundtrip,
    },
    Target {
        name: "dhcp",
        run: dhcp,
    },
    Target {
        name: "dhcp_server",
        run: dhcp_server,
    },
    Target {
        name: "frame",
        run: frame,
    },
    Target {
        name: "lease_file",
        run: lease_file,
    },
    Target {
        name: "lease_log",
        run: lease_log,
    },
    Target {
        name: "operations",
        run: operations,
    },
    Target {
        name: "stacks",
        run: stacks,
    },
];

/// A script of operations, run on all kinds of storage and the model side by side.
pub fn operations(bytes: &[u8]) {
    let _ = play(&mut Unstructured::new(bytes), STEPS);
}

/// A script brings the cache into any state; then come frames of nobody knows what, and time.
pub fn frame(bytes: &[u8]) {
    let _ = play_frames(&mut Unstructured::new(bytes));
}

/// A DHCP message of nobody knows what.
pub fn dhcp(bytes: &[u8]) {
    dhcp::play(bytes);
}

/// The life of a DHCP server.
pub fn dhcp_server(bytes: &[u8]) {
    server::play(bytes);
}

/// A lease file of dnsmasq's, and its sidecar, of nobody knows what.
pub fn lease_file(bytes: &[u8]) {
    store::lease_file(bytes);
}

/// A log of leases that is anything else.
pub fn lease_log(bytes: &[u8]) {
    store::log(bytes);
}

/// Two stacks talk while somebody in between does to their frames what the bytes say.
pub fn stacks(bytes: &[u8]) {
    stacks::play(bytes);
}

/// The profile and up to `steps` steps; an error says that the bytes are used up.
fn play(bytes: &mut Unstructured<'_>, steps: usize) -> arbitrary::Result<Rig> {
    let mut rig = Rig::new(Profile::arbitrary(bytes)?.policy());
    for _ in 0..steps {
        if bytes.is_empty() {
            break;
        }
        rig.run(&[Step::arbitrary(bytes)?]);
    }
    Ok(rig)
}

fn play_frames(bytes: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let setup = bytes.int_in_range(0..=STEPS)?;
    let mut rig = play(bytes, setup)?;
    for _ in 0..STEPS {
        if bytes.is_empty() {
            break;
        }
        rig.run(&[
            Step::ReceiveBytes(raw_frame(bytes)?),
            Step::Time(Time::Sleep(Span::arbitrary(bytes)?)),
        ]);
    }
    Ok(())
}

/// What was parsed and is emitted again parses to the same, and says what it was told to say.
pub fn arp_roundtrip(bytes: &[u8]) {
    let frame = match EthernetFrame::parse(bytes) {
        Ok(frame) => frame,
        Err(error) => {
            let _ = (error.to_string(), format!("{error:?}"));
            assert!(error != EthernetError::Truncated || bytes.len() < 18);
            return;
        }
    };
    let header = frame.header;
    let mut emitted = vec![0xca; header.len() + frame.payload.len()];
    let rest = header.emit(&mut emitted).expect("room for the header");
    rest.copy_from_slice(frame.payload);
    assert_eq!(emitted, bytes, "an Ethernet frame");

    for hardware in [HardwareTypes::Ethernet, HardwareTypes::EthernetOrIeee802] {
        match ArpPacket::parse(frame.payload, hardware) {
            Ok(packet) => {
                packet_roundtrip(packet, frame.payload);
                let vlan = header.tag.and_then(|tag| tag.id);
                let mut buffer = [0xca; ETHERNET_MIN_LEN];
                let len = packet
                    .emit_frame(header.destination, vlan, &mut buffer)
                    .expect("room for the frame");
                let again = EthernetFrame::parse(&buffer[..len]).expect("our own frame");
                assert_eq!(again.header.destination, header.destination);
                assert_eq!(again.header.tag.and_then(|tag| tag.id), vlan);
                assert_eq!(ArpPacket::parse(again.payload, hardware), Ok(packet));
                assert!(again.payload[ARP_LEN..].iter().all(|&byte| byte == 0));
            }
            Err(error) => {
                let _ = (error.to_string(), format!("{error:?}"));
                assert!(error != ArpError::Truncated || frame.payload.len() < ARP_LEN);
            }
        }
    }
}

fn packet_roundtrip(packet: ArpPacket, original: &[u8]) {
    let mut emitted = [0xca; ARP_LEN];
    let rest = packet.emit(&mut emitted).expect("room for the packet");
    assert!(rest.is_empty());
    assert_eq!(
        ArpPacket::parse(&emitted, HardwareTypes::Ethernet),
        Ok(packet)
    );
    // All but the hardware type, of which we send only one.
    assert_eq!(emitted[2..], original[2..ARP_LEN]);
    let _ = format!("{packet:?}");
}
