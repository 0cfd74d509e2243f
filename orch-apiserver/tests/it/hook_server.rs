//! A webhook server in memory, with TLS, reached as the Service `hooks/hook`: the one that the end-to-end tests of
//! Kubernetes deploy, with the same paths.

use crate::support::Server;
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use orch_api::{
    StatusError,
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Status,
    review::{AdmissionRequest, AdmissionResponse, AdmissionReview},
};
use orch_apiserver::{
    ApiServer,
    pki::{Pki, server_config},
    proxy::Duplex,
    webhook::ServiceDialer,
};
use orch_store::{Ambient, backend::memory::MemoryBackend};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio_rustls::TlsAcceptor;

/// What a path answers.
pub type Answer = fn(&str, AdmissionRequest) -> Reply;

/// An answer of the server.
pub enum Reply {
    /// A proper review.
    Review(AdmissionResponse),
    /// A review after a while.
    Late(Duration, AdmissionResponse),
    /// Whatever it is.
    Raw(u16, String),
}

/// An answer byte for byte.
pub struct Raw {
    pub delay: Duration,
    pub code: u16,
    pub body: String,
}

/// What the server does with a path and a body.
pub type Serve = Arc<dyn Fn(&str, &[u8]) -> Raw + Send + Sync>;

/// The server's side.
pub struct Hooks {
    acceptor: TlsAcceptor,
    serve: Serve,
}

/// An API server whose webhooks are at this server.
pub struct Rig {
    pub server: Server,
    pub ca: String,
    /// What was asked, in order.
    pub asked: Arc<Mutex<Vec<AdmissionRequest>>>,
}

impl Rig {
    /// With a server of admission webhooks.
    pub async fn start(answer: Answer) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = asked.clone();
        let serve = Arc::new(move |path: &str, body: &[u8]| admission(path, body, answer, &noted));
        Self { asked, ..Self::serving(serve).await }
    }

    /// With a server of anything.
    pub async fn serving(serve: Serve) -> Self {
        let now = Ambient::system().clock.now();
        let pki = Pki::in_memory(now).unwrap();
        let serving = pki.serving(&["hook.hooks.svc".into()], now).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&serving, None).unwrap()));
        let hooks = Arc::new(Hooks { acceptor, serve });
        let builder = ApiServer::builder(Ambient::seeded(1), Arc::new(MemoryBackend::new()));
        let api = builder.services(hooks).build().await.unwrap();
        let server = Server { service: api.service(), api }.with_account().await;
        let ca = orch_api::k8s_openapi::ByteString(pki.ca_certificate().as_bytes().to_vec());
        let ca = serde_json::to_value(&ca).unwrap().as_str().unwrap().to_owned();
        Self { server, ca, asked: Arc::default() }
    }

    /// A webhook at a path with one rule.
    pub fn hook(&self, path: &str, rule: Value) -> Value {
        let name = path.trim_matches('/').replace('/', "-");
        json!({"name": format!("{name}.k8s.io"), "rules": [rule], "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "clientConfig": {"caBundle": self.ca, "service": {"namespace": "hooks", "name": "hook", "path": path}}})
    }

    pub async fn mutating(&self, name: &str, webhooks: Vec<Value>) {
        self.configure("Mutating", name, webhooks).await;
    }

    pub async fn validating(&self, name: &str, webhooks: Vec<Value>) {
        self.configure("Validating", name, webhooks).await;
    }

    async fn configure(&self, kind: &str, name: &str, webhooks: Vec<Value>) {
        let body = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
            "metadata": {"name": name}, "webhooks": webhooks});
        self.server.post(&format!("{CONFIGURATIONS}/{}webhookconfigurations", kind.to_lowercase()), body).await.ok();
    }
}

pub const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1";

/// A rule about resources of one group and version.
pub fn rule(operations: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"operations": operations, "apiGroups": [group], "apiVersions": ["v1"], "resources": resources})
}

#[async_trait]
impl ServiceDialer for Hooks {
    async fn dial(&self, namespace: &str, name: &str, _: u16) -> Result<Box<dyn Duplex>, StatusError> {
        if (namespace, name) != ("hooks", "hook") {
            return Err(StatusError::new(orch_api::Reason::NotFound, format!("service {name:?} not found")));
        }
        let (near, far) = tokio::io::duplex(64 << 10);
        let (acceptor, serve) = (self.acceptor.clone(), self.serve.clone());
        #[allow(clippy::disallowed_methods)] // The server of a test belongs to nobody.
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(far).await else { return };
            let service = service_fn(move |request| reply(request, serve.clone()));
            let _ended = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
        Ok(Box::new(near))
    }
}

async fn reply(request: Request<Incoming>, serve: Serve) -> Result<Response<Full<Bytes>>, http::Error> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.map(|all| all.to_bytes()).unwrap_or_default();
    let raw = serve(&path, &body);
    tokio::time::sleep(raw.delay).await;
    Response::builder().status(raw.code).body(Full::new(Bytes::from(raw.body)))
}

fn admission(path: &str, body: &[u8], answer: Answer, asked: &Mutex<Vec<AdmissionRequest>>) -> Raw {
    let review: AdmissionReview = serde_json::from_slice(body).unwrap();
    let request = review.request.unwrap();
    let uid = request.uid.clone();
    asked.lock().push(request.clone());
    let delay = Duration::ZERO;
    match answer(path, request) {
        Reply::Raw(code, body) => Raw { delay, code, body },
        Reply::Review(response) => Raw { delay, code: 200, body: written(&uid, response) },
        Reply::Late(delay, response) => Raw { delay, code: 200, body: written(&uid, response) },
    }
}

fn written(uid: &str, response: AdmissionResponse) -> String {
    serde_json::to_string(&AdmissionReview::of_response(uid, response)).unwrap()
}

/// The answers of the webhook of the end-to-end tests (`test/images/agnhost/webhook`).
pub fn agnhost(path: &str, request: AdmissionRequest) -> Reply {
    let reason = |text: &str| {
        let status = Status { reason: Some(text.into()), ..Status::default() };
        AdmissionResponse::deny_with(status)
    };
    let (new, old) = (&request.object, &request.old_object);
    Reply::Review(match path {
        "/always-allow-delay-5s" => return Reply::Late(Duration::from_secs(5), AdmissionResponse::allow()),
        "/always-deny" => reason("this webhook denies all requests"),
        "/configmaps" | "/custom-resource" => {
            let object = if request.operation == "DELETE" { old } else { new };
            let disallowed = object["data"]["webhook-e2e-test"] == "webhook-disallow";
            let what = if path == "/configmaps" { "configmap" } else { "custom resource" };
            match (disallowed, &*request.operation) {
                (false, _) => AdmissionResponse::allow(),
                (true, "DELETE") => {
                    reason(&format!("the {what} cannot be deleted because it contains unwanted key and value"))
                }
                (true, _) => reason(&format!("the {what} contains unwanted data")),
            }
        }
        "/pods" => {
            let label = new["metadata"]["labels"].get("webhook-e2e-test").is_some();
            let container = new["spec"]["containers"][0]["name"] == "webhook-disallow";
            match (label, container) {
                (false, false) => AdmissionResponse::allow(),
                (true, false) => reason("the pod contains unwanted label; "),
                (false, true) => reason("the pod contains unwanted container name; "),
                (true, true) => reason("the pod contains unwanted container name; the pod contains unwanted label; "),
            }
        }
        "/pods/attach" => match &*request.name {
            "to-be-attached-pod" => AdmissionResponse::deny("attaching to pod 'to-be-attached-pod' is not allowed"),
            _ => AdmissionResponse::allow(),
        },
        "/mutating-configmaps" | "/mutating-custom-resource" => {
            let mut changed = new.clone();
            for (has, add) in [("mutation-start", "mutation-stage-1"), ("mutation-stage-1", "mutation-stage-2")] {
                if new["data"].get(has).is_some() {
                    changed["data"][add] = "yes".into();
                }
            }
            AdmissionResponse::mutate(&request, &changed)
        }
        "/mutating-pods" => {
            let mut changed = new.clone();
            if new["metadata"]["name"] == "webhook-to-be-mutated" {
                let init =
                    json!([{"image": "webhook-added-image", "name": "webhook-added-init-container", "resources": {}}]);
                changed["spec"]["initContainers"] = init;
            }
            AdmissionResponse::mutate(&request, &changed)
        }
        "/add-label" => {
            let mut changed = new.clone();
            changed["metadata"]["labels"]["added-label"] = "yes".into();
            AdmissionResponse::mutate(&request, &changed)
        }
        "/crd" => match new["metadata"]["labels"].get("webhook-e2e-test") {
            Some(label) if label == "webhook-disallow" => reason("the crd contains unwanted label"),
            _ => AdmissionResponse::allow(),
        },
        other => return Reply::Raw(404, format!("no {other} here")),
    })
}
