use super::*;
use crate::{pki::Pki, proxy::Duplex};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use orch_api::StatusError;
use orch_store::{Ambient, Tasks};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio_rustls::TlsAcceptor;

/// A server in memory with its certificate, reached as a Service.
struct Server {
    acceptor: TlsAcceptor,
    tasks: Tasks,
    connections: Mutex<usize>,
    answer: fn(&str, Bytes) -> (u16, String),
}

#[async_trait]
impl ServiceDialer for Server {
    async fn dial(&self, _: &str, name: &str, _: u16) -> Result<Box<dyn Duplex>, StatusError> {
        if name == "missing" {
            return Err(StatusError::new(orch_api::Reason::NotFound, "service \"missing\" not found"));
        }
        *self.connections.lock() += 1;
        let (near, far) = tokio::io::duplex(64 << 10);
        let (acceptor, answer) = (self.acceptor.clone(), self.answer);
        self.tasks.spawn(async move {
            let Ok(stream) = acceptor.accept(far).await else { return };
            let service = service_fn(move |request: Request<Incoming>| async move {
                let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
                let body = request.into_body().collect().await.unwrap().to_bytes();
                if path.starts_with("/hang") {
                    std::future::pending::<()>().await;
                }
                let (code, text) = answer(&path, body);
                Response::builder().status(code).body(Full::new(Bytes::from(text)))
            });
            let _ended = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
        Ok(Box::new(near))
    }
}

struct Rig {
    client: WebhookClient,
    server: Arc<Server>,
    ca: Vec<u8>,
}

fn rig(names: &[&str], answer: fn(&str, Bytes) -> (u16, String)) -> Rig {
    let now = Ambient::system().clock.now();
    let pki = Pki::in_memory(now).unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let serving = pki.serving(&names, now).unwrap();
    let config = crate::pki::server_config(&serving, None).unwrap();
    Rig { ca: pki.ca_certificate().as_bytes().to_vec(), ..rig_with(config, answer) }
}

fn rig_with(config: rustls::ServerConfig, answer: fn(&str, Bytes) -> (u16, String)) -> Rig {
    let tasks = Tasks::new();
    let server = Server {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        tasks: tasks.clone(),
        connections: Mutex::new(0),
        answer,
    };
    let server = Arc::new(server);
    Rig { client: WebhookClient::new(server.clone(), tasks), server, ca: Vec::new() }
}

impl Rig {
    fn target(&self, name: &str, path: &str) -> Target {
        let place = Place::Service { namespace: "ops".into(), name: name.into(), port: 443 };
        Target { place, path: path.into(), ca_bundle: self.ca.clone() }
    }

    async fn ask(&self, target: &Target) -> Result<String, String> {
        let endpoint = self.client.endpoint(target).map_err(|e| e.to_string())?;
        let answer = self.client.post(&endpoint, Bytes::from_static(b"{}"), Some(Duration::from_millis(1500))).await;
        answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(|e| e.to_string())
    }
}

fn echo(path: &str, _: Bytes) -> (u16, String) {
    (200, format!("{path:?}"))
}

#[tokio::test]
async fn the_webhook_is_told_the_time_that_it_has_in_whole_seconds() {
    let rig = rig(&["hook.ops.svc"], echo);
    assert_eq!(rig.ask(&rig.target("hook", "/admit")).await.unwrap(), "\"/admit?timeout=2s\"");
    assert_eq!(rig.ask(&rig.target("hook", "/admit?a=b")).await.unwrap(), "\"/admit?a=b&timeout=2s\"");
}

#[tokio::test]
async fn requests_to_one_target_share_its_connection_while_somebody_keeps_it() {
    let rig = rig(&["hook.ops.svc"], echo);
    let target = rig.target("hook", "/");
    let kept = rig.client.endpoint(&target).unwrap();
    for _ in 0..3 {
        rig.ask(&target).await.unwrap();
    }
    assert_eq!(*rig.server.connections.lock(), 1);
    drop(kept);
    rig.ask(&target).await.unwrap();
    assert_eq!(*rig.server.connections.lock(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_hangs_is_left_at_its_deadline() {
    let rig = rig(&["hook.ops.svc"], echo);
    let error = rig.ask(&rig.target("hook", "/hang")).await.unwrap_err();
    assert_eq!(error, "Post \"https://hook.ops.svc:443/hang?timeout=2s\": context deadline exceeded");
}

#[tokio::test]
async fn a_certificate_for_another_name_or_by_another_authority_is_refused_in_the_words_of_go() {
    let rig = rig(&["other.ops.svc"], echo);
    let error = rig.ask(&rig.target("hook", "/")).await.unwrap_err();
    let words = "Post \"https://hook.ops.svc:443/?timeout=2s\": tls: failed to verify certificate: x509:";
    assert!(error.starts_with(&format!("{words} certificate is valid for kubernetes, ")), "{error}");
    assert!(error.ends_with(", other.ops.svc, not hook.ops.svc"), "{error}");

    let stranger = Pki::in_memory(Ambient::system().clock.now()).unwrap();
    let target = Target { ca_bundle: stranger.ca_certificate().as_bytes().to_vec(), ..rig.target("other", "/") };
    let error = rig.ask(&target).await.unwrap_err();
    assert!(error.ends_with("x509: certificate signed by unknown authority"), "{error}");

    let target = Target { ca_bundle: b"nonsense".to_vec(), ..rig.target("other", "/") };
    let error = rig.ask(&target).await.unwrap_err();
    assert_eq!(error, "unable to load root certificates: unable to parse bytes as PEM block");
}

#[tokio::test]
async fn an_authority_may_be_its_own_server_under_its_own_name() {
    let mut params = rcgen::CertificateParams::new(vec!["hook.ops.svc".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let serving =
        crate::pki::Credential { certificate: certificate.clone(), key: crate::pki::Secret::new(key.serialize_pem()) };
    let config = crate::pki::server_config(&serving, None).unwrap();
    let mut rig = rig_with(config, echo);
    rig.ca = certificate.into_bytes();
    rig.ask(&rig.target("hook", "/")).await.unwrap();
    let error = rig.ask(&rig.target("other", "/")).await.unwrap_err();
    assert!(error.contains("x509: certificate is valid for hook.ops.svc, not other.ops.svc"), "{error}");
}

#[tokio::test]
async fn a_service_that_does_not_exist_is_named() {
    let rig = rig(&["hook.ops.svc"], echo);
    let error = rig.ask(&rig.target("missing", "/")).await.unwrap_err();
    assert_eq!(error, "Post \"https://missing.ops.svc:443/?timeout=2s\": service \"missing\" not found");
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let rig = rig(&["hook.ops.svc"], echo);
    // Bound and closed again: nobody listens there.
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let place = Place::Host { host: "127.0.0.1".into(), port };
    let error = rig.ask(&Target { place, path: "/".into(), ca_bundle: rig.ca.clone() }).await.unwrap_err();
    let words = format!("Post \"https://127.0.0.1:{port}/?timeout=2s\": dial tcp 127.0.0.1:{port}:");
    assert_eq!(error, format!("{words} connect: connection refused"));
}

#[tokio::test]
async fn a_webhook_on_this_machine_gets_all_requests_over_one_connection() {
    let rig = rig(&[], echo);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (acceptor, server) = (rig.server.acceptor.clone(), rig.server.clone());
    rig.server.tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            *server.connections.lock() += 1;
            let acceptor = acceptor.clone();
            server.tasks.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(|request: Request<Incoming>| async move {
                    Response::builder().body(Full::new(Bytes::from(format!("{:?}", request.version()))))
                });
                let _ended = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    let place = Place::Host { host: "127.0.0.1".into(), port };
    let target = Target { place, path: "/".into(), ca_bundle: rig.ca.clone() };
    let _kept = rig.client.endpoint(&target).unwrap();
    assert_eq!(rig.ask(&target).await.unwrap(), "HTTP/2.0");
    let (first, second) = tokio::join!(rig.ask(&target), rig.ask(&target));
    assert_eq!((first.unwrap(), second.unwrap()), ("HTTP/2.0".into(), "HTTP/2.0".into()));
    assert_eq!(*rig.server.connections.lock(), 1);
}

#[tokio::test]
async fn answers_that_are_no_success_become_the_refusals_of_client_go() {
    async fn check(answer: fn(&str, Bytes) -> (u16, String), expected: &str) {
        let rig = rig(&["hook.ops.svc"], answer);
        assert_eq!(rig.ask(&rig.target("hook", "/")).await.unwrap_err(), expected);
    }
    check(|_, _| (404, "x".into()), "the server could not find the requested resource").await;
    let words = "an error on the server (\"boom\") has prevented the request from succeeding";
    check(|_, _| (500, "boom\n".into()), words).await;
    check(|_, _| (200, String::new()), "0-length response with status code: 200 and content type: application/json")
        .await;
    check(|_, _| (200, r#"{"kind":"Status","status":"Failure","code":403,"message":"no"}"#.into()), "no").await;
}

#[test]
fn a_target_is_read_from_either_form_of_a_configuration() {
    use orch_api::k8s_openapi::api::admissionregistration::v1::{ServiceReference, WebhookClientConfig};
    let service = |port, path: Option<&str>| WebhookClientConfig {
        service: Some(ServiceReference {
            name: "hook".into(),
            namespace: "ops".into(),
            path: path.map(Into::into),
            port,
        }),
        ..WebhookClientConfig::default()
    };
    let url = |url: &str| WebhookClientConfig { url: Some(url.into()), ..WebhookClientConfig::default() };
    let check = |config: &WebhookClientConfig, authority: &str, path: &str, server: &str| {
        let target = Target::of_admission(config).unwrap();
        assert_eq!((&*target.authority(), &*target.path, &*target.server_name()), (authority, path, server));
    };
    check(&service(None, None), "hook.ops.svc:443", "/", "hook.ops.svc");
    check(&service(Some(8443), Some("/a/b")), "hook.ops.svc:8443", "/a/b", "hook.ops.svc");
    check(&url("https://example.com/x?y=z"), "example.com:443", "/x?y=z", "example.com");
    check(&url("https://[::1]:8443"), "[::1]:8443", "/", "::1");
    let error = Target::of_admission(&WebhookClientConfig::default()).unwrap_err();
    assert_eq!(error, "webhook configuration must have either service or URL");
}
