use super::*;
use crate::{Controller, Plan};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::ConfigMap,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use orch_api::Object;
use orch_store::{Client, ClientExt, Informers, backend::MemoryBackend, testing::BareClient};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Gives every config map `source-…` a copy, which it owns.
#[derive(Default)]
struct Copier {
    planned: AtomicUsize,
}

impl Controller for Copier {
    const NAME: &'static str = "copier";
    const ABOUT: &'static str = "Copies config maps.";
    type World = (Arc<ConfigMap>, Option<Arc<ConfigMap>>);

    fn watches(&self) -> Watches {
        Watches::root::<ConfigMap>().owns::<ConfigMap>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World> {
        assert!(&*key.name != "source-bad", "this one cannot be looked at");
        let source: Arc<ConfigMap> = key.name.starts_with("source-").then(|| view.get(key))??;
        let copy = view.get(&Key::new(key.namespace.clone(), format!("copy-of-{}", key.name)));
        Some((source, copy))
    }

    fn plan(&self, (source, copy): &Self::World, _now: Timestamp) -> Plan {
        self.planned.fetch_add(1, Ordering::SeqCst);
        let mut plan = Plan::default();
        match copy {
            None => plan.create(&ConfigMap {
                metadata: ObjectMeta {
                    owner_references: Some(vec![OwnerReference {
                        api_version: "v1".into(),
                        kind: "ConfigMap".into(),
                        name: source.key().name.to_string(),
                        uid: source.uid().into(),
                        controller: Some(true),
                        block_owner_deletion: None,
                    }]),
                    ..meta(&format!("copy-of-{}", source.key().name))
                },
                data: source.data.clone(),
                ..ConfigMap::default()
            }),
            Some(copy) => {
                plan.update(&**copy, &ConfigMap { data: source.data.clone(), ..(**copy).clone() });
            }
        }
        plan
    }
}

fn meta(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.into()), namespace: Some("default".into()), ..ObjectMeta::default() }
}

fn source(name: &str, value: &str) -> ConfigMap {
    let data = Some(BTreeMap::from([("key".to_owned(), value.to_owned())]));
    ConfigMap { metadata: meta(name), data, ..ConfigMap::default() }
}

/// A running controller over a real store and real informers.
struct Fixture {
    client: Arc<dyn Client>,
    controller: Arc<Copier>,
    ambient: Ambient,
}

impl Fixture {
    fn start() -> Self {
        let ambient = Ambient::seeded(1);
        let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
        let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
        let controller = Arc::new(Copier::default());
        let running = run(controller.clone(), caches, ambient.clone(), Options::default());
        ambient.tasks.spawn_graceful(running);
        Self { client, controller, ambient }
    }

    /// Waits until the copy of a source holds this.
    async fn copied(&self, name: &str, value: &str) {
        let key = Key::new("default", format!("copy-of-{name}"));
        let holds = async {
            loop {
                let copy = self.client.find::<ConfigMap>(&key).await.unwrap();
                if copy.is_some_and(|c| c.data == source(name, value).data) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), holds).await.expect("copied in time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_follows_its_roots_and_what_they_own() {
    let fixture = Fixture::start();
    let created = fixture.client.add(&source("source-a", "1")).await.unwrap();
    fixture.copied("source-a", "1").await;
    let changed = ConfigMap { data: source("", "2").data, ..(*created).clone() };
    fixture.client.replace(&changed).await.unwrap();
    fixture.copied("source-a", "2").await;
    fixture.client.remove::<ConfigMap>(&Key::new("default", "copy-of-source-a")).await.unwrap();
    fixture.copied("source-a", "2").await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_over_one_key_leaves_the_others_alone() {
    let fixture = Fixture::start();
    fixture.client.add(&source("source-bad", "1")).await.unwrap();
    fixture.client.add(&source("source-good", "1")).await.unwrap();
    fixture.copied("source-good", "1").await;
}

#[tokio::test(start_paused = true)]
async fn a_settled_world_is_not_planned_again() {
    let fixture = Fixture::start();
    fixture.client.add(&source("source-a", "1")).await.unwrap();
    fixture.copied("source-a", "1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let settled = fixture.controller.planned.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(fixture.controller.planned.load(Ordering::SeqCst), settled);
    assert!(settled <= 3, "planned {settled} times for one create");
}

#[tokio::test(start_paused = true)]
async fn a_loop_ends_when_its_ambience_does() {
    let fixture = Fixture::start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stopped = tokio::time::timeout(Duration::from_secs(60), fixture.ambient.tasks.stop()).await;
    assert!(stopped.is_ok());
}
