//! An operator written on kube-rs alone, unmodified, against the cluster in this process: its `Controller` with owned
//! kinds, `watcher`, `reflector`, finalizers, events and wait conditions.

use futures::StreamExt;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams},
    runtime::{
        Controller, WatchStreamExt,
        controller::Action,
        events::{Event, EventType, Recorder, Reporter},
        finalizer::{Event as Stage, finalizer},
        predicates, reflector,
        wait::{await_condition, conditions},
        watcher,
    },
};
use orch::Cluster;
use serde_json::json;
use std::{sync::Arc, time::Duration};

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Kube(#[from] kube::Error),
    #[error("{0}")]
    Finalizer(String),
}

struct Operator {
    client: Client,
    recorder: Recorder,
}

/// Copies each config map with a label into a secret that it owns.
async fn reconcile(map: Arc<ConfigMap>, operator: Arc<Operator>) -> Result<Action, Error> {
    if !map.labels().contains_key("copy") {
        return Ok(Action::await_change());
    }
    let maps: Api<ConfigMap> = Api::namespaced(operator.client.clone(), &map.namespace().unwrap());
    let result = finalizer(&maps, "example.com/copy", map, |stage| async {
        match stage {
            Stage::Apply(map) => apply(&map, &operator).await,
            Stage::Cleanup(_) => Ok(Action::await_change()),
        }
    });
    result.await.map_err(|error| Error::Finalizer(error.to_string()))
}

async fn apply(map: &ConfigMap, operator: &Operator) -> Result<Action, Error> {
    let secrets: Api<Secret> = Api::namespaced(operator.client.clone(), &map.namespace().unwrap());
    let secret = Secret {
        metadata: ObjectMeta {
            name: map.metadata.name.clone(),
            owner_references: map.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        string_data: map.data.clone(),
        ..Secret::default()
    };
    secrets.patch(&map.name_any(), &PatchParams::apply("copier").force(), &Patch::Apply(&secret)).await?;
    let event = Event {
        type_: EventType::Normal,
        reason: "Copied".into(),
        note: Some("the secret is as it should be".into()),
        action: "Copy".into(),
        secondary: None,
    };
    operator.recorder.publish(&event, &map.object_ref(&())).await?;
    Ok(Action::requeue(Duration::from_secs(3600)))
}

/// The time is real here: kube-rs' own timers and ours would move a paused clock past each other's timeouts.
#[tokio::test]
async fn an_unmodified_kube_rs_operator_runs_without_a_socket() {
    let cluster = Cluster::builder().build().await.unwrap();
    let client = cluster.kube_client();
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let secrets: Api<Secret> = Api::default_namespaced(client.clone());

    let recorder = Recorder::new(client.clone(), Reporter::from("copier"));
    let operator = Arc::new(Operator { client: client.clone(), recorder });
    let controller = Controller::new(maps.clone(), watcher::Config::default())
        .owns(secrets.clone(), watcher::Config::default())
        .run(reconcile, |_, error, _| panic!("{error}"), operator);
    cluster.ambient().tasks.spawn(controller.for_each(|_| async {}));

    let (reader, writer) = reflector::store();
    let stream = watcher(secrets.clone(), watcher::Config::default().streaming_lists());
    let stream = stream.reflect(writer).applied_objects();
    let stream = stream.predicate_filter(predicates::resource_version, Default::default());
    cluster.ambient().tasks.spawn(stream.for_each(|_| async {}));

    let map = json!({"metadata": {"name": "a", "labels": {"copy": "yes"}}, "data": {"key": "1"}});
    let map = maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    let holds = |value: &'static str| {
        move |secret: Option<&Secret>| {
            secret.and_then(|s| s.data.as_ref()?.get("key")).is_some_and(|data| data.0 == value.as_bytes())
        }
    };
    let all = async {
        await_condition(secrets.clone(), "a", holds("1")).await.unwrap();
        maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"key": "2"}}))).await.unwrap();
        await_condition(secrets.clone(), "a", holds("2")).await.unwrap();
        // The controller watches what it owns.
        secrets.delete("a", &DeleteParams::default()).await.unwrap();
        await_condition(secrets.clone(), "a", holds("2")).await.unwrap();
        reader.wait_until_ready().await.unwrap();
        let in_store = reader.find(|secret| secret.name_any() == "a");
        assert!(in_store.is_some() || !reader.is_empty());

        let events: Api<k8s_openapi::api::events::v1::Event> = Api::default_namespaced(client.clone());
        let events = events.list(&Default::default()).await.unwrap();
        let copied: Vec<_> = events.iter().filter(|event| event.reason.as_deref() == Some("Copied")).collect();
        assert_eq!(copied.len(), 1, "repeated events are one series");
        assert!(copied[0].series.as_ref().is_some_and(|series| series.count >= 2), "{:?}", copied[0]);

        maps.delete("a", &DeleteParams::default()).await.unwrap();
        await_condition(maps.clone(), "a", conditions::is_deleted(&map.uid().unwrap())).await.unwrap();
        await_condition(secrets.clone(), "a", |secret: Option<&Secret>| secret.is_none()).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(120), all).await.expect("in time");
    cluster.stop().await;
}
