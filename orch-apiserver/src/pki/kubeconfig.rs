//! The file by which clients find and trust the cluster.

use super::Credential;
use base64::{Engine, engine::general_purpose::STANDARD};

/// A kubeconfig with one cluster, one user and one context, all named `name`, and everything embedded.
pub fn kubeconfig(name: &str, server: &str, ca_certificate: &str, user: &Credential) -> String {
    let data = |pem: &str| STANDARD.encode(pem);
    let (ca, certificate, key) = (data(ca_certificate), data(&user.certificate), data(user.key.reveal()));
    let (name, server) = (quoted(name), quoted(server));
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: {name}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {name}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {name}
  context:
    cluster: {name}
    user: {name}
current-context: {name}
preferences: {{}}
"
    )
}

/// JSON's strings are YAML's double-quoted scalars.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
