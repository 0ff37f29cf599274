//! Captures as other people's tools see them.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use super::*;

/// Runs only where tcpdump is: the bytes themselves are tested beside the writer.
#[test]
fn tcpdump_reads_what_we_write() {
    let (mut lan, us) = lan_with(host(PEER).answers_after(millis(1_500)));
    lan.send(us, &broadcast(who_has(ip(PEER))));
    lan.send(
        us,
        &frame(who_has(ip(PEER)), mac(PEER), VlanId::new(10).ok()),
    );
    lan.advance_to(Instant::from_secs(2));
    let spawned = Command::new("tcpdump")
        .args(["-ttnner", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut tcpdump = match spawned {
        Err(error) if error.kind() == ErrorKind::NotFound => return,
        other => other.unwrap(),
    };
    let mut stdin = tcpdump.stdin.take().unwrap();
    stdin.write_all(&lan.log().to_pcapng()).unwrap();
    drop(stdin);
    let output = tcpdump.wait_with_output().unwrap().stdout;
    let text = String::from_utf8(output).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [asked, tagged, answered] = lines[..] else {
        panic!("{text}");
    };
    assert!(
        asked.starts_with("0.000000 02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff"),
        "{asked}"
    );
    assert!(asked.contains("who-has 10.0.0.2 tell 10.0.0.1"), "{asked}");
    assert!(tagged.contains("vlan 10"), "{tagged}");
    assert!(answered.starts_with("1.500000"), "{answered}");
    assert!(
        answered.contains("10.0.0.2 is-at 02:00:00:00:00:02"),
        "{answered}"
    );
}
