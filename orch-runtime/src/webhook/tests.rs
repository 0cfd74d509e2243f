use super::{review, *};
use orch_api::review::{AdmissionRequest, AdmissionResponse, AdmissionReview, ConversionRequest, ConversionResponse};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn asked(name: &str) -> Vec<u8> {
    let request = AdmissionRequest { uid: "u-1".into(), name: name.into(), ..AdmissionRequest::default() };
    serde_json::to_vec(&AdmissionReview::of_request(request)).unwrap()
}

async fn odd(request: AdmissionRequest) -> AdmissionResponse {
    match &*request.name {
        "odd" => AdmissionResponse::allow(),
        "bad" => panic!("no idea"),
        name => AdmissionResponse::deny(format!("{name} is not odd")),
    }
}

fn body(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn an_answer_repeats_the_uid_and_the_version_of_its_request() {
    let answer = body(&review::admission(&odd, &asked("odd")).await);
    assert_eq!(answer["response"], json!({"uid": "u-1", "allowed": true}));
    assert_eq!((&answer["kind"], &answer["apiVersion"]), (&json!("AdmissionReview"), &json!("admission.k8s.io/v1")));
}

#[tokio::test]
async fn a_handler_that_panics_refuses() {
    let answer = body(&review::admission(&odd, &asked("bad")).await);
    assert_eq!((&answer["response"]["allowed"], &answer["response"]["status"]["code"]), (&json!(false), &json!(500)));
}

#[tokio::test]
async fn what_is_no_review_is_a_bad_request() {
    for sent in ["", "{}", "[]", "{\"kind\": \"AdmissionReview\"}", "{\"kind\": \"Pod\", \"request\": {}}"] {
        assert_eq!(review::admission(&odd, sent.as_bytes()).await.status, 400, "{sent}");
    }
}

#[tokio::test]
async fn a_conversion_answers_with_the_objects_or_with_why_not() {
    let convert = |request: ConversionRequest| async move {
        let mut objects = request.objects;
        assert!(!objects.is_empty(), "nothing to convert");
        objects.iter_mut().for_each(|object| object["apiVersion"] = json!(request.desired_api_version));
        ConversionResponse::success(objects)
    };
    let review = |objects: Value| {
        json!({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1",
            "request": {"uid": "u", "desiredAPIVersion": "example.com/v2", "objects": objects}})
        .to_string()
    };
    let answer = body(&review::conversion(&convert, review(json!([{"kind": "A"}])).as_bytes()).await);
    assert_eq!(answer["response"]["convertedObjects"], json!([{"kind": "A", "apiVersion": "example.com/v2"}]));
    let answer = body(&review::conversion(&convert, review(json!([])).as_bytes()).await);
    assert_eq!(answer["response"]["result"]["status"], "Failure");
}

/// A directory with a certificate of its own.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.renew();
        files
    }

    fn renew(&self) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(self.0.path().join("tls.crt"), made.cert.pem()).unwrap();
        std::fs::write(self.0.path().join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    }

    /// Posts a review and trusts only the certificate that is on disk now.
    async fn post(&self, address: SocketAddr, body: &[u8]) -> io::Result<String> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(self.0.path().join("tls.crt")).unwrap();
        roots.add(certificate).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = builder.with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
        let head = format!(
            "POST /odd HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_by_the_next_connection_and_a_broken_one_is_not() {
    let (files, tasks) = (Files::new(), Tasks::new());
    let path = |name: &str| files.0.path().join(name);
    let hooks = Webhooks::new().admission("/odd", odd);
    let address = hooks.serve("127.0.0.1:0".parse().unwrap(), path("tls.crt"), path("tls.key"), &tasks).await.unwrap();
    let answer = files.post(address, &asked("even")).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("even is not odd"), "{answer}");
    files.renew();
    let answer = files.post(address, &asked("odd")).await.unwrap();
    assert!(answer.contains("\"allowed\":true"), "{answer}");
    std::fs::write(path("tls.key"), "not a key").unwrap();
    let answer = files.post(address, &asked("odd")).await.unwrap();
    assert!(answer.contains("\"allowed\":true"), "{answer}");
    tasks.stop().await;
    assert!(files.post(address, &asked("odd")).await.is_err());
}

#[test]
fn files_without_a_certificate_or_with_the_key_of_another_are_refused() {
    let (files, other) = (Files::new(), Files::new());
    let path = |files: &Files, name: &str| files.0.path().join(name);
    assert!(Reloading::open(&path(&files, "tls.crt"), &path(&files, "missing")).is_err());
    assert!(Reloading::open(&path(&files, "tls.key"), &path(&files, "tls.key")).is_err());
    assert!(Reloading::open(&path(&files, "tls.crt"), &path(&other, "tls.key")).is_err());
}
