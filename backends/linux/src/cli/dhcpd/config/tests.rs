//! Whole files: what they come to, and what is said of those that are wrong.

use std::env;
use std::net::Ipv4Addr;

use whohas::UnicastMac;
use whohas::dhcp::server::{self, Answer, Backend, Client, LeaseTimes};
use whohas::wire::dhcp::{ClientHardware, OptionCode};

use super::network::{Reservation, Setting};
use super::option_names::{OPTION_NAMES, OptionName};
use super::*;

/// Reads a file of `tests/config`, which others of the same folder may be imported into.
fn read(folder: &Path, name: &str) -> Result<(Config, Problems), Problems> {
    let text = fs::read(folder.join(name)).unwrap();
    let files = |path: &Path| {
        let found = dnsmasq::read_files(&folder.join(path))?;
        let relative = |path: PathBuf| path.strip_prefix(folder).unwrap().to_owned();
        Ok(found
            .into_iter()
            .map(|(path, text)| (relative(path), text))
            .collect())
    };
    Config::parse(&text, Path::new(name), &files)
}

/// Compares what is said of each file of a folder with the file of the same name that ends in
/// `.txt`; there is none where nothing is said. With `WHOHAS_BLESS` set, these are written anew.
#[track_caller]
fn check_folder(name: &str, expected_errors: bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/config")
        .join(name);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        files += 1;
        let name = path.file_name().unwrap().to_str().unwrap();
        let (fine, problems) = match read(&folder, name) {
            Ok((_, warnings)) => (true, warnings),
            Err(problems) => (false, problems),
        };
        let said = problems.to_string();
        assert_eq!(fine, !expected_errors, "{name}:\n{said}");
        let expected = path.with_extension("txt");
        if env::var_os("WHOHAS_BLESS").is_some() {
            let _ = fs::remove_file(&expected);
            if !said.is_empty() {
                fs::write(&expected, &said).unwrap();
            }
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert!(
            said == expected,
            "{name}: expected\n{expected}\nbut said was\n{said}"
        );
    }
    assert!(files > 0);
}

#[test]
fn good_files_are_taken_and_what_is_odd_about_them_is_said() {
    check_folder("good", false);
}

#[test]
fn what_is_wrong_with_bad_files_is_said_with_its_place() {
    check_folder("bad", true);
}

#[test]
fn the_template_is_valid_as_it_is() {
    let (_, problems) = parse_text(TEMPLATE).unwrap();
    assert_eq!(problems.to_string(), "");
}

fn parse_text(text: &str) -> Result<(Config, Problems), Problems> {
    Config::parse(text.as_bytes(), Path::new("test.toml"), &|_| Ok(Vec::new()))
}

/// The template with all that stands in it for examples.
fn whole_template() -> String {
    let example = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    let lines: Vec<_> = TEMPLATE.lines().map(example).collect();
    lines.join("\n")
}

#[test]
fn the_examples_of_the_template_are_valid_together() {
    let (_, problems) =
        parse_text(&whole_template()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(problems.to_string(), "");
}

#[test]
fn the_template_names_all_options() {
    for OptionName { name, .. } in OPTION_NAMES {
        let is_named = TEMPLATE.split([' ', '\n', '#']).any(|word| word == *name);
        assert!(is_named, "{name} is not in the template");
    }
}

#[test]
fn what_the_template_gives_as_defaults_is_what_holds_without() {
    let (plain, _) = parse_text(TEMPLATE).unwrap();
    let defaults = whole_template();
    let until_options = defaults.split("[options]").next().unwrap();
    let subnet = "[[subnet]]\nprefix = \"192.168.1.0/24\"\npools = \"192.168.1.100-192.168.1.199\"";
    for section in ["[conflicts]", "[store]", "[log]"] {
        let start = defaults.find(section).unwrap();
        let body = &defaults[start..];
        let end = body[1..].find("\n[").unwrap() + 2;
        let text = format!("{until_options}\n{}\n{subnet}", &body[..end]);
        let (written, _) = parse_text(&text).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(written, plain, "{section}");
    }
}

#[test]
fn doors_are_sockets_for_a_group_or_ports() {
    let read = |lines: &str| {
        let text = format!(
            "interfaces = \"eth0\"\n{lines}\n[[subnet]]\nprefix = \"10.0.0.0/24\"\n\
             pools = \"10.0.0.100-10.0.0.199\""
        );
        parse_text(&text).map(|(config, _)| (config.control_group, config.http))
    };
    let unix = HttpAddress::Unix("/run/http.sock".into());
    let lines = "control-group = \"adm\"\n[http]\naddress = \"unix:/run/http.sock\"";
    assert_eq!(read(lines).unwrap(), (Some("adm".into()), Some(unix)));
    let tcp = HttpAddress::Tcp(([127, 0, 0, 1], 80).into());
    let lines = "control-group = false\n[http]\naddress = \"127.0.0.1:80\"";
    assert_eq!(read(lines).unwrap(), (None, Some(tcp)));
    let lines = "[http]\naddress = \"127.0.0.1:80\"\nnames = \"dhcp.example.org\"";
    let text = format!(
        "interfaces = \"eth0\"\n{lines}\n[[subnet]]\nprefix = \"10.0.0.0/24\"\n\
         pools = \"10.0.0.100-10.0.0.199\""
    );
    let (config, _) = parse_text(&text).unwrap();
    assert_eq!(config.http_names, ["dhcp.example.org".into()]);
    for bad in ["unix:", "/run/http.sock", "0.0.0.0:80"] {
        let lines = format!("[http]\naddress = \"{bad}\"");
        assert!(read(&lines).is_err(), "{bad}");
    }
}

/// A file with one subnet, and more lines for the subnet.
fn subnet_with(lines: &str) -> Subnet {
    let text = format!(
        "interfaces = \"eth0\"\n[[subnet]]\nprefix = \"10.0.0.0/24\"\n\
         pools = \"10.0.0.100-10.0.0.199\"\n{lines}"
    );
    let (mut config, _) = parse_text(&text).unwrap_or_else(|problems| panic!("{problems}"));
    config.subnets.remove(0)
}

#[test]
fn subnets_are_in_the_order_of_their_addresses_however_they_stand_in_the_file() {
    let text = "interfaces = \"eth0\"\nsubnet = [{ prefix = \"10.0.1.0/24\", pools = \"10.0.1.9\" },\n\
                { prefix = \"10.0.0.0/24\", pools = \"10.0.0.9\" }]";
    let (config, _) = parse_text(text).unwrap();
    let lent = config.with_plan(|plan| plan.subnets().len());
    assert_eq!(lent, Ok(2));
}

#[test]
fn lease_times_that_are_not_written_follow_from_those_that_are() {
    let times = |default, min, max| LeaseTimes {
        default: LeaseTime::Seconds(default),
        min: LeaseTime::Seconds(min),
        max: LeaseTime::of(max),
    };
    for (lines, expected) in [
        ("", times(43_200, 120, 43_200)),
        ("lease-time = 3600", times(3_600, 120, 3_600)),
        ("lease-time = 60", times(60, 60, 60)),
        ("lease-time = 60\nmax-lease-time = 90", times(60, 60, 90)),
        (
            "max-lease-time = \"infinite\"",
            times(43_200, 120, u32::MAX),
        ),
        ("min-lease-time = \"1h\"", times(43_200, 3_600, 43_200)),
    ] {
        assert_eq!(subnet_with(lines).lease_times, expected, "{lines}");
    }
}

#[test]
fn a_reservation_has_the_times_that_are_written_for_it_or_none() {
    let subnet = subnet_with(
        "lease-time = \"1h\"\n\
         reservation = [{ mac = \"02:00:00:00:00:01\" },\n\
         { mac = \"02:00:00:00:00:02\", lease-time = \"infinite\" }]",
    );
    let times = |reservation: &Reservation| reservation.details.as_ref()?.lease_times;
    let [plain, special] = &subnet.reservations[..] else {
        panic!("two reservations");
    };
    assert_eq!(times(plain), None);
    let infinite = LeaseTimes {
        default: LeaseTime::Infinite,
        min: LeaseTime::Seconds(120),
        max: LeaseTime::Infinite,
    };
    assert_eq!(times(special), Some(infinite));
}

#[test]
fn what_a_subnet_says_of_an_option_comes_before_what_is_said_for_all() {
    let text = "interfaces = \"eth0\"\noptions = { dns = \"10.9.9.9\", mtu = 1400 }\n\
                [[subnet]]\nprefix = \"10.0.0.0/24\"\npools = \"10.0.0.9\"\n\
                options = { dns = \"10.0.0.1\", 224 = { u8 = 7, always = true } }";
    let (config, _) = parse_text(text).unwrap();
    let setting = |code, value: &[u8], always| Setting {
        code,
        value: value.into(),
        always,
    };
    let expected = [
        setting(OptionCode::DNS_SERVERS, &[10, 0, 0, 1], false),
        setting(OptionCode::MTU, &1_400_u16.to_be_bytes(), false),
        setting(OptionCode(224), &[7], true),
    ];
    assert_eq!(config.subnets[0].options, expected);
}

#[test]
fn a_name_of_an_architecture_stands_for_all_its_numbers() {
    let boot = subnet_with("boot = { file = \"a\", files = { x64-uefi = \"b\", 0 = \"c\" } }").boot;
    let files: Vec<_> = boot
        .files
        .iter()
        .map(|(number, file)| (*number, &**file))
        .collect();
    assert_eq!(files, [(0, "c"), (7, "b"), (9, "b")]);
}

#[test]
fn a_plan_has_what_the_file_says() {
    let text = "interfaces = \"eth0\"\n\
        [[subnet]]\nprefix = \"10.0.0.0/24\"\npools = [\"10.0.0.50-10.0.0.99\", \"10.0.0.10\"]\n\
        authoritative = true\nserver-id = \"10.0.0.2\"\noptions = { mtu = 1400 }\n\
        boot = { next-server = \"10.0.0.3\", server-name = \"s\", file = \"f\", files = { 7 = \"g\" } }\n\
        [[subnet.reservation]]\nmac = \"02:00:00:00:00:02\"\nclient-id = \"text:me\"\nip = \"10.0.0.7\"\n\
        host-name = \"h\"\noptions = { mtu = 1300 }\nboot = { file = \"k\" }\n\
        [[subnet.reservation]]\nmac = \"02:00:00:00:00:01\"\n\
        [[class]]\nvendor-class = \"v\"\noptions = { mtu = 1200 }\nboot = { files = { 0 = \"l\" } }";
    let (config, problems) = parse_text(text).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(problems.to_string(), "");
    let lent = config.with_plan(|plan| {
        let [subnet] = plan.subnets() else {
            panic!("one subnet");
        };
        assert_eq!(subnet.pools.len(), 2);
        assert!(subnet.authoritative);
        assert_eq!(subnet.server_id, Some(Ipv4Addr::new(10, 0, 0, 2)));
        assert_eq!(subnet.options[0].value, 1_400_u16.to_be_bytes());
        let boot = server::Boot {
            next_server: Some(Ipv4Addr::new(10, 0, 0, 3)),
            server_name: b"s",
            file: b"f",
            files: &[(7, b"g")],
        };
        assert_eq!(subnet.boot, boot);

        let [first, second, third] = subnet.reservations else {
            panic!("a reservation for each client");
        };
        // By client, however they stand in the file.
        assert!(first.client < second.client && second.client < third.client);
        assert_eq!((first.ip, first.boot), (None, None));
        assert_eq!(third.client, server::ClientKey::Id(b"me"));
        for shared in [second, third] {
            assert_eq!(shared.ip, Some(Ipv4Addr::new(10, 0, 0, 7)));
            assert_eq!(shared.host_name, Some("h"));
            assert_eq!(shared.options[0].value, 1_300_u16.to_be_bytes());
            assert_eq!(shared.boot.unwrap().file, b"k");
        }

        let client = Client {
            hardware: ClientHardware::ethernet(UnicastMac::new([2, 0, 0, 0, 0, 9]).unwrap()),
            client_id: None,
            vendor_class: Some(b"vendor"),
            architecture: None,
            link: Ipv4Addr::new(10, 0, 0, 1),
        };
        let Answer::Serve(service) = plan.client(&client) else {
            panic!("the client is served");
        };
        let class = service.class.expect("a class");
        assert_eq!(class.prefix, b"v");
        assert_eq!(class.options[0].value, 1_200_u16.to_be_bytes());
        assert_eq!(class.boot.unwrap().files, [(0, &b"l"[..])]);
    });
    assert_eq!(lent, Ok(()));
}

#[test]
fn lines_of_dnsmasq_become_reservations() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/good");
    let (config, _) = read(&folder, "imports.toml").unwrap();
    let show = |subnet: &Subnet| {
        let lines = subnet.reservations.iter().map(|it| {
            let client = match &it.client {
                ClientKey::Hardware(mac) => mac.to_string(),
                ClientKey::Id(id) => id.escape_ascii().to_string(),
            };
            let ip = it.ip.map(|ip| ip.to_string());
            let time = it.details.as_ref().and_then(|details| details.lease_times);
            let time = time.map(|times| times.default.number());
            let name = it.host_name.as_deref();
            let [ip, name] = [ip.as_deref(), name].map(|text| text.unwrap_or("-"));
            format!("{client} {ip} {name} {}", time.unwrap_or_default())
        });
        lines.collect::<Vec<_>>()
    };
    assert_eq!(
        show(&config.subnets[1]),
        [
            "02:00:5e:10:00:01 192.168.1.10 - 0",
            "02:00:5e:10:00:02 192.168.1.11 printer 2700",
            "02:00:5e:10:00:04 192.168.1.12 laptop 0",
            "02:00:5e:10:00:05 192.168.1.12 laptop 0",
            "02:00:5e:10:00:07 192.168.1.15 - 0",
            "02:00:5e:10:00:08 - roamer 0",
            "02:00:5e:10:00:0a 192.168.1.16 - 0",
            "02:00:5e:10:00:0d 192.168.1.21 - 0",
            "\\x01\\x02\\x00^\\x10\\x00\\x06 192.168.1.13 - 4294967295",
            "kiosk 192.168.1.14 - 0",
        ]
    );
    assert_eq!(
        show(&config.subnets[0]),
        [
            "02:00:5e:10:00:03 10.0.0.3 - 0",
            "02:00:5e:10:00:08 - roamer 0"
        ]
    );
    let ignored = UnicastMac::new([2, 0, 0x5e, 0x10, 0, 9]).unwrap();
    assert_eq!(config.ignored, [ClientKey::Hardware(ignored)]);
}

#[test]
fn flags_come_to_the_same_as_a_file() {
    let prefix = Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24).unwrap();
    let pool = |first, last| Pool {
        first: Ipv4Addr::new(10, 0, 0, first),
        last: Ipv4Addr::new(10, 0, 0, last),
    };
    let time = Some(LeaseTime::Seconds(3_600));
    let (config, _) = Config::simple("eth0", prefix, pool(100, 199), time).unwrap();
    let text = "interfaces = \"eth0\"\n[[subnet]]\nprefix = \"10.0.0.0/24\"\n\
                pools = \"10.0.0.100-10.0.0.199\"\nlease-time = \"1h\"";
    assert_eq!(config, parse_text(text).unwrap().0);

    let problems = Config::simple("eth0", prefix, pool(199, 100), None).unwrap_err();
    assert!(
        problems
            .to_string()
            .contains("did you mean `10.0.0.100-10.0.0.199`?")
    );
}

#[test]
fn paths_begin_where_the_file_is() {
    let text =
        b"interfaces = \"eth0\"\nsubnet = [{ prefix = \"10.0.0.0/24\", pools = \"10.0.0.9\" }]\n\
                 control-socket = \"a.sock\"\nstore = { directory = \"/b\" }\n\
                 dnsmasq = { export-leases = \"../c\" }";
    let (config, _) = Config::parse(text, Path::new("/etc/x.toml"), &|_| Ok(Vec::new())).unwrap();
    assert_eq!(
        config.control_socket.as_deref(),
        Some(Path::new("/etc/a.sock"))
    );
    assert_eq!(
        config.export_leases.as_deref(),
        Some(Path::new("/etc/../c"))
    );
    let directory = PathBuf::from("/b");
    assert_eq!(config.store, Store::Log { directory });
}

#[test]
fn a_file_that_is_not_there_is_an_error_without_a_place() {
    let problems = Config::read(Path::new("/nowhere/dhcpd.toml")).unwrap_err();
    let said = problems.to_string();
    assert!(
        said.starts_with("error: cannot read /nowhere/dhcpd.toml: "),
        "{said}"
    );
}

#[test]
fn of_very_many_problems_some_are_told_and_the_others_counted() {
    let mut text = String::from("interfaces = \"eth0\"\n[[subnet]]\nprefix = \"10.0.0.0/8\"\n");
    for number in 0..1_000 {
        text += &format!("unknown-{number} = 1\n");
    }
    let problems = parse_text(&text).unwrap_err();
    assert_eq!(problems.errors(), 1_000);
    assert!(problems.iter().count() < 100);
    assert!(problems.to_string().ends_with("and 950 more\n"));
}

#[test]
fn many_reservations_take_no_more_than_their_own_time() {
    let mut lines = String::from("[subnet.options]\n");
    for number in 1..20_000_u32 {
        let [_, _, high, low] = number.to_be_bytes();
        lines += &format!(
            "[[subnet.reservation]]\nmac = \"02:00:00:00:{high:02x}:{low:02x}\"\n\
             host-name = \"host-{number}\"\n"
        );
    }
    assert_eq!(subnet_with(&lines).reservations.len(), 19_999);
}

#[test]
fn every_file_of_the_corpus_passes_the_fuzz_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/dhcp_config");
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        // Told only when the test fails, and then the last one is the culprit.
        println!("{}", path.display());
        fuzz::dhcp_config(&fs::read(path).unwrap());
    }
}
