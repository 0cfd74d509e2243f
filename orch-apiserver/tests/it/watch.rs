use crate::support::*;
use futures::StreamExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The first `count` events of a watch.
async fn events(server: &Server, uri: &str, accept: &str, count: usize) -> Vec<Value> {
    let request = Request::builder().uri(uri).header("accept", accept).body(Full::<bytes::Bytes>::default()).unwrap();
    let response = server.service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut pieces = response.into_body().into_data_stream();
    let mut text = String::new();
    while text.lines().count() < count {
        let Some(piece) = pieces.next().await else { break };
        text.push_str(&String::from_utf8_lossy(&piece.unwrap()));
    }
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn summary(events: &[Value]) -> Vec<String> {
    let one = |e: &Value| {
        let name = e["object"]["metadata"]["name"].as_str().unwrap_or("-");
        format!("{} {name}", e["type"].as_str().unwrap())
    };
    events.iter().map(one).collect()
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happened_after_its_start() {
    let server = Server::start().await;
    let first = server.post(MAPS, map("a")).await.ok();
    let from = first["metadata"]["resourceVersion"].as_str().unwrap();
    server.post(MAPS, map("b")).await.ok();
    server.patch(&format!("{MAPS}/b"), "merge-patch+json", json!({"data": {"x": "y"}})).await.ok();
    server.delete(&format!("{MAPS}/a")).await.ok();
    let events = events(&server, &format!("{MAPS}?watch=1&resourceVersion={from}"), "*/*", 3).await;
    assert_eq!(summary(&events), ["ADDED b", "MODIFIED b", "DELETED a"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_list_ends_its_initial_events_with_a_bookmark() {
    let server = Server::start().await;
    server.post(MAPS, map("a")).await.ok();
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let events = events(&server, &format!("{MAPS}?{query}"), "*/*", 2).await;
    assert_eq!(summary(&events), ["ADDED a", "BOOKMARK -"]);
    assert_eq!(events[1]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test(start_paused = true)]
async fn a_selector_turns_changes_into_appearances_and_departures() {
    let server = Server::start().await;
    let first = server.post(MAPS, map("a")).await.ok();
    let from = first["metadata"]["resourceVersion"].as_str().unwrap();
    for label in [json!("x"), json!(null)] {
        let patch = json!({"metadata": {"labels": {"app": label}}});
        server.patch(&format!("{MAPS}/a"), "merge-patch+json", patch).await.ok();
    }
    let uri = format!("{MAPS}?watch=1&resourceVersion={from}&labelSelector=app%3Dx");
    assert_eq!(summary(&events(&server, &uri, "*/*", 2).await), ["ADDED a", "DELETED a"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_up() {
    let server = Server::start().await;
    let events =
        events(&server, &format!("{MAPS}?watch=1&timeoutSeconds=5&fieldSelector=metadata.name%3Dx"), "*/*", 9).await;
    assert!(events.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_table_watch_names_its_columns_once() {
    let server = Server::start().await;
    server.post(MAPS, map("a")).await.ok();
    server.post(MAPS, map("b")).await.ok();
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let events = events(&server, &format!("{MAPS}?watch=1"), accept, 2).await;
    assert!(events[0]["object"]["columnDefinitions"].is_array());
    assert!(events[1]["object"]["columnDefinitions"].is_null());
    assert_eq!(events[1]["object"]["rows"][0]["cells"][0], "b");
}
