//! What the rules of 1,000 Services with three endpoints each cost: all at once, and one change.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used)] // It measures.

use orch_api::Key;
use orch_node::proxy::{Endpoint, Planner, Service, ServicePort, Slice, plan};
use std::{hint::black_box, time::Instant};

const SERVICES: u16 = 1000;
const CHANGES: u16 = 1000;

fn main() {
    let services: Vec<Service> = (0..SERVICES).map(service).collect();
    let slices: Vec<Slice> = (0..SERVICES).map(|i| slice(i, 3)).collect();
    let start = Instant::now();
    let rules = black_box(plan(services.iter(), slices.iter(), &["n1".to_owned()].into()));
    println!("plan of {} fronts: {:?}", rules.len(), start.elapsed());

    let mut planner = Planner::new(["n1"]);
    services.into_iter().for_each(|s| planner.set_service(s));
    slices.into_iter().for_each(|s| planner.set_slice(s.service.clone(), s));
    planner.changes();
    assert_eq!(planner.rules(), &rules, "step by step the rules are the same");

    let start = Instant::now();
    for i in 0..CHANGES {
        planner.set_slice(key(i % SERVICES), slice(i % SERVICES, 2));
        assert_eq!(black_box(planner.changes()).len(), 1);
    }
    println!("one change: {:?}", start.elapsed() / u32::from(CHANGES));
}

fn key(i: u16) -> Key {
    Key::new("default", format!("s{i}"))
}

fn service(i: u16) -> Service {
    let port = ServicePort { protocol: "TCP".into(), port: 80, ..ServicePort::default() };
    let address = format!("10.96.{}.{}", i / 256, i % 256);
    Service { key: key(i), cluster_ips: vec![address.into()], ports: vec![port], ..Service::default() }
}

fn slice(i: u16, endpoints: u16) -> Slice {
    let endpoint = |n: u16| Endpoint {
        address: format!("10.{}.{}.{}", 10 + n, i / 256, i % 256).into(),
        ready: true,
        serving: true,
        ..Endpoint::default()
    };
    let ports = [("".into(), ("TCP".into(), 8080))].into();
    Slice { service: key(i), ports, endpoints: (0..endpoints).map(endpoint).collect() }
}
