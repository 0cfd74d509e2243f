//! [`Site`]: a custom kind, and what one wants. Plain data and functions, which both operators share.

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Service, ServicePort, ServiceSpec},
    },
    apimachinery::pkg::{
        apis::meta::v1::{Condition, ObjectMeta, OwnerReference, Time},
        util::intstr::IntOrString,
    },
    jiff::Timestamp,
};
use kube::{CustomResource, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{from_value, json};
use std::collections::BTreeMap;

/// The finalizer of whoever runs sites.
pub const FINALIZER: &str = "example.com/site";
/// The field manager of whoever runs sites.
pub const MANAGER: &str = "sites";

/// A web site: pods of one image behind a Service.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "example.com",
    version = "v1",
    kind = "Site",
    namespaced,
    status = "SiteStatus",
    derive = "PartialEq",
    shortname = "st",
    printcolumn(name = "Image", type_ = "string", json_path = ".spec.image"),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas")
)]
#[serde(rename_all = "camelCase")]
pub struct SiteSpec {
    /// What the pods run, with a tag.
    pub image: String,
    /// How many pods there are.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 10))]
    pub replicas: i32,
}

/// How a site is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SiteStatus {
    /// The generation that this tells of.
    pub observed_generation: Option<i64>,
    /// How many pods are ready.
    pub ready_replicas: i32,
    /// `Ready`
    pub conditions: Vec<Condition>,
}

fn one() -> i32 {
    1
}

impl Site {
    /// Why no operator can help; `None` for a site that can be run.
    pub fn fault(&self) -> Option<String> {
        let name = self.spec.image.rsplit('/').next().unwrap_or_default();
        (!name.contains([':', '@'])).then(|| format!("spec.image: {:?} has no tag", self.spec.image))
    }

    /// The Deployment that runs it.
    pub fn deployment(&self) -> Result<Deployment, serde_json::Error> {
        let labels = self.labels();
        from_value(json!({
            "metadata": self.owned(),
            "spec": {
                "replicas": self.spec.replicas,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [
                        {"name": "web", "image": self.spec.image, "ports": [{"name": "http", "containerPort": 8080}]},
                    ]},
                },
            },
        }))
    }

    /// The Service that leads to it.
    pub fn service(&self) -> Service {
        let port =
            ServicePort { port: 80, target_port: Some(IntOrString::String("http".into())), ..Default::default() };
        let spec = ServiceSpec { selector: Some(self.labels()), ports: Some(vec![port]), ..ServiceSpec::default() };
        Service { metadata: self.owned(), spec: Some(spec), ..Service::default() }
    }

    /// Whether the Deployment is as it should be.
    pub fn is_run_by(&self, found: Option<&Deployment>) -> bool {
        let Some(found) = found else { return false };
        let containers = found.spec.template.spec.as_ref().map(|pod| &*pod.containers).unwrap_or_default();
        found.spec.replicas == Some(self.spec.replicas)
            && containers.iter().any(|web| web.image.as_deref() == Some(&*self.spec.image))
    }

    /// Whether the Service is as it should be.
    pub fn is_served_by(&self, found: Option<&Service>) -> bool {
        found.and_then(|found| found.spec.as_ref()?.selector.as_ref()) == Some(&self.labels())
    }

    /// The status while a Deployment runs it. Transition times stay while a condition's status does.
    pub fn status_with(&self, found: Option<&Deployment>, now: Timestamp) -> SiteStatus {
        let ready = found.and_then(|found| found.status.as_ref()?.ready_replicas).unwrap_or(0);
        if let Some(fault) = self.fault() {
            return self.status(ready, ("False", "InvalidSpec", fault), now);
        }
        let wanted = self.spec.replicas;
        let message = format!("{ready} of {wanted} replicas are ready");
        let complete = ready == wanted && self.is_run_by(found);
        let verdict = if complete { ("True", "Available", message) } else { ("False", "Progressing", message) };
        self.status(ready, verdict, now)
    }

    fn status(&self, ready: i32, (status, reason, message): (&str, &str, String), now: Timestamp) -> SiteStatus {
        let old = self.status.as_ref().and_then(|old| old.conditions.iter().find(|c| c.type_ == "Ready"));
        let since = old.filter(|old| old.status == status).map_or(Time(now), |old| old.last_transition_time.clone());
        let condition = Condition {
            type_: "Ready".into(),
            status: status.into(),
            reason: reason.into(),
            message,
            last_transition_time: since,
            observed_generation: self.metadata.generation,
        };
        let observed_generation = self.metadata.generation;
        SiteStatus { observed_generation, ready_replicas: ready, conditions: vec![condition] }
    }

    fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("site".to_owned(), self.metadata.name.clone().unwrap_or_default())])
    }

    /// The metadata of what it owns.
    fn owned(&self) -> ObjectMeta {
        let owner: Option<OwnerReference> = self.controller_owner_ref(&());
        ObjectMeta {
            name: self.metadata.name.clone(),
            namespace: self.metadata.namespace.clone(),
            labels: Some(self.labels()),
            owner_references: owner.map(|owner| vec![owner]),
            ..ObjectMeta::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(image: &str) -> Site {
        Site::new("shop", SiteSpec { image: image.into(), replicas: 2 })
    }

    #[test]
    fn an_image_without_a_tag_is_a_fault() {
        assert_eq!(site("registry:5000/web:1").fault(), None);
        assert_eq!(site("web@sha256:0").fault(), None);
        assert_eq!(site("registry:5000/web").fault().as_deref(), Some("spec.image: \"registry:5000/web\" has no tag"));
    }

    #[test]
    fn a_site_is_ready_when_its_deployment_is_and_since_then() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut site = site("web:1");
        let mut deployment = site.deployment().unwrap();
        let status = site.status_with(Some(&deployment), at(1));
        assert_eq!((&*status.conditions[0].reason, status.ready_replicas), ("Progressing", 0));
        site.status = Some(status);
        deployment.status.get_or_insert_default().ready_replicas = Some(2);
        let status = site.status_with(Some(&deployment), at(2));
        assert_eq!((&*status.conditions[0].status, status.conditions[0].last_transition_time.0), ("True", at(2)));
        site.status = Some(status.clone());
        assert_eq!(site.status_with(Some(&deployment), at(3)), status, "nothing is new");
    }
}
