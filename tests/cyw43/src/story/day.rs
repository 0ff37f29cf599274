//! A day on which everything goes wrong.

use core::ops::Range;
use core::time::Duration;

use whohas_servers::collector::Manner;

use super::{Flood, Story};
use crate::air::Faults;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// When the radio loses one frame in five.
pub const LOSSY: Range<Duration> = Duration::from_secs(9 * 3_600)..Duration::from_secs(11 * 3_600);

/// 24 hours, of which the last three are quiet. A third of the broadcasts is lost while the chip dozes,
/// all day.
pub fn day(story: &mut Story) {
    let began = story.lab.world.now();
    let at = |hours: u32| began + HOUR * hours;
    let faults = Faults::default()
        .lose_broadcasts(0.33)
        .ap_reboot(at(15), MINUTE)
        .link_loss(at(16), 5 * MINUTE)
        .link_loss(at(17), Duration::from_secs(2))
        .credit_stall(at(18), Duration::from_secs(3))
        .rx_overflow(at(19), Duration::from_secs(3));
    story.lab.air.set_faults(faults);
    story.run_for(HOUR);

    story.lose(0.01);
    story.run_for(3 * HOUR);
    story.lose(0.0);
    story.run_for(HOUR);

    story.collector.set_down(true);
    story.run_for(HOUR);
    story.collector.set_down(false);
    story.run_for(HOUR);

    // Three restarts: it keeps its sessions twice.
    for keeps in [true, true, false] {
        story.broker.set_down(true);
        if !keeps {
            story.broker.forget();
        }
        story.run_for(MINUTE);
        story.broker.set_down(false);
        story.run_for(19 * MINUTE);
    }

    let pause = Duration::from_millis(40);
    Flood::new(&story.lab).start(&mut story.lab, 10 * MINUTE, pause);
    story.run_for(HOUR);

    story.lose(0.2);
    story.run_for(2 * HOUR);
    story.lose(0.0);
    // The air has its turn from the 15th hour to the 20th.
    story.run_for(9 * HOUR);

    let cut = Manner::AndClose("HTTP/1.1 200".into());
    for manner in [Manner::Silence, cut, Manner::status("503 Busy")] {
        story.collector.usually(Some(manner));
        story.run_for(20 * MINUTE);
    }
    story.collector.usually(None);
    story.run_for(3 * HOUR);
}
