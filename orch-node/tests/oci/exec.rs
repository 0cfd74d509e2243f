use crate::node::{Node, toolbox, words};
use orch_runtime::node::container::{ContainerRuntime, ExecRequest};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(crate) async fn output_error_and_exit_code_are_apart() {
    let node = Node::new().await;
    let (_, container) = node.start(toolbox(&["sleep", "infinity"])).await;
    assert_eq!(node.run(&container, &["echo", "out"]).await, (0, "out\n".into(), String::new()));
    let (code, stdout, stderr) = node.run(&container, &["cat", "/no/such/file"]).await;
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("/no/such/file"), "{stderr}");
    assert_eq!(node.run(&container, &["exit", "42"]).await.0, 42);
    let missing = ExecRequest { command: words(&["nope"]), ..Default::default() };
    let error = node.exec(&container, missing).await.err().unwrap().to_string();
    assert_eq!(error, "exec: \"nope\": executable file not found in $PATH");
    node.clean().await;
}

pub(crate) async fn standard_input_reaches_the_command() {
    let node = Node::new().await;
    let (_, container) = node.start(toolbox(&["sleep", "infinity"])).await;
    let request = ExecRequest { command: words(&["cat"]), stdin: true, ..Default::default() };
    let mut session = node.exec(&container, request).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    let sent = "x".repeat(1 << 20);
    let writing = async {
        stdin.write_all(sent.as_bytes()).await.unwrap();
        drop(stdin);
    };
    let mut received = String::new();
    let (_, read) = tokio::join!(writing, session.stdout.read_to_string(&mut received));
    read.unwrap();
    assert_eq!(received.len(), sent.len());
    assert_eq!(session.exit.await.unwrap(), 0);
    node.clean().await;
}

pub(crate) async fn a_terminal_has_a_size_and_echoes() {
    let node = Node::new().await;
    let (_, container) = node.start(toolbox(&["sleep", "infinity"])).await;
    let request = ExecRequest { command: words(&["cat"]), stdin: true, tty: true };
    let mut session = node.exec(&container, request).await.unwrap();
    assert!(session.stderr.is_none());
    session.resize.as_ref().unwrap().send((80, 24)).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    stdin.write_all(b"typed\n\x04").await.unwrap();
    let mut seen = String::new();
    session.stdout.read_to_string(&mut seen).await.unwrap();
    // Once by the terminal, once by the command.
    assert_eq!(seen.matches("typed").count(), 2, "{seen:?}");
    assert_eq!(session.exit.await.unwrap(), 0);
    node.clean().await;
}

pub(crate) async fn a_dropped_session_kills_its_command() {
    let node = Node::new().await;
    let (_, container) = node.start(toolbox(&["sleep", "infinity"])).await;
    let request = ExecRequest { command: words(&["sleep", "infinity"]), ..Default::default() };
    let session = node.exec(&container, request).await.unwrap();
    drop(session.exit);
    // The streams end when the command does.
    let mut stdout = session.stdout;
    tokio::time::timeout(Duration::from_secs(10), stdout.read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    node.clean().await;
}

pub(crate) async fn a_port_on_the_pods_own_loopback_is_reached() {
    let node = Node::new().await;
    let (sandbox, container) = node.start(toolbox(&["serve", "--port", "8081"])).await;
    let mut stream = loop {
        match node.port_forward(&sandbox, 8081).await {
            Ok(stream) => break stream,
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert_eq!(node.run(&container, &["true"]).await.0, 0);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let error = node.port_forward(&sandbox, 8082).await.err().unwrap().to_string();
    assert!(error.contains("dial tcp4 127.0.0.1:8082: connect: connection refused"), "{error}");
    node.clean().await;
}
