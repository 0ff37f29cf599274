//! Rows that say what one frame does to a cache, under each profile.

use whohas::cache::{DropReason, EntryState, Received};
use whohas::wire::Operation;
use whohas::{Policy, UnicastMac, VlanId};

use crate::support::{Frame, Rig, Sent, mac, rigs};

/// What one frame does to a cache, and what is known of its sender afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    received: Received,
    answered: bool,
    known: Option<(EntryState, Option<UnicastMac>)>,
}

/// It is answered, and nothing is learnt from it.
pub fn answered() -> Outcome {
    Outcome {
        answered: true,
        ..learnt()
    }
}

/// It has an effect, but no answer.
pub fn learnt() -> Outcome {
    Outcome {
        received: Received::Accepted,
        answered: false,
        known: None,
    }
}

/// It is dropped in silence and adds one to this counter.
pub fn ignored(reason: DropReason) -> Outcome {
    Outcome {
        received: Received::Dropped(reason),
        ..learnt()
    }
}

impl Outcome {
    /// The sender is then known to be at `mac(n)`.
    pub fn at(self, state: EntryState, n: u8) -> Self {
        Self {
            known: Some((state, Some(mac(n)))),
            ..self
        }
    }

    /// The sender is then still being asked for.
    pub fn unresolved(self) -> Self {
        Self {
            known: Some((EntryState::Incomplete, None)),
            ..self
        }
    }
}

/// What `Policy::LINUX` does, beside what Linux does.
#[derive(Clone, Copy, Debug)]
pub enum Linux {
    /// The same.
    Like(Outcome),
    /// Something else, for this reason.
    Unlike(Outcome, &'static str),
}

/// One or more frames to which the same must happen; each goes to a cache of its own.
pub struct Row {
    pub id: &'static str,
    pub frames: Vec<Frame>,
    pub linux: Linux,
    pub strict: Outcome,
    pub rfc826: Outcome,
}

/// Every frame of every row, under every profile, on both storages, after `prepare`.
pub fn check(rows: &[Row], prepare: impl Fn(&mut Rig)) {
    for row in rows {
        let (linux, why) = match row.linux {
            Linux::Like(outcome) => (outcome, "as Linux does"),
            Linux::Unlike(outcome, why) => (outcome, why),
        };
        for (profile, policy, expected, why) in [
            ("LINUX", Policy::LINUX, linux, why),
            ("STRICT", Policy::STRICT, row.strict, ""),
            ("RFC826", Policy::RFC826, row.rfc826, ""),
        ] {
            for frame in &row.frames {
                for mut rig in rigs(policy) {
                    prepare(&mut rig);
                    let outcome = outcome_of(&mut rig, *frame);
                    assert_eq!(
                        outcome, expected,
                        "{} under {profile} ({why}): {frame:?}",
                        row.id
                    );
                }
            }
        }
    }
}

fn outcome_of(rig: &mut Rig, frame: Frame) -> Outcome {
    rig.sent.clear();
    let received = rig.receive(frame);
    let sent = rig.take_sent();
    for answer in &sent {
        assert_answers(frame, answer);
    }
    assert!(sent.len() <= 1, "one answer, not more: {sent:?}");
    Outcome {
        received,
        answered: !sent.is_empty(),
        known: rig.entry(frame.spa).map(|entry| (entry.state, entry.mac)),
    }
}

/// RFC 826: the fields swapped, our own address filled in, to the one who asked.
#[track_caller]
pub fn assert_answers(request: Frame, answer: &Sent) {
    let packet = answer.packet;
    assert_eq!(packet.operation, Operation::Reply);
    assert_eq!(answer.header.destination, request.sha);
    assert_eq!(
        (packet.target_mac, packet.target_ip),
        (request.sha, request.spa)
    );
    assert_eq!(packet.sender_ip, request.tpa);
    assert_eq!(answer.header.source, packet.sender_mac.get());
    assert_eq!(
        answer.header.tag.and_then(|tag| tag.id).map(VlanId::get),
        request.vlan
    );
}
