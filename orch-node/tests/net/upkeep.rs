//! Restarts, size, and the end.

use crate::{
    run,
    service::options,
    world::{ON_NODE, World, echoes, front, rules},
};
use orch_node::{
    net::BridgeNetwork,
    proxy::{Front, Nftables, Proto, Ruleset, ServiceProxy},
};
use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Instant,
};

pub async fn all(world: &World) {
    run!(
        a_restart_of_the_agent_is_not_noticed(world),
        two_hundred_services_are_applied(world),
        removing_leaves_nothing(world),
    );
}

async fn a_restart_of_the_agent_is_not_noticed(world: &World) {
    let ruleset = rules(&[(front("10.96.0.10:80", Proto::Tcp), world.rule(0..3))]);
    Nftables::new(options("restart")).apply(&ruleset).await.unwrap();
    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = &world.outside.namespace;
    let mut open = client.connect("10.96.0.10:80").unwrap().0;
    let handle = tokio::runtime::Handle::current();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    client.ask("10.96.0.10:80").expect("the service failed during a restart");
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..20 {
                // The old value is dropped without a word, as when the process is killed.
                let result = handle.block_on(Nftables::new(options("restart")).apply(&ruleset));
                result.unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
    assert!(echoes(&mut open));
    let tables = ON_NODE.run("nft", "list table ip restart");
    assert_eq!(tables.matches("goto svc-").count(), 1, "{tables}");
    println!("  20 restarts under {} connections", asked.into_inner());
    Nftables::new(options("restart")).remove().await.unwrap();
}

async fn two_hundred_services_are_applied(world: &World) {
    let front = |i: u8| Front { address: Some([10, 96, 1, i].into()), proto: Proto::Tcp, port: 80 };
    let ruleset: Ruleset = (0..200).map(|i| (front(i), world.rule(0..3))).collect();
    let proxy = Nftables::new(options("many"));
    let start = Instant::now();
    proxy.apply(&ruleset).await.unwrap();
    let whole = start.elapsed();
    let start = Instant::now();
    proxy.change(&[(front(7), Some(world.rule(0..2)))].into()).await.unwrap();
    println!("  200 services: {whole:?} for all, {:?} for one change", start.elapsed());
    assert_eq!(ON_NODE.spread("10.96.1.7:80", 30).len(), 2);
    assert_eq!(ON_NODE.spread("10.96.1.199:80", 40).len(), 3);
    proxy.remove().await.unwrap();
}

async fn removing_leaves_nothing(world: &World) {
    for _ in 0..2 {
        BridgeNetwork::remove(&world.options, &world.tasks).await.unwrap();
        let links = ON_NODE.run("ip", "-o link");
        assert!(!links.contains("pods0"), "{links}");
        let routes = ON_NODE.run("ip", "route");
        assert!(!routes.contains("10.96.") && !routes.contains("10.244."), "{routes}");
        assert!(!ON_NODE.run("nft", "list tables").contains("pods0"));
        assert!(!world.options.directory.exists());
    }
    assert!(!world.pods[0].namespace.run("ip", "-o link").contains("eth0"));
    // What was removed can be made again.
    BridgeNetwork::open(world.options.clone(), &world.tasks).await.unwrap();
}
