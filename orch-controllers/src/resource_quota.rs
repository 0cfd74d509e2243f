//! `resourcequota-controller`: counts what the objects of a namespace use of its quotas (`pkg/controller/resourcequota`).
//!
//! Admission charges what is created before it exists; this loop gives back what is gone. As upstream it looks at deletions
//! and at changes of what is used, not at creations: those were charged, and a count that has not seen them yet would give
//! their share away. What was charged and then refused is found by a whole count every five minutes.

use crate::common::time::plus_seconds;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
        batch::v1::{CronJob, Job},
        core::v1::{
            ConfigMap, PersistentVolumeClaim, Pod, ReplicationController, ResourceQuota, ResourceQuotaStatus, Secret,
            Service, ServiceAccount,
        },
        networking::v1::Ingress,
    },
    apimachinery::pkg::api::resource::Quantity as Text,
};
use orch_api::{
    Gvr, Key, Object,
    quota::{Amounts, Evaluator, usage_of},
};
use orch_runtime::{Controller, Discovery, Error, Plan, View, Watches, discovery::Served};
use orch_store::{Client, Stored, client::ListOptions, informer::Delta};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Counts everything anew (`--resource-quota-sync-period`).
const RESYNC: Duration = Duration::from_secs(300);
/// Deletions come in bursts.
const BURST: Duration = Duration::from_millis(100);

/// Counts what is used.
pub struct ResourceQuotaController {
    /// Which resources there are to count.
    pub discovery: Arc<dyn Discovery>,
}

/// A quota and the objects that it may count.
pub struct World {
    quota: Arc<ResourceQuota>,
    /// By resource, those that the caches hold.
    objects: BTreeMap<Gvr, Vec<Arc<Stored>>>,
    /// The resources that have to be asked for.
    missing: Vec<Gvr>,
}

impl Controller for ResourceQuotaController {
    const NAME: &'static str = "resourcequota-controller";
    const ABOUT: &'static str = "Counts what the objects of a namespace use of its ResourceQuotas.";
    type World = World;

    fn watches(&self) -> Watches {
        let mut watches = Watches::root::<ResourceQuota>().only(|delta| {
            let status = |s: &Option<Arc<Stored>>| s.as_ref().map(|s| s.meta.generation);
            delta.old.is_none()
                || delta.new.is_none()
                || status(&delta.old) != status(&delta.new)
                || is_unsettled(delta)
        });
        watches = watches.maps::<Pod>(quotas_given_back).debounce(BURST);
        watches = watches.maps::<Service>(quotas_given_back).debounce(BURST);
        watches = watches.maps::<PersistentVolumeClaim>(quotas_given_back).debounce(BURST);
        watches = counted::<ConfigMap>(watches);
        watches = counted::<Secret>(watches);
        watches = counted::<ReplicationController>(watches);
        watches = counted::<ServiceAccount>(watches);
        watches = counted::<Deployment>(watches);
        watches = counted::<ReplicaSet>(watches);
        watches = counted::<StatefulSet>(watches);
        watches = counted::<DaemonSet>(watches);
        watches = counted::<Job>(watches);
        watches = counted::<CronJob>(watches);
        watches = counted::<Ingress>(watches);
        let (discovery, cached) = (self.discovery.clone(), resources(&watches));
        let gone =
            |delta: &Delta, view: &View<'_>| if delta.new.is_none() { quotas_of(delta, view) } else { Vec::new() };
        watches.discovers(move |view| named_by_quotas(&*discovery, &cached, view), gone, BURST)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let quota: Arc<ResourceQuota> = view.get(key)?;
        let hard = hard(&quota);
        let cached = resources(&self.watches());
        let (mut objects, mut missing) = (BTreeMap::new(), Vec::new());
        for served in self.discovery.served().into_iter().filter(|served| served.namespaced) {
            let Some(evaluator) = Evaluator::of(&served.gvr) else { continue };
            if !hard.names().any(|name| evaluator.counts(name)) {
                continue;
            }
            match cached.contains(&served.gvr) {
                true => drop(objects.insert(served.gvr.clone(), view.list_stored(&served.gvr, &key.namespace))),
                false => missing.push(served.gvr),
            }
        }
        Some(World { quota, objects, missing })
    }

    fn gather<'a>(&'a self, mut world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        Box::pin(async move {
            let namespace = world.quota.key().namespace;
            for gvr in std::mem::take(&mut world.missing) {
                let options =
                    ListOptions { namespace: namespace.clone(), metadata_only: true, ..ListOptions::default() };
                match client.list(&gvr, &options).await {
                    Ok(page) => drop(world.objects.insert(gvr, page.items)),
                    // A custom resource may be gone by now, and its objects with it.
                    Err(error) if error.is_not_found() => drop(world.objects.insert(gvr, Vec::new())),
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(world)
        })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let hard = hard(&world.quota);
        let old = world.quota.status.clone().unwrap_or_default();
        let mut used = amounts(old.used.as_ref());
        for (name, amount) in counted_now(world, now).iter() {
            used.set(name, amount);
        }
        let used = used.mask(hard.names());
        let known = (old.hard.is_some() || hard.is_empty()) && (old.used.is_some() || used.is_empty());
        // Amounts that are equal may be written differently; that is no change.
        if !known || amounts(old.hard.as_ref()) != hard || amounts(old.used.as_ref()) != used {
            let mut new = (*world.quota).clone();
            new.status = Some(ResourceQuotaStatus {
                hard: Some(world.quota.spec.as_ref().and_then(|s| s.hard.clone()).unwrap_or_default()),
                used: Some(used.iter().map(|(name, amount)| (name.to_owned(), Text(amount.to_string()))).collect()),
            });
            plan.update_status(&*world.quota, &new);
        }
        plan.requeue_within(RESYNC);
        if let Some(next) = next_overdue(world, now) {
            plan.requeue_within(crate::common::time::until(next, now));
        }
        plan
    }
}

/// What is used of everything that can be counted.
fn counted_now(world: &World, now: Timestamp) -> Amounts {
    let quota = serde_json::to_value(&*world.quota).unwrap_or_default();
    let mut used = Amounts::default();
    for (gvr, objects) in &world.objects {
        let Some(evaluator) = Evaluator::of(gvr) else { continue };
        // What does not parse is nothing that admission could have charged.
        let values: Vec<Value> = objects.iter().filter_map(|stored| stored.parse().ok()).collect();
        used.add(&usage_of(&evaluator, &quota, &values, now));
    }
    used
}

/// When the first of the pods that are being deleted has had its time: then it is counted no more.
fn next_overdue(world: &World, now: Timestamp) -> Option<Timestamp> {
    let pods = world.objects.get(&Pod::gvr()).into_iter().flatten();
    let ends = pods.filter_map(|pod| {
        let value: Value = pod.meta.is_deleting().then(|| pod.parse().ok())??;
        let meta = value.get("metadata")?;
        let since: Timestamp = meta.get("deletionTimestamp")?.as_str()?.parse().ok()?;
        Some(plus_seconds(since, meta.get("deletionGracePeriodSeconds")?.as_i64()? + 1))
    });
    ends.filter(|end| *end > now).min()
}

fn hard(quota: &ResourceQuota) -> Amounts {
    amounts(quota.spec.as_ref().and_then(|s| s.hard.as_ref()))
}

fn amounts(list: Option<&BTreeMap<String, Text>>) -> Amounts {
    Amounts::read(serde_json::to_value(list).ok().as_ref())
}

/// Whether what is wanted of a quota is not in its status yet.
fn is_unsettled(delta: &Delta) -> bool {
    let Some(Ok(quota)) = delta.new.as_ref().map(|new| new.decode::<ResourceQuota>()) else { return false };
    quota.status.as_ref().and_then(|s| s.hard.as_ref()) != quota.spec.as_ref().and_then(|s| s.hard.as_ref())
}

/// What the caches always hold.
fn resources(watches: &Watches) -> Vec<Gvr> {
    watches.sources.iter().map(|source| source.gvr.clone()).collect()
}

/// Other resources of which any quota counts the objects.
fn named_by_quotas(discovery: &dyn Discovery, cached: &[Gvr], view: &View<'_>) -> Vec<Served> {
    let quotas = view.list::<ResourceQuota>("");
    let limits = quotas.iter().filter_map(|quota| quota.spec.as_ref()?.hard.as_ref());
    let names: BTreeSet<&str> = limits.flat_map(|hard| hard.keys()).map(String::as_str).collect();
    let is_counted = |served: &Served| {
        let evaluator = Evaluator::of(&served.gvr);
        evaluator.is_some_and(|evaluator| names.iter().any(|name| evaluator.counts(name)))
    };
    let others = discovery.served().into_iter().filter(|served| served.namespaced && !cached.contains(&served.gvr));
    others.filter(is_counted).collect()
}

/// A kind of which only the number counts.
fn counted<K: Object>(watches: Watches) -> Watches {
    watches.maps::<K>(quotas_of).only(|delta| delta.new.is_none()).metadata_only().debounce(BURST)
}

/// The quotas of a namespace when something was given back. Where there are none, as in most namespaces, nobody asks
/// what was used.
fn quotas_given_back(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let quotas = quotas_of(delta, view);
    if quotas.is_empty() || gives_back(delta) { quotas } else { Vec::new() }
}

/// Whether an object is gone, or uses something else than before.
fn gives_back(delta: &Delta) -> bool {
    let (Some(old), Some(new)) = (&delta.old, &delta.new) else { return delta.new.is_none() };
    old.memo(Used::of) != new.memo(Used::of) || old.meta.is_deleting() != new.meta.is_deleting()
}

/// What an object uses of quotas. One that cannot be read differs from every other.
struct Used(Option<(Option<Amounts>, bool)>);

impl Used {
    fn of(stored: &Stored) -> Self {
        let Ok(value) = stored.parse::<Value>() else { return Self(None) };
        let gvr = match value.get("kind").and_then(Value::as_str).unwrap_or_default() {
            "Pod" => Pod::gvr(),
            "Service" => Service::gvr(),
            _ => PersistentVolumeClaim::gvr(),
        };
        let usage = Evaluator::of(&gvr).map(|e| e.usage(&value, Timestamp::MIN));
        Self(Some((usage, value.pointer("/spec/activeDeadlineSeconds").is_some())))
    }
}

impl PartialEq for Used {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_some() && self.0 == other.0
    }
}

fn quotas_of(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(stored) = delta.new.as_ref().or(delta.old.as_ref()) else { return Vec::new() };
    view.list_stored(&ResourceQuota::gvr(), &stored.key.namespace).iter().map(|quota| quota.key.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, now};
    use expect_test::{Expect, expect};
    use k8s_openapi::api::coordination::v1::Lease;
    use orch_api::Gvk;
    use orch_runtime::{Options, testing::Objects, view::Caches};
    use orch_store::{Ambient, ClientExt, Informers, backend::MemoryBackend, testing::BareClient};
    use serde_json::json;

    fn controller() -> ResourceQuotaController {
        let kinds = ["pods", "configmaps", "services"];
        let kind = |plural: &str| {
            let gvr = Gvr { group: "".into(), version: "v1".into(), resource: plural.to_owned().into() };
            Served::of(orch_api::kinds::find(&gvr).unwrap())
        };
        ResourceQuotaController { discovery: Arc::new(kinds.map(kind).to_vec()) }
    }

    fn quota(hard: Value, status: Value) -> ResourceQuota {
        let object =
            json!({"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": hard}, "status": status});
        serde_json::from_value(object).unwrap()
    }

    fn pod(name: &str, cpu: &str) -> Pod {
        let mut pod = fixtures::on_node(fixtures::pod(name, "web"), "n1");
        let resources = json!({"requests": {"cpu": cpu}});
        pod.spec.as_mut().unwrap().containers[0].resources = serde_json::from_value(resources).unwrap();
        pod
    }

    #[track_caller]
    fn check(quota: &ResourceQuota, pods: &[Pod], expect: Expect) {
        let mut objects = Objects::new(&controller().watches()).with(quota);
        pods.iter().for_each(|pod| objects.insert(pod));
        let world = controller().observe(&quota.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&controller().plan(&world, now()), &expect);
    }

    #[test]
    fn a_new_quota_is_counted_from_nothing() {
        check(
            &quota(json!({"pods": "5", "cpu": "4", "example.com/x": "1"}), json!({})),
            &[pod("a", "1"), pod("b", "500m"), fixtures::phase(pod("c", "1"), "Failed")],
            expect![[r#"
                status ResourceQuota default/q hard.cpu=4 hard.example.com/x=1 hard.pods=5 used.cpu=1500m used.pods=2
                requeue after 300s
            "#]],
        );
    }

    #[test]
    fn what_is_gone_is_given_back() {
        let status = json!({"hard": {"pods": "5"}, "used": {"pods": "3"}});
        check(
            &quota(json!({"pods": "5"}), status),
            &[pod("a", "1")],
            expect![[r#"
            status ResourceQuota default/q used.pods=1
            requeue after 300s
        "#]],
        );
    }

    #[test]
    fn equal_amounts_that_are_written_differently_are_left_alone() {
        let status = json!({"hard": {"cpu": "2000m"}, "used": {"cpu": "1500m"}});
        check(
            &quota(json!({"cpu": "2"}), status),
            &[pod("a", "1"), pod("b", "0.5")],
            expect![[r#"
            requeue after 300s
        "#]],
        );
    }

    #[test]
    fn a_resource_that_the_quota_has_no_more_is_dropped() {
        let status = json!({"hard": {"pods": "5", "cpu": "1"}, "used": {"pods": "0", "cpu": "1"}});
        check(
            &quota(json!({"pods": "5"}), status),
            &[],
            expect![[r#"
            status ResourceQuota default/q -hard.cpu -used.cpu
            requeue after 300s
        "#]],
        );
    }

    /// A server's resources with Leases and a custom kind.
    fn with_leases() -> Arc<dyn Discovery> {
        let lease = Served { gvr: Lease::gvr(), kind: Lease::gvk(), namespaced: true };
        let (gvr, kind) = (Gvr::of("example.com", "v1", "widgets"), Gvk::of("example.com", "v1", "Widget"));
        let mut all = controller().discovery.served();
        all.extend([lease, Served { gvr, kind, namespaced: true }]);
        Arc::new(all)
    }

    #[test]
    fn the_kinds_that_quotas_name_are_followed_and_no_others() {
        let controller = ResourceQuotaController { discovery: with_leases() };
        let watches = controller.watches();
        let named = |limits: Value| {
            let objects = Objects::new(&watches).with(&quota(limits, json!({})));
            let found = named_by_quotas(&*controller.discovery, &resources(&watches), &View::fixed(&objects));
            found.iter().map(|served| served.gvr.resource.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(named(json!({"count/widgets.example.com": "1", "pods": "3"})), ["widgets"]);
        assert_eq!(named(json!({"count/leases.coordination.k8s.io": "1", "count/configmaps": "2"})), ["leases"]);
        assert_eq!(named(json!({"services": "1", "count/gadgets.example.com": "1"})), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_deleted_of_any_kind_that_a_quota_names_is_given_back_at_once() {
        let ambient = Ambient::seeded(1);
        let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
        let caches = Caches::new(Informers::new(client.clone(), ambient.clone()));
        let controller = Arc::new(ResourceQuotaController { discovery: with_leases() });
        let run = orch_runtime::engine::run(controller, caches, ambient.clone(), Options::default());
        ambient.tasks.spawn_graceful(run);
        let lease = Lease { metadata: fixtures::meta("default", "l", ""), ..Lease::default() };
        client.add(&lease).await.unwrap();
        let quota = client.add(&quota(json!({"count/leases.coordination.k8s.io": "1"}), json!({}))).await.unwrap();
        let used = async || {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let quota = client.find::<ResourceQuota>(&quota.key()).await.unwrap().unwrap();
            quota.status.as_ref().unwrap().used.as_ref().unwrap()["count/leases.coordination.k8s.io"].0.clone()
        };
        assert_eq!(used().await, "1");
        client.remove::<Lease>(&lease.key()).await.unwrap();
        assert_eq!(used().await, "0");
    }

    #[test]
    fn a_pod_that_is_overdue_is_counted_until_its_time_is_up() {
        let mut ending = fixtures::deleting(pod("a", "1"));
        ending.metadata.deletion_grace_period_seconds = Some(30);
        let status = json!({"hard": {"pods": "5"}, "used": {"pods": "1"}});
        check(
            &quota(json!({"pods": "5"}), status),
            &[ending],
            expect![[r#"
            requeue after 31s
        "#]],
        );
    }
}
