//! embassy-net's own DHCP client behind the adapter: it passes, and the adapter learns from it.

use std::net::Ipv4Addr;
use std::time::Duration;

use embassy_time::Duration as EmbassyDuration;
use smoltcp::wire::DhcpMessageType;
use whohas::cache::EntryState;
use whohas::wire::EthernetFrame;
use whohas_stacks::dhcp::{GATEWAY, serve};
use whohas_stacks::embassy::Embassy;
use whohas_stacks::world::World;
use whohas_stacks::{US, ip, mac};

#[test]
fn the_stack_gets_its_address_and_the_adapter_answers_for_it() {
    let mut world = World::default();
    world.add_peer(2);
    let heard = serve(&mut world);
    let embassy = Embassy::with_dhcp(&mut world, false);
    world.run_for(Duration::from_secs(5));
    let config = embassy.stack.config_v4().expect("a lease");
    assert_eq!(config.address.address(), ip(US));
    assert_eq!(config.address.prefix_len(), 24);
    assert_eq!(config.gateway, Some(ip(GATEWAY)));
    let kinds: Vec<_> = heard.borrow().iter().map(|(kind, _)| *kind).collect();
    // The stack discovers once more when it sees that the link is up.
    let (last, before) = kinds.split_last().expect("it has asked");
    assert_eq!(*last, DhcpMessageType::Request);
    assert!(before.iter().all(|kind| *kind == DhcpMessageType::Discover));
    for (_, frame) in &*heard.borrow() {
        let header = EthernetFrame::parse(frame).expect("a legal frame").header;
        assert!(header.destination.is_broadcast());
        assert_eq!(header.source, mac(US).get());
    }
    let counters = embassy.resolver.counters();
    assert_eq!(counters.announcements, 2, "the new address is announced");
    let dial = embassy.dial(&mut world, 2, EmbassyDuration::from_ticks(0));
    world.run_for(Duration::from_secs(1));
    assert_eq!(dial.took(), Some(2_000));
}

#[test]
fn a_flat_stack_is_granted_a_link_of_two_and_reaches_everybody_at_once() {
    let mut world = World::default();
    (2..40).for_each(|n| world.add_peer(n));
    serve(&mut world);
    let embassy = Embassy::with_dhcp(&mut world, true);
    world.run_for(Duration::from_secs(5));
    let config = embassy.stack.config_v4().expect("a lease");
    assert_eq!(config.address.address(), ip(US));
    assert_eq!(config.address.prefix_len(), 31);
    assert_eq!(config.gateway, Some(Ipv4Addr::new(10, 0, 0, 0)));
    let dead = embassy.dial(&mut world, 99, EmbassyDuration::from_ticks(0));
    let dials: Vec<_> = (2..40)
        .map(|n| embassy.dial(&mut world, n, EmbassyDuration::from_millis(5)))
        .collect();
    world.run_for(Duration::from_secs(2));
    assert!(dials.iter().all(|dial| dial.took() == Some(2_000)));
    assert_eq!(dead.took(), None);
    assert!(
        embassy.resolver.entry(ip(0)).is_none(),
        "the gateway is nobody"
    );
    let reachable = embassy.resolver.entry(ip(2)).expect("it was dialled");
    assert!(
        matches!(reachable.state, EntryState::Reachable),
        "{reachable:?}"
    );
}

#[test]
fn without_a_link_the_learnt_address_is_forgotten_and_with_it_learnt_again() {
    let mut world = World::default();
    serve(&mut world);
    let embassy = Embassy::with_dhcp(&mut world, false);
    world.run_for(Duration::from_secs(5));
    let is_ours = || {
        embassy
            .resolver
            .with_cache(|cache| cache.addresses().count())
    };
    assert_eq!(is_ours(), 1);
    embassy.driver.unplug();
    world.run_for(Duration::from_secs(1));
    assert_eq!(is_ours(), 0);
    embassy.driver.plug_in();
    world.run_for(Duration::from_secs(20));
    assert_eq!(is_ours(), 1);
    assert!(embassy.stack.config_v4().is_some());
}
