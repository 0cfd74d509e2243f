//! `kubectl proxy`, on a port and on a socket.

use crate::{
    cluster::processes,
    run::{Kubectl, with_each},
};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Child, Stdio},
};

/// Reads `/api/` as JSON from a server that speaks plain HTTP.
fn api_versions(mut stream: impl Read + Write) -> serde_json::Value {
    write!(stream, "GET /api/ HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("200 OK"), "{head}");
    serde_json::from_str(body).unwrap()
}

/// Starts `kubectl proxy`; the process, and the first line that it prints.
fn proxy(k: &Kubectl, option: &str) -> (Child, String) {
    let mut child = k.start(&["proxy", option], Stdio::null());
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    (child, first)
}

/// [sig-cli] Kubectl client Proxy server should support proxy with --port 0 [Conformance]
#[test]
fn a_proxy_listens_on_a_free_port() {
    with_each(processes, "proxy-port", |k| {
        let (mut child, first) = proxy(k, "--port=0");
        let address = first.trim().strip_prefix("Starting to serve on ").unwrap_or_else(|| panic!("{first}"));
        let versions = api_versions(TcpStream::connect(address).unwrap());
        assert_eq!(versions["versions"][0], "v1");
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

/// [sig-cli] Kubectl client Proxy server should support --unix-socket=/path [Conformance]
#[test]
fn a_proxy_listens_on_a_socket() {
    with_each(processes, "proxy-socket", |k| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test");
        let (mut child, first) = proxy(k, &format!("--unix-socket={}", path.display()));
        assert!(first.starts_with("Starting to serve on "), "{first}");
        let versions = api_versions(UnixStream::connect(&path).unwrap());
        assert_eq!(versions["versions"][0], "v1");
        child.kill().unwrap();
        child.wait().unwrap();
    });
}
