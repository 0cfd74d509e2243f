//! [`Operations`]: the story that the suite tells of many kinds, `should support … API operations`.

use super::{
    kind::Kind,
    watch::Watch,
    world::{World, name, revision},
};
use orch::{
    api::{Gvr, Scope, kinds},
    store::client::Patch,
};
use serde_json::{Value, json};

/// A kind whose objects are discovered, created, read, listed, watched, patched, updated and deleted.
pub(super) struct Operations {
    gvr: Gvr,
    body: Value,
    spec: (Value, Value),
    status: Option<(Value, Value)>,
}

impl Operations {
    /// `body` is an object without metadata.
    pub(super) fn of(gvr: &Gvr, body: Value) -> Self {
        Self { gvr: gvr.clone(), body, spec: (json!({}), json!({})), status: None }
    }

    /// What the patch and the update change beside an annotation, as merge patches.
    pub(super) fn changing(mut self, patch: Value, update: Value) -> Self {
        self.spec = (patch, update);
        self
    }

    /// The kind has a status; what is patched through it, and what an update changes of it.
    pub(super) fn with_status(mut self, patch: Value, update: Value) -> Self {
        self.status = Some((patch, update));
        self
    }

    pub(super) async fn run(&self, here: &World) {
        self.is_discovered(here).await;
        let objects = here.of(&self.gvr);
        let mut made = Vec::new();
        for number in 1..=3 {
            made.push(objects.create(self.object(number)).await);
            assert!(objects.try_create(self.object(number)).await.unwrap_err().is_already_exists());
        }
        let one = name(&made[0]);
        let read = objects.get(&one).await;
        assert_eq!(read["metadata"]["uid"], made[0]["metadata"]["uid"]);
        assert!(revision(&read) > 0);
        assert_eq!(objects.list("e2e=operations").await.len(), 3);
        let mut watches = vec![objects.watch("e2e=operations", revision(&made[2])).await];
        if kinds::find(&self.gvr).is_some_and(|kind| kind.scope == Scope::Namespaced) {
            let everywhere = objects.everywhere();
            assert_eq!(everywhere.list("e2e=operations").await.len(), 3);
            watches.push(everywhere.watch("e2e=operations", revision(&made[2])).await);
        }
        self.is_changed(&objects, &read, watches).await;
        if let Some((patch, update)) = &self.status {
            status_is_changed(&objects.sub("status"), &read, patch, update).await;
        }
        objects.delete(&one).await;
        assert!(objects.try_get(&one).await.unwrap_err().is_not_found());
        assert_eq!(objects.list("e2e=operations").await.len(), 2);
        objects.delete_all("e2e=operations").await;
        assert!(objects.list("e2e=operations").await.is_empty());
    }

    fn object(&self, number: u32) -> Value {
        let mut object = self.body.clone();
        object["metadata"] = json!({"name": format!("e2e-{number}"), "labels": {"e2e": "operations"}});
        object
    }

    async fn is_discovered(&self, here: &World) {
        let (group, version) = (&*self.gvr.group, &*self.gvr.version);
        let has = |list: &Value, field: &str, value: &str| list.as_array().unwrap().iter().any(|i| i[field] == value);
        let groups = here.at("/apis").await;
        let groups = groups["groups"].as_array().unwrap();
        let listed = groups.iter().find(|listed| listed["name"] == group).expect("its group");
        assert!(has(&listed["versions"], "version", version));
        assert!(has(&here.at(&format!("/apis/{group}")).await["versions"], "version", version));
        let resources = here.at(&format!("/apis/{group}/{version}")).await;
        assert!(has(&resources["resources"], "name", &self.gvr.resource));
        let status = format!("{}/status", self.gvr.resource);
        assert_eq!(self.status.is_some(), has(&resources["resources"], "name", &status));
    }

    async fn is_changed(&self, objects: &Kind, read: &Value, watches: Vec<Watch>) {
        let one = name(read);
        let mut patch = self.spec.0.clone();
        patch["metadata"] = json!({"annotations": {"patched": "true"}});
        let patched = objects.merge(&one, patch.clone()).await;
        assert!(contains(&patched, &patch), "{patched}");
        assert!(revision(&patched) > revision(read));
        let mut update = self.spec.1.clone();
        update["metadata"] = json!({"annotations": {"updated": "true"}});
        let updated = objects.update(&one, |object| merge(object, &update)).await;
        assert!(contains(&updated, &update), "{updated}");
        for mut watch in watches {
            for annotation in ["patched", "updated"] {
                let (kind, object) = watch.next().await;
                assert_eq!((kind, &object["metadata"]["annotations"][annotation]), ("MODIFIED", &json!("true")));
            }
        }
    }
}

/// Reads, patches and updates the status of an object.
async fn status_is_changed(status: &Kind, object: &Value, patch: &Value, update: &Value) {
    let one = name(object);
    let read = status.get(&one).await;
    assert_eq!((&read["kind"], &read["metadata"]["uid"]), (&object["kind"], &object["metadata"]["uid"]));
    let patched = status.patch_with(&one, Patch::Merge(patch.clone())).await.unwrap();
    assert!(contains(&patched, patch), "{patched}");
    let updated = status.update(&one, |object| merge(object, update)).await;
    assert!(contains(&updated, update), "{updated}");
    assert_eq!(status.get(&one).await["metadata"]["uid"], object["metadata"]["uid"]);
}

/// Whether `whole` has everything that `part` has: fields of maps, and lists item for item.
pub(super) fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, part)| contains(whole.get(name).unwrap_or(&Value::Null), part))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        _ => whole == part,
    }
}

/// Puts the fields of `change` into an object.
pub(super) fn merge(object: &mut Value, change: &Value) {
    let Value::Object(fields) = change else {
        *object = change.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, change) in fields {
        merge(&mut object[name], change);
    }
}
