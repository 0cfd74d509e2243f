use crate::support::*;
use futures::StreamExt;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use orch_api::protobuf;
use serde_json::{Value, json};
use tower::ServiceExt;

const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const EITHER: &str = "application/vnd.kubernetes.protobuf,application/json";

/// The code, the content type and the body of an answer to a request in protobuf.
async fn send(
    server: &Server,
    method: Method,
    uri: &str,
    accept: &str,
    body: Option<&Value>,
) -> (u16, String, Vec<u8>) {
    let body = body.map(|b| protobuf::encode(b).unwrap().unwrap()).unwrap_or_default();
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::ACCEPT, accept)
        .header(header::CONTENT_TYPE, PROTOBUF)
        .body(Full::<bytes::Bytes>::from(body))
        .unwrap();
    let response = server.service.clone().oneshot(request).await.unwrap();
    let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    (response.status().as_u16(), kind, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_client_may_speak_protobuf_alone() {
    let server = Server::start().await;
    let (code, kind, body) = send(&server, Method::POST, MAPS, PROTOBUF, Some(&map("a"))).await;
    assert_eq!((code, &*kind), (201, PROTOBUF));
    let created = protobuf::decode(&body).unwrap();
    assert_eq!((&created["kind"], &created["metadata"]["name"]), (&json!("ConfigMap"), &json!("a")));
    assert_eq!(created, server.get(&format!("{MAPS}/a")).await.ok());

    let mut changed = created.clone();
    changed["data"] = json!({"x": "y"});
    let (code, ..) = send(&server, Method::PUT, &format!("{MAPS}/a"), PROTOBUF, Some(&changed)).await;
    assert_eq!(code, 200);
    assert_eq!(server.get(&format!("{MAPS}/a")).await.ok()["data"], json!({"x": "y"}));

    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "other"}});
    let (code, _, body) = send(&server, Method::DELETE, &format!("{MAPS}/a"), PROTOBUF, Some(&options)).await;
    assert_eq!((code, &protobuf::decode(&body).unwrap()["reason"]), (409, &json!("Conflict")));
}

#[tokio::test(start_paused = true)]
async fn lists_and_their_metadata_come_in_protobuf() {
    let server = Server::start().await;
    server.post(MAPS, map("a")).await.ok();
    server.post(MAPS, map("b")).await.ok();
    let (_, kind, body) = send(&server, Method::GET, MAPS, EITHER, None).await;
    assert_eq!(kind, PROTOBUF);
    let mut names = Vec::new();
    protobuf::decode(&body).unwrap()["items"].as_array().unwrap().iter().for_each(|item| {
        names.push(item["metadata"]["name"].as_str().unwrap().to_owned());
    });
    assert_eq!(names, ["a", "b"]);
    let partial = format!("{PROTOBUF};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    let (_, _, body) = send(&server, Method::GET, MAPS, &partial, None).await;
    let list = protobuf::decode(&body).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("PartialObjectMetadataList"), 2));
}

#[tokio::test(start_paused = true)]
async fn tables_stay_json() {
    let server = Server::start().await;
    let accept = format!("{PROTOBUF};as=Table;g=meta.k8s.io;v=v1,application/json;as=Table;g=meta.k8s.io;v=v1");
    let (_, kind, body) = send(&server, Method::GET, MAPS, &accept, None).await;
    assert_eq!(kind, "application/json");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["kind"], "Table");
}

#[tokio::test(start_paused = true)]
async fn a_watch_comes_in_frames() {
    let server = Server::start().await;
    let first = server.post(MAPS, map("a")).await.ok();
    let from = first["metadata"]["resourceVersion"].as_str().unwrap();
    server.post(MAPS, map("b")).await.ok();
    let request = Request::builder()
        .uri(format!("{MAPS}?watch=1&resourceVersion={from}"))
        .header(header::ACCEPT, "application/vnd.kubernetes.protobuf;stream=watch,application/json")
        .body(Full::<bytes::Bytes>::default())
        .unwrap();
    let response = server.service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/vnd.kubernetes.protobuf;stream=watch");
    let piece = response.into_body().into_data_stream().next().await.unwrap().unwrap();
    let (length, event) = piece.split_first_chunk::<4>().unwrap();
    assert_eq!(u32::from_be_bytes(*length) as usize, event.len());
    assert!(event.starts_with(b"\x0a\x05ADDED\x12"));
    let at = event.windows(4).position(|bytes| bytes == protobuf::MAGIC).unwrap();
    assert_eq!(protobuf::decode(&event[at..]).unwrap()["metadata"]["name"], "b");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_protobuf_are_refused() {
    let server = Server::start().await;
    let answer = server.call(Method::POST, MAPS, PROTOBUF, "{}").await;
    assert_eq!(
        answer.status(),
        "400 BadRequest: the object provided is unrecognized (must be of type ConfigMap): provided data does not \
         appear to be a protobuf message, expected prefix [107 56 115 0] ({})"
    );
}
