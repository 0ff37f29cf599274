//! V24, CVE-2015-8373 (Kea): a server that crashed only where debug logging was on. So everything
//! that can be shown is shown, for every frame of the corpus, and with every level of logging.

use std::collections::HashSet;
use std::fmt::{Debug, Display};
use std::mem::discriminant;
use std::time::Duration;

use whohas::cache::{
    AddressError, Cache, Destination, DropReason, EntryState, Event, Fixed, Growable, HoldError,
    InsertError, LinkDown, NotKnown, Removal, Status, Storage, Subject, TooManyLeases, Trust,
};
use whohas::wire::{
    ArpError, ArpPacket, BufferTooSmall, EthernetError, EthernetFrame, HardwareTypes,
    InvalidVlanId, NotUnicast, Operation, ParseMacError, VlanTag,
};
use whohas::{Instant, Key, MacAddr, Policy, Prefix, VlanId};

use crate::corpus;
use crate::support::{DUT, Frame, OFF_LINK, SLOTS, ip, mac, rigs};

const PROFILES: [Policy; 3] = [Policy::STRICT, Policy::LINUX, Policy::RFC826];

/// As people read it: one line that says something.
#[track_caller]
fn shown(value: impl Display) {
    let text = value.to_string();
    assert!(!text.is_empty());
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// As programmers read it, in both forms.
#[track_caller]
fn debugged(value: impl Debug) {
    assert!(!format!("{value:?}").is_empty());
    assert!(!format!("{value:#?}").is_empty());
}

#[track_caller]
fn both(value: impl Debug + Display) {
    debugged(&value);
    shown(&value);
}

#[test]
fn v24_every_value_that_does_not_come_from_a_frame_can_be_shown() {
    let vlan = VlanId::new(10).unwrap();
    let tagged = Key {
        vlan: Some(vlan),
        ip: ip(2),
    };
    both(MacAddr::BROADCAST);
    both(mac(2));
    both(vlan);
    both(Key::from(ip(2)));
    both(tagged);
    for instant in [Instant::ZERO, Instant::FAR_FUTURE] {
        both(instant);
    }
    debugged([Subject::Address(tagged), Subject::Station(mac(2))]);
    debugged(Prefix::new(ip(DUT), 24).unwrap().on_vlan(vlan));
    debugged(VlanTag::new(vlan));
    debugged([HardwareTypes::Ethernet, HardwareTypes::EthernetOrIeee802]);
    debugged([Operation::Request, Operation::Reply]);
    debugged(PROFILES);
    debugged([LinkDown::Abort, LinkDown::Park]);
    debugged([Trust::Nothing, Trust::Verify, Trust::Update, Trust::Create]);
    debugged([Status::Gone, Status::Pending, Status::Unreachable]);
    debugged(Status::Resolved(mac(2)));
    debugged([
        Removal::Commanded,
        Removal::Denied,
        Removal::Evicted,
        Removal::Expired,
        Removal::Leased,
    ]);
    for reason in DropReason::ALL {
        debugged(reason);
        shown(reason.name());
    }
    for state in [
        EntryState::Delay,
        EntryState::Denied,
        EntryState::Failed,
        EntryState::Incomplete,
        EntryState::Probe,
        EntryState::Reachable,
        EntryState::Stale,
        EntryState::Static,
    ] {
        debugged(state);
        shown(state.name());
    }
}

#[test]
fn v24_every_error_can_be_shown() {
    let destinations = [
        Destination::Broadcast,
        Destination::Invalid,
        Destination::Local,
        Destination::Multicast(MacAddr::BROADCAST),
        Destination::OffLink,
        Destination::OnLink { source: ip(DUT) },
    ];
    for destination in destinations {
        debugged(destination);
        both(HoldError::NotANeighbour(destination));
        both(InsertError::NotANeighbour(destination));
    }
    for error in [
        HoldError::Denied,
        HoldError::NoAddress,
        HoldError::OffLink,
        HoldError::TableFull,
        HoldError::TooManyHolds,
        HoldError::TooManyUnresolved,
    ] {
        both(error);
    }
    for error in [
        AddressError::NotAHost(OFF_LINK),
        AddressError::PrefixLen(33),
        AddressError::TooMany,
    ] {
        both(error);
    }
    for error in [
        ArpError::HardwareLen(0),
        ArpError::HardwareType(99),
        ArpError::Operation(26),
        ArpError::ProtocolLen(0),
        ArpError::ProtocolType(0x86dd),
        ArpError::SenderMac(MacAddr::BROADCAST),
        ArpError::Truncated,
    ] {
        both(error);
    }
    for error in [
        EthernetError::LengthField,
        EthernetError::StackedTags,
        EthernetError::Truncated,
        EthernetError::VlanReserved,
    ] {
        both(error);
    }
    both(InsertError::TableFull);
    both(NotKnown);
    both(TooManyLeases);
    both(ParseMacError);
    both(NotUnicast(MacAddr::ZERO));
    both(InvalidVlanId(u16::MAX));
    both(BufferTooSmall {
        needed: 60,
        available: 0,
    });
}

/// Headers, packets, what became of them, and what the cache then holds and sends.
#[test]
fn v24_every_frame_of_the_corpus_can_be_shown_and_so_can_all_it_leads_to() {
    for policy in PROFILES {
        tell_of_the_corpus(Cache::new(policy, Fixed::<SLOTS>::new()));
        tell_of_the_corpus(Cache::new(policy, Growable::new(SLOTS)));
    }
}

fn tell_of_the_corpus<S: Storage + Debug>(mut cache: Cache<S>) {
    let mut now = Instant::ZERO;
    cache.set_mac(now, mac(DUT));
    let ours = Prefix::new(ip(DUT), 24).unwrap();
    cache.set_addresses(now, &[ours]).unwrap();
    cache.insert_static(ip(200), mac(200)).unwrap();
    cache.deny(now, mac(66), None).unwrap();
    debugged(cache.hold(ip(2)));
    tell_outputs(&mut cache, now);
    for exhibit in corpus::read() {
        now += Duration::from_millis(700);
        parse_and_tell(&exhibit.frame);
        debugged(cache.receive(now, &exhibit.frame));
        tell_outputs(&mut cache, now);
        cache.handle_timeout(now);
        tell_outputs(&mut cache, now);
        cache.entries().for_each(both);
        debugged(&cache);
        debugged(cache.counters());
        cache.counters().dropped.iter().for_each(debugged);
    }
}

fn parse_and_tell(frame: &[u8]) {
    match EthernetFrame::parse(frame) {
        Ok(frame) => {
            debugged(frame);
            debugged(frame.header);
            match ArpPacket::parse(frame.payload, HardwareTypes::Ethernet) {
                Ok(packet) => debugged(packet),
                Err(error) => both(error),
            }
        }
        Err(error) => both(error),
    }
}

fn tell_outputs<S: Storage + Debug>(cache: &mut Cache<S>, now: Instant) {
    while let Some(event) = cache.poll_event() {
        debugged(event);
    }
    while let Some(transmit) = cache.poll_transmit(now) {
        debugged(&transmit);
        debugged(transmit.packet());
        transmit.emit(&mut [0; 60]).expect("room for a frame");
    }
}

/// Addresses claimed, conflicts, flushes, moves, removals, resolutions, silence: every kind of event
/// but `Lost`, which nobody who drains can see.
fn all_events() -> Vec<Event> {
    let mut events = Vec::new();
    for policy in PROFILES {
        for mut rig in rigs(policy) {
            let hold = rig.hold(ip(2)).unwrap();
            let _silent = rig.hold(ip(3)).unwrap();
            rig.accept(Frame::reply(mac(2), ip(2)));
            for exhibit in corpus::read() {
                rig.receive_bytes(&exhibit.frame);
            }
            rig.receive(Frame::reply(mac(9), ip(2)));
            rig.receive(Frame::announcement(mac(9), ip(2)));
            rig.lease(ip(3), mac(3), None);
            rig.receive(Frame::announcement(mac(9), ip(3)));
            rig.run_for(Duration::from_secs(3));
            rig.release(hold);
            rig.remove(ip(2));
            rig.flush();
            events.extend(rig.take_events());
        }
    }
    let kinds: HashSet<_> = events.iter().map(discriminant).collect();
    assert_eq!(kinds.len(), 8);
    events
}

#[test]
fn v24_every_event_can_be_shown() {
    all_events().into_iter().for_each(debugged);
    debugged(Event::Lost);
}

/// A logger that formats all it gets, as loggers do, and counts the lines of its own thread.
#[cfg(feature = "log")]
mod counting {
    use std::cell::Cell;

    use log::{Log, Metadata, Record};

    thread_local! {
        pub static LINES: Cell<usize> = const { Cell::new(0) };
    }

    #[derive(Debug)]
    pub struct Logger;

    impl Log for Logger {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &Record<'_>) {
            super::shown(record.args());
            LINES.set(LINES.get() + 1);
        }

        fn flush(&self) {}
    }
}

#[cfg(feature = "log")]
#[test]
fn v24_logging_at_every_level_changes_nothing_but_what_is_logged() {
    use log::LevelFilter;

    let events = all_events();
    log::set_logger(&counting::Logger).expect("the only logger of this process");
    let lines = [
        LevelFilter::Off,
        LevelFilter::Error,
        LevelFilter::Warn,
        LevelFilter::Info,
        LevelFilter::Debug,
        LevelFilter::Trace,
    ]
    .map(|level| {
        log::set_max_level(level);
        counting::LINES.set(0);
        assert_eq!(all_events(), events, "{level}");
        counting::LINES.get()
    });
    let [off, error, warn, info, debug, trace] = lines;
    assert_eq!((off, error), (0, 0), "nothing that we meet is our error");
    assert!(warn > 0 && info > warn && debug > info, "{lines:?}");
    assert_eq!(trace, debug);
}

/// Only that they have it: what it says is seen on a device. `Cache`, its storages and `Transmit`
/// are no values, and have none.
#[cfg(feature = "defmt")]
#[test]
fn v24_every_public_value_has_a_defmt_format() {
    use whohas::cache::{Counters, Drops, Entry, HoldKey, Rate, Received};
    use whohas::wire::{EtherType, EthernetHeader};

    fn formatted<T: defmt::Format>() {}
    formatted::<(Instant, Key, MacAddr, Policy, Prefix, whohas::UnicastMac)>();
    formatted::<(VlanId, VlanTag, EtherType, EthernetHeader, EthernetError)>();
    formatted::<EthernetFrame<'_>>();
    formatted::<(ArpPacket, ArpError, Operation, HardwareTypes)>();
    formatted::<(BufferTooSmall, InvalidVlanId, NotUnicast, ParseMacError)>();
    formatted::<(AddressError, HoldError, InsertError, NotKnown)>();
    formatted::<TooManyLeases>();
    formatted::<(Destination, DropReason, EntryState, Event, Removal, Status)>();
    formatted::<(Counters, Drops, Entry, HoldKey, Rate, Received)>();
    formatted::<(LinkDown, Subject, Trust)>();
}

/// The same of what a DHCP server says and is told.
#[cfg(feature = "defmt")]
#[test]
fn v24_every_value_of_a_dhcp_server_has_a_defmt_format() {
    use whohas::dhcp::server::{
        Binding, BindingState, DeclineVerdict, Destination, DropReason, Event, InterfaceId,
        LeaseTimes, LoadError, PlanError, Policy, Pool, Probe, ProbeResult, Received, StoreResult,
        Transmit, Usage,
    };
    use whohas::dhcp::store::{Cause, Expiry, Outcome, Refusal, Ticket, Version};
    use whohas::wire::dhcp::{ClientHardware, DhcpHeader, DhcpOp, LeaseTime, MessageType};

    fn formatted<T: defmt::Format>() {}
    formatted::<(Binding<'_>, BindingState, Event, Probe, Transmit, Usage)>();
    formatted::<(DeclineVerdict, DropReason, ProbeResult, StoreResult)>();
    formatted::<(Destination, InterfaceId, LeaseTimes, Policy, Pool, Received)>();
    formatted::<(LoadError, PlanError, whohas::dhcp::server::Counters)>();
    formatted::<(Cause, Expiry, Outcome, Refusal, Ticket, Version)>();
    formatted::<(ClientHardware, DhcpHeader, DhcpOp, LeaseTime, MessageType)>();
}
