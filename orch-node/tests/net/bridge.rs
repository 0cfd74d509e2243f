//! Pods on a bridge.

use crate::{
    run,
    world::{GATEWAY, NODE, Namespace, ON_NODE, Pod, World, answer},
};
use orch_node::net::{BridgeNetwork, PodNetwork};
use orch_runtime::node::container::{HostPort, SandboxConfig};
use std::{io::ErrorKind, path::Path};

pub async fn all(world: &World) {
    run!(
        pods_see_each_other_by_their_own_addresses(world),
        attaching_again_changes_nothing(world),
        a_half_made_connection_is_made_anew(world),
        an_attach_that_fails_leaves_nothing(world),
        detaching_gives_the_address_back_later(world),
        host_ports_lead_to_their_pod(world),
        a_host_port_outlives_the_agent_and_not_its_pod(world),
    );
}

async fn pods_see_each_other_by_their_own_addresses(world: &World) {
    let [a, b] = [&world.pods[0], &world.pods[1]];
    assert_eq!(a.namespace.ask(&format!("{}:8080", b.address)).unwrap(), ("b".into(), a.address.to_string()));
    assert_eq!(ON_NODE.ask(&format!("{}:8080", b.address)).unwrap(), ("b".into(), GATEWAY.into()));
    ON_NODE.serve(7000, "node");
    assert_eq!(a.namespace.ask(&format!("{GATEWAY}:7000")).unwrap(), ("node".into(), a.address.to_string()));
    // The outside sees the node's address, as it knows no way to the pods, until it is said that it does.
    world.outside.namespace.serve(7000, "outside");
    let outside = format!("{}:7000", world.outside.address);
    assert_eq!(a.namespace.ask(&outside).unwrap(), ("outside".into(), NODE.into()));
    world.network.keep_source("10.99.0.0/24".parse().unwrap()).await.unwrap();
    assert_eq!(a.namespace.ask(&outside).unwrap(), ("outside".into(), a.address.to_string()));
}

async fn attaching_again_changes_nothing(world: &World) {
    let [a, b] = [&world.pods[0], &world.pods[1]];
    let mut open = a.namespace.connect(&format!("{}:8080", b.address)).unwrap().0;
    let before = a.namespace.run("ip", "-o link show eth0");
    let again = world.network.attach(&a.namespace.path(), &a.config).await.unwrap();
    assert_eq!(again, [a.address]);
    assert_eq!(a.namespace.run("ip", "-o link show eth0"), before);
    assert!(crate::world::echoes(&mut open));
    // So does an agent that starts anew.
    let next = BridgeNetwork::open(world.options.clone(), &world.tasks).await.unwrap();
    assert_eq!(next.attach(&a.namespace.path(), &a.config).await.unwrap(), [a.address]);
    assert_eq!(a.namespace.run("ip", "-o link show eth0"), before);
    assert!(crate::world::echoes(&mut open));
}

async fn a_half_made_connection_is_made_anew(world: &World) {
    let pod = Pod::attach(&world.network, "half", Vec::new()).await;
    pod.namespace.run("ip", "route del default");
    assert_eq!(world.network.attach(&pod.namespace.path(), &pod.config).await.unwrap(), [pod.address]);
    assert!(pod.namespace.run("ip", "route").contains("default"));
    assert!(pod.namespace.ask(&format!("{}:7000", world.outside.address)).is_ok());
    world.network.detach(&pod.namespace.path(), &pod.config).await.unwrap();
}

async fn an_attach_that_fails_leaves_nothing(world: &World) {
    let state = || (ON_NODE.run("ip", "-o link").lines().count(), held(&world.options.directory));
    let before = state();
    let config = SandboxConfig { uid: "doomed".into(), ..Default::default() };
    for no_namespace in ["/nonexistent", "/dev/null"] {
        assert!(world.network.attach(Path::new(no_namespace), &config).await.is_err());
        assert_eq!(state(), before);
    }
    let impossible = SandboxConfig { host_ports: vec![port("NONSENSE", 1, None)], ..config };
    let namespace = Namespace::new();
    assert!(world.network.attach(&namespace.path(), &impossible).await.is_err());
    assert_eq!(state(), before);
    assert!(!namespace.run("ip", "-o link").contains("eth0"));
}

async fn detaching_gives_the_address_back_later(world: &World) {
    let first = Pod::attach(&world.network, "first", Vec::new()).await;
    world.network.detach(&first.namespace.path(), &first.config).await.unwrap();
    world.network.detach(Path::new("/nonexistent"), &first.config).await.unwrap();
    assert!(!held(&world.options.directory).contains(&first.address.to_string()));
    let second = Pod::attach(&world.network, "second", Vec::new()).await;
    assert_ne!(second.address, first.address);
    world.network.detach(&second.namespace.path(), &second.config).await.unwrap();
}

async fn host_ports_lead_to_their_pod(world: &World) {
    let ports = vec![port("TCP", 9080, None), port("UDP", 9080, None), port("TCP", 9081, Some(NODE))];
    let pod = Pod::attach(&world.network, "published", ports).await;
    pod.namespace.serve(8080, "published");
    let outside = &world.outside;
    let seen = outside.namespace.ask(&format!("{NODE}:9080")).unwrap();
    assert_eq!(seen, ("published".into(), outside.address.to_string()));
    assert_eq!(answer(&outside.namespace.datagrams(), &format!("{NODE}:9080")).as_deref(), Some("published"));
    for (who, client) in [("node", &ON_NODE), ("pod", &world.pods[0].namespace), ("itself", &pod.namespace)] {
        for port in [9080, 9081] {
            let seen = client.ask(&format!("{NODE}:{port}"));
            assert!(matches!(&seen, Ok((name, _)) if name == "published"), "{who} {port}: {seen:?}");
        }
        let other = client.ask(&format!("{GATEWAY}:9081")).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::ConnectionRefused, "published on one address only");
    }
    world.network.detach(&pod.namespace.path(), &pod.config).await.unwrap();
    let gone = outside.namespace.ask(&format!("{NODE}:9080")).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ConnectionRefused);
}

async fn a_host_port_outlives_the_agent_and_not_its_pod(world: &World) {
    let old = Pod::attach(&world.network, "old", vec![port("TCP", 9090, None)]).await;
    old.namespace.serve(8080, "old");
    BridgeNetwork::open(world.options.clone(), &world.tasks).await.unwrap();
    assert_eq!(ON_NODE.ask(&format!("{NODE}:9090")).unwrap().0, "old");
    // A pod that takes the port over keeps it when the one before it goes at last.
    let new = Pod::attach(&world.network, "new", vec![port("TCP", 9090, None)]).await;
    new.namespace.serve(8080, "new");
    world.network.detach(&old.namespace.path(), &old.config).await.unwrap();
    assert_eq!(ON_NODE.ask(&format!("{NODE}:9090")).unwrap().0, "new");
    world.network.detach(&new.namespace.path(), &new.config).await.unwrap();
}

fn held(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "last").collect();
    names.sort();
    names
}

fn port(protocol: &str, host_port: u16, address: Option<&str>) -> HostPort {
    let host_ip = address.map(|a| a.parse().unwrap());
    HostPort { protocol: protocol.into(), container_port: 8080, host_port, host_ip }
}
