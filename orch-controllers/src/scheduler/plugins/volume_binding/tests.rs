use crate::{
    fixtures::{self, now},
    scheduler::{
        Guard,
        plugins::default_profile,
        state::{State, Work},
        storage::StorageChange,
    },
};
use jiff::SignedDuration;
use k8s_openapi::api::{
    core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::{CSINode, CSIStorageCapacity, StorageClass},
};
use orch_api::Object;
use orch_runtime::scheduler::PodInfo;
use orch_store::{Chance, Stored};
use serde_json::{Value, json};

struct Case {
    state: State,
    seconds: i64,
}

/// Two nodes, `a` in zone `x` and `b` in zone `y`.
fn case() -> Case {
    let mut state = State::new(vec![default_profile()], Chance::from_seed(1), Guard::default());
    for (name, zone) in [("a", "x"), ("b", "y")] {
        let labels = json!({"kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone});
        let node = json!({"metadata": {"name": name, "labels": labels},
            "status": {"allocatable": {"cpu": "4", "memory": "4Gi", "pods": "9"}}});
        state.node_set(&serde_json::from_value::<Node>(node).unwrap(), now());
    }
    Case { state, seconds: 0 }
}

impl Case {
    fn at(&self) -> jiff::Timestamp {
        now() + SignedDuration::from_secs(self.seconds)
    }

    fn set<K: Object>(&mut self, object: &K) -> &mut Self {
        let mut object = object.clone();
        self.seconds += 20;
        object.meta_mut().resource_version = Some(self.seconds.to_string());
        self.state.storage_set(&StorageChange::of(None, Some(&object)), self.at());
        self
    }

    fn pod(&mut self, name: &str, claim: &str) -> &mut Self {
        let pod = fixtures::uid(&fixtures::with_claim(fixtures::pod(name, "web"), claim), name);
        self.add(pod)
    }

    fn add(&mut self, mut pod: Pod) -> &mut Self {
        pod.spec.get_or_insert_default().scheduler_name = Some("default-scheduler".into());
        let json = orch_store::client::encode(&pod).unwrap().to_string();
        let info = PodInfo::read(&Stored::from_json(json.into()).unwrap()).unwrap();
        self.state.pod_set(info, self.at());
        self
    }

    #[track_caller]
    fn expect(&mut self, expected: &str) -> &mut Self {
        let mut out = String::new();
        while let Some(work) = self.state.step(self.at()) {
            out += &match work {
                Work::Bind(assumed) => format!("{} -> {}\n", assumed.queued.pod.key.name, assumed.node),
                Work::Refuse(pod, refusal, _) => {
                    // What preemption has to say is not what this is about.
                    let why = refusal.message.split(" preemption: ").next().unwrap_or_default();
                    format!("{}: {why}\n", pod.key.name)
                }
            };
        }
        let expected: String = expected.lines().map(|line| format!("{}\n", line.trim())).collect();
        assert_eq!(out, expected);
        self
    }
}

fn on_node(mut volume: PersistentVolume, node: &str) -> PersistentVolume {
    let affinity = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
        {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}});
    volume.spec.get_or_insert_default().node_affinity = serde_json::from_value(affinity).unwrap();
    volume
}

fn waits(provisioner: &str) -> StorageClass {
    fixtures::class("fast", provisioner, true)
}

fn claim(name: &str) -> PersistentVolumeClaim {
    fixtures::claim(name, Some("fast"))
}

#[test]
fn a_pod_waits_for_a_claim_that_is_not_there() {
    case()
        .pod("p", "data")
        .expect("p: 0/2 nodes are available: persistentvolumeclaim \"data\" not found.")
        .set(&waits("example.com/disks"))
        .expect("")
        .set(&claim("other"))
        .expect("")
        .set(&on_node(fixtures::volume("v", "1Gi"), "b"))
        .expect("")
        .set(&claim("data"))
        .expect("p -> b");
}

#[test]
fn a_pod_with_an_ephemeral_volume_waits_for_the_claim_of_its_own() {
    let pod = fixtures::uid(&fixtures::with_ephemeral(fixtures::pod("p", "web"), "tmp"), "p");
    let waiting = "waiting for ephemeral volume controller to create the persistentvolumeclaim \"p-tmp\"";
    let mut foreign = claim("p-tmp");
    foreign.metadata.owner_references = Some(vec![crate::common::owner::controller_ref(&fixtures::uid(&pod, "q"))]);
    case()
        .add(pod)
        .expect(&format!("p: 0/2 nodes are available: {waiting}."))
        .set(&foreign)
        .expect("p: 0/2 nodes are available: PVC default/p-tmp was not created for pod default/p (pod is not owner).");
}

#[test]
fn a_pod_goes_where_its_bound_volume_is() {
    let (volume, claim) = fixtures::bound(on_node(fixtures::volume("v", "1Gi"), "b"), claim("data"));
    case().set(&volume).set(&claim).pod("p", "data").expect("p -> b");
    let (volume, claim) = fixtures::bound(on_node(fixtures::volume("v", "1Gi"), "c"), self::claim("data"));
    case()
        .set(&volume)
        .set(&claim)
        .pod("p", "data")
        .expect("p: 0/2 nodes are available: 2 node(s) didn't match PersistentVolume's node affinity.");
    case().set(&claim).pod("p", "data").expect("p: 0/2 nodes are available: persistentvolume \"v\" not found.");
}

#[test]
fn a_claim_that_waits_for_nobody_must_be_bound_first() {
    case()
        .set(&fixtures::class("fast", "example.com/disks", false))
        .set(&claim("data"))
        .pod("p", "data")
        .expect("p: 0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims.");
}

#[test]
fn two_pods_do_not_get_the_same_volume() {
    case()
        .set(&waits("kubernetes.io/no-provisioner"))
        .set(&on_node(fixtures::volume("v", "1Gi"), "a"))
        .set(&claim("one"))
        .set(&claim("two"))
        .pod("p", "one")
        .pod("q", "two")
        .expect(
            "p -> a
             q: 0/2 nodes are available: 2 node(s) didn't find available persistent volumes to bind.",
        )
        .set(&on_node(fixtures::volume("w", "1Gi"), "b"))
        .expect("q -> b");
}

#[test]
fn a_volume_is_made_where_the_pod_goes_and_where_the_class_allows_it() {
    let mut class = waits("example.com/disks");
    let only_y = json!([{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["y"]}]}]);
    class.allowed_topologies = serde_json::from_value(only_y).unwrap();
    case().set(&class).set(&claim("data")).pod("p", "data").expect("p -> b");
    let selected = fixtures::annotated(claim("data"), "volume.kubernetes.io/selected-node", "b");
    case().set(&waits("example.com/disks")).set(&selected).pod("p", "data").expect("p -> b");
}

#[test]
fn a_driver_that_tells_what_it_has_left_is_asked() {
    let driver: k8s_openapi::api::storage::v1::CSIDriver =
        serde_json::from_value(json!({"metadata": {"name": "example.com"}, "spec": {"storageCapacity": true}}))
            .unwrap();
    let left = |name: &str, zone: &str, capacity: &str| -> CSIStorageCapacity {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}, "storageClassName": "fast",
            "capacity": capacity, "nodeTopology": {"matchLabels": {"topology.kubernetes.io/zone": zone}}}))
        .unwrap()
    };
    case()
        .set(&driver)
        .set(&waits("example.com"))
        .set(&claim("data"))
        .set(&left("x", "x", "1Mi"))
        .pod("p", "data")
        .expect("p: 0/2 nodes are available: 2 node(s) did not have enough free storage.")
        .set(&left("y", "y", "2Gi"))
        .expect("p -> b");
}

#[test]
fn a_claim_for_one_pod_alone_is_given_to_one_pod_at_a_time() {
    let mut alone = claim("data");
    alone.spec.get_or_insert_default().access_modes = Some(vec!["ReadWriteOncePod".into()]);
    let mut volume = fixtures::volume("v", "1Gi");
    volume.spec.get_or_insert_default().access_modes = Some(vec!["ReadWriteOncePod".into()]);
    let (volume, alone) = fixtures::bound(on_node(volume, "a"), alone);
    let mut case = case();
    case.set(&volume).set(&alone).pod("p", "data").pod("q", "data").expect(
        "p -> a
         q: 0/2 nodes are available: 2 node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod.",
    );
    case.seconds += 20;
    let at = case.at();
    case.state.pod_gone("p", at);
    case.expect("q -> a");
}

#[test]
fn pods_stay_in_the_zone_of_their_volume() {
    let (volume, claim) = fixtures::bound(fixtures::volume("v", "1Gi"), claim("data"));
    let volume = fixtures::labelled(volume, &[("topology.kubernetes.io/zone", "y")]);
    case().set(&volume).set(&claim).pod("p", "data").expect("p -> b");
    let elsewhere = fixtures::labelled(volume, &[("topology.kubernetes.io/zone", "z__w")]);
    case()
        .set(&elsewhere)
        .set(&claim)
        .pod("p", "data")
        .expect("p: 0/2 nodes are available: 2 node(s) had no available volume zone.");
}

#[test]
fn a_node_takes_no_more_volumes_of_a_driver_than_it_says() {
    let csi = |name: &str| {
        let mut volume = fixtures::volume(name, "1Gi");
        let spec = volume.spec.get_or_insert_default();
        spec.local = None;
        spec.csi = serde_json::from_value(json!({"driver": "example.com", "volumeHandle": name})).unwrap();
        fixtures::bound(volume, claim(&format!("c-{name}")))
    };
    let limits = |node: &str, count: Value| -> CSINode {
        serde_json::from_value(json!({"metadata": {"name": node}, "spec": {"drivers": [
            {"name": "example.com", "nodeID": node, "allocatable": {"count": count}}]}}))
        .unwrap()
    };
    let mut case = case();
    case.set(&limits("a", json!(1))).set(&limits("b", json!(0)));
    for name in ["v", "w"] {
        let (volume, claim) = csi(name);
        case.set(&volume).set(&claim);
    }
    case.pod("p", "c-v")
        .expect("p -> a")
        .pod("again", "c-v")
        .expect("again -> a")
        .pod("q", "c-w")
        .expect("q: 0/2 nodes are available: 2 node(s) exceed max volume count.")
        .set(&limits("b", json!(1)))
        .expect("q -> b");
}
