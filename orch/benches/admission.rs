//! What a webhook adds to a write: `cargo bench -p orch --bench admission`.
//!
//! Creates of a ConfigMap through the in-process client, one after the other: without a webhook, with one that is a function
//! of this process, and with the same function served over HTTPS on this machine.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // A benchmark measures real time, and may panic.

use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{RuleWithOperations, ValidatingWebhook, WebhookClientConfig},
        core::v1::ConfigMap,
    },
};
use orch::{
    Cluster,
    api::review::{AdmissionRequest, AdmissionResponse},
    apiserver::pki::Pki,
    runtime::webhook::Webhooks,
    store::{AdmissionHook, Ambient, ClientExt},
};
use serde_json::json;
use std::time::{Duration, Instant};

const CREATES: usize = 5_000;

async fn validate(request: AdmissionRequest) -> AdmissionResponse {
    match request.object["data"]["key"].as_str() {
        Some(_) => AdmissionResponse::allow(),
        None => AdmissionResponse::deny("a map has a key"),
    }
}

fn webhook(client_config: WebhookClientConfig) -> ValidatingWebhook {
    let strings = |texts: &[&str]| Some(texts.iter().map(ToString::to_string).collect());
    let rule = RuleWithOperations {
        operations: strings(&["CREATE"]),
        api_groups: strings(&[""]),
        api_versions: strings(&["v1"]),
        resources: strings(&["configmaps"]),
        scope: None,
    };
    ValidatingWebhook {
        name: "maps.example.com".into(),
        rules: Some(vec![rule]),
        client_config,
        side_effects: "None".into(),
        admission_review_versions: vec!["v1".into()],
        ..ValidatingWebhook::default()
    }
}

/// How long one create takes, half of them and 99 of 100.
async fn creates(cluster: &Cluster) -> (Duration, Duration) {
    let client = cluster.client();
    let mut times = Vec::with_capacity(CREATES);
    for n in 0..CREATES {
        let mut map = ConfigMap::default();
        (map.metadata.name, map.metadata.namespace) = (Some(format!("map-{n}")), Some("default".into()));
        map.data = Some([("key".to_owned(), "value".to_owned())].into());
        let began = Instant::now();
        client.add(&map).await.unwrap();
        times.push(began.elapsed());
    }
    times.sort();
    (times[CREATES / 2], times[CREATES * 99 / 100])
}

/// A cluster whose API server asks the function over HTTPS.
async fn served(files: &std::path::Path) -> Cluster {
    let cluster = Cluster::builder().without_controllers().build().await.unwrap();
    let now = Ambient::system().clock.now();
    let pki = Pki::in_memory(now).unwrap();
    let serving = pki.serving(&["localhost".into()], now).unwrap();
    let (certificate, key) = (files.join("tls.crt"), files.join("tls.key"));
    std::fs::write(&certificate, &serving.certificate).unwrap();
    std::fs::write(&key, serving.key.reveal()).unwrap();
    let hooks = Webhooks::new().admission("/validate", validate);
    let tasks = &cluster.ambient().tasks;
    let address = hooks.serve("127.0.0.1:0".parse().unwrap(), certificate, key, tasks).await.unwrap();
    let configuration = json!({"metadata": {"name": "maps"}, "webhooks": [webhook(WebhookClientConfig {
        url: Some(format!("https://localhost:{}/validate", address.port())),
        ca_bundle: Some(ByteString(pki.ca_certificate().as_bytes().to_vec())),
        service: None,
    })]});
    let configuration: k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration =
        serde_json::from_value(configuration).unwrap();
    cluster.client().add(&configuration).await.unwrap();
    cluster
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let files = tempfile::tempdir().unwrap();
        let hook = AdmissionHook::validating(webhook(WebhookClientConfig::default()), validate);
        let alone = Cluster::builder().without_controllers();
        let clusters = [
            ("no webhook", alone.build().await.unwrap()),
            ("a function", Cluster::builder().without_controllers().admission_hook(hook).build().await.unwrap()),
            ("HTTPS", served(files.path()).await),
        ];
        println!("| a create with | median | 99 % |");
        println!("| --- | ---: | ---: |");
        for (name, cluster) in clusters {
            let (median, most) = creates(&cluster).await;
            println!("| {name} | {median:.1?} | {most:.1?} |");
            cluster.stop().await;
        }
    });
}
