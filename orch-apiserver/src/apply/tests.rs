use super::*;
use orch_api::schema::builtin;
use serde_json::json;
use std::sync::Arc;

fn deployment() -> Arc<Schema> {
    builtin("io.k8s.api.apps.v1.Deployment").unwrap()
}

fn config_map() -> Arc<Schema> {
    builtin("io.k8s.api.core.v1.ConfigMap").unwrap()
}

fn now(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A little world with one object, written by several managers.
struct World {
    schema: Arc<Schema>,
    kind: Gvk,
    live: Option<Value>,
    clock: i64,
}

impl World {
    fn deployment() -> Self {
        Self { schema: deployment(), kind: Gvk::of("apps", "v1", "Deployment"), live: None, clock: 0 }
    }

    fn config_map() -> Self {
        Self { schema: config_map(), kind: Gvk::of("", "v1", "ConfigMap"), live: None, clock: 0 }
    }

    fn writer<'a>(&'a self, manager: &'a str) -> Writer<'a> {
        Writer {
            schema: &self.schema,
            kind: &self.kind,
            manager,
            subresource: "",
            reset: &["status"],
            now: now(self.clock),
        }
    }

    fn full(&self, body: Value) -> Value {
        let mut object =
            json!({"apiVersion": self.kind.api_version(), "kind": self.kind.kind, "metadata": {"name": "x"}});
        for (key, value) in body.as_object().unwrap() {
            match (key.as_str(), value) {
                ("metadata", Value::Object(fields)) => {
                    fields.iter().for_each(|(k, v)| object["metadata"][k] = v.clone())
                }
                _ => object[key] = value.clone(),
            }
        }
        object
    }

    fn try_apply(&mut self, manager: &str, body: Value, force: bool) -> Result<(), StatusError> {
        self.clock += 1;
        self.live = Some(apply(&self.writer(manager), self.live.as_ref(), &self.full(body), force)?);
        Ok(())
    }

    fn apply(&mut self, manager: &str, body: Value) -> &mut Self {
        self.try_apply(manager, body, false).unwrap();
        self
    }

    /// Replaces the object but keeps its managed fields, as a client that reads and writes does.
    fn update(&mut self, manager: &str, body: Value) -> &mut Self {
        self.clock += 1;
        let mut new = self.full(body);
        if let Some(managed) = self.live.as_ref().and_then(|l| l.pointer("/metadata/managedFields")) {
            new["metadata"]["managedFields"] = managed.clone();
        }
        track_update(&self.writer(manager), self.live.as_ref(), &mut new);
        self.live = Some(new);
        self
    }

    fn get(&self, pointer: &str) -> Value {
        self.live.as_ref().unwrap().pointer(pointer).cloned().unwrap_or_default()
    }

    fn owned(&self, manager: &str) -> Vec<String> {
        let managed = Managed::read(self.live.as_ref().unwrap()).unwrap();
        managed.0.iter().filter(|e| e.manager == manager).flat_map(|e| e.set.paths()).collect()
    }
}

#[test]
fn fields_v1_reads_back_what_it_writes() {
    let fields = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {},
            "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {}}}}, "f:list": {"v:\"a\"": {}, "v:3": {}, "i:0": {}}},
    });
    let set = from_fields(&fields).unwrap();
    assert_eq!(to_fields(&set), fields);
    assert_eq!(set.paths()[..2], [".metadata.labels".to_owned(), ".metadata.labels.app".into()]);
    assert!(set.paths().contains(&".spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"]".into()));
    assert!(from_fields(&json!({"x:a": {}})).is_none());
}

#[test]
fn sets_combine_path_by_path() {
    let set = |paths: &[&str]| {
        let split: Vec<Vec<&str>> = paths.iter().map(|p| p.split('.').collect()).collect();
        Set::of_fields(split.iter().map(Vec::as_slice))
    };
    let (a, b) = (set(&["x", "x.y", "z"]), set(&["x", "w"]));
    assert_eq!(a.clone().union(b.clone()), set(&["w", "x", "x.y", "z"]));
    assert_eq!(a.intersection(&b), set(&["x"]));
    assert_eq!(a.clone().difference(&b), set(&["x.y", "z"]), "what lies below stays");
    assert_eq!(a.clone().without(&b), set(&["z"]), "what lies below goes too");
}

#[test]
fn an_applied_object_belongs_to_its_manager() {
    let mut world = World::config_map();
    world.apply("alice", json!({"data": {"a": "1"}, "metadata": {"labels": {"app": "x"}}}));
    assert_eq!(world.owned("alice"), [".data.a", ".metadata.labels.app"]);
    let entry = world.get("/metadata/managedFields/0");
    assert_eq!(entry["operation"], "Apply");
    assert_eq!(entry["time"], "2023-11-14T22:13:21Z");
    assert_eq!(entry["fieldsV1"], json!({"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {"f:app": {}}}}));
}

#[test]
fn a_created_object_is_tracked_as_upstream_writes_it() {
    let mut world = World::deployment();
    world.update("kubectl-create", json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "nginx"}]}},
        },
    }));
    assert_eq!(
        world.get("/metadata/managedFields/0/fieldsV1"),
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:replicas": {},
                "f:selector": {},
                "f:template": {
                    "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                    "f:spec": {"f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:name": {}}}},
                },
            },
        })
    );
}

#[test]
fn an_apply_against_another_owner_is_a_conflict_that_names_the_field() {
    let mut world = World::deployment();
    world.update("kube-scaler", json!({"spec": {"replicas": 1}}));
    let error = world.try_apply("alice", json!({"spec": {"replicas": 3}}), false).unwrap_err();
    assert_eq!(error.code(), 409);
    assert_eq!(
        error.message(),
        "Apply failed with 1 conflict: conflict with \"kube-scaler\" using apps/v1 at 2023-11-14T22:13:21Z: .spec.replicas"
    );
    let cause = &error.details().unwrap().causes.as_ref().unwrap()[0];
    assert_eq!(cause.reason.as_deref(), Some("FieldManagerConflict"));
    assert_eq!(cause.message.as_deref(), Some("conflict with \"kube-scaler\" using apps/v1 at 2023-11-14T22:13:21Z"));
    assert_eq!(cause.field.as_deref(), Some(".spec.replicas"));
    assert_eq!(world.get("/spec/replicas"), 1, "nothing is half-written");
    world.try_apply("alice", json!({"spec": {"replicas": 3}}), true).unwrap();
    assert_eq!((world.get("/spec/replicas"), world.owned("kube-scaler")), (json!(3), vec![]));
}

#[test]
fn several_conflicts_are_listed_by_manager() {
    let mut world = World::config_map();
    world.apply("alice", json!({"data": {"a": "1", "b": "1"}})).apply("bob", json!({"data": {"c": "1"}}));
    let error = world.try_apply("carol", json!({"data": {"a": "2", "b": "2", "c": "2"}}), false).unwrap_err();
    assert_eq!(
        error.message(),
        "Apply failed with 3 conflicts: conflicts with \"alice\":\n- .data.a\n- .data.b\nconflicts with \"bob\":\n- .data.c"
    );
}

#[test]
fn equal_values_are_owned_together_and_stay_until_the_last_owner_leaves() {
    let mut world = World::config_map();
    world.apply("alice", json!({"data": {"a": "1"}})).apply("bob", json!({"data": {"a": "1"}}));
    assert_eq!((world.owned("alice"), world.owned("bob")), (vec![".data.a".into()], vec![".data.a".into()]));
    world.apply("alice", json!({}));
    assert_eq!(world.get("/data/a"), "1");
    world.apply("bob", json!({}));
    assert_eq!(world.get("/data"), Value::Null);
}

#[test]
fn a_field_that_is_no_longer_applied_goes_and_others_fields_stay() {
    let mut world = World::config_map();
    world
        .apply("alice", json!({"data": {"a": "1", "b": "1"}}))
        .update("bob", json!({"data": {"a": "1", "b": "1", "c": "1"}}));
    world.apply("alice", json!({"data": {"b": "1"}}));
    assert_eq!(world.get("/data"), json!({"b": "1", "c": "1"}));
    assert_eq!(world.owned("bob"), [".data.c"]);
}

#[test]
fn a_list_with_keys_merges_by_item() {
    let container = |name: &str, image: &str| json!({"name": name, "image": image});
    let spec = |containers: Vec<Value>| json!({"spec": {"template": {"spec": {"containers": containers}}}});
    let mut world = World::deployment();
    world.apply("alice", spec(vec![container("a", "1"), container("b", "1")]));
    world.apply("mesh", spec(vec![container("proxy", "1")]));
    world.apply("alice", spec(vec![container("b", "2"), container("c", "1")]));
    let names: Vec<Value> =
        world.get("/spec/template/spec/containers").as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(names, ["b", "proxy", "c"], "the order of the configuration is kept, others keep their place");
    assert_eq!(world.get("/spec/template/spec/containers/0/image"), "2");
    world.apply("mesh", json!({}));
    assert_eq!(world.get("/spec/template/spec/containers").as_array().unwrap().len(), 2);
}

#[test]
fn a_key_with_a_default_is_found_without_being_named() {
    let ports = |ports: Value| json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "ports": ports}]}}}});
    let mut world = World::deployment();
    world.apply("alice", ports(json!([{"containerPort": 80}, {"containerPort": 80, "protocol": "UDP"}])));
    world.apply("alice", ports(json!([{"containerPort": 80, "name": "http"}])));
    let port = world.get("/spec/template/spec/containers/0/ports");
    assert_eq!(port, json!([{"containerPort": 80, "name": "http"}]));
    let owned = world.owned("alice");
    assert!(
        owned.contains(&".spec.template.spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"]".into()),
        "{owned:?}"
    );
}

#[test]
fn an_atomic_list_or_map_is_one_field() {
    let mut world = World::deployment();
    world.apply("alice", json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}));
    assert_eq!(world.owned("alice"), [".spec.selector"]);
    let other = json!({"spec": {"selector": {"matchLabels": {"c": "d"}}}});
    let error = world.try_apply("bob", other, false).unwrap_err();
    assert_eq!(error.message(), "Apply failed with 1 conflict: conflict with \"alice\": .spec.selector");
}

#[test]
fn an_apply_that_changes_nothing_returns_the_live_object() {
    let mut world = World::config_map();
    world.apply("alice", json!({"data": {"a": "1"}}));
    let before = world.live.clone();
    world.apply("alice", json!({"data": {"a": "1"}}));
    assert_eq!(world.live, before);
}

#[test]
fn an_update_takes_over_what_it_changes_and_nothing_else() {
    let mut world = World::config_map();
    world.apply("alice", json!({"data": {"a": "1", "b": "1"}})).update("bob", json!({"data": {"a": "2", "b": "1"}}));
    assert_eq!((world.owned("alice"), world.owned("bob")), (vec![".data.b".into()], vec![".data.a".into()]));
    let before = world.live.clone();
    world.update("carol", json!({"data": {"a": "2", "b": "1"}}));
    assert_eq!(world.live, before, "an update without changes owns nothing");
    world.update("carol", json!({"data": {"b": "1"}}));
    assert_eq!(world.owned("bob"), Vec::<String>::new(), "a removed field has no owner");
}

#[test]
fn status_is_owned_through_its_subresource_alone() {
    let mut world = World::deployment();
    world.update("kubectl", json!({"spec": {"replicas": 1}, "status": {"replicas": 5}}));
    assert_eq!(world.owned("kubectl"), [".spec.replicas"]);
    let mut new = world.live.clone().unwrap();
    new["status"] = json!({"replicas": 1});
    let writer = Writer { subresource: "status", reset: &["spec"], ..world.writer("controller") };
    track_update(&writer, world.live.as_ref(), &mut new);
    let managed = Managed::read(&new).unwrap();
    let entry = managed.0.iter().find(|e| e.manager == "controller").unwrap();
    assert_eq!((entry.subresource.as_str(), entry.set.paths()), ("status", vec![".status.replicas".to_owned()]));
    assert!(entry.words().starts_with("\"controller\" with subresource \"status\" using apps/v1 at "));
}

#[test]
fn managed_fields_can_be_reset_and_then_stay_untracked() {
    for reset in [json!([]), json!([{}])] {
        let mut world = World::config_map();
        world.update("alice", json!({"data": {"a": "1"}}));
        let mut new = world.live.clone().unwrap();
        new["metadata"]["managedFields"] = reset;
        track_update(&world.writer("bob"), world.live.as_ref(), &mut new);
        assert_eq!(new.pointer("/metadata/managedFields"), None);
        new["data"]["a"] = "2".into();
        world.live = Some(new.clone());
        track_update(&world.writer("bob"), world.live.as_ref(), &mut new);
        assert_eq!(new.pointer("/metadata/managedFields"), None);
        world.apply("carol", json!({"data": {"b": "1"}}));
        assert_eq!(world.owned("before-first-apply"), [".data", ".data.a"]);
    }
}

#[test]
fn a_client_that_knows_no_managed_fields_does_not_lose_them() {
    let mut world = World::config_map();
    world.apply("alice", json!({"data": {"a": "1"}}));
    let mut new = world.full(json!({"data": {"a": "1", "b": "2"}}));
    track_update(&world.writer("old"), world.live.as_ref(), &mut new);
    let managed = Managed::read(&new).unwrap();
    assert_eq!(managed.0.iter().map(|e| e.manager.as_str()).collect::<Vec<_>>(), ["alice", "old"]);
}

#[test]
fn more_than_ten_updaters_are_merged_into_ancient_changes() {
    let mut world = World::config_map();
    let mut data = serde_json::Map::new();
    for i in 0..14 {
        data.insert(format!("k{i:02}"), "v".into());
        world.update(&format!("m{i:02}"), json!({"data": data.clone()}));
    }
    let managed = Managed::read(world.live.as_ref().unwrap()).unwrap();
    assert_eq!(managed.0.len(), 10);
    assert_eq!(
        world.owned("ancient-changes"),
        [".data", ".data.k00", ".data.k01", ".data.k02", ".data.k03", ".data.k04"]
    );
}

#[test]
fn kubectl_takes_over_from_its_own_client_side_apply() {
    let mut world = World::config_map();
    let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}}).to_string();
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": applied});
    world.update("kubectl-client-side-apply", json!({"metadata": {"annotations": annotations}, "data": {"a": "1"}}));
    assert!(world.try_apply("other", json!({"data": {"a": "2"}}), false).is_err());
    world.apply("kubectl", json!({"data": {"a": "2"}}));
    assert_eq!(world.get("/data/a"), "2");
    let annotation = world.get("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration");
    assert!(annotation.as_str().unwrap().contains(r#""a":"2""#));
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_in_the_words_of_upstream() {
    let mut world = World::deployment();
    let refuse = |world: &mut World, body: Value, code: u16, words: &str| {
        let error = world.try_apply("alice", body, false).unwrap_err();
        assert_eq!((error.code(), error.message()), (code, words));
    };
    let prefix = "failed to create typed patch object (/x; apps/v1, Kind=Deployment)";
    refuse(&mut world, json!({"spec": {"foo": 1}}), 500, &format!("{prefix}: .spec.foo: field not declared in schema"));
    refuse(&mut world, json!({"kind": "Pod"}), 400, "invalid object type: apps/v1, Kind=Pod");
    refuse(&mut world, json!({"metadata": {"managedFields": []}}), 400, "metadata.managedFields must be nil");
    let twins = json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}}});
    refuse(
        &mut world,
        twins,
        500,
        &format!("{prefix}: .spec.template.spec.containers: duplicate entries for key [name=\"a\"]"),
    );
}

#[test]
fn the_manager_is_named_by_the_request_or_its_user_agent() {
    assert_eq!(manager_name("me", "kubectl/v1.35"), "me");
    assert_eq!(manager_name("", "kubectl/v1.35 (linux/amd64)"), "kubectl");
    assert_eq!(manager_name("", "tab\there/1"), "tabhere");
    assert_eq!(manager_name("", &"é".repeat(100)).len(), 128);
}

#[test]
fn a_custom_object_without_schema_merges_its_maps_and_replaces_its_lists() {
    let mut world = World { schema: Arc::default(), kind: Gvk::of("x.io", "v1", "Foo"), live: None, clock: 0 };
    world
        .apply("alice", json!({"spec": {"a": {"b": 1}, "list": [1, 2]}}))
        .apply("bob", json!({"spec": {"a": {"c": 2}}}));
    assert_eq!(world.get("/spec"), json!({"a": {"b": 1, "c": 2}, "list": [1, 2]}));
    world.apply("alice", json!({"spec": {"list": [3]}}));
    assert_eq!(world.get("/spec"), json!({"a": {"c": 2}, "list": [3]}));
}

#[test]
fn a_list_of_very_many_items_is_merged_in_good_time() {
    let env = |from: usize| -> Vec<Value> { (from..from + 20_000).map(|i| json!({"name": format!("V{i}")})).collect() };
    let spec = |from| json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "env": env(from)}]}}}});
    let mut world = World::deployment();
    world.update("alice", spec(0)).apply("bob", spec(10_000));
    assert_eq!(world.get("/spec/template/spec/containers/0/env").as_array().unwrap().len(), 30_000);
}

#[test]
fn twins_in_a_set_are_tolerated_in_updates() {
    let mut world = World::deployment();
    let with = |ports: Value| json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "ports": ports}]}}}});
    world.update("alice", with(json!([{"containerPort": 80}, {"containerPort": 80}])));
    let port = ".spec.template.spec.containers[name=\"a\"].ports[containerPort=80,protocol=\"TCP\"]";
    assert!(world.owned("alice").contains(&port.to_owned()));
    assert!(!world.owned("alice").contains(&format!("{port}.containerPort")));
    world.update("bob", with(json!([{"containerPort": 80}])));
    assert!(world.owned("bob").contains(&format!("{port}.containerPort")));
}
