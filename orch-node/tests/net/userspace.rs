//! Services by sockets, on loopback.

use crate::{
    run,
    world::{ON_NODE, answer, echoes, rules},
};
use orch_node::proxy::{Backend, Front, Proto, Rule, ServiceProxy, Userspace};
use orch_store::Ambient;
use std::{io::ErrorKind, net::TcpListener};

const NAMES: [&str; 3] = ["x", "y", "z"];

pub async fn all() {
    let ambient = Ambient::system();
    let proxy = Userspace::new(ambient.clone());
    let ports: Vec<u16> = NAMES.iter().map(|name| free_port_served(name)).collect();
    run!(
        connections_take_turns(&proxy, &ports),
        changes_touch_only_their_front(&proxy, &ports),
        affinity_survives_changes(&proxy, &ports),
        a_backend_that_refuses_is_passed_over(&proxy, &ports),
        datagrams_follow_the_backends(&proxy, &ports),
        a_port_that_is_taken_keeps_no_other_from_working(&proxy, &ports),
    );
    ambient.tasks.stop().await;
}

async fn connections_take_turns(proxy: &Userspace, ports: &[u16]) {
    let (tcp, target) = front(Proto::Tcp);
    proxy.apply(&rules(&[(tcp, rule(ports))])).await.unwrap();
    assert!(ON_NODE.spread(&target, 9).values().all(|n| *n == 3));
}

async fn changes_touch_only_their_front(proxy: &Userspace, ports: &[u16]) {
    let ((one, at_one), (two, at_two)) = (front(Proto::Tcp), front(Proto::Tcp));
    proxy.apply(&rules(&[(one, rule(ports))])).await.unwrap();
    let mut open = ON_NODE.connect(&at_one).unwrap().0;
    proxy.change(&[(two, Some(rule(&ports[..1]))), (one, Some(rule(&ports[1..])))].into()).await.unwrap();
    assert_eq!(ON_NODE.spread(&at_two, 4)["x"], 4);
    assert!(!ON_NODE.spread(&at_one, 8).contains_key("x"));
    proxy.change(&[(one, None), (two, Some(rule(&[])))].into()).await.unwrap();
    for target in [&at_one, &at_two] {
        assert_eq!(ON_NODE.ask(target).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }
    assert!(echoes(&mut open), "a connection outlives its front");
    proxy.change(&[(two, Some(rule(&ports[2..])))].into()).await.unwrap();
    assert_eq!(ON_NODE.ask(&at_two).unwrap().0, "z");
}

async fn affinity_survives_changes(proxy: &Userspace, ports: &[u16]) {
    let (tcp, target) = front(Proto::Tcp);
    let sticky = |ports: &[u16]| Rule { affinity_seconds: Some(60), ..rule(ports) };
    proxy.apply(&rules(&[(tcp, sticky(ports))])).await.unwrap();
    let first = ON_NODE.ask(&target).unwrap().0;
    let mine = NAMES.iter().position(|name| *name == first).unwrap();
    let other = (mine + 1) % 3;
    proxy.change(&[(tcp, Some(sticky(&[ports[mine], ports[other]])))].into()).await.unwrap();
    assert_eq!(ON_NODE.spread(&target, 5)[&first], 5);
    proxy.change(&[(tcp, Some(sticky(&[ports[other]])))].into()).await.unwrap();
    assert_eq!(ON_NODE.ask(&target).unwrap().0, NAMES[other]);
}

async fn a_backend_that_refuses_is_passed_over(proxy: &Userspace, ports: &[u16]) {
    let (tcp, target) = front(Proto::Tcp);
    let dead = free_port();
    let rule = Rule { affinity_seconds: Some(60), ..rule(&[dead, ports[0]]) };
    proxy.apply(&rules(&[(tcp, rule)])).await.unwrap();
    assert_eq!(ON_NODE.spread(&target, 6)["x"], 6);
}

async fn datagrams_follow_the_backends(proxy: &Userspace, ports: &[u16]) {
    let (udp, target) = front(Proto::Udp);
    proxy.apply(&rules(&[(udp, rule(&ports[..1]))])).await.unwrap();
    let client = ON_NODE.datagrams();
    assert_eq!(answer(&client, &target).as_deref(), Some("x"));
    proxy.change(&[(udp, Some(rule(&ports[..2])))].into()).await.unwrap();
    assert_eq!(answer(&client, &target).as_deref(), Some("x"), "a client stays");
    proxy.change(&[(udp, Some(rule(&ports[1..2])))].into()).await.unwrap();
    assert_eq!(answer(&client, &target).as_deref(), Some("y"), "until its backend goes");
    proxy.change(&[(udp, None)].into()).await.unwrap();
    assert_eq!(answer(&client, &target), None);
}

async fn a_port_that_is_taken_keeps_no_other_from_working(proxy: &Userspace, ports: &[u16]) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_front = at(Proto::Tcp, taken.local_addr().unwrap().port());
    let (free, target) = front(Proto::Tcp);
    let ruleset = rules(&[(taken_front, rule(ports)), (free, rule(ports))]);
    assert!(proxy.apply(&ruleset).await.is_err());
    assert!(ON_NODE.ask(&target).is_ok());
    drop(taken);
    proxy.apply(&ruleset).await.unwrap();
    proxy.apply(&rules(&[])).await.unwrap();
    assert!(ON_NODE.ask(&target).is_err());
}

fn rule(ports: &[u16]) -> Rule {
    let backends = ports.iter().map(|port| Backend { address: [127, 0, 0, 1].into(), port: *port }).collect();
    Rule { backends, ..Rule::default() }
}

fn front(proto: Proto) -> (Front, String) {
    let port = free_port();
    (at(proto, port), format!("127.0.0.1:{port}"))
}

fn at(proto: Proto, port: u16) -> Front {
    Front { address: Some([127, 0, 0, 1].into()), proto, port }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn free_port_served(name: &str) -> u16 {
    let port = free_port();
    ON_NODE.serve(port, name);
    port
}
