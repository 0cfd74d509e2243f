use crate::support::*;
use async_trait::async_trait;
use http::{Request, Response, StatusCode};
use http_body_util::{Empty, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use orch_apiserver::{
    ApiServer,
    proxy::{Duplex, NodeDialer},
};
use orch_store::{Ambient, Tasks, backend::memory::MemoryBackend};
use serde_json::json;
use std::{convert::Infallible, io, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A node agent that says what it was asked, and echoes after an upgrade.
struct Node(Tasks);

#[async_trait]
impl NodeDialer for Node {
    async fn dial(&self, node: &str) -> io::Result<Box<dyn Duplex>> {
        if node != "n1" {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no node {node}")));
        }
        let (near, far) = tokio::io::duplex(1024);
        let tasks = self.0.clone();
        self.0.spawn(async move {
            let service = service_fn(move |request| answer(tasks.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(far), service);
            let _ended = connection.with_upgrades().await;
        });
        Ok(Box::new(near))
    }
}

async fn answer(tasks: Tasks, mut request: Request<Incoming>) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let uri = request.uri().to_string();
    if uri.contains("previous=true") {
        let words = "previous terminated container \"a\" in pod \"two\" not found";
        return Ok(Response::builder().status(400).body(Full::from(words)).unwrap());
    }
    if !request.headers().contains_key("upgrade") {
        return Ok(Response::new(Full::from(uri)));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tasks.spawn(async move {
        let mut stream = TokioIo::new(upgrade.await.unwrap());
        if uri.contains("deaf") {
            // Reads nothing, says its last word and goes.
            stream.write_all(b"the last word").await.unwrap();
            return;
        }
        stream.write_all(uri.as_bytes()).await.unwrap();
        stream.write_all(b"\n").await.unwrap();
        let mut word = [0; 5];
        stream.read_exact(&mut word).await.unwrap();
        stream.write_all(&word).await.unwrap();
        stream.shutdown().await.unwrap();
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket");
    Ok(response.body(Full::default()).unwrap())
}

async fn server() -> Server {
    let ambient = Ambient::seeded(1);
    let node = Node(ambient.tasks.clone());
    let api = ApiServer::builder(ambient, Arc::new(MemoryBackend::new())).nodes(Arc::new(node)).build().await.unwrap();
    let server = Server { service: api.service(), api }.with_account().await;
    let mut two = pod("two");
    two["spec"]["nodeName"] = json!("n1");
    two["spec"]["containers"] = json!([{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]);
    server.post(PODS, two).await.ok();
    let mut lost = pod("lost");
    lost["spec"]["nodeName"] = json!("gone");
    server.post(PODS, lost).await.ok();
    server.post(PODS, pod("unscheduled")).await.ok();
    server
}

#[tokio::test]
async fn logs_come_from_the_node_of_the_pod() {
    let server = server().await;
    let log = server.get(&format!("{PODS}/two/log?container=b&follow=true&tailLines=5")).await;
    assert_eq!((log.code.as_u16(), log.text.as_str()), (200, "/containerLogs/default/two/b?follow=true&tailLines=5"));
    let check = async |uri: &str, expected: &str| {
        assert_eq!(server.get(&format!("{PODS}/{uri}")).await.status(), expected);
    };
    check("two/log", "400 BadRequest: a container name must be specified for pod two, choose one of: [a b]").await;
    check("two/log?container=c", "400 BadRequest: container c is not valid for pod two").await;
    check("none/log", "404 NotFound: pods \"none\" not found").await;
    check("lost/log", "503 ServiceUnavailable: error trying to reach service: no node gone").await;
    check(
        "two/log?container=a&previous=true",
        "400 BadRequest: previous terminated container \"a\" in pod \"two\" not found",
    )
    .await;
    check(
        "two/log?container=a&tailLines=-1",
        "422 Invalid: PodLogOptions \"two\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0",
    )
    .await;
    check("unscheduled/exec?command=ls", "400 BadRequest: pod unscheduled does not have a host assigned").await;
    check("two/exec?command=ls&container=a", "400 BadRequest: Upgrade request required").await;
    assert_eq!(server.get(&format!("{PODS}/unscheduled/log")).await.text, "");
}

#[tokio::test]
async fn exec_switches_protocols_and_passes_bytes_both_ways() {
    let server = server().await;
    let io = TokioIo::new(server.api.connect());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let tasks = Tasks::new();
    tasks.spawn(async move { drop(connection.with_upgrades().await) });
    let request = Request::get(format!("{PODS}/two/exec?container=a&command=echo&command=a%20b&stdout=true"))
        .header("host", "orch")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    stream.write_all(b"hello").await.unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).await.unwrap();
    assert_eq!(all, "/exec/default/two/a?output=1&command=echo&command=a%20b\nhello");
    tasks.stop().await;
}

#[tokio::test]
async fn what_a_command_says_last_arrives_though_it_did_not_read_its_input() {
    let server = server().await;
    let io = TokioIo::new(server.api.connect());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    let tasks = Tasks::new();
    tasks.spawn(async move { drop(connection.with_upgrades().await) });
    let request = Request::get(format!("{PODS}/two/exec?container=a&command=deaf&stdin=true"))
        .header("host", "orch")
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (mut reader, mut writer) = tokio::io::split(TokioIo::new(hyper::upgrade::on(response).await.unwrap()));
    let flood = async { while writer.write_all(&[0; 4096]).await.is_ok() {} };
    let mut all = String::new();
    let (_, read) = tokio::join!(flood, reader.read_to_string(&mut all));
    read.unwrap();
    assert_eq!(all, "the last word");
    tasks.stop().await;
}

#[tokio::test]
async fn a_node_is_reached_through_its_proxy() {
    let server = server().await;
    server.post("/api/v1/nodes", json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})).await.ok();
    assert_eq!(server.get("/api/v1/nodes/n1/proxy/stats/summary?a=b").await.text, "/stats/summary?a=b");
}
