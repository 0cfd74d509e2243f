//! The story of a site, told by whoever is the user. An operator passes when every step comes true.

use crate::site::Site;
use async_trait::async_trait;
use kube::CustomResourceExt;
use orch::{
    api::{Gvr, Key},
    store::{
        Client, Stored,
        client::{ListOptions, Patch, WriteOptions},
    },
};
use serde_json::{Value, json};
use std::{error::Error, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked.
const PAUSE: Duration = Duration::from_millis(50);
/// How long nobody may write at the end.
const QUIET: Duration = Duration::from_secs(3);

/// A step that did not come true, or a user who could not act.
pub type Failed = Box<dyn Error + Send + Sync>;

/// Somebody who works with the cluster, in one namespace. Resources go by their plural names.
#[async_trait]
pub trait User: Send + Sync {
    /// Applies a manifest.
    async fn apply(&self, manifest: &Value) -> Result<(), Failed>;
    /// Merges a patch into an object.
    async fn patch(&self, resource: &str, name: &str, patch: &Value) -> Result<(), Failed>;
    /// Deletes an object.
    async fn delete(&self, resource: &str, name: &str) -> Result<(), Failed>;
    /// All objects of a resource.
    async fn list(&self, resource: &str) -> Result<Vec<Value>, Failed>;
}

/// Tells the story.
pub async fn run(user: &dyn User) -> Result<(), Failed> {
    let user = Story(user);
    user.defines_the_kind().await?;
    user.opens_a_site().await?;
    user.changes_it().await?;
    user.takes_away_what_it_owns().await?;
    user.makes_a_mistake().await?;
    user.sees_that_all_is_quiet().await?;
    user.closes_it().await
}

/// What a user of the operator cannot be talked into where a webhook guards: a site that could not run.
pub async fn is_refused(user: &dyn User) -> Result<(), Failed> {
    match user.apply(&site("bare", "web", 1)).await {
        Err(error) if error.to_string().contains("spec.image: \"web\" has no tag") => Ok(()),
        other => Err(format!("an image without a tag: {other:?}").into()),
    }
}

/// A site as users write it.
pub fn site(name: &str, image: &str, replicas: i32) -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Site", "metadata": {"name": name},
        "spec": {"image": image, "replicas": replicas}})
}

struct Story<'a>(&'a dyn User);

impl Story<'_> {
    async fn defines_the_kind(&self) -> Result<(), Failed> {
        let definition = serde_json::to_value(Site::crd())?;
        self.0.apply(&definition).await?;
        self.until("the kind is served", "customresourcedefinitions", Site::crd_name(), |found| {
            condition(found, "Established").is_some_and(|c| c["status"] == "True")
        })
        .await
    }

    async fn opens_a_site(&self) -> Result<(), Failed> {
        self.0.apply(&site("shop", "web:1", 2)).await?;
        self.until("it is ready", "sites", "shop", |site| is_ready(site, 2)).await?;
        let site = self.get("sites", "shop").await?;
        check("it bears a finalizer", site["metadata"]["finalizers"] == json!(["example.com/site"]), &site)?;
        for resource in ["deployments", "services"] {
            let owned = self.get(resource, "shop").await?;
            let owner = &owned["metadata"]["ownerReferences"][0];
            let its_own = owner["uid"] == site["metadata"]["uid"] && owner["controller"] == json!(true);
            check("the site owns it", its_own, &owned)?;
        }
        self.until_said("Opened").await
    }

    async fn changes_it(&self) -> Result<(), Failed> {
        self.0.patch("sites", "shop", &json!({"spec": {"image": "web:2", "replicas": 3}})).await?;
        self.until("it is ready with three", "sites", "shop", |site| is_ready(site, 3)).await?;
        let deployment = self.get("deployments", "shop").await?;
        let image = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        check("it runs the new image", *image == json!("web:2"), &deployment)
    }

    async fn takes_away_what_it_owns(&self) -> Result<(), Failed> {
        for resource in ["deployments", "services"] {
            let uid = self.get(resource, "shop").await?["metadata"]["uid"].clone();
            self.0.delete(resource, "shop").await?;
            let another = |found: &Value| found["metadata"]["uid"] != uid && found["metadata"]["uid"].is_string();
            self.until("there is another one", resource, "shop", another).await?;
        }
        self.until("it is ready again", "sites", "shop", |site| is_ready(site, 3)).await
    }

    async fn makes_a_mistake(&self) -> Result<(), Failed> {
        if self.0.patch("sites", "shop", &json!({"spec": {"image": "web"}})).await.is_err() {
            return Ok(()); // Somebody guards against that.
        }
        self.until("the mistake is told", "sites", "shop", |site| {
            condition(site, "Ready").is_some_and(|c| c["status"] == "False" && c["reason"] == "InvalidSpec")
        })
        .await?;
        self.until_said("InvalidSpec").await?;
        let deployment = self.get("deployments", "shop").await?;
        check("what ran runs on", deployment["status"]["readyReplicas"] == json!(3), &deployment)?;
        self.0.patch("sites", "shop", &json!({"spec": {"image": "web:2"}})).await?;
        self.until("it is ready once more", "sites", "shop", |site| is_ready(site, 3)).await
    }

    async fn sees_that_all_is_quiet(&self) -> Result<(), Failed> {
        let mut versions = Vec::new();
        for _ in 0..2 {
            let mut seen = Vec::new();
            for resource in ["sites", "deployments", "services"] {
                seen.push(self.get(resource, "shop").await?["metadata"]["resourceVersion"].clone());
            }
            versions.push(seen);
            sleep(QUIET).await;
        }
        check("nobody writes any more", versions[0] == versions[1], &json!(versions))
    }

    async fn closes_it(&self) -> Result<(), Failed> {
        self.0.delete("sites", "shop").await?;
        for resource in ["sites", "deployments", "services"] {
            self.until("it is gone", resource, "shop", Value::is_null).await?;
        }
        self.until_said("Closed").await
    }

    /// The object, or null.
    async fn get(&self, resource: &str, name: &str) -> Result<Value, Failed> {
        let all = self.0.list(resource).await?;
        Ok(all.into_iter().find(|object| object["metadata"]["name"] == name).unwrap_or_default())
    }

    async fn until(
        &self,
        what: &str,
        resource: &str,
        name: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> Result<(), Failed> {
        let began = Instant::now();
        loop {
            let found = self.get(resource, name).await?;
            if holds(&found) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("{resource}/{name}: {what}: not after {PATIENCE:?}: {found}").into());
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits for an event about the site.
    async fn until_said(&self, reason: &str) -> Result<(), Failed> {
        let began = Instant::now();
        loop {
            let events = self.0.list("events").await?;
            let about = |event: &&Value| event["involvedObject"]["kind"] == "Site" && event["reason"] == reason;
            if events.iter().any(|event| about(&event)) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("nobody said {reason}: {events:?}").into());
            }
            sleep(PAUSE).await;
        }
    }
}

fn check(what: &str, holds: bool, found: &Value) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(format!("{what}: not so: {found}").into()) }
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// The status is of the present generation, and says that so many are ready and that this is all.
fn is_ready(site: &Value, replicas: i32) -> bool {
    site["status"]["observedGeneration"] == site["metadata"]["generation"]
        && site["status"]["readyReplicas"] == json!(replicas)
        && condition(site, "Ready").is_some_and(|c| c["status"] == "True" && c["reason"] == "Available")
}

/// A user in the process of the cluster, in the namespace `default`.
pub struct InProcess(pub Arc<dyn Client>);

impl InProcess {
    fn resource(name: &str) -> (Gvr, &'static str) {
        let gvr = |group: &'static str, resource: &str| Gvr {
            group: group.into(),
            version: "v1".into(),
            resource: resource.to_owned().into(),
        };
        match name {
            "sites" => (gvr("example.com", name), "default"),
            "deployments" => (gvr("apps", name), "default"),
            "customresourcedefinitions" => (gvr("apiextensions.k8s.io", name), ""),
            "validatingwebhookconfigurations" | "mutatingwebhookconfigurations" => {
                (gvr("admissionregistration.k8s.io", name), "")
            }
            other => (gvr("", other), "default"),
        }
    }
}

#[async_trait]
impl User for InProcess {
    async fn apply(&self, manifest: &Value) -> Result<(), Failed> {
        let kind = manifest["kind"].as_str().unwrap_or_default().to_lowercase() + "s";
        let ((gvr, namespace), name) =
            (Self::resource(&kind), manifest["metadata"]["name"].as_str().unwrap_or_default());
        let options = WriteOptions { field_manager: "user".into(), force: true, ..WriteOptions::default() };
        let key = Key::new(namespace, name);
        self.0.patch(&gvr, &key, None, Patch::Apply(manifest.clone()), &options).await?;
        Ok(())
    }

    async fn patch(&self, resource: &str, name: &str, patch: &Value) -> Result<(), Failed> {
        let (gvr, namespace) = Self::resource(resource);
        let patch = Patch::Merge(patch.clone());
        self.0.patch(&gvr, &Key::new(namespace, name), None, patch, &WriteOptions::default()).await?;
        Ok(())
    }

    async fn delete(&self, resource: &str, name: &str) -> Result<(), Failed> {
        let (gvr, namespace) = Self::resource(resource);
        self.0.delete(&gvr, &Key::new(namespace, name), &Default::default()).await?;
        Ok(())
    }

    async fn list(&self, resource: &str) -> Result<Vec<Value>, Failed> {
        let (gvr, namespace) = Self::resource(resource);
        let page = self.0.list(&gvr, &ListOptions { namespace: namespace.into(), ..ListOptions::default() }).await?;
        page.items.iter().map(|stored: &Arc<Stored>| Ok(stored.parse()?)).collect()
    }
}
