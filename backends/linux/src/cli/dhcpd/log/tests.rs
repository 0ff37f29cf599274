use std::net::Ipv4Addr;

use whohas::UnicastMac;
use whohas::dhcp::server::InterfaceId;
use whohas::wire::dhcp::ClientHardware;

use super::line::LONGEST;
use super::*;

const IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);
const ETH: InterfaceId = InterfaceId(0);
const NOW: Instant = Instant::from_secs(1_767_225_599);

fn mac() -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, 9]).unwrap()
}

fn client() -> ClientHardware {
    ClientHardware::ethernet(mac())
}

fn log(format: Format) -> Log<Vec<u8>> {
    Log::new(Vec::new(), format, Level::Debug)
}

fn text(log: Log<Vec<u8>>) -> String {
    String::from_utf8(log.out).unwrap()
}

fn every_event() -> Vec<Event> {
    let (ip, client, until) = (IP, client(), NOW + Duration::from_secs(300));
    let leased = |renewed, expiry| Event::Leased {
        ip,
        client,
        expiry,
        renewed,
    };
    vec![
        Event::InUse {
            ip,
            interface: ETH,
            mac: mac(),
            probe: 1,
        },
        Event::Clones { ip, mac: mac() },
        Event::NotProbed { ip },
        Event::AnswersForAll { mac: mac() },
        Event::DeclinedNothing { client },
        Event::Declining { ip, client },
        Event::Declined { ip, until },
        Event::Conflict { ip, interface: ETH },
        Event::Cleared { ip },
        leased(false, Expiry::At(until)),
        leased(true, Expiry::Never),
        Event::Released { ip, client },
        Event::Expired { ip, client },
    ]
}

#[test]
fn every_event_has_its_line() {
    let mut log = log(Format::Journal);
    for event in every_event() {
        log.event(NOW, &event);
    }
    assert_eq!(
        text(log),
        "\
<4>address in use ip=10.0.0.5 mac=02:00:00:00:00:09 probe=1
<4>two stations say one client identifier ip=10.0.0.5 mac=02:00:00:00:00:09
<4>given without a probe, as none could be sent ip=10.0.0.5
<4>answers for all addresses, and is not believed mac=02:00:00:00:00:09
<4>decline ignored: it names no address client_mac=02:00:00:00:00:09
<4>decline being processed ip=10.0.0.5 client_mac=02:00:00:00:00:09
<4>marked as declined ip=10.0.0.5 until=2026-01-01T00:04:59Z
<4>conflict detected ip=10.0.0.5
<5>cleared ip=10.0.0.5
<6>leased ip=10.0.0.5 client_mac=02:00:00:00:00:09 until=2026-01-01T00:04:59Z
<6>renewed ip=10.0.0.5 client_mac=02:00:00:00:00:09 until=never
<6>released ip=10.0.0.5 client_mac=02:00:00:00:00:09
<6>expired ip=10.0.0.5 client_mac=02:00:00:00:00:09
"
    );
}

#[test]
fn without_a_journal_there_is_the_time_and_json_has_it_all() {
    let mut plain = log(Format::Plain);
    plain.event(
        NOW,
        &Event::Conflict {
            ip: IP,
            interface: ETH,
        },
    );
    assert_eq!(
        text(plain),
        "2025-12-31T23:59:59Z warning conflict detected ip=10.0.0.5\n"
    );
    let mut json = log(Format::Json);
    for event in every_event() {
        json.event(NOW, &event);
    }
    let text = text(json);
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["v"], 1);
        assert!(
            line["ip"] == "10.0.0.5" || !line["mac"].is_null() || !line["client_mac"].is_null()
        );
        assert_eq!(line["time"], "2025-12-31T23:59:59Z");
    }
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["event"], &first["probe"]),
        (&"in_use".into(), &1.into())
    );
}

/// V10: names from the network were once put together into a line until it burst.
#[test]
fn no_value_bursts_a_line_or_begins_another() {
    let names = [
        "x".repeat(50 * 255),
        "\n<0>forged\r\n".repeat(100),
        "\u{1b}[31m\u{202e}\0\u{7f}\u{9b}".repeat(100),
        "\"\\".repeat(500),
        "é…🦀".repeat(200),
        String::new(),
    ];
    for format in [Format::Journal, Format::Plain, Format::Json] {
        for name in &names {
            let mut log = log(format);
            let fields = [
                Field::text("name", name),
                Field::text("again", name),
                Field::number("number", &u64::MAX),
                Field::text("and", name),
            ];
            log.tell(NOW, Level::Error, Kind::Store, "cannot write", &fields);
            assert!(log.out.len() <= LONGEST, "{format:?} {}", log.out.len());
            let text = text(log);
            let line = text.strip_suffix('\n').expect("an end");
            assert!(!line.contains(char::is_control), "{line:?}");
            assert!(!line.contains('\u{202e}'), "{line:?}");
            if format == Format::Json {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let told = line["name"].as_str().unwrap();
                assert!(name.starts_with(told.trim_end_matches('…')), "{told:?}");
            }
        }
    }
}

#[test]
fn what_has_spaces_is_in_quotation_marks() {
    let mut log = log(Format::Journal);
    let fields = [
        Field::text("error", &"No space left (os error 28)"),
        Field::text("path", &"/var/lib/x"),
    ];
    log.tell(NOW, Level::Error, Kind::Store, "cannot write", &fields);
    assert_eq!(
        text(log),
        "<3>cannot write error=\"No space left (os error 28)\" path=/var/lib/x\n"
    );
}

#[test]
fn too_many_of_a_kind_are_counted_instead_and_others_are_told() {
    let mut log = log(Format::Journal);
    for _ in 0..MOST + 7 {
        log.event(
            NOW,
            &Event::Conflict {
                ip: IP,
                interface: ETH,
            },
        );
    }
    log.event(NOW, &Event::Cleared { ip: IP });
    assert_eq!(log.poll_timeout(), Some(NOW + WINDOW));
    log.handle_timeout(NOW + WINDOW - Duration::from_micros(1));
    let lines = log.out.iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(lines as u32, MOST + 1);
    log.handle_timeout(NOW + WINDOW);
    assert_eq!(log.poll_timeout(), None);
    log.event(
        NOW + WINDOW,
        &Event::Conflict {
            ip: IP,
            interface: ETH,
        },
    );
    let text = text(log);
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(
        last,
        [
            "<4>conflict detected ip=10.0.0.5",
            "<4>more of these than are told left_out=7",
            "<5>cleared ip=10.0.0.5",
        ]
    );
}

/// V24: a server fell over only where its log told most.
#[test]
fn every_event_can_be_told_at_every_level_and_in_every_format() {
    let levels = [
        Level::Error,
        Level::Warning,
        Level::Notice,
        Level::Info,
        Level::Debug,
    ];
    for format in [Format::Journal, Format::Plain, Format::Json] {
        let told = levels.map(|level| {
            let mut log = Log::new(Vec::new(), format, level);
            for event in every_event() {
                log.event(NOW, &event);
            }
            text(log).lines().count()
        });
        assert_eq!(told, [0, 8, 9, 13, 13], "{format:?}");
    }
}
