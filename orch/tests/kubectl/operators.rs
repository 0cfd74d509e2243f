//! Operators against the binary, over HTTPS, while kubectl is the user: the story of `examples::scenario`, which
//! `tests/it/operator.rs` tells in process.

use crate::{
    cluster::{Cluster, for_operator_on_kube, for_operator_on_orch},
    run::{Kubectl, with_each},
};
use async_trait::async_trait;
use examples::{
    operator_kube,
    operator_orch::{Sites, hook, validate, watches},
    scenario::{self, Failed, User},
};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use orch::{
    apiserver::pki::Pki,
    runtime::{Manager, leader::Election, view::Caches, webhook::Webhooks},
    store::{Ambient, Informers, remote::RemoteClient, review::Webhook},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// Runs an operator beside a story that every kubectl tells. What the operator does goes on while kubectl runs: that
/// blocks this thread alone.
fn beside<O: Future<Output = ()> + Send + 'static>(
    cluster: fn() -> &'static Cluster,
    operator: impl FnOnce(Client) -> O,
    story: impl AsyncFn(&Kubectl) -> Result<(), Failed>,
) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let operator = std::cell::Cell::new(Some(operator));
    with_each(cluster, "operator", |kubectl| {
        if let Some(operator) = operator.take() {
            let client = runtime.block_on(async { client(kubectl).await });
            runtime.spawn(operator(client));
        }
        runtime.block_on(story(kubectl)).unwrap();
    });
}

async fn client(kubectl: &Kubectl) -> Client {
    let file = Kubeconfig::read_from(&kubectl.kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

#[test]
fn the_operator_on_kube_rs_alone_serves_kubectl() {
    beside(
        for_operator_on_kube,
        |client| operator_kube::run(client, std::future::pending()),
        async |kubectl| scenario::run(kubectl).await,
    );
}

#[test]
fn the_operator_on_orch_runtime_serves_kubectl_and_its_webhook_guards() {
    let directory = tempfile::tempdir().unwrap();
    let (certificate, key) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    let ambient = Ambient::system();
    let pki = Pki::in_memory(ambient.clock.now()).unwrap();
    let serving = pki.serving(&["localhost".into()], ambient.clock.now()).unwrap();
    std::fs::write(&certificate, &serving.certificate).unwrap();
    std::fs::write(&key, serving.key.reveal()).unwrap();

    let tasks = ambient.tasks.clone();
    let (told, address) = std::sync::mpsc::channel();
    let operator = |client: Client| async move {
        let webhooks = Webhooks::new().admission("/validate", validate);
        told.send(webhooks.serve("127.0.0.1:0".parse().unwrap(), certificate, key, &ambient.tasks).await.unwrap())
            .unwrap();
        let client = Arc::new(RemoteClient::new(client));
        let caches = Caches::new(Informers::new(client, ambient.clone()));
        let election = Election::new(orch::api::Key::new("default", "sites"), "the-test");
        let manager = Manager::new(&caches, &ambient).lead(election).reconciler("sites", watches(), Sites);
        manager.run(std::future::pending()).await.unwrap();
    };
    let webhook = std::cell::OnceCell::new();
    beside(for_operator_on_orch, operator, async |kubectl| {
        scenario::run(kubectl).await?;
        let webhook = webhook.get_or_init(|| configuration(address.recv().unwrap(), pki.ca_certificate()));
        User::apply(kubectl, webhook).await?;
        scenario::is_refused(kubectl).await?;
        kubectl.delete("validatingwebhookconfigurations", "sites").await
    });
    tasks.cancel();
}

/// The webhook as a configuration by which any API server finds it.
fn configuration(address: std::net::SocketAddr, ca: &str) -> Value {
    let Webhook::Validating(mut webhook) = hook().webhook else { panic!("it validates") };
    webhook.client_config.url = Some(format!("https://localhost:{}/validate", address.port()));
    webhook.client_config.ca_bundle = Some(k8s_openapi::ByteString(ca.as_bytes().to_vec()));
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "sites"}, "webhooks": [webhook]})
}

#[async_trait]
impl User for Kubectl {
    async fn apply(&self, manifest: &Value) -> Result<(), Failed> {
        self.ask(&["apply", "-f", "-"], &manifest.to_string()).map(drop)
    }

    async fn patch(&self, resource: &str, name: &str, patch: &Value) -> Result<(), Failed> {
        self.ask(&["patch", resource, name, "--type", "merge", "--patch", &patch.to_string()], "").map(drop)
    }

    async fn delete(&self, resource: &str, name: &str) -> Result<(), Failed> {
        self.ask(&["delete", resource, name, "--wait=false"], "").map(drop)
    }

    async fn list(&self, resource: &str) -> Result<Vec<Value>, Failed> {
        let list: Value = serde_json::from_str(&self.ask(&["get", resource, "-o", "json"], "")?)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }
}

impl Kubectl {
    /// What a command prints, or complains.
    fn ask(&self, args: &[&str], input: &str) -> Result<String, Failed> {
        let ran = self.args(args, input.as_bytes());
        if ran.output.status.success() { Ok(ran.stdout()) } else { Err(ran.all().into()) }
    }
}
