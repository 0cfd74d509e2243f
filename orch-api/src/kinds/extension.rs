//! The groups `apiextensions.k8s.io` and `apiregistration.k8s.io`.

use super::row::{Group, Row, named, text};
use crate::{
    access::{condition, get, text as field},
    kind::Kind,
};
use serde_json::Value;

pub(super) fn kinds() -> Vec<Kind> {
    let group = Group {
        group: "apiextensions.k8s.io",
        version: "v1",
        package: "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1",
    };
    let definition = group.cluster("CustomResourceDefinition", "customresourcedefinitions");
    vec![definition.short(&["crd", "crds"]).categories(&["api-extensions"]).status()]
}

pub(super) fn aggregation() -> Vec<Kind> {
    let group = Group {
        group: "apiregistration.k8s.io",
        version: "v1",
        package: "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1",
    };
    let columns = named([
        text("Service", "The reference to the service that hosts this API endpoint.", |o, _| service(o).into()),
        text("Available", "Whether this service is available.", |o, _| available(o).into()),
    ]);
    vec![group.cluster("APIService", "apiservices").categories(&["api-extensions"]).status().columns(columns)]
}

fn service(api: &Value) -> String {
    let service = get(api, "spec.service");
    service.map_or_else(|| "Local".into(), |s| format!("{}/{}", field(s, "namespace"), field(s, "name")))
}

fn available(api: &Value) -> String {
    let Some(condition) = condition(api, "Available") else { return "Unknown".into() };
    match (field(condition, "status"), field(condition, "reason")) {
        ("True", _) => "True".into(),
        (status, "") => status.into(),
        (status, reason) => format!("{status} ({reason})"),
    }
}
