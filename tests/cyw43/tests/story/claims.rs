//! What is true at the end of every story.

use core::num::NonZeroU16;
use core::time::Duration;

use whohas::net::TcpError;
use whohas_cyw43_tests::host::CONNECTIONS;
use whohas_cyw43_tests::story::{Figures, SERVER, Signal, Story};
use whohas_stacks::ip;

/// Beside the server, the one that the address is from.
const ENTRIES: usize = 2;
/// How long a connection that was given up may take to close, and what a look every second adds.
const LINGER: Duration = Duration::from_secs(12);

/// Both are connected, nothing was leaked, and nothing was lost in silence.
#[track_caller]
pub fn all_is_well(story: &mut Story) -> Figures {
    // To where nothing is on its way.
    story.run_for(Duration::from_secs(15));
    let figures = story.figures();
    println!("{figures:?}");
    let us = story.us.clone().expect("`net`");
    assert_eq!(us.holds(ip(SERVER)), 2);
    assert!(figures.most_entries <= ENTRIES, "{figures:?}");
    assert!(figures.longest_crowd <= LINGER, "{figures:?}");
    assert_eq!(
        figures.asked_all as u32,
        story.lab.attempts.joined(),
        "one question each time that the neighbours were forgotten: {:?}",
        story.questions()
    );
    every_message_has_arrived(story);
    every_record_is_accounted_for(story);
    every_socket_is_there(story);
    figures
}

/// In order; those whose acknowledgement was lost more than once.
#[track_caller]
fn every_message_has_arrived(story: &Story) {
    let counters = story.device.outbox.counters();
    assert_eq!(story.device.outbox.waiting(), 0);
    assert_eq!(counters.published, counters.accepted);
    let (taken, refused) = story.messages();
    assert!(refused.len() as u32 <= counters.overflowed);
    let mut heard = story.heard();
    heard.dedup();
    assert_eq!(heard, taken);
}

/// What the device thinks the collector has is there, and what it thinks is gone is the rest.
#[track_caller]
fn every_record_is_accounted_for(story: &mut Story) {
    let counters = story.device.telemetry.counters();
    let ledger = story.ledger();
    let unheard = ledger.exports() - counters.exports.taken;
    for (signal, ring, room) in [
        (Signal::Logs, counters.logs, 16),
        (Signal::Points, counters.points, 64),
        (Signal::Spans, counters.spans, 8),
    ] {
        let waiting = ring.recorded - ring.delivered - ring.rejected - ring.dropped;
        assert!(waiting <= room, "{signal:?}: {ring:?}");
        let there = ledger.records(signal) as u32;
        assert!(there >= ring.delivered, "{signal:?}: {there} of {ring:?}");
        let missing = ring.recorded - there;
        assert!(
            missing <= ring.dropped + waiting,
            "{signal:?}: {there} of {ring:?}"
        );
        if unheard == 0 {
            // No answer was lost: once is enough.
            assert_eq!(
                (there, ledger.repeated(signal)),
                (ring.delivered, 0),
                "{signal:?}"
            );
        }
    }
}

/// All that the two connections do not need can be had.
#[track_caller]
fn every_socket_is_there(story: &Story) {
    let us = story.us.as_ref().expect("`net`");
    let free = CONNECTIONS - 2;
    let port = |port| NonZeroU16::new(port).expect("a port");
    let all = us.net.listen(port(1), free);
    assert!(all.is_ok());
    let more = us.net.listen(port(2), 1);
    assert_eq!(more.err(), Some(TcpError::OutOfSockets));
}
