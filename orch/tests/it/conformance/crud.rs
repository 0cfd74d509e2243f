//! [`Crud`]: the story of `test/e2e/framework/conformance`, told of newer kinds (`CRUD Tests`).

use super::{
    kind::Kind,
    operations::{contains, merge},
    watch::Watch,
    world::{World, name, revision},
};
use orch::{
    api::{Gvr, Scope, kinds},
    store::client::{FieldValidation, Patch, WriteOptions},
};
use serde_json::{Value, json};

const LABEL: &str = "e2e-test.kubernetes.io=crud";

/// A kind, an object of it, and what is changed of that.
pub(super) struct Crud {
    gvr: Gvr,
    initial: Value,
    change: Value,
    patches: Vec<Patch>,
    status: Option<(Value, Vec<Patch>)>,
}

impl Crud {
    /// `change` is made by an update, and then in each way of `patches` to a new object.
    pub(super) fn of(gvr: &Gvr, mut initial: Value, change: Value, patches: Vec<Patch>) -> Self {
        merge(&mut initial, &json!({"metadata": {"labels": {"e2e-test.kubernetes.io": "crud"}}}));
        if initial["metadata"]["name"].is_null() {
            initial["metadata"]["name"] = "test".into();
        }
        Self { gvr: gvr.clone(), initial, change, patches, status: None }
    }

    pub(super) fn with_status(mut self, change: Value, patches: Vec<Patch>) -> Self {
        self.status = Some((change, patches));
        self
    }

    pub(super) async fn run(&self, here: &World) {
        let group = here.at(&format!("/apis/{}/{}", self.gvr.group, self.gvr.version)).await;
        let resources = group["resources"].as_array().unwrap();
        assert!(resources.iter().any(|resource| resource["name"] == *self.gvr.resource));

        let objects = here.of(&self.gvr);
        let one = name(&self.initial);
        assert!(objects.list(LABEL).await.is_empty());
        let mut seen = Seen::new(&objects, &self.gvr).await;

        let strict = WriteOptions { field_validation: FieldValidation::Strict, ..WriteOptions::default() };
        let created = objects.create_with(self.initial.clone(), &strict).await.unwrap();
        assert!(contains(&created, &self.initial), "{created}");
        seen.expect(&created, &["ADDED"]).await;
        assert_eq!(objects.get(&one).await, created);

        let updated = objects.update(&one, |object| merge(object, &self.change)).await;
        assert!(contains(&updated, &self.change), "{updated}");
        assert!(revision(&updated) > revision(&created));
        seen.expect(&updated, &["MODIFIED"]).await;
        let mut last = updated;
        if let Some((change, _)) = &self.status {
            let status = objects.sub("status");
            last = status.update(&one, |object| merge(object, change)).await;
            assert!(contains(&last, change) && contains(&last, &self.change), "{last}");
            seen.expect(&last, &["MODIFIED"]).await;
            assert_eq!(status.get(&one).await, last);
        }
        for patch in &self.patches {
            last = self.anew(&objects, &last, &mut seen).await;
            last = patched(&objects, &last, patch).await;
            assert!(contains(&last, &self.change), "{last}");
            seen.expect(&last, &["MODIFIED"]).await;
        }
        for patch in self.status.iter().flat_map(|(_, patches)| patches) {
            self.anew(&objects, &last, &mut seen).await;
            last = objects.update(&one, |object| merge(object, &self.change)).await;
            seen.expect(&last, &["MODIFIED"]).await;
            last = patched(&objects.sub("status"), &last, patch).await;
            assert!(self.status.as_ref().is_some_and(|(change, _)| contains(&last, change)), "{last}");
            seen.expect(&last, &["MODIFIED"]).await;
        }
        assert_eq!(objects.list(LABEL).await, [last.clone()]);
        assert_eq!(objects.everywhere().list(LABEL).await, [last.clone()]);
        objects.end_all(LABEL).await;
        seen.expect(&last, &["DELETED"]).await;
    }

    /// Deletes the object and creates it again.
    async fn anew(&self, objects: &Kind, last: &Value, seen: &mut Seen) -> Value {
        objects.end(&name(last)).await;
        seen.expect(last, &["DELETED"]).await;
        let created = objects.create(self.initial.clone()).await;
        seen.expect(&created, &["ADDED"]).await;
        created
    }
}

/// Patches an object; the patch says which one, where it can.
async fn patched(objects: &Kind, object: &Value, patch: &Patch) -> Value {
    let whole = |patch: &Value| {
        let mut patch = patch.clone();
        let id = json!({"apiVersion": object["apiVersion"], "kind": object["kind"],
            "metadata": {"name": object["metadata"]["name"], "uid": object["metadata"]["uid"]}});
        merge(&mut patch, &id);
        patch
    };
    let patch = match patch {
        Patch::Json(patch) => Patch::Json(patch.clone()),
        Patch::Merge(patch) => Patch::Merge(whole(patch)),
        Patch::Strategic(patch) => Patch::Strategic(whole(patch)),
        Patch::Apply(patch) => Patch::Apply(whole(patch)),
    };
    let field_validation = FieldValidation::Strict;
    let options = match patch {
        Patch::Apply(_) => WriteOptions {
            field_manager: "test-apply".into(),
            force: true,
            field_validation,
            ..WriteOptions::default()
        },
        _ => WriteOptions { field_validation, ..WriteOptions::default() },
    };
    objects.patch_options(&name(object), patch, &options).await.unwrap()
}

/// What watches of one namespace and of all have seen.
struct Seen(Vec<Watch>);

impl Seen {
    async fn new(objects: &Kind, gvr: &Gvr) -> Self {
        let mut watches = vec![objects.everywhere().watch(LABEL, 0).await];
        if kinds::find(gvr).is_some_and(|kind| kind.scope == Scope::Namespaced) {
            watches.push(objects.watch(LABEL, 0).await);
        }
        Self(watches)
    }

    /// Every watch shows exactly these events of the object next.
    async fn expect(&mut self, object: &Value, events: &[&str]) {
        for watch in &mut self.0 {
            for expected in events {
                let (kind, seen) = watch.next().await;
                assert_eq!((kind, &seen["metadata"]["uid"]), (*expected, &object["metadata"]["uid"]));
                assert!(revision(&seen) >= revision(object));
            }
        }
    }
}
