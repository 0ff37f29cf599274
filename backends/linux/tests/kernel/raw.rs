//! The plain packet socket.

use std::env;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::Duration;

use whohas::VlanId;
use whohas::wire::{ArpPacket, EtherType, EthernetFrame, MacAddr, VlanTag};
use whohas_linux::{Interface, OpenError, Protocols, RawSocket, interfaces, wait_readable};

use crate::support::cable::{
    OUR_IP, OUR_MAC, THEIR_IP, THEIR_MAC, THEM, US, drain, lay, listen, mac, next_frame,
    wait_until, wait_until_running,
};
use crate::support::run;
use crate::wire_test;

fn request_for_them(vlan: Option<VlanId>) -> Vec<u8> {
    let mut frame = [0; 64];
    let request = ArpPacket::request(mac(OUR_MAC), OUR_IP, THEIR_IP);
    let len = request.emit_frame(MacAddr::BROADCAST, vlan, &mut frame);
    frame[..len.expect("64 bytes are enough")].to_vec()
}

wire_test! {
    fn a_request_is_answered_by_the_kernel() {
        lay();
        let socket = listen(US, Protocols::Arp);
        socket.send(&request_for_them(None)).expect("sent");
        let reply = next_frame(&socket);
        let frame = EthernetFrame::parse(&reply).expect("an Ethernet frame");
        assert_eq!(frame.header.ethertype, EtherType::ARP);
        assert_eq!(frame.header.source, MacAddr::from(mac(THEIR_MAC)));
        assert_eq!(drain(&socket), Vec::<Vec<u8>>::new(), "what we sent did not come back to us");
    }
}

wire_test! {
    fn a_tag_that_the_kernel_takes_off_is_put_back() {
        lay();
        let [sender, arp, all] = [
            listen(THEM, Protocols::Arp),
            listen(US, Protocols::Arp),
            listen(US, Protocols::All),
        ];
        let vlan = VlanId::new(42).expect("a VLAN");
        let sent = request_for_them(Some(vlan));
        sender.send(&sent).expect("sent");
        for socket in [arp, all] {
            let seen = next_frame(&socket);
            assert_eq!(seen, sent);
            let header = EthernetFrame::parse(&seen).expect("an Ethernet frame").header;
            assert_eq!(header.tag, Some(VlanTag::new(vlan)));
        }
    }
}

wire_test! {
    fn a_socket_for_arp_is_not_bothered_with_anything_else() {
        lay();
        let [sender, arp, all] = [
            listen(THEM, Protocols::Arp),
            listen(US, Protocols::Arp),
            listen(US, Protocols::All),
        ];
        let mut other = request_for_them(None);
        other[12..14].copy_from_slice(&[0x88, 0xb5]);
        sender.send(&other).expect("sent");
        sender.send(&request_for_them(None)).expect("sent");
        assert_eq!(next_frame(&all), other);
        assert_eq!(next_frame(&arp), request_for_them(None));
    }
}

wire_test! {
    fn a_frame_that_does_not_fit_is_cut_off() {
        lay();
        let [sender, socket] = [THEM, US].map(|end| listen(end, Protocols::Arp));
        sender.send(&request_for_them(None)).expect("sent");
        let mut buffer = [0; 20];
        assert!(wait_readable(&socket, Some(Duration::from_secs(10))).expect("poll works"));
        assert_eq!(socket.recv(&mut buffer).expect("received"), Some(20));
        assert_eq!(buffer, request_for_them(None)[..20]);
        assert_eq!(socket.recv(&mut buffer).expect("nothing more"), None);
    }
}

wire_test! {
    fn frames_of_every_length_pass_as_they_are() {
        lay();
        let [sender, socket] = [THEM, US].map(|end| listen(end, Protocols::All));
        // The kernel itself takes no frame that is shorter than a header.
        for len in 14..=1514 {
            let mut frame = request_for_them(None);
            frame[12..14].copy_from_slice(&[0x88, 0xb5]);
            frame.resize(len, 0x5a);
            sender.send(&frame).expect("sent");
            assert_eq!(next_frame(&socket), frame);
        }
        let short = sender.send(&[0xff; 13]).expect_err("too short");
        assert_eq!(short.kind(), ErrorKind::InvalidInput);
    }
}

wire_test! {
    fn an_interface_says_what_ip_link_says() {
        lay();
        run("ip", &["link", "set", THEM, "mtu", "1400"]);
        let them = Interface::find(THEM).expect("it is there");
        assert_eq!(them.mac, Some(mac(THEIR_MAC).into()));
        assert_eq!((them.mtu, them.up, them.running), (1400, true, true));
        let addresses = them.addresses.iter().map(|address| (address.ip, address.prefix_len));
        assert_eq!(addresses.collect::<Vec<_>>(), [(IpAddr::V4(THEIR_IP), 24)]);

        run("ip", &["link", "set", THEM, "down"]);
        wait_until(US, |us| us.up && !us.running);
        let names = interfaces().expect("listed").into_iter().map(|known| known.name);
        assert_eq!(names.collect::<Vec<_>>(), ["lo", THEM, US]);
    }
}

wire_test! {
    fn a_name_that_is_nowhere_is_answered_with_those_there_are() {
        lay();
        let error = RawSocket::open("thme", Protocols::Arp).expect_err("no such interface");
        assert_eq!(
            error.to_string(),
            "there is no interface thme; did you mean them?; there are: them, us"
        );
    }
}

wire_test! {
    fn an_interface_that_is_down_or_speaks_no_arp_is_refused_with_what_to_do() {
        lay();
        run("ip", &["link", "set", US, "down"]);
        let down = RawSocket::open(US, Protocols::Arp).expect_err("down");
        assert_eq!(down.to_string(), "interface us is down: run `ip link set us up`");
        let loopback = RawSocket::open("lo", Protocols::Arp).expect_err("not Ethernet");
        assert_eq!(
            loopback.to_string(),
            "interface lo is not Ethernet but the loopback (type 772), where nobody speaks ARP: use \
             an Ethernet interface"
        );
    }
}

wire_test! {
    fn an_interface_that_goes_down_says_so_once_and_receives_again_when_it_is_up() {
        lay();
        let [sender, socket] = [THEM, US].map(|end| listen(end, Protocols::Arp));
        run("ip", &["link", "set", US, "down"]);
        let mut buffer = [0; 64];
        let down = socket.recv(&mut buffer).expect_err("down");
        assert_eq!(down.kind(), ErrorKind::NetworkDown);
        assert_eq!(socket.recv(&mut buffer).expect("said already"), None);
        run("ip", &["link", "set", US, "up"]);
        wait_until_running();
        sender.send(&request_for_them(None)).expect("sent");
        assert_eq!(next_frame(&socket), request_for_them(None));
    }
}

/// Set in a process that has lost the right to open packet sockets.
const POWERLESS: &str = "WHOHAS_TEST_POWERLESS";

wire_test! {
    fn without_permission_the_message_says_which_and_how_to_give_it() {
        if env::var_os(POWERLESS).is_some() {
            let error = RawSocket::open(US, Protocols::Arp).expect_err("no permission");
            assert!(matches!(error, OpenError::NoPermission { .. }), "{error}");
            println!("{error}");
            return;
        }
        lay();
        let exe = env::current_exe().expect("a test knows its own binary");
        let exe = exe.to_str().expect("a path in UTF-8");
        let same_test = "raw::without_permission_the_message_says_which_and_how_to_give_it";
        #[rustfmt::skip]
        let said = run("setpriv", &[
            "--bounding-set=-net_raw", "env", &format!("{POWERLESS}=1"),
            exe, "--exact", same_test, "--nocapture",
        ]);
        let help = format!("run `setcap cap_net_raw+ep {exe}` once as root");
        assert!(said.contains(&help), "{said}");
    }
}
