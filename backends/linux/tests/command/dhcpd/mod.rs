//! `whohas dhcpd` with a real client. What it does in every case is proven elsewhere; this is about the
//! program around it: how it starts, reloads, ends, and what it cannot do.

mod daemon;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use rustix::process::Signal;

use crate::lab::{OUR_MAC, Peer, THEIR_MAC, THEM, US, ran};
use crate::support::run;
use crate::wire_test;
use daemon::{Daemon, Folder, ask, client, leased};

wire_test! {
    fn a_lease_is_there_after_a_restart_and_gone_when_it_is_taken_away() {
        let (peer, folder) = (Peer::new(), Folder::new());
        let daemon = Daemon::by_flags(&folder, &["--lease-time", "1h"]);
        let ip = leased(&folder, &peer, &[]);
        let line = daemon.logs("leased");
        assert_eq!(line["ip"], ip.as_str());
        assert_eq!(line["client_mac"], THEIR_MAC);
        daemon.stop();

        let daemon = Daemon::by_flags(&folder, &["--lease-time", "1h"]);
        let leases = ask(&folder, &["leases"]);
        assert_eq!(leases.code, Some(0), "{leases:?}");
        assert!(leases.out.contains(&ip) && leases.out.contains(THEIR_MAC), "{leases:?}");
        assert_eq!(leased(&folder, &peer, &[]), ip, "the client is known");
        assert_eq!(ask(&folder, &["release", &ip]).code, Some(0));
        assert_eq!(ask(&folder, &["release", &ip]).code, Some(1));
        daemon.logs("released");
        daemon.stop();
        assert!(!fs::exists(folder.file("control")).unwrap(), "nothing is left behind");
    }
}

wire_test! {
    /// V17: what runs with a hole in it has nothing to give.
    fn every_thread_has_given_up_what_it_could() {
        let folder = Folder::new();
        let _peer = Peer::new();
        let daemon = Daemon::by_flags(&folder, &[]);
        let mut threads = 0;
        for task in fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap() {
            threads += 1;
            let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
            let value = |name: &str| {
                let line = status.lines().find(|line| line.starts_with(name));
                line.and_then(|line| line.split_whitespace().nth(1)).expect("a value").to_owned()
            };
            for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
                assert_eq!(value(set), "0000000000000000", "{status}");
            }
            assert_eq!(value("NoNewPrivs:"), "1", "{status}");
            assert_eq!(value("Seccomp:"), "2", "{status}");
        }
        assert!(threads > 1, "the store has one of its own");
    }
}

wire_test! {
    fn a_client_that_renews_is_answered_once_and_hears_from_no_kernel() {
        let (peer, folder) = (Peer::new(), Folder::new());
        let daemon = Daemon::by_flags(&folder, &["--no-probe"]);
        let mut client = client(&folder, &peer, &[]).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(client.stdout.take().unwrap()).lines();
        assert!(said.map_while(Result::ok).any(|line| line.starts_with("bound ")));
        let pid = rustix::process::Pid::from_raw(client.id() as i32).unwrap();
        // To udhcpc: renew now.
        rustix::process::kill_process(pid, Signal::USR1).unwrap();
        assert_eq!(daemon.logs("renewed")["client_mac"], THEIR_MAC);
        client.kill().unwrap();
        client.wait().unwrap();
        let mut counters = peer.command("nstat");
        let counters = counters.args(["-asz", "IcmpInDestUnreachs"]).output();
        let counters = String::from_utf8(counters.expect("nstat is in iproute2").stdout).unwrap();
        let unreachable = counters.lines().find(|line| line.starts_with("IcmpInDest")).unwrap();
        assert_eq!(unreachable.split_whitespace().nth(1), Some("0"), "{counters}");
    }
}

wire_test! {
    fn each_message_has_a_line_for_those_who_look_for_an_error() {
        let (peer, folder) = (Peer::new(), Folder::new());
        let (state, socket) = (folder.file("state"), folder.file("control"));
        let file = folder.write("dhcpd.toml", &format!(
            "interfaces = [\"{US}\"]\ncontrol-socket = \"{socket}\"\n\
             [log]\nlevel = \"debug\"\n\
             [store]\ndirectory = \"{state}\"\n\
             [[subnet]]\nprefix = \"10.0.0.0/16\"\npools = [\"10.0.0.100-10.0.0.100\"]\n"
        ));
        let daemon = Daemon::start(&folder, &["--config", &file]);
        assert_eq!(leased(&folder, &peer, &[]), "10.0.0.100");
        for (event, kind) in [
            ("received", "discover"), ("sent", "offer"), ("received", "request"), ("sent", "ack"),
        ] {
            let line = daemon.logs(event);
            assert_eq!((&line["type"], &line["client_mac"]), (&kind.into(), &THEIR_MAC.into()), "{line}");
        }
        daemon.stop();
    }
}

wire_test! {
    /// Of a dnsmasq on a device whose clock forgets the time.
    fn lease_files_may_say_how_long_leases_are() {
        let (_peer, folder) = (Peer::new(), Folder::new());
        let (state, socket) = (folder.file("state"), folder.file("control"));
        let import = folder.write("import", "3600 02:00:00:00:00:66 10.0.0.166 * *\n");
        let export = folder.file("export");
        let file = folder.write("dhcpd.toml", &format!(
            "interfaces = [\"{US}\"]\ncontrol-socket = \"{socket}\"\n\
             [store]\ndirectory = \"{state}\"\n\
             [dnsmasq]\nimport-leases = \"{import}\"\nexport-leases = \"{export}\"\ntimes = \"length\"\n\
             [[subnet]]\nprefix = \"10.0.0.0/16\"\npools = [\"10.0.0.100-10.0.0.199\"]\n"
        ));
        let daemon = Daemon::start(&folder, &["--config", &file]);
        let leases = ask(&folder, &["leases"]);
        assert!(leases.out.contains("10.0.0.166"), "{leases:?}");
        daemon.stop();
        let exported = fs::read_to_string(&export).unwrap();
        let (length, rest) = exported.split_once(' ').unwrap();
        assert_eq!(rest, "02:00:00:00:00:66 10.0.0.166 * *\n");
        assert!((1..=3_600).contains(&length.parse::<u32>().unwrap()), "{exported}");
    }
}

wire_test! {
    fn a_configuration_is_reloaded_whole_or_not_at_all() {
        let (peer, folder) = (Peer::new(), Folder::new());
        let config = |pool: &str| {
            let (state, socket) = (folder.file("state"), folder.file("control"));
            folder.write("dhcpd.toml", &format!(
                "interfaces = [\"{US}\"]\ncontrol-socket = \"{socket}\"\n\
                 [store]\ndirectory = \"{state}\"\n\
                 [[subnet]]\nprefix = \"10.0.0.0/16\"\npools = [\"{pool}\"]\n"
            ))
        };
        let file = config("10.0.0.100-10.0.0.100");
        let daemon = Daemon::start(&folder, &["--config", &file]);
        assert_eq!(leased(&folder, &peer, &[]), "10.0.0.100");

        config("10.0.0.300-10.0.0.301");
        daemon.signal(Signal::HUP);
        assert!(daemon.notice("RELOADING=1").contains("MONOTONIC_USEC="));
        daemon.notice("READY=1");
        let line = daemon.logs("reload");
        assert_eq!(line["level"], "error");
        assert!(line["what"].as_str().unwrap().contains("10.0.0.300"), "{line}");
        assert!(line["at"].as_str().unwrap().ends_with("dhcpd.toml:7:10"), "{line}");
        assert_eq!(daemon.logs("reload")["message"], "not reloaded: the old configuration stays");
        assert_eq!(leased(&folder, &peer, &[]), "10.0.0.100", "as before");

        config("10.0.0.200-10.0.0.200");
        daemon.signal(Signal::HUP);
        daemon.notice("RELOADING=1");
        daemon.notice("READY=1");
        assert_eq!(daemon.logs("reload")["message"], "reloaded");
        let leases = ask(&folder, &["leases"]);
        assert!(leases.out.contains("10.0.0.100"), "leases are kept: {leases:?}");
        peer.ip(&["link", "set", THEM, "address", "02:00:00:00:00:77"]);
        assert_eq!(leased(&folder, &peer, &[]), "10.0.0.200");
    }
}

wire_test! {
    fn an_interface_that_was_gone_is_served_again() {
        let folder = Folder::new();
        let peer = Peer::new();
        let daemon = Daemon::by_flags(&folder, &["--no-probe"]);
        let event = || {
            let line = daemon.logs("interface");
            line["message"].as_str().unwrap().to_owned()
        };
        run("ip", &["link", "set", US, "down"]);
        assert_eq!(event(), "link down");
        run("ip", &["link", "set", US, "up"]);
        assert_eq!(event(), "link up");
        drop(peer);
        while event() != "interface gone" {}
        let peer = Peer::new();
        while !event().starts_with("interface back") {}
        while event() != "addresses changed" {}
        assert_eq!(leased(&folder, &peer, &[])[..7], *"10.0.0.");
        assert_eq!(daemon.logs("leased")["client_mac"], THEIR_MAC);
    }
}

wire_test! {
    fn what_cannot_be_served_is_said_before_anything_is_opened() {
        let _peer = Peer::new();
        let folder = Folder::new();
        let file = folder.write("dhcpd.toml", "interfaces = [\"uz\"]\n");
        for (arguments, code, said) in [
            (&["dhcpd"][..], 2, "--config FILE"),
            (&["dhcpd", "-i", US], 2, "--range"),
            (&["dhcpd", "-i", "uz", "--range", "10.0.0.1-10.0.0.2"], 2, "did you mean us?"),
            (&["dhcpd", "-i", US, "--range", "10.9.0.1-10.9.0.2"], 2, "are in no network of us"),
            (&["dhcpd", "-i", US, "--range", "10.0.0.9-10.0.0.2"], 2, "write the lower one first"),
            (&["dhcpd", "--check", "--config", &file], 2, "subnet"),
            (&["dhcpd", "--check", "--config", "/nowhere/at/all"], 2, "cannot read"),
        ] {
            let ran = ran(arguments);
            assert_eq!(ran.code, Some(code), "{ran:?}");
            assert!(ran.err.contains(said), "{arguments:?}: {ran:?}");
        }
        let template = ran(&["dhcpd", "--print-config-template"]);
        assert_eq!(template.code, Some(0));
        let file = folder.write("template.toml", &template.out);
        let checked = ran(&["dhcpd", "--check", "--config", &file]);
        assert_eq!((checked.code, checked.err.as_str()), (Some(0), ""), "{checked:?}");
    }
}

wire_test! {
    /// As root, too: what may override the modes of files is not raised.
    fn the_configuration_is_read_without_power() {
        let folder = Folder::new();
        let text = ran(&["dhcpd", "--print-config-template"]).out;
        let file = folder.write("dhcpd.toml", &text);
        let check = || ran(&["dhcpd", "--check", "--config", &file]);
        assert_eq!(check().code, Some(0));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        let ran = check();
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("Permission denied"), "{ran:?}");
    }
}

wire_test! {
    fn without_its_capabilities_the_message_says_how_to_give_them() {
        let (_peer, folder) = (Peer::new(), Folder::new());
        let state = folder.file("state");
        for (missing, capability) in [
            ("-net_raw", "CAP_NET_RAW"),
            ("-net_bind_service", "CAP_NET_BIND_SERVICE"),
        ] {
            let output = std::process::Command::new("setpriv")
                .args(["--bounding-set", missing, &crate::lab::program(), "dhcpd", "-i", US])
                .args(["--range", "10.0.0.100-10.0.0.119", "--state-dir", &state])
                .output();
            let ran = crate::lab::Ran::from(output.expect("setpriv is a part of util-linux"));
            assert_eq!(ran.code, Some(3), "{ran:?}");
            assert!(ran.err.contains(&format!("AmbientCapabilities={capability}")), "{ran:?}");
        }
    }
}

wire_test! {
    fn two_daemons_do_not_share_an_interface() {
        let (_peer, folder) = (Peer::new(), Folder::new());
        let _daemon = Daemon::by_flags(&folder, &[]);
        let state = folder.file("other");
        let ran = ran(&[
            "dhcpd", "-i", US, "--range", "10.0.0.50-10.0.0.60", "--state-dir", &state,
        ]);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.err.contains("another DHCP server listens"), "{ran:?}");
    }
}

wire_test! {
    fn an_address_in_use_is_given_to_nobody() {
        let (peer, folder) = (Peer::new(), Folder::new());
        // The peer itself has the only address, by hand.
        peer.ip(&["addr", "add", "10.0.0.100/16", "dev", THEM]);
        let (state, socket) = (folder.file("state"), folder.file("control"));
        #[rustfmt::skip]
        let daemon = Daemon::start(&folder, &[
            "-i", US, "--range", "10.0.0.100-10.0.0.100", "--state-dir", &state, "--socket", &socket,
        ]);
        // Another station, behind the same cable.
        peer.ip(&["link", "add", "other", "link", THEM, "type", "macvlan", "mode", "bridge"]);
        peer.ip(&["link", "set", "other", "up"]);
        let mut other = peer.command("busybox");
        other.args(["udhcpc", "-i", "other", "-f", "-n", "-q", "-t", "2", "-T", "1", "-s", "/bin/true"]);
        assert!(!other.output().unwrap().status.success(), "there is no other address");
        let line = daemon.logs("in_use");
        assert_eq!(line["ip"], "10.0.0.100");
        assert_eq!(line["mac"], THEIR_MAC);
        let declined = ask(&folder, &["declined"]);
        assert!(declined.out.contains("10.0.0.100"), "{declined:?}");
        assert_eq!(ask(&folder, &["clear", "10.0.0.100"]).code, Some(0));
        assert!(!declined.out.contains(OUR_MAC));
        daemon.stop();
    }
}

wire_test! {
    fn whoever_claims_the_lease_of_another_is_told_of() {
        let (peer, folder) = (Peer::new(), Folder::new());
        let (state, socket) = (folder.file("state"), folder.file("control"));
        let file = folder.write("dhcpd.toml", &format!(
            "interfaces = [\"{US}\"]\ncontrol-socket = \"{socket}\"\ninspect = true\n\
             [store]\ndirectory = \"{state}\"\n\
             [[subnet]]\nprefix = \"10.0.0.0/16\"\npools = [\"10.0.0.100-10.0.0.100\"]\n"
        ));
        let daemon = Daemon::start(&folder, &["--config", &file]);
        assert_eq!(leased(&folder, &peer, &[]), "10.0.0.100");
        // Another station takes the address by hand and says so.
        peer.ip(&["link", "add", "other", "link", THEM, "type", "macvlan", "mode", "bridge"]);
        peer.ip(&["link", "set", "other", "address", "02:00:00:00:00:99", "up"]);
        peer.ip(&["addr", "add", "10.0.0.100/16", "dev", "other"]);
        let mut announce = peer.command("arping");
        announce.args(["-U", "-c", "2", "-I", "other", "10.0.0.100"]);
        announce.output().expect("arping is in iputils-arping");
        let line = daemon.logs("conflict");
        assert_eq!(line["mac"], "02:00:00:00:00:99", "{line}");
        assert_eq!(line["leased_to"], THEIR_MAC, "{line}");
        let status = ask(&folder, &["status"]);
        assert!(status.out.contains("\"lease_claims\":"), "{status:?}");
        daemon.stop();
    }
}
