//! How long a simulated day takes, idle and busy: `cargo bench -p whohas-cyw43-tests --bench pace`. One
//! row per line.

use core::net::SocketAddrV4;
use core::time::Duration;
use std::time::Instant;

use embedded_io_async::{Read, Write};
use whohas::time::{Clock, Timer};
use whohas_cyw43_tests::Lab;
use whohas_stacks::{PORT, ip};

const DAY: u64 = 24 * 3_600;

fn main() {
    pace("joined, and nothing to say", DAY, |lab| {
        lab.join();
    });
    pace("an echo of 100 bytes every 30 s", DAY, |lab| {
        converse(lab, Duration::from_secs(30));
    });
    pace("an echo of 100 bytes every second", DAY, |lab| {
        converse(lab, Duration::from_secs(1));
    });
    pace("an echo of 100 bytes after the other", 10, |lab| {
        converse(lab, Duration::ZERO);
    });
    pace("a dial every 30 s, as the bug had it", DAY, dial);
}

fn pace(name: &str, secs: u64, busy: impl FnOnce(&mut Lab)) {
    let mut lab = Lab::new(42);
    busy(&mut lab);
    let start = Instant::now();
    lab.world.run_for(Duration::from_secs(secs));
    let took = start.elapsed();
    let value = took.as_secs_f64();
    let case = format!("{secs} s: {name}");
    println!(r#"{{"case":"{case}","who":"whohas","value":{value},"unit":"s"}}"#);
}

/// Says 100 bytes on one connection, and waits for them to come back.
fn converse(lab: &mut Lab, pause: Duration) {
    lab.echo_at(2);
    let us = lab.join();
    lab.world.spawn(async move {
        let remote = SocketAddrV4::new(ip(2), PORT);
        let mut connection = us.net.dial(remote).await.expect("a connection");
        let mut bytes = [0; 100];
        loop {
            connection.write_all(&bytes).await.expect("it lasts");
            connection.flush().await.expect("it lasts");
            connection.read_exact(&mut bytes).await.expect("an answer");
            us.clock.wait_until(us.clock.now() + pause).await;
        }
    });
}

/// Dials, says 100 bytes, waits for them to come back, and hangs up.
fn dial(lab: &mut Lab) {
    lab.echo_at(2);
    let us = lab.join();
    lab.world.spawn(async move {
        let remote = SocketAddrV4::new(ip(2), PORT);
        loop {
            let mut connection = us.net.dial(remote).await.expect("a connection");
            let mut bytes = [0; 100];
            connection.write_all(&bytes).await.expect("it lasts");
            connection.flush().await.expect("it lasts");
            connection.read_exact(&mut bytes).await.expect("an answer");
            connection.close().await.expect("both are done");
            us.clock
                .wait_until(us.clock.now() + Duration::from_secs(30))
                .await;
        }
    });
}
