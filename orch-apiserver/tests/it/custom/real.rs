//! Definitions that others wrote, with their sample objects: every directory of `ORCH_CRDS` (paths with `:` between them) is
//! a world of its own. What is in a directory called `invalid-examples`, or is called `invalid` in one called `validation`, must
//! be refused.

use super::*;
use http::Method;
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// Says that a test is skipped for want of something; where everything is required, fails instead.
fn skip(reason: &str) {
    let required = std::env::var_os("ORCH_REQUIRE_REAL").is_some_and(|value| value == "1");
    assert!(!required, "{reason}");
    println!("skipped: {reason}");
}

/// Definitions that Kubernetes refuses as well, and why: they were made for a version before structural schemas.
const REFUSED: [(&str, &str); 1] = [(
    "argoproj.io_clusterworkflowtemplates.yaml",
    "properties[spec].properties[templateDefaults].properties[steps].items.items: Required value: must be specified",
)];

/// The directories of `ORCH_CRDS`.
fn roots() -> Vec<PathBuf> {
    std::env::var_os("ORCH_CRDS").map(|paths| std::env::split_paths(&paths).collect()).unwrap_or_default()
}

/// What an answer says, whatever it is.
fn said(answer: &Answer) -> String {
    match serde_json::from_str::<Value>(&answer.text) {
        Ok(status) => format!("{} {}", answer.code.as_u16(), status["message"].as_str().unwrap_or_default()),
        Err(_) => format!("{} {}", answer.code.as_u16(), answer.text.trim()),
    }
}

/// What is at a path; null where nothing is.
async fn document(server: &Server, uri: &str) -> Value {
    serde_json::from_str(&server.get(uri).await.text).unwrap_or_default()
}

struct Sample {
    file: String,
    object: Value,
}

/// Every object below a directory: definitions, and everything else.
fn read(root: &Path) -> (Vec<Sample>, Vec<Sample>) {
    let (mut definitions, mut others) = (Vec::new(), Vec::new());
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            let file = path.strip_prefix(root).unwrap().display().to_string();
            for document in std::fs::read_to_string(&path).unwrap().split("\n---") {
                let Ok(object) = serde_saphyr::from_str::<Value>(document) else { continue };
                let sample = Sample { file: file.clone(), object };
                match sample.object["kind"].as_str() {
                    // Some tests of others hold parts of what they expect.
                    Some("CustomResourceDefinition") if sample.object["spec"]["versions"][0]["schema"].is_null() => {}
                    Some("CustomResourceDefinition") => definitions.push(sample),
                    Some(_) => others.push(sample),
                    None => {}
                }
            }
        }
    }
    definitions.sort_by(|a, b| a.file.cmp(&b.file));
    others.sort_by(|a, b| a.file.cmp(&b.file));
    (definitions, others)
}

/// The served kinds of a definition: version, path of its objects without the name, and kind.
fn served(definition: &Value) -> Vec<(String, String, String)> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (group, plural, kind) = (text(&spec["group"]), text(&spec["names"]["plural"]), text(&spec["names"]["kind"]));
    let place = if spec["scope"] == "Namespaced" { "namespaces/default/" } else { "" };
    let versions = spec["versions"].as_array().unwrap().iter().filter(|v| v["served"] == true);
    versions
        .map(|v| {
            let api = format!("{group}/{}", text(&v["name"]));
            (api.clone(), format!("/apis/{api}/{place}{plural}"), kind.clone())
        })
        .collect()
}

/// The definitions of a directory on a server of their own; faults are collected.
async fn established(definitions: &[Sample], faults: &mut Vec<String>) -> Server {
    let server = Server::start().await;
    for Sample { file, object } in definitions {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        if server.get(&format!("{CRDS}/{name}")).await.code.is_success() {
            continue;
        }
        let answer = server.post(CRDS, object.clone()).await;
        if !answer.code.is_success() {
            let known = REFUSED.iter().find(|(refused, _)| refused == file);
            if known.is_none_or(|(_, why)| !said(&answer).contains(why)) {
                faults.push(format!("{file}: {}", said(&answer)));
            }
            continue;
        }
        let made = wait(&server, &name, "Established", "True").await;
        if !condition(&made, "NonStructuralSchema").is_null() {
            faults.push(format!("{file}: {}", condition(&made, "NonStructuralSchema")));
        }
    }
    server
}

/// Whether every reference in a document leads somewhere.
fn dangling(value: &Value, document: &Value, out: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref")
                && document.pointer(target.trim_start_matches('#')).is_none()
            {
                out.insert(target.clone());
            }
            fields.values().for_each(|value| dangling(value, document, out));
        }
        Value::Array(items) => items.iter().for_each(|value| dangling(value, document, out)),
        _ => {}
    }
}

/// Whether a set of schemas has one of that kind, with descriptions and fields.
fn publishes(schemas: &Value, api: &str, kind: &str) -> bool {
    let (group, version) = api.split_once('/').unwrap();
    let gvk = json!({"group": group, "version": version, "kind": kind});
    schemas.as_object().into_iter().flatten().any(|(_, schema)| {
        schema["x-kubernetes-group-version-kind"] == json!([gvk]) && schema["properties"]["metadata"].is_object()
    })
}

async fn published(server: &Server, definitions: &[Sample], faults: &mut Vec<String>) {
    let v2 = server.get("/openapi/v2").await.ok();
    let mut lost = BTreeSet::new();
    dangling(&v2, &v2, &mut lost);
    for Sample { file, object } in definitions.iter().filter(|d| REFUSED.iter().all(|(refused, _)| *refused != d.file))
    {
        for (api, path, kind) in served(object) {
            let resources = document(server, &format!("/apis/{api}")).await;
            if !resources["resources"].as_array().into_iter().flatten().any(|r| r["kind"] == *kind) {
                faults.push(format!("{file}: {kind} of {api} is not discovered"));
            }
            let v3 = document(server, &format!("/openapi/v3/apis/{api}")).await;
            dangling(&v3, &v3, &mut lost);
            let there =
                publishes(&v3["components"]["schemas"], &api, &kind) && publishes(&v2["definitions"], &api, &kind);
            if !there {
                faults.push(format!("{file}: {kind} of {api} is not published"));
            }
            if server.get(&path).await.code != 200 {
                faults.push(format!("{file}: {path} is not served"));
            }
        }
    }
    faults.extend(lost.into_iter().map(|target| format!("a reference leads nowhere: {target}")));
}

/// Applies a sample twice, the second time nothing changes; then as it was read, changed, broken, and deleted.
async fn applied(server: &Server, path: &str, sample: &Sample, faults: &mut Vec<String>) {
    let uri = format!("{path}?fieldManager=tester&fieldValidation=Strict&force=true");
    let body = sample.object.to_string();
    let first = server.call(Method::PATCH, &uri, "application/apply-patch+yaml", body.clone()).await;
    if !first.code.is_success() {
        return faults.push(format!("{}: {}", sample.file, said(&first)));
    }
    let again = server.call(Method::PATCH, &uri, "application/apply-patch+yaml", body).await.ok();
    if again["metadata"]["resourceVersion"] != first.json()["metadata"]["resourceVersion"] {
        faults.push(format!("{}: the same apply changed it", sample.file));
    }
    let read = server.get(path).await.ok();
    let put = server.put(&format!("{path}?fieldValidation=Strict"), read).await;
    if !put.code.is_success() {
        faults.push(format!("{}: as read, it was refused: {}", sample.file, said(&put)));
    }
    let updated = server.patch(path, "merge-patch+json", json!({"metadata": {"labels": {"touched": "yes"}}})).await;
    if !updated.code.is_success() {
        faults.push(format!("{}: {}", sample.file, said(&updated)));
    }
    if sample.object["spec"].is_object() {
        let strict = format!("{path}?fieldValidation=Strict");
        let unknown = said(&server.patch(&strict, "merge-patch+json", json!({"spec": {"no-such": 1}})).await);
        if !unknown.starts_with("200") && !unknown.contains("strict decoding error: unknown field \"spec.no-such\"") {
            faults.push(format!("{}: with an unknown field: {unknown}", sample.file));
        }
        let broken = server.patch(path, "merge-patch+json", json!({"spec": "text"})).await;
        if !causes(&broken).iter().any(|c| c.ends_with("spec in body must be of type object: \"string\"")) {
            faults.push(format!("{}: with a text for a spec: {}", sample.file, said(&broken)));
        }
    }
    server.delete(path).await.ok();
}

/// Whether a sample is there to be refused.
fn is_broken(file: &str) -> bool {
    file.contains("invalid-examples/") || (file.contains("/validation/") && file.contains("invalid"))
}

#[tokio::test(start_paused = true)]
async fn definitions_of_others_are_served_and_their_samples_applied() {
    if roots().is_empty() {
        return skip("ORCH_CRDS names no directories with definitions");
    }
    let verbose = std::env::var_os("ORCH_CRDS_VERBOSE").is_some();
    let mut faults = Vec::new();
    for root in roots() {
        let (definitions, samples) = read(&root);
        assert!(!definitions.is_empty(), "{} has no definitions", root.display());
        let server = established(&definitions, &mut faults).await;
        published(&server, &definitions, &mut faults).await;
        let kinds: BTreeMap<(String, String), String> =
            definitions.iter().flat_map(|d| served(&d.object)).map(|(api, path, kind)| ((api, kind), path)).collect();
        let (mut good, mut bad) = (0, 0);
        for sample in samples {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let Some(path) = kinds.get(&(text(&sample.object["apiVersion"]), text(&sample.object["kind"]))) else {
                continue;
            };
            let mut sample = sample;
            if let Some(meta) = sample.object["metadata"].as_object_mut() {
                meta.remove("namespace");
            }
            let path = format!("{path}/{}", text(&sample.object["metadata"]["name"]));
            if !is_broken(&sample.file) {
                good += 1;
                applied(&server, &path, &sample, &mut faults).await;
                continue;
            }
            bad += 1;
            let (collection, _) = path.rsplit_once('/').unwrap();
            let answer = server.post(collection, sample.object.clone()).await;
            if answer.code != 422 || causes(&answer).is_empty() {
                faults.push(format!("{}: not refused: {}", sample.file, answer.code));
            } else if verbose {
                println!("{}: {:#?}", sample.file, causes(&answer));
            }
        }
        println!("{}: {} definitions, {good} samples, {bad} refusals", root.display(), definitions.len());
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
