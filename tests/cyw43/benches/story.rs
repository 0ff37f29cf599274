//! The same application through the same troubles on `net`, on embassy-net and on embassy-net behind
//! the adapter: `cargo bench -p whohas-cyw43-tests --bench story`. One row per line, the mean of a few
//! seeds,
//! or one story of each kind where that is to be quick.

use core::ops::Range;
use core::time::Duration;

use whohas_cyw43_tests::Faults;
use whohas_cyw43_tests::story::{Figures, Flood, Plot, Story, Who, day};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const SEEDS: Range<u64> = 42..50;

type Trouble = fn(&mut Story);

const TROUBLES: [(&str, Trouble); 7] = [
    ("1 % loss, 2 h", |story| {
        story.lose(0.01);
        story.run_for(2 * HOUR);
    }),
    ("20 % loss, 10 h", |story| {
        story.lose(0.2);
        story.run_for(10 * HOUR);
    }),
    ("collector down for 1 h", |story| {
        story.collector.set_down(true);
        story.run_for(HOUR);
        story.collector.set_down(false);
        story.run_for(HOUR);
    }),
    ("3 restarts of the broker", |story| {
        for _ in 0..3 {
            story.broker.set_down(true);
            story.run_for(MINUTE);
            story.broker.set_down(false);
            story.run_for(19 * MINUTE);
        }
    }),
    ("200 neighbours for 10 min", |story| {
        let pause = Duration::from_millis(50);
        Flood::new(&story.lab).start(&mut story.lab, 10 * MINUTE, pause);
        story.run_for(10 * MINUTE);
    }),
    ("restart of the access point", |story| {
        let faults = Faults::default().ap_reboot(story.lab.world.now(), MINUTE);
        story.lab.air.set_faults(faults);
        story.run_for(HOUR);
    }),
    ("a day of everything", day),
];

fn main() {
    // As criterion is told to be quick.
    let is_quick = std::env::args().any(|argument| argument == "--measurement-time");
    let seeds = if is_quick { 42..43 } else { SEEDS };
    for (name, trouble) in TROUBLES {
        for who in Who::ALL {
            let stories = tell(trouble, seeds.clone(), |seed| Plot {
                who,
                ..Plot::new(seed)
            });
            report(name, who.name(), &stories);
            let quiet = tell(trouble, seeds.clone(), |seed| Plot {
                who,
                has_telemetry: false,
                ..Plot::new(seed)
            });
            let reconnects = mean(&quiet, |figures| figures.reconnects.into());
            row(
                name,
                "MQTT reconnects without telemetry",
                who.name(),
                reconnects,
                "",
            );
        }
    }
}

fn tell(trouble: Trouble, seeds: Range<u64>, plot: impl Fn(u64) -> Plot) -> Vec<Figures> {
    let stories = seeds.map(|seed| {
        let mut story = Story::begin(plot(seed));
        story.run_for(MINUTE);
        trouble(&mut story);
        story.figures()
    });
    stories.collect()
}

fn report(name: &str, who: &str, stories: &[Figures]) {
    let row = |what, of: fn(&Figures) -> f64, unit| row(name, what, who, mean(stories, of), unit);
    row("everybody asked", |f| f.asked_all as f64, "frames");
    row("server asked", |f| f.asked_one as f64, "frames");
    row("dials", |f| f.dials.into(), "");
    row("MQTT reconnects", |f| f.reconnects.into(), "");
    row(
        "longest wait for the broker",
        |f| f.longest_gap.as_secs_f64(),
        "s",
    );
    row("messages refused", |f| f.refused.into(), "");
    row("records delivered", |f| f.delivered.into(), "");
    row("records dropped", |f| f.dropped.into(), "");
}

fn mean(stories: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    stories.iter().map(of).sum::<f64>() / stories.len() as f64
}

fn row(name: &str, what: &str, who: &str, value: f64, unit: &str) {
    println!(r#"{{"case":"{name}: {what}","who":"{who}","value":{value},"unit":"{unit}"}}"#);
}
