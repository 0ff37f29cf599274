//! A machine that boots from the network.

use std::fs;

use whohas::wire::dhcp::OptionCode;
use whohas_lab::Folder;
use whohas_lab::peers::Program;

use crate::daemon::{Daemon, Setup};
use crate::lan_test;
use crate::message::{Ask, Who};
use crate::network::Network;

/// What the script that is fetched says.
const HELLO: &str = "whohas: this script was fetched";
const BOOT: &str = r#"
[subnet.boot]
next-server = "10.0.0.1"
file = "boot.ipxe"
files = { x64-uefi = "uefi.ipxe", arm64-uefi = "arm64.ipxe" }
"#;

fn setup() -> Setup {
    let mut setup = Setup::default();
    setup.subnet.push_str(BOOT);
    setup
}

lan_test! {
    fn a_boot_rom_fetches_the_file_that_it_is_told_of() {
        let network = Network::new();
        if let Err(error) = network.lan.plug_tap("tap0") {
            println!("note: no TAP for this user, so no machine has booted: {}", error.trim());
            return;
        }
        let files = Folder::new();
        let script = format!("#!ipxe\necho {HELLO}\npoweroff\n");
        fs::write(files.path().join("boot.ipxe"), script).expect("it is ours");
        let root = format!("--tftp-root={}", files.path().display());
        let tftp = ["--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=0", "--enable-tftp", &root];
        let mut tftp = network.server.start("dnsmasq", &tftp);
        tftp.expect("TFTP root");
        let mut daemon = Daemon::start(&network.server, &setup());

        #[rustfmt::skip]
        let mut machine = Program::start("qemu-system-x86_64", &[
            "-M", "pc", "-m", "128", "-nographic", "-no-reboot",
            "-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no",
            "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:07",
            "-boot", "n", "-serial", "mon:stdio",
        ]);
        daemon.expect("client_mac=52:54:00:00:00:07");
        tftp.expect("boot.ipxe");
        machine.expect(HELLO);
        let lease = daemon.leases().remove(0);
        assert_eq!(lease.hardware, "52:54:00:00:00:07");
        println!("note: iPXE got {} and fetched its script", lease.ip);
    }
}

lan_test! {
    fn the_boot_file_is_that_of_the_clients_architecture() {
        let network = Network::new();
        let _daemon = Daemon::start(&network.server, &setup());
        let link = network.link();
        const ARCHITECTURE: OptionCode = OptionCode(93);
        let files = [(0, "boot.ipxe"), (7, "uefi.ipxe"), (9, "uefi.ipxe"), (11, "arm64.ipxe"), (16, "boot.ipxe")];
        for (n, (architecture, file)) in (1..).zip(files) {
            let ask = Ask::discover(&Who::number(n)).option(ARCHITECTURE, &[0, architecture]);
            let offer = ask.answer(&link).expect("an offer");
            assert_eq!(offer.file, file, "architecture {architecture}");
        }
    }
}
