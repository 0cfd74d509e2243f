use super::*;
use jiff::ToSpan;
use std::os::unix::fs::PermissionsExt;

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn later(hours: i64) -> Timestamp {
    now() + hours.hours()
}

/// A directory that is gone when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("orch-pki-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_second_start_finds_what_the_first_made() {
    let dir = Scratch::new("second");
    let first = Pki::open(&dir.0, now()).unwrap();
    let admin = first.client("admin", "admin", "system:masters", now()).unwrap();
    let second = Pki::open(&dir.0, later(24)).unwrap();
    assert_eq!(first.ca_certificate(), second.ca_certificate());
    assert_eq!(first.service_account_key(), second.service_account_key());
    assert_eq!(admin.certificate, second.client("admin", "admin", "system:masters", later(24)).unwrap().certificate);
    for (file, mode) in [("ca.key", 0o600), ("sa.key", 0o600), ("admin.key", 0o600), ("ca.crt", 0o644)] {
        let found = std::fs::metadata(dir.0.join(file)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{file}");
    }
}

#[test]
fn a_certificate_is_renewed_before_it_runs_out_or_when_it_must_say_more() {
    let dir = Scratch::new("renew");
    let pki = Pki::open(&dir.0, now()).unwrap();
    let first = pki.serving(&["node1".into()], now()).unwrap();
    assert!(covers(&first.certificate, &["kubernetes.default.svc".into(), "10.96.0.1".into(), "node1".into()]));
    assert_eq!(first.certificate, pki.serving(&["node1".into()], later(24 * 250)).unwrap().certificate);
    let renewed = pki.serving(&["node1".into()], later(24 * 320)).unwrap();
    assert_ne!(first.certificate, renewed.certificate, "less than a fifth is left");
    let more = pki.serving(&["node1".into(), "192.168.1.1".into()], later(24 * 320)).unwrap();
    assert!(covers(&more.certificate, &["192.168.1.1".into()]));
    let client = pki.client("x", "jane", "", now()).unwrap();
    assert_ne!(client.certificate, pki.client("x", "joe", "", now()).unwrap().certificate);
}

#[test]
fn a_broken_or_unwritable_file_is_named() {
    let dir = Scratch::new("broken");
    Pki::open(&dir.0, now()).unwrap();
    std::fs::write(dir.0.join("ca.key"), "nonsense").unwrap();
    let error = Pki::open(&dir.0, now()).err().unwrap();
    assert!(error.to_string().starts_with("ca: "), "{error}");
    let file = dir.0.join("ca.crt");
    let error = Pki::open(&file.join("below"), now()).err().unwrap();
    assert!(error.to_string().contains("ca.crt"), "{error}");
}

#[test]
fn secrets_do_not_print() {
    let pki = Pki::in_memory(now()).unwrap();
    let admin = pki.client("admin", "admin", "system:masters", now()).unwrap();
    assert!(!format!("{admin:?} {:?}", pki.service_account_key()).contains("PRIVATE"));
}

#[test]
fn a_server_with_these_certificates_talks_to_a_client_with_those() {
    let pki = Pki::in_memory(now()).unwrap();
    let serving = pki.serving(&[], now()).unwrap();
    let admin = pki.client("admin", "admin", "system:masters", now()).unwrap();
    let config = server_config(&serving, Some(pki.ca_certificate())).unwrap();
    assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    let wrong = Credential { key: admin.key.clone(), ..serving };
    assert!(server_config(&wrong, None).is_err(), "the key belongs to another certificate");
    let user = crate::authn::user_of_certificate_pem(&admin.certificate).unwrap();
    assert_eq!((user.name.as_str(), user.in_group("system:masters")), ("admin", true));
}

#[test]
fn a_kubeconfig_holds_everything_that_a_client_needs() {
    let pki = Pki::in_memory(now()).unwrap();
    let admin = pki.client("admin", "admin", "system:masters", now()).unwrap();
    let text = kubeconfig("orch", "https://127.0.0.1:6443", pki.ca_certificate(), &admin);
    let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(value["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443");
    assert_eq!(value["contexts"][0]["context"]["user"], "orch");
    assert_eq!(value["current-context"], "orch");
    assert!(value["users"][0]["user"]["client-key-data"].as_str().unwrap().len() > 100);
}
