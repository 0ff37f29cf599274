//! What became of the frames in the air.

/// What an [`Air`](super::Air) has counted since it was made.
///
/// `from_station = sent + lost_up + not_associated_up`, and `for_station` is the sum of `delivered`,
/// of all that names a reason why it was not, and of what [waits](super::Air::waiting).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that the chip gave to the air.
    pub from_station: u64,
    /// Those that got to the LAN.
    pub sent: u64,
    /// Nobody was there to hear them.
    pub lost_up: u64,
    /// The station had not joined, or the access point did not know it any more.
    pub not_associated_up: u64,
    /// Frames that came from the LAN to the access point.
    pub for_station: u64,
    /// Those that the chip has for the host.
    pub delivered: u64,
    /// Nobody was there to send or to hear them.
    pub lost_down: u64,
    /// The station had not joined.
    pub not_associated_down: u64,
    /// For another station, or for a group that this one does not listen to.
    pub filtered: u64,
    /// Too long for the host.
    pub oversized: u64,
    /// The chip had no room for them.
    pub overflowed: u64,
    /// The access point had no room for what waits for a station that dozes.
    pub unbuffered: u64,
    /// To all or to a group, and lost while the station dozed.
    pub groups_lost: u64,
    /// To all or to a group, and the station did not listen that time.
    pub groups_slept_through: u64,
    /// Frames to the station that waited until it woke up.
    pub delayed: u64,
    /// Frames to all or to a group that waited until it is their time.
    pub groups_delayed: u64,
    /// How often the station has joined.
    pub joins: u64,
    /// How often it was not let in.
    pub failed_joins: u64,
    /// How often it gave up an access point of which nothing was heard.
    pub beacon_losses: u64,
    /// How often it was told that it is not known.
    pub deauthentications: u64,
    /// Events that were told later than they happened.
    pub late_events: u64,
    /// How often there was a time in which the chip sent nothing.
    pub credit_stalls: u64,
    /// How often there was a time in which the host was told of nothing.
    pub rx_stalls: u64,
}

impl Counters {
    /// Frames for the station that it did not get.
    pub const fn dropped(&self) -> u64 {
        self.lost_down
            + self.not_associated_down
            + self.filtered
            + self.oversized
            + self.overflowed
            + self.unbuffered
            + self.groups_lost
            + self.groups_slept_through
    }
}
