//! The cluster DNS, asked over UDP and TCP.

use crate::run;
use hickory_proto::{
    op::{Edns, Message, OpCode, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata::A},
};
use k8s_openapi::api::core::v1::Service;
use orch_api::Gvr;
use orch_node::dns::{self, DnsOptions};
use orch_store::{Ambient, Client, Informers, backend::MemoryBackend, client::WriteOptions, testing::BareClient};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::Arc,
    thread,
    time::Duration,
};

pub async fn all() {
    let ambient = Ambient::system();
    let server = &start(&ambient, vec![fake_upstream()]).await;
    let alone = &start(&ambient, Vec::new()).await;
    run!(
        names_are_answered_over_both_transports(server),
        what_is_missing_says_for_how_long(server),
        large_answers_are_cut_off_or_sent_by_stream(server),
        other_names_are_forwarded(server),
        large_answers_of_others_come_whole(server),
        aliases_are_followed(server),
        without_upstream_the_server_has_failed(alone),
    );
    ambient.tasks.stop().await;
}

async fn names_are_answered_over_both_transports(server: &SocketAddr) {
    for ask in [by_datagram, by_stream] {
        let message = ask(server, "web.default.svc.cluster.local.", RecordType::A, None);
        assert_eq!(addresses(&message), ["10.96.0.5"]);
        assert!(message.metadata.authoritative && !message.metadata.truncation);
        let message = ask(server, "_http._tcp.web.default.svc.cluster.local.", RecordType::SRV, None);
        let RData::SRV(srv) = &message.answers[0].data else { panic!("{message:?}") };
        assert_eq!((srv.port, srv.target.to_ascii().as_str()), (80, "web.default.svc.cluster.local."));
        assert_eq!(message.additionals.len(), 1);
    }
}

async fn what_is_missing_says_for_how_long(server: &SocketAddr) {
    for (name, kind, code) in [
        ("nobody.default.svc.cluster.local.", RecordType::A, ResponseCode::NXDomain),
        ("web.default.svc.cluster.local.", RecordType::AAAA, ResponseCode::NoError),
    ] {
        let message = by_datagram(server, name, kind, None);
        assert_eq!(message.metadata.response_code, code);
        assert!(message.answers.is_empty() && matches!(message.authorities[0].data, RData::SOA(_)), "{message:?}");
    }
}

async fn large_answers_are_cut_off_or_sent_by_stream(server: &SocketAddr) {
    let name = "many.default.svc.cluster.local.";
    let cut = by_datagram(server, name, RecordType::A, None);
    assert!(cut.metadata.truncation && cut.answers.len() < 60, "{}", cut.answers.len());
    let more = by_datagram(server, name, RecordType::A, Some(4096));
    assert!(more.answers.len() > cut.answers.len());
    let whole = by_stream(server, name, RecordType::A, None);
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 200);
}

async fn other_names_are_forwarded(server: &SocketAddr) {
    for ask in [by_datagram, by_stream] {
        let message = ask(server, "example.org.", RecordType::A, None);
        assert_eq!(addresses(&message), ["192.0.2.1"]);
        assert!(!message.metadata.authoritative);
    }
    let missing = by_datagram(server, "missing.org.", RecordType::A, None);
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);
}

async fn large_answers_of_others_come_whole(server: &SocketAddr) {
    let whole = by_stream(server, "large.org.", RecordType::A, None);
    assert_eq!((whole.answers.len(), whole.metadata.truncation), (100, false));
}

async fn aliases_are_followed(server: &SocketAddr) {
    let message = by_datagram(server, "out.default.svc.cluster.local.", RecordType::A, None);
    assert!(matches!(message.answers[0].data, RData::CNAME(_)), "{message:?}");
    assert_eq!(addresses(&message), ["192.0.2.1"]);
    let message = by_datagram(server, "in.default.svc.cluster.local.", RecordType::A, None);
    assert_eq!(addresses(&message), ["10.96.0.5"]);
}

async fn without_upstream_the_server_has_failed(server: &SocketAddr) {
    let message = by_datagram(server, "example.org.", RecordType::A, None);
    assert_eq!(message.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(addresses(&by_datagram(server, "web.default.svc.cluster.local.", RecordType::A, None)), ["10.96.0.5"]);
}

async fn start(ambient: &Ambient, upstream: Vec<SocketAddr>) -> SocketAddr {
    let client = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    let services = Gvr::of("", "v1", "services");
    let slices = Gvr::of("discovery.k8s.io", "v1", "endpointslices");
    for (name, spec) in [
        ("web", json!({ "clusterIP": "10.96.0.5", "ports": [{ "name": "http", "port": 80, "protocol": "TCP" }] })),
        ("many", json!({ "clusterIP": "None" })),
        ("out", json!({ "type": "ExternalName", "externalName": "example.org" })),
        ("in", json!({ "type": "ExternalName", "externalName": "web.default.svc.cluster.local" })),
    ] {
        let body = json!({ "metadata": { "name": name, "namespace": "default" }, "spec": spec });
        create(&client, &services, name, body).await;
    }
    let endpoints: Vec<Value> = (0..200).map(|i| json!({ "addresses": [format!("10.244.1.{i}")] })).collect();
    let labels = json!({ "kubernetes.io/service-name": "many" });
    let meta = json!({ "name": "many-1", "namespace": "default", "labels": labels });
    create(&client, &slices, "many-1", json!({ "metadata": meta, "endpoints": endpoints })).await;
    let informers = Informers::new(client, ambient.clone());
    let options = DnsOptions { listen: "127.0.0.1:0".parse().unwrap(), domain: "cluster.local".into(), upstream };
    let address = dns::start(options, informers.clone(), ambient).await.unwrap();
    informers.of::<Service>().synced().await;
    // Until the server has read the cluster it says so; a client asks again.
    let known = |name: &str| !by_datagram(&address, name, RecordType::A, None).answers.is_empty();
    while !(known("web.default.svc.cluster.local.") && known("many.default.svc.cluster.local.")) {
        tokio::task::yield_now().await;
    }
    address
}

async fn create(client: &BareClient, resource: &Gvr, name: &str, body: Value) {
    let key = orch_api::Key::new("default", name);
    client.create(resource, &key, None, body, &WriteOptions::default()).await.unwrap();
}

fn question(name: &str, kind: RecordType, payload: Option<u16>) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.edns = payload.map(|size| {
        let mut edns = Edns::new();
        edns.set_max_payload(size);
        edns
    });
    message.to_vec().unwrap()
}

fn by_datagram(server: &SocketAddr, name: &str, kind: RecordType, payload: Option<u16>) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(&question(name, kind, payload), server).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).unwrap();
    assert!(length <= usize::from(payload.unwrap_or(512)));
    Message::from_vec(&buffer[..length]).unwrap()
}

fn by_stream(server: &SocketAddr, name: &str, kind: RecordType, payload: Option<u16>) -> Message {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    send(&mut stream, &question(name, kind, payload));
    Message::from_vec(&receive(&mut stream)).unwrap()
}

fn addresses(message: &Message) -> Vec<String> {
    let address = |r: &Record| if let RData::A(A(a)) = r.data { Some(a.to_string()) } else { None };
    message.answers.iter().filter_map(address).collect()
}

/// A name server of the world outside, which cuts off large answers over UDP.
fn fake_upstream() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(&say(&buffer[..length], true), from).unwrap();
        }
    });
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let question = receive(&mut client);
            send(&mut client, &say(&question, false));
        }
    });
    address
}

fn say(question: &[u8], cut: bool) -> Vec<u8> {
    let question = Message::from_vec(question).unwrap();
    let mut answer = Message::response(question.metadata.id, OpCode::Query);
    let query = question.queries[0].clone();
    let name = query.name().clone();
    let count = match name.to_ascii().as_str() {
        "example.org." => 1,
        "large.org." if cut => 0,
        "large.org." => 100,
        _ => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            0
        }
    };
    answer.metadata.truncation = cut && name.to_ascii() == "large.org.";
    let record = |i: u8| Record::from_rdata(name.clone(), 60, RData::A(A::new(192, 0, 2, i)));
    answer.answers = (1..=count).map(record).collect();
    answer.add_query(query);
    answer.to_vec().unwrap()
}

fn send(stream: &mut TcpStream, message: &[u8]) {
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, message].concat()).unwrap();
}

fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).unwrap();
    message
}
