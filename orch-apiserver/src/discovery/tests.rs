use super::*;
use orch_api::{
    Gvk, Scope,
    kind::{Subresource, Verbs},
};
use serde_json::{Value, json};

fn kind(group: &'static str, version: &'static str, kind: &'static str, plural: &'static str) -> Kind {
    Kind {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        plural: plural.into(),
        singular: kind.to_lowercase().into(),
        scope: Scope::Namespaced,
        short_names: Default::default(),
        categories: Default::default(),
        verbs: Verbs::All,
        subresources: Default::default(),
        columns: Default::default(),
        selectable: Default::default(),
        definition: Default::default(),
        custom: None,
    }
}

fn kinds() -> Vec<Kind> {
    let scale = Subresource {
        name: "scale".into(),
        kind: Gvk::of("autoscaling", "v1", "Scale"),
        verbs: &["get", "patch", "update"],
    };
    vec![
        kind("", "v1", "Pod", "pods"),
        kind("batch", "v1", "Job", "jobs"),
        Kind {
            subresources: vec![scale].into(),
            short_names: vec!["deploy".into()].into(),
            ..kind("apps", "v1", "Deployment", "deployments")
        },
        kind("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
        kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers"),
        kind("stable.example.com", "v1beta1", "CronTab", "crontabs"),
    ]
}

fn read(document: &Document) -> Value {
    serde_json::from_slice(&document.body).unwrap()
}

#[test]
fn groups_stand_in_the_order_of_upstream_with_the_preferred_version_first() {
    let discovery = Discovery::new(&kinds());
    let list = read(discovery.apis(Form::Plain));
    let names: Vec<&str> = list["groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["apps", "autoscaling", "batch", "stable.example.com"]);
    assert_eq!(list["groups"][1]["preferredVersion"], json!({"groupVersion": "autoscaling/v2", "version": "v2"}));
    assert_eq!(read(discovery.api(Form::Plain))["versions"], json!(["v1"]));
    assert!(discovery.group("nope").is_none() && discovery.resources("apps", "v2").is_none());
}

#[test]
fn a_resource_list_names_subresources_and_their_foreign_kinds() {
    let discovery = Discovery::new(&kinds());
    let list = read(discovery.resources("apps", "v1").unwrap());
    assert_eq!(list["groupVersion"], "apps/v1");
    assert_eq!(list["resources"][0]["name"], "deployments");
    assert_eq!(list["resources"][0]["shortNames"], json!(["deploy"]));
    assert_eq!(list["resources"][0]["storageVersionHash"], "8aSe+NMegvE=", "as kube-apiserver prints it");
    assert_eq!(
        list["resources"][1],
        json!({"name": "deployments/scale", "singularName": "", "namespaced": true, "group": "autoscaling",
            "version": "v1", "kind": "Scale", "verbs": ["get", "patch", "update"]})
    );
}

#[test]
fn aggregated_discovery_says_everything_under_a_tag_that_follows_the_content() {
    let discovery = Discovery::new(&kinds());
    let apis = discovery.apis(Form::Aggregated);
    let list = read(apis);
    assert_eq!(list["items"][0]["metadata"]["name"], "apps");
    let resource = &list["items"][0]["versions"][0]["resources"][0];
    assert_eq!(resource["responseKind"], json!({"group": "apps", "version": "v1", "kind": "Deployment"}));
    assert_eq!(resource["subresources"][0]["subresource"], "scale");
    assert_eq!(read(discovery.api(Form::Aggregated))["items"][0]["versions"][0]["resources"][0]["resource"], "pods");
    let fewer = Discovery::new(&kinds()[..2]);
    assert_ne!(apis.etag, fewer.apis(Form::Aggregated).etag);
    assert_eq!(apis.etag, Discovery::new(&kinds()).apis(Form::Aggregated).etag);
}

#[test]
fn the_accept_header_of_kubectl_gets_the_aggregated_form() {
    let kubectl = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                   application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert_eq!(wants_aggregated(kubectl), Form::Aggregated);
    let old = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    assert_eq!(wants_aggregated(old), Form::Plain);
    assert_eq!(wants_aggregated("application/json, */*"), Form::Plain);
    assert_eq!(wants_aggregated(""), Form::Plain);
}

#[test]
fn versions_are_preferred_by_maturity_then_number() {
    let mut versions = vec!["v1alpha1", "v1", "v1beta2", "v10", "v2", "v1beta1", "foo", "v11alpha2"];
    versions.sort_by(|a, b| priority::by_version(a, b));
    assert_eq!(versions, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v11alpha2", "v1alpha1", "foo"]);
}
