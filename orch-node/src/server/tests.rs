use super::*;
use crate::spdy::{Headers, Reader, Writer};
use crate::{agent::tests::World, logs::render, simulated::Rules};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

async fn world() -> World {
    let world = World::new(Rules::default()).await;
    world.create(json!({"containers": [{"name": "main", "image": "app:1"}]}), json!({}));
    world.until("running", |p| p.status.as_ref().unwrap().phase.as_deref() == Some("Running")).await;
    world
}

fn connect(world: &World) -> DuplexStream {
    let (client, server) = tokio::io::duplex(1 << 16);
    let api = Server::new(world.agent.clone());
    world.ambient.tasks.spawn(async move { drop(api.serve_connection(server).await) });
    client
}

async fn get(world: &World, path: &str) -> String {
    let mut client = connect(world);
    client.write_all(format!("GET {path} HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

#[tokio::test(start_paused = true)]
async fn requests_are_answered_as_kubelet_answers_them() {
    let world = world().await;
    assert_eq!(status(&get(&world, "/healthz").await), "200");
    assert!(get(&world, "/pods").await.contains("\"name\":\"web\""));
    let missing = get(&world, "/containerLogs/default/nope/main").await;
    assert!(status(&missing) == "404" && missing.ends_with("pod \"nope\" not found"), "{missing}");
    let missing = get(&world, "/containerLogs/default/web/nope").await;
    assert!(status(&missing) == "404" && missing.contains("container \"nope\" not found in pod \"web\""), "{missing}");
    let previous = get(&world, "/containerLogs/default/web/main?previous=true").await;
    assert!(status(&previous) == "400", "{previous}");
    assert_eq!(status(&get(&world, "/exec/default/web/main?command=true&output=1").await), "400");
}

#[tokio::test]
async fn logs_are_cut_as_asked_and_followed_to_the_end() {
    let world = world().await;
    let container = world.runtime_container().await;
    let mut bytes = Vec::new();
    for (second, stderr, text) in [(1, false, "one"), (2, true, "two"), (3, false, "three")] {
        let at = jiff::Timestamp::from_second(second).unwrap();
        bytes.extend(render(at, stderr, false, text.as_bytes()));
    }
    std::fs::write(&container.log_path, &bytes).unwrap();
    let path = "/containerLogs/default/web/main";
    for (query, expected) in [
        ("", "one\ntwo\nthree\n"),
        ("?tailLines=2", "two\nthree\n"),
        ("?tailLines=0", ""),
        ("?stream=Stderr", "two\n"),
        ("?limitBytes=5", "one\nt"),
        ("?sinceTime=1970-01-01T00:00:03Z", "three\n"),
        ("?tailLines=1&timestamps=true", "1970-01-01T00:00:03.000000000Z three\n"),
    ] {
        let answer = get(&world, &format!("{path}{query}")).await;
        let text: String =
            answer.split("\r\n\r\n").nth(1).unwrap_or_default().split("\r\n").skip(1).step_by(2).collect();
        assert_eq!(text, expected, "{query}");
    }
    let mut client = connect(&world);
    let request = format!("GET {path}?follow=true&tailLines=0 HTTP/1.1\r\nHost: n\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    bytes.extend(render(jiff::Timestamp::from_second(4).unwrap(), false, false, b"four"));
    std::fs::write(&container.log_path, &bytes).unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.runtime.exit(&container.id, 0);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("four\n") && !answer.contains("three"), "{answer}");
}

async fn exec(world: &World, query: &str, input: &[Vec<u8>]) -> Vec<(u8, String)> {
    let mut request = format!("ws://n/exec/default/web/main?{query}").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "v5.channel.k8s.io".parse().unwrap());
    let (mut socket, response) = tokio_tungstenite::client_async(request, connect(world)).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "v5.channel.k8s.io");
    for message in input {
        socket.send(Message::binary(message.clone())).await.unwrap();
    }
    let mut out: Vec<(u8, String)> = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        let Message::Binary(data) = message else { continue };
        out.push((data[0], String::from_utf8(data[1..].to_vec()).unwrap()));
    }
    out
}

#[tokio::test(start_paused = true)]
async fn commands_speak_over_channels_and_end_with_a_status() {
    let world = world().await;
    let out = exec(&world, "command=echo&command=hi&output=1&error=1", &[]).await;
    assert_eq!(out[..2], [(1, String::new()), (1, "hi\n".into())]);
    assert_eq!(serde_json::from_str::<Value>(&out[2].1).unwrap()["status"], "Success");
    let out = exec(&world, "command=exit&command=3&stdout=1", &[]).await;
    let last: Value = serde_json::from_str(&out.last().unwrap().1).unwrap();
    assert_eq!(
        (last["reason"].as_str(), last["details"]["causes"][0]["message"].as_str()),
        (Some("NonZeroExitCode"), Some("3"))
    );
    let out = exec(&world, "command=cat&stdin=1&stdout=1", &[b"\0abc".to_vec(), vec![255, 0]]).await;
    assert_eq!(out[1], (1, "abc".into()));
}

/// Switches to SPDY, with one of these versions offered; the answer's head and the connection.
async fn switch(world: &World, path: &str, versions: &[&str]) -> (String, DuplexStream) {
    let mut client = connect(world);
    let offers: String = versions.iter().map(|v| format!("X-Stream-Protocol-Version: {v}\r\n")).collect();
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: n\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n{offers}\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.unwrap());
    }
    (String::from_utf8(head).unwrap().to_lowercase(), client)
}

/// Opens streams of these types, in order.
async fn streams(client: &crate::spdy::Connection, headers: &[&[(&str, &str)]]) -> Vec<(Reader, Writer)> {
    let mut all = Vec::new();
    for headers in headers {
        all.push(client.open(Headers::new(headers)).await.unwrap().halves());
    }
    all
}

async fn everything(reader: &mut Reader) -> String {
    let mut all = Vec::new();
    while let Some(Ok(data)) = reader.next().await {
        all.extend_from_slice(&data);
    }
    String::from_utf8(all).unwrap()
}

#[tokio::test(start_paused = true)]
async fn commands_speak_spdy_in_the_first_version_that_both_know() {
    let world = world().await;
    for (offered, expected, status) in [
        (&["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"][..], "v4.channel.k8s.io", "ExitCode"),
        (&["v2.channel.k8s.io"], "v2.channel.k8s.io", "error executing command [exit 3], exit code 3"),
    ] {
        let path = "/exec/default/web/main?command=exit&command=3&input=1&output=1&error=1";
        let (head, io) = switch(&world, path, offered).await;
        assert!(head.starts_with("http/1.1 101") && head.contains("upgrade: spdy/3.1"), "{head}");
        assert!(head.contains(&format!("x-stream-protocol-version: {expected}")), "{head}");
        let (client, driver) = crate::spdy::connect(io, crate::spdy::Role::Client).unwrap();
        world.ambient.tasks.spawn(async move { drop(driver.await) });
        let kinds: Vec<Vec<(&str, &str)>> =
            ["error", "stdin", "stdout", "stderr"].map(|kind| vec![("streamType", kind)]).to_vec();
        let kinds: Vec<&[(&str, &str)]> = kinds.iter().map(Vec::as_slice).collect();
        let mut all = streams(&client, &kinds).await;
        let told = everything(&mut all[0].0).await;
        assert!(told.contains(status), "{told}");
        assert_eq!(everything(&mut all[2].0).await, "");
    }
    let (head, mut io) = switch(&world, "/exec/default/web/main?command=true&output=1", &["v9.channel.k8s.io"]).await;
    assert!(head.starts_with("http/1.1 403") && head.contains("x-accepted-stream-protocol-versions: v4"), "{head}");
    let mut words = vec![0; 60];
    io.read_exact(&mut words).await.unwrap();
    assert_eq!(String::from_utf8(words).unwrap(), "unable to upgrade: unable to negotiate protocol: client supp");
    let (head, _) = switch(&world, "/exec/default/web/main?command=true&output=1", &[]).await;
    assert!(head.starts_with("http/1.1 400"), "{head}");
    let (head, _) = switch(&world, "/exec/default/web/other?command=true&output=1", &["v4.channel.k8s.io"]).await;
    assert!(head.starts_with("http/1.1 500"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_forwarded_port_that_cannot_be_reached_says_so_on_its_error_stream() {
    let world = world().await;
    let (head, io) = switch(&world, "/portForward/default/web", &["portforward.k8s.io"]).await;
    assert!(head.contains("x-stream-protocol-version: portforward.k8s.io"), "{head}");
    let (client, driver) = crate::spdy::connect(io, crate::spdy::Role::Client).unwrap();
    world.ambient.tasks.spawn(async move { drop(driver.await) });
    // Once with a request's id, once as old clients do.
    for id in [&[("requestID", "0")][..], &[]] {
        let of = |kind| [&[("port", "80"), ("streamType", kind)], id].concat();
        let mut all = streams(&client, &[&of("error"), &of("data")]).await;
        let told = everything(&mut all[0].0).await;
        assert!(told.starts_with("error forwarding port 80 to pod ") && told.contains("not supported"), "{told}");
        assert_eq!(all[1].0.next().await, Some(Err(crate::spdy::Reset)));
    }
    for bad in [&[("streamType", "data")][..], &[("port", "0"), ("streamType", "data")], &[("port", "80")]] {
        assert!(client.open(Headers::new(bad)).await.is_none(), "{bad:?}");
    }
    // The second stream never comes.
    let mut half = streams(&client, &[&[("port", "80"), ("streamType", "error"), ("requestID", "9")]]).await;
    assert!(everything(&mut half[0].0).await.contains("timed out waiting for streams"));
}

#[tokio::test(start_paused = true)]
async fn old_and_base64_protocols_are_spoken_in_their_own_ways() {
    let world = world().await;
    for (protocol, binary) in [("v4.base64.channel.k8s.io", false), ("channel.k8s.io", true)] {
        let path = "ws://n/exec/default/web/main?command=cat&stdin=1&stdout=1";
        let mut request = path.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        let (mut socket, _) = tokio_tungstenite::client_async(request, connect(&world)).await.unwrap();
        let input = if binary { Message::binary(b"\0abc".to_vec()) } else { Message::text("0YWJj") };
        socket.send(input).await.unwrap();
        let first = socket.next().await.unwrap().unwrap();
        assert_eq!(first.is_text(), !binary, "{protocol}");
        let echoed = socket.next().await.unwrap().unwrap();
        let expected = if binary { Message::binary(b"\x01abc".to_vec()) } else { Message::text("1YWJj") };
        assert_eq!(echoed, expected, "{protocol}");
    }
    let mut request = "ws://n/exec/default/web/main?command=cat&stdout=1".into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "v9.channel.k8s.io".parse().unwrap());
    let refused = tokio_tungstenite::client_async(request, connect(&world)).await.unwrap_err();
    assert!(refused.to_string().contains("403"), "{refused}");
}
