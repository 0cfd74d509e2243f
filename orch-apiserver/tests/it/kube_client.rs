use crate::support::*;
use futures::{StreamExt, TryStreamExt};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use orch_api::k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use orch_store::ClientExt;
use serde_json::json;

fn typed(name: &str) -> ConfigMap {
    ConfigMap { metadata: ObjectMeta { name: Some(name.into()), ..Default::default() }, ..Default::default() }
}

#[tokio::test]
async fn kube_rs_works_without_a_socket() {
    let server = Server::start().await;
    let client = Client::new(server.api.service(), "default");
    let maps: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let made = maps.create(&PostParams::default(), &typed("a")).await.unwrap();
    assert!(made.metadata.uid.is_some());
    let patch = Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}}));
    let patched = maps.patch("a", &PatchParams::apply("test"), &patch).await.unwrap();
    assert_eq!(patched.data.unwrap()["k"], "v");
    assert_eq!(maps.list(&ListParams::default()).await.unwrap().items.len(), 1);
    let mut events = maps.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Added(_))));
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let error = maps.get("a").await.unwrap_err();
    assert!(matches!(error, kube::Error::Api(status) if status.is_not_found()));
    let version = client.apiserver_version().await.unwrap();
    assert_eq!((version.minor.as_str(), version.git_version.as_str()), ("37", "v1.37.0+orch"));
}

#[tokio::test]
async fn the_client_in_process_shares_what_is_stored() {
    let server = Server::start().await;
    let client = server.api.client();
    let mut map = typed("a");
    map.metadata.namespace = Some("default".into());
    let made = client.add(&map).await.unwrap();
    let read = client.read::<ConfigMap>(&orch_api::Key::new("default", "a")).await.unwrap();
    assert_eq!(made.metadata.uid, read.metadata.uid);
    assert_eq!(client.read_all::<Namespace>("").await.unwrap().len(), 4);
}
