//! Services by rules in the kernel.

use crate::{
    run,
    world::{GATEWAY, NODE, ON_NODE, PODS, World, answer, echoes, front, rules},
};
use orch_node::{
    net::BridgeNetwork,
    proxy::{Nftables, NftablesOptions, Proto, Rule, ServiceProxy},
};
use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

const VIP: &str = "10.96.0.10:80";

/// With and without bridged packets passing the rules.
pub async fn all(world: &World, hooks: bool) {
    std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", if hooks { "1" } else { "0" }).unwrap();
    assert_eq!(BridgeNetwork::passes_hooks(), hooks);
    println!("with bridge_passes_hooks = {hooks}:");
    let proxy = Nftables::new(options("services"));
    run!(
        connections_spread_over_all_backends(world, &proxy),
        clients_keep_their_addresses(world, &proxy, hooks),
        a_pod_reaches_itself(world, &proxy),
        a_removed_backend_gets_nothing_new(world, &proxy),
        established_connections_survive_changes(world, &proxy),
        no_backends_and_unknown_ports_refuse_at_once(world, &proxy),
        a_local_policy_without_backends_is_silent(world, &proxy),
        a_node_port_is_reached_from_everywhere(world, &proxy),
        affinity_keeps_clients_until_their_backend_goes(world, &proxy),
        datagrams_leave_a_backend_that_is_gone(world, &proxy),
        a_refused_transaction_changes_nothing(world, &proxy),
    );
    proxy.remove().await.unwrap();
    proxy.remove().await.unwrap();
    assert!(!ON_NODE.run("nft", "list tables").contains("services"));
}

pub fn options(table: &str) -> NftablesOptions {
    NftablesOptions { table: table.into(), pod_cidr: PODS.into(), bridge_passes_hooks: BridgeNetwork::passes_hooks() }
}

async fn connections_spread_over_all_backends(world: &World, proxy: &Nftables) {
    proxy.apply(&rules(&[(front(VIP, Proto::Tcp), world.rule(0..3))])).await.unwrap();
    for client in [&world.pods[0].namespace, &world.outside.namespace, &ON_NODE] {
        let counts = client.spread(VIP, 60);
        assert!(counts.len() == 3 && counts.values().all(|n| *n >= 5), "{counts:?}");
    }
}

async fn clients_keep_their_addresses(world: &World, proxy: &Nftables, hooks: bool) {
    proxy.apply(&rules(&[(front(VIP, Proto::Tcp), world.rule([1]))])).await.unwrap();
    let a = &world.pods[0];
    let seen = a.namespace.ask(VIP).unwrap().1;
    assert_eq!(seen, if hooks { a.address.to_string() } else { GATEWAY.into() });
    // Others get the node's, so that the answer of a pod elsewhere comes back this way.
    assert_eq!(world.outside.namespace.ask(VIP).unwrap().1, GATEWAY);
    let local = Rule { masquerade: false, ..world.rule([1]) };
    proxy.apply(&rules(&[(front(VIP, Proto::Tcp), local)])).await.unwrap();
    assert_eq!(world.outside.namespace.ask(VIP).unwrap().1, world.outside.address.to_string());
}

async fn a_pod_reaches_itself(world: &World, proxy: &Nftables) {
    for affinity_seconds in [None, Some(60)] {
        let rule = Rule { affinity_seconds, ..world.rule([0]) };
        proxy.apply(&rules(&[(front(VIP, Proto::Tcp), rule)])).await.unwrap();
        assert_eq!(world.pods[0].namespace.ask(VIP).unwrap(), ("a".into(), GATEWAY.into()));
    }
}

async fn a_removed_backend_gets_nothing_new(world: &World, proxy: &Nftables) {
    let vip = front(VIP, Proto::Tcp);
    proxy.apply(&rules(&[(vip, world.rule(0..3))])).await.unwrap();
    proxy.change(&[(vip, Some(world.rule(0..2)))].into()).await.unwrap();
    let counts = world.outside.namespace.spread(VIP, 40);
    assert!(counts.len() == 2 && !counts.contains_key("c"), "{counts:?}");
}

async fn established_connections_survive_changes(world: &World, proxy: &Nftables) {
    let (vip, other) = (front(VIP, Proto::Tcp), front("10.96.0.11:80", Proto::Tcp));
    proxy.apply(&rules(&[(vip, world.rule(0..3))])).await.unwrap();
    let clients = [&world.pods[0].namespace, &world.outside.namespace, &ON_NODE];
    let mut open: Vec<_> = clients.iter().map(|c| c.connect(VIP).unwrap().0).collect();
    proxy.change(&[(other, Some(world.rule(0..1)))].into()).await.unwrap();
    assert!(open.iter_mut().all(echoes), "after an unrelated change");
    proxy.change(&[(vip, Some(world.rule(1..2))), (other, None)].into()).await.unwrap();
    assert!(open.iter_mut().all(echoes), "after their own Service changed");
}

async fn no_backends_and_unknown_ports_refuse_at_once(world: &World, proxy: &Nftables) {
    let vip = front(VIP, Proto::Tcp);
    proxy.apply(&rules(&[(vip, world.rule(0..3))])).await.unwrap();
    let mut open = world.outside.namespace.connect(VIP).unwrap().0;
    proxy.change(&[(vip, Some(world.rule([])))].into()).await.unwrap();
    for target in [VIP, "10.96.0.10:81", "10.96.7.7:80"] {
        for (who, client) in
            [("pod", &world.pods[0].namespace), ("outside", &world.outside.namespace), ("node", &ON_NODE)]
        {
            let start = Instant::now();
            let error = client.ask(target).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{who} to {target}: {error}");
            assert!(start.elapsed() < Duration::from_millis(500), "{target}: {:?}", start.elapsed());
        }
    }
    assert!(echoes(&mut open));
    proxy.change(&[(vip, Some(world.rule([2])))].into()).await.unwrap();
    assert_eq!(world.outside.namespace.ask(VIP).unwrap().0, "c");
    proxy.change(&[(vip, None)].into()).await.unwrap();
    assert_eq!(ON_NODE.ask(VIP).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

async fn a_local_policy_without_backends_is_silent(world: &World, proxy: &Nftables) {
    let silent = Rule { drop_when_empty: true, ..world.rule([]) };
    proxy.apply(&rules(&[(front("node:30080", Proto::Tcp), silent)])).await.unwrap();
    let error = world.outside.namespace.ask(&format!("{NODE}:30080")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

async fn a_node_port_is_reached_from_everywhere(world: &World, proxy: &Nftables) {
    let node_port = front("node:30080", Proto::Tcp);
    proxy.apply(&rules(&[(node_port, world.rule(0..3))])).await.unwrap();
    for (client, address) in [(&world.pods[0].namespace, GATEWAY), (&world.outside.namespace, NODE), (&ON_NODE, NODE)] {
        let counts = client.spread(&format!("{address}:30080"), 45);
        assert!(counts.len() == 3 && counts.values().all(|n| *n >= 3), "{counts:?}");
    }
    proxy.change(&[(node_port, Some(world.rule([])))].into()).await.unwrap();
    for client in [&world.outside.namespace, &ON_NODE] {
        let error = client.ask(&format!("{NODE}:30080")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

async fn affinity_keeps_clients_until_their_backend_goes(world: &World, proxy: &Nftables) {
    let vip = front(VIP, Proto::Tcp);
    let sticky = |pods: &[usize]| Rule { affinity_seconds: Some(60), ..world.rule(pods.iter().copied()) };
    proxy.apply(&rules(&[(vip, sticky(&[0, 1, 2]))])).await.unwrap();
    let client = &world.outside.namespace;
    let counts = client.spread(VIP, 12);
    assert_eq!(counts.len(), 1, "{counts:?}");
    let chosen = ["a", "b", "c"].iter().position(|name| counts.contains_key(*name)).unwrap();
    // It stays when another goes, and moves for good when its own goes.
    let others: Vec<usize> = (0..3).filter(|i| *i != chosen).collect();
    proxy.change(&[(vip, Some(sticky(&[chosen, others[0]])))].into()).await.unwrap();
    assert_eq!(client.spread(VIP, 12), counts);
    proxy.change(&[(vip, Some(sticky(&others)))].into()).await.unwrap();
    let moved = client.spread(VIP, 12);
    assert!(moved.len() == 1 && moved != counts, "{moved:?}");
    let sets = || ON_NODE.run("nft", "list table ip services").matches("set aff-").count();
    assert_eq!(sets(), 2);
    proxy.change(&[(vip, Some(world.rule(0..3)))].into()).await.unwrap();
    assert_eq!(sets(), 0, "nobody is remembered without affinity");
    assert_eq!(client.spread(VIP, 40).len(), 3);
}

async fn datagrams_leave_a_backend_that_is_gone(world: &World, proxy: &Nftables) {
    let vip = front("10.96.0.10:53", Proto::Udp);
    proxy.apply(&rules(&[(vip, world.rule([]))])).await.unwrap();
    for client in [&world.pods[0].namespace, &world.outside.namespace, &ON_NODE] {
        let socket = client.datagrams();
        let ask = || answer(&socket, "10.96.0.10:53");
        assert_eq!(ask(), None);
        proxy.change(&[(vip, Some(world.rule([1])))].into()).await.unwrap();
        assert!((0..3).any(|_| ask().as_deref() == Some("b")));
        if orch_node::net::detect().await.conntrack {
            proxy.change(&[(vip, Some(world.rule([2])))].into()).await.unwrap();
            assert_eq!(ask().as_deref(), Some("c"));
        }
        proxy.change(&[(vip, Some(world.rule([])))].into()).await.unwrap();
    }
}

async fn a_refused_transaction_changes_nothing(world: &World, proxy: &Nftables) {
    let vip = front(VIP, Proto::Tcp);
    proxy.apply(&rules(&[(vip, world.rule([0]))])).await.unwrap();
    // Somebody took away what the next transaction builds upon.
    ON_NODE.run("nft", "delete map ip services no-endpoints");
    let before = ON_NODE.run("nft", "list table ip services");
    ON_NODE.run("nft", "flush map ip services service-ips");
    let change = [(vip, None)].into();
    let refused = proxy.change(&change).await;
    assert!(refused.is_err(), "{before}");
    assert!(proxy.change(&change).await.is_err(), "only a whole ruleset helps now");
    proxy.apply(&rules(&[(vip, world.rule([1]))])).await.unwrap();
    assert_eq!(ON_NODE.ask(VIP).unwrap().0, "b");
}
