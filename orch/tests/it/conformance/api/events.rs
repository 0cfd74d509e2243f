//! `test/e2e/instrumentation/{events,core_events}.go`.

use super::*;
use orch::store::client::ListOptions;

const CORE: Gvr = Gvr::of("", "v1", "events");
const EVENTS: Gvr = Gvr::of("events.k8s.io", "v1", "events");

fn core(name: &str, label: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {label: "true"}}, "message": format!("This is {name}"),
        "reason": "Test", "type": "Normal", "count": 1, "involvedObject": {"namespace": "default"}})
}

fn event(name: &str, label: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {label: "true"}}, "regarding": {"namespace": "default"},
        "eventTime": "2017-09-19T13:49:16.000000Z", "note": format!("This is {name}"), "action": "Do", "reason": "Test",
        "type": "Normal", "reportingController": "test-controller", "reportingInstance": "test-node"})
}

/// An object without what the server writes at every change.
fn plain(mut object: Value) -> Value {
    for field in ["resourceVersion", "managedFields"] {
        object["metadata"].as_object_mut().unwrap().remove(field);
    }
    object
}

fn is_listed(events: &[Value]) -> bool {
    events.iter().any(|event| name(event) == "event-test" && event["metadata"]["namespace"] == "default")
}

/// [sig-instrumentation] Events should manage the lifecycle of an event [Conformance]
#[tokio::test(start_paused = true)]
async fn a_core_event_is_created_changed_and_deleted() {
    let here = World::without_controllers().await;
    let events = here.of(&CORE);
    events.create(core("event-test", "testevent-constant")).await;
    assert!(is_listed(&events.everywhere().list("testevent-constant=true").await));
    events.patch("event-test", json!({"message": "This is a test event - patched"})).await;
    assert_eq!(events.get("event-test").await["message"], "This is a test event - patched");
    let mut changed = plain(events.get("event-test").await);
    changed["series"] = json!({"count": 100, "lastObservedTime": "2017-09-19T13:49:16.000000Z"});
    events.replace(changed.clone()).await;
    assert_eq!(plain(events.get("event-test").await), changed);
    events.delete("event-test").await;
    assert!(!is_listed(&events.everywhere().list("testevent-constant=true").await));
}

/// [sig-instrumentation] Events API should ensure that an event can be fetched, patched, deleted, and listed [Conformance]
#[tokio::test(start_paused = true)]
async fn an_event_is_created_changed_and_deleted() {
    let here = World::without_controllers().await;
    let events = here.of(&EVENTS);
    let made = events.create(event("event-test", "testevent-constant")).await;
    assert!(revision(&made) > 0);
    let listed = async || {
        let labels = "testevent-constant=true";
        (is_listed(&events.everywhere().list(labels).await), is_listed(&events.list(labels).await))
    };
    assert_eq!(listed().await, (true, true));
    for (gvr, fields) in [(CORE, "source=test-controller"), (EVENTS, "reportingController=test-controller")] {
        let fields = fields.to_owned();
        let options = ListOptions { namespace: "default".into(), fields, ..ListOptions::default() };
        let found = here.client().list(&gvr, &options).await.unwrap().items;
        assert_eq!(found.iter().map(|event| &*event.key.name).collect::<Vec<_>>(), ["event-test"]);
    }
    let mut wanted = events.get("event-test").await;
    let series = |count: u32, at: &str| json!({"count": count, "lastObservedTime": at});
    wanted["series"] = series(2, "2017-09-19T13:49:11.000000Z");
    events.patch("event-test", json!({"series": wanted["series"]})).await;
    let patched = events.get("event-test").await;
    assert!(revision(&patched) > revision(&made));
    assert_eq!(plain(patched.clone()), plain(wanted));
    let mut wanted = patched;
    wanted["series"] = series(100, "2017-09-19T13:49:16.000000Z");
    events.replace(wanted.clone()).await;
    assert_eq!(plain(events.get("event-test").await), plain(wanted));
    events.delete("event-test").await;
    assert_eq!(listed().await, (false, false));
}

/// Three events are created, listed and deleted together.
async fn deletes_a_collection(gvr: &Gvr, event: fn(&str, &str) -> Value) {
    let here = World::without_controllers().await;
    let events = here.of(gvr);
    for name in ["test-event-1", "test-event-2", "test-event-3"] {
        events.create(event(name, "testevent-set")).await;
    }
    assert_eq!(events.list("testevent-set=true").await.len(), 3);
    events.delete_all("testevent-set=true").await;
    assert!(events.list("testevent-set=true").await.is_empty());
}

/// [sig-instrumentation] Events should delete a collection of events [Conformance]
#[tokio::test(start_paused = true)]
async fn core_events_are_deleted_together() {
    deletes_a_collection(&CORE, core).await;
}

/// [sig-instrumentation] Events API should delete a collection of events [Conformance]
#[tokio::test(start_paused = true)]
async fn events_are_deleted_together() {
    deletes_a_collection(&EVENTS, event).await;
}
