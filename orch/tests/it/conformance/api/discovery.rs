//! `test/e2e/apimachinery/{discovery,aggregated_discovery,server_version,webhook}.go`.

use super::*;

/// A kind of each group: the group's path, its version, and the resource.
const BUILT_IN: [(&str, &str, &str); 19] = [
    ("", "v1", "namespaces"),
    ("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"),
    ("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "v1", "apiservices"),
    ("apps", "v1", "deployments"),
    ("authentication.k8s.io", "v1", "tokenreviews"),
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"),
    ("autoscaling", "v1", "horizontalpodautoscalers"),
    ("autoscaling", "v2", "horizontalpodautoscalers"),
    ("batch", "v1", "jobs"),
    ("certificates.k8s.io", "v1", "certificatesigningrequests"),
    ("coordination.k8s.io", "v1", "leases"),
    ("discovery.k8s.io", "v1", "endpointslices"),
    ("events.k8s.io", "v1", "events"),
    ("networking.k8s.io", "v1", "ingresses"),
    ("node.k8s.io", "v1", "runtimeclasses"),
    ("policy", "v1", "poddisruptionbudgets"),
    ("scheduling.k8s.io", "v1", "priorityclasses"),
    ("storage.k8s.io", "v1", "csinodes"),
];

fn has(list: &Value, field: &str, value: &str) -> bool {
    list.as_array().unwrap().iter().any(|item| item[field] == value)
}

/// [sig-api-machinery] Discovery should validate PreferredVersion for each APIGroup [Conformance]
#[tokio::test(start_paused = true)]
async fn every_group_prefers_a_version_it_has() {
    let here = World::without_controllers().await;
    let list = here.at("/apis/").await;
    let groups = list["groups"].as_array().unwrap();
    assert!(!groups.is_empty());
    for group in groups {
        let group = here.at(&format!("/apis/{}/", group["name"].as_str().unwrap())).await;
        let preferred = group["preferredVersion"]["groupVersion"].as_str().unwrap();
        assert!(has(&group["versions"], "groupVersion", preferred), "{group}");
    }
}

/// [sig-api-machinery] Discovery should locate the groupVersion and a resource within each APIGroup [Conformance]
#[tokio::test(start_paused = true)]
async fn every_group_lists_its_resources() {
    let here = World::without_controllers().await;
    for (group, version, resource) in BUILT_IN {
        let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        let path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group_version}") };
        let list = here.at(&path).await;
        assert_eq!(list["groupVersion"], group_version);
        assert!(has(&list["resources"], "name", resource), "{resource}");
    }
}

/// [sig-api-machinery] AdmissionWebhook [Privileged:ClusterAdmin] should include webhook resources in discovery documents [Conformance]
#[tokio::test(start_paused = true)]
async fn webhooks_are_discovered() {
    let here = World::without_controllers().await;
    let name = "admissionregistration.k8s.io";
    let groups = here.at("/apis").await;
    let listed = groups["groups"].as_array().unwrap().iter().find(|group| group["name"] == name).unwrap();
    assert!(has(&listed["versions"], "version", "v1"));
    let group = here.at("/apis/admissionregistration.k8s.io").await;
    assert_eq!(group["name"], name);
    assert!(has(&group["versions"], "version", "v1"));
    let resources = here.at("/apis/admissionregistration.k8s.io/v1").await;
    assert_eq!(resources["groupVersion"], "admissionregistration.k8s.io/v1");
    assert!(has(&resources["resources"], "name", "mutatingwebhookconfigurations"));
    assert!(has(&resources["resources"], "name", "validatingwebhookconfigurations"));
}

/// The document of one path with all its groups, versions and resources.
async fn aggregated(here: &World, path: &str) -> Value {
    let answer = here.asked(path, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").await;
    let document = answer.ok();
    assert_eq!(
        (&document["kind"], &document["apiVersion"]),
        (&json!("APIGroupDiscoveryList"), &json!("apidiscovery.k8s.io/v2"))
    );
    assert!(answer.content_type().contains("as=APIGroupDiscoveryList"), "{}", answer.content_type());
    document
}

fn lists(document: &Value, (group, version, resource): (&str, &str, &str)) -> bool {
    let each = |value: &Value, list: &str| value[list].as_array().cloned().unwrap_or_default();
    let groups = each(document, "items").into_iter();
    let groups = groups.filter(|item| item["metadata"]["name"].as_str().unwrap_or_default() == group);
    let versions = groups.flat_map(|item| each(&item, "versions")).filter(|item| item["version"] == version);
    versions.flat_map(|item| each(&item, "resources")).any(|item| item["resource"] == resource)
}

/// [sig-api-machinery] AggregatedDiscovery should support raw aggregated discovery endpoint Accept headers [Conformance]
#[tokio::test(start_paused = true)]
async fn one_document_has_all_groups() {
    let here = World::without_controllers().await;
    let (legacy, all) = (aggregated(&here, "/api").await, aggregated(&here, "/apis").await);
    for built_in in BUILT_IN {
        let document = if built_in.0.is_empty() { &legacy } else { &all };
        assert!(lists(document, built_in), "{built_in:?}");
    }
}

/// [sig-api-machinery] AggregatedDiscovery should support aggregated discovery interface [Conformance]
///
/// With the words of client-go: it accepts older forms as well, and sees by the content type which one it got.
#[tokio::test(start_paused = true)]
async fn a_client_that_takes_any_form_gets_the_newest() {
    let here = World::without_controllers().await;
    let accept = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
         application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";
    let legacy = here.asked("/api", accept).await;
    let all = here.asked("/apis", accept).await;
    for answer in [&legacy, &all] {
        let form = answer.content_type();
        assert!(form.contains("v=v2;") || form.ends_with("v=v2"), "{form}");
    }
    for built_in in BUILT_IN {
        let document = if built_in.0.is_empty() { legacy.ok() } else { all.ok() };
        assert!(lists(&document, built_in), "{built_in:?}");
    }
}

/// [sig-api-machinery] server version should find the server version [Conformance]
#[tokio::test(start_paused = true)]
async fn the_version_has_two_numbers() {
    let here = World::without_controllers().await;
    let version = here.at("/version").await;
    let number = |part: &str| version[part].as_str().unwrap().parse::<u32>().unwrap();
    assert!((1..=9).contains(&number("major")));
    assert!(number("minor") > 0);
}
