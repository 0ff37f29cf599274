//! What cannot be started or opened, and what is said about it.

use whohas::UnicastMac;
use whohas_dpdk::{Cable, EalError, EalOptions, OpenError, Pool, Port, PortOptions};

use crate::support::scenario;

fn options() -> PortOptions {
    PortOptions::new().mac(UnicastMac::new([2, 0, 0, 0, 0, 1]).expect("a station's"))
}

scenario! {
    fn arguments_that_dpdk_does_not_know_are_told_in_its_own_words() {
        let error = EalOptions::without_hardware(64)
            .argument("--no-such-thing")
            .start()
            .unwrap_err();
        let text = error.to_string();
        println!("{text}");
        assert!(matches!(error, EalError::Start(_)), "{text}");
        assert!(text.contains("rte_eal_init"), "{text}");
        // The start is used up all the same.
        let again = EalOptions::without_hardware(64).start();
        assert_eq!(again.map(drop).unwrap_err(), EalError::Again);
    }
}

scenario! {
    fn a_device_that_dpdk_cannot_have_is_told_in_its_own_words() {
        // It starts all the same.
        let eal = EalOptions::without_hardware(64)
            .device("net_af_packet0,iface=no-such-thing")
            .start()
            .expect("DPDK starts without it");
        let error = options().open(&eal, "net_af_packet0").map(drop).unwrap_err();
        let text = error.to_string();
        println!("{text}");
        assert!(text.contains("no port is called net_af_packet0"), "{text}");
        assert!(text.contains("failed to initialize net_af_packet0"), "{text}");
    }
}

scenario! {
    fn dpdk_starts_once_and_arguments_are_strings() {
        let error = EalOptions::new().argument("--log\0level").start().unwrap_err();
        assert_eq!(error, EalError::Argument("--log\0level".to_owned()));
        let eal = EalOptions::without_hardware(64).start().expect("the first start");
        println!("{}", eal.version());
        let again = EalOptions::without_hardware(64).start();
        assert_eq!(again.map(drop).unwrap_err(), EalError::Again);
        drop(eal);
        let again = EalOptions::without_hardware(64).start();
        assert_eq!(again.map(drop).unwrap_err(), EalError::Again);
    }
}

scenario! {
    fn ports_are_found_opened_once_and_as_they_can_be() {
        let eal = EalOptions::without_hardware(64)
            .device("net_null0")
            .start()
            .expect("a device without anything behind it");
        assert_eq!(Port::names(&eal), ["net_null0"]);

        let error = options().open(&eal, "net_null1").unwrap_err();
        println!("{error}");
        let OpenError::NoPort { name, names, .. } = error else {
            panic!("{error}");
        };
        assert_eq!((name.as_str(), names), ("net_null1", vec!["net_null0".to_owned()]));

        for queues in [0, 5_000] {
            let error = options().queues(queues).open(&eal, "net_null0").unwrap_err();
            println!("{error}");
            assert!(matches!(error, OpenError::Queues { .. }), "{error}");
        }
        for mtu in [0, 45] {
            let error = options().mtu(mtu).open(&eal, "net_null0").unwrap_err();
            println!("{error}");
            assert!(matches!(error, OpenError::Mtu { .. }), "{error}");
        }
        let error = options().mtu(u16::MAX).open(&eal, "net_null0").unwrap_err();
        println!("{error}");
        assert!(matches!(error, OpenError::Dpdk(_)), "no frame is as large: {error}");
        // Nothing of it is in the way of doing it right.
        let (port, queues) = options().queues(2).mtu(1400).open(&eal, "net_null0").unwrap();
        assert_eq!((queues.len(), port.info().unwrap().mtu), (2, 1400));

        let taken = options().open(&eal, "net_null0").map(drop).unwrap_err();
        println!("{taken}");
        assert_eq!(taken, OpenError::Taken("net_null0".to_owned()));
        drop(port);
        let taken = options().open(&eal, "net_null0").map(drop).unwrap_err();
        assert_eq!(taken, OpenError::Taken("net_null0".to_owned()), "its queues have it");
        drop(queues);
        let gone = options().open(&eal, "net_null0").map(drop).unwrap_err();
        println!("{gone}");
        assert!(matches!(gone, OpenError::NoPort { .. }), "{gone}");
    }
}

scenario! {
    fn a_port_without_an_address_wants_one() {
        let eal = EalOptions::without_hardware(64).start().expect("DPDK starts");
        let error = Cable::open(&eal, &PortOptions::new()).map(drop).unwrap_err();
        println!("{error}");
        assert!(matches!(error, OpenError::NoMac(_)), "{error}");
        assert_eq!(Port::names(&eal), [""; 0], "what was not opened is gone");
    }
}

scenario! {
    fn a_cable_that_is_not_opened_leaves_no_port_behind() {
        let eal = EalOptions::without_hardware(64).start().expect("DPDK starts");
        for wrong in [options().mtu(1), options().queues(0), options().queues(2_000)] {
            let error = Cable::open(&eal, &wrong).map(drop).unwrap_err();
            println!("{error}");
            assert_eq!(Port::names(&eal), [""; 0], "its rings are gone: {error}");
        }
        let opened = Cable::open(&eal, &options());
        drop(opened.expect("nothing is in the way of doing it right"));
        assert_eq!(Port::names(&eal), [""; 0]);
    }
}

scenario! {
    fn pools_are_as_large_as_memory_is() {
        let eal = EalOptions::without_hardware(64).start().expect("DPDK starts");
        let error = Pool::new(&eal, 1_000_000, 2048).map(drop).unwrap_err();
        println!("{error}");
        assert_eq!(error.call(), "rte_pktmbuf_pool_create");
        let error = Pool::new(&eal, 10, 100_000).map(drop).unwrap_err();
        println!("{error}");
        for many in [options().frames(1_000_000), options().queues(2).inbox(usize::MAX)] {
            let error = Cable::open(&eal, &many).map(drop).unwrap_err();
            println!("{error}");
            assert!(matches!(error, OpenError::Dpdk(_)), "{error}");
        }
        let pool = Pool::new(&eal, 255, 2048).expect("a small one fits yet");
        assert_eq!((pool.frames(), pool.in_use()), (255, 0));
    }
}
