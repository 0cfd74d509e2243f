//! What must exist from the start: namespaces, priority classes, the `kubernetes` Service, the default roles.
//! All that is missing is written in one transaction.

use crate::{
    alloc,
    authn::secret_token,
    authz::bootstrap_objects,
    core::{Core, encode, json as hands, meta, refusal, storage},
};
use orch_api::{Gvk, Key, Kind, StatusError, defaults, strategy};
use orch_store::backend::{BackendError, Condition, Durability, Txn, Write};
use serde_json::{Value, json};
use std::sync::Arc;

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
/// How often others may create the same objects at the same time.
const ATTEMPTS: usize = 8;

/// Creates what is missing, and writes down what Services hold.
pub(crate) async fn run(core: &Core, api_port: u16) -> Result<(), StatusError> {
    let objects = objects(core, api_port);
    for _ in 0..ATTEMPTS {
        let writes = missing(core, &objects).await?;
        if writes.is_empty() {
            break;
        }
        match core.storage.cache().backend().commit(Txn { writes }).await {
            // Whoever reads the cache from here on finds all of it.
            Ok(revision) => {
                core.storage.cache().caught_up(revision).await.map_err(|error| refusal::refuse(&error))?;
                break;
            }
            Err(BackendError::Conflict { .. }) => {}
            Err(error) => return Err(refusal::refuse(&error)),
        }
    }
    alloc::keep_default_network(&core.services, core).await?;
    alloc::restore(core).await
}

fn objects(core: &Core, api_port: u16) -> Vec<(Arc<Kind>, Key, Value)> {
    let namespaces = NAMESPACES.map(namespace);
    let classes = priority_classes().map(|(name, value, why)| priority_class(name, value, why));
    let all = namespaces.into_iter().chain(classes).chain(bootstrap_objects());
    all.chain([kubernetes_service(core, api_port), token_tracking(core), alloc::default_network(&core.services)])
        .filter_map(|object| {
            let gvk = Gvk::parse(hands::text(&object, &["apiVersion"]), hands::text(&object, &["kind"]));
            let kind = core.registry.by_kind(&gvk)?;
            let key = Key::new(hands::meta(&object, "namespace"), hands::meta(&object, "name"));
            Some((kind, key, object))
        })
        .collect()
}

async fn missing(core: &Core, objects: &[(Arc<Kind>, Key, Value)]) -> Result<Vec<Write>, StatusError> {
    let mut writes = Vec::new();
    for (kind, key, object) in objects {
        if core.storage.find(kind, key).await?.is_some() {
            continue;
        }
        let mut object = object.clone();
        meta::fill(&mut object, core.ambient.clock.now(), &core.ambient.chance);
        defaults::apply(kind, &mut object);
        strategy::prepare_create(kind, &mut object);
        writes.extend(core.services.given(core, kind, key, &object).await?);
        writes.push(Write {
            key: storage::path(kind, key).into(),
            condition: Condition::Absent,
            value: Some(encode::encode(&object)?),
            durability: Durability::Synced,
        });
    }
    Ok(writes)
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})
}

fn priority_classes() -> [(&'static str, i64, &'static str); 2] {
    [
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ]
}

fn priority_class(name: &str, value: i64, description: &str) -> Value {
    json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": value, "description": description})
}

/// Since when uses of tokens that secrets keep are noted: since this server first ran.
fn token_tracking(core: &Core) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": secret_token::TRACKING, "namespace": "kube-system"},
        "data": {"since": secret_token::day(core.ambient.clock.now())}})
}

fn kubernetes_service(core: &Core, api_port: u16) -> Value {
    let cidr = core.services.cidr();
    let ip = cidr.first().to_string();
    json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {"type": "ClusterIP", "clusterIP": ip, "clusterIPs": [ip], "sessionAffinity": "None",
            "ipFamilies": [cidr.family().as_str()], "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": api_port}]}})
}
