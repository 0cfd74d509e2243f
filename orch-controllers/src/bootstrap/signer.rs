//! `bootstrap-signer-controller`: signs the public description of the cluster with every bootstrap token, so that who has a
//! token can tell that it is the right cluster (`pkg/controller/bootstrap/bootstrapsigner.go`).

use super::{NAMESPACE, token};
use crate::common::time::until;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use orch_api::Key;
use orch_runtime::{Controller, Plan, View, Watches};
use orch_store::informer::Delta;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Signs the description of the cluster.
pub struct BootstrapSigner;

/// The description and the tokens.
pub struct World {
    info: Arc<ConfigMap>,
    tokens: Vec<Arc<Secret>>,
}

const PUBLIC: &str = "kube-public";
const INFO: &str = "cluster-info";
const CONTENT: &str = "kubeconfig";
const SIGNATURE: &str = "jws-kubeconfig-";

impl Controller for BootstrapSigner {
    const NAME: &'static str = "bootstrap-signer-controller";
    const ABOUT: &'static str = "Signs the ConfigMap `cluster-info` with every bootstrap token.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<ConfigMap>().only(is_info).maps::<Secret>(|delta, _| {
            let stored = delta.new.as_ref().or(delta.old.as_ref());
            let tokens =
                stored.filter(|s| &*s.key.namespace == NAMESPACE && s.key.name.starts_with("bootstrap-token-"));
            tokens.map(|_| Key::new(PUBLIC, INFO)).into_iter().collect()
        })
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let info = view.get(key).filter(|_| *key == Key::new(PUBLIC, INFO))?;
        let mut tokens = view.list::<Secret>(NAMESPACE);
        tokens.retain(|secret| token::is_token(secret));
        Some(World { info, tokens })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let mut new = (*world.info).clone();
        let data = new.data.get_or_insert_default();
        let Some(content) = data.get(CONTENT).cloned() else { return plan };
        data.retain(|name, _| !name.starts_with(SIGNATURE));
        for secret in &world.tokens {
            if let Some((id, key)) = token::for_signing(secret, now) {
                data.insert(format!("{SIGNATURE}{id}"), detached(&content, &id, &key));
            }
        }
        plan.update(&*world.info, &new);
        let ends = world.tokens.iter().filter_map(|secret| token::expires(secret)).filter(|end| *end > now);
        if let Some(end) = ends.min() {
            plan.requeue_within(until(end, now));
        }
        plan
    }
}

fn is_info(delta: &Delta) -> bool {
    delta.new.as_ref().is_some_and(|new| new.key == Key::new(PUBLIC, INFO))
}

/// A JSON Web Signature (HS256) without its payload (RFC 7515, appendix F).
fn detached(content: &str, id: &str, key: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"HS256\",\"kid\":\"{id}\"}}"));
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(hmac(key.as_bytes(), signed.as_bytes())))
}

/// HMAC with SHA-256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut padded = [0_u8; BLOCK];
    let short: Vec<u8> = if key.len() > BLOCK { Sha256::digest(key).to_vec() } else { key.to_vec() };
    padded.iter_mut().zip(&short).for_each(|(place, byte)| *place = *byte);
    let with = |pad: u8| padded.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(with(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(with(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::{super::TOKEN, *};
    use crate::fixtures::{self, now};
    use k8s_openapi::ByteString;
    use orch_runtime::testing::Objects;

    #[test]
    fn the_signature_is_that_of_the_standard() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let found = hmac(b"Jefe", b"what do ya want for nothing?");
        assert_eq!(found.iter().map(|b| format!("{b:02x}")).collect::<String>(), expected);
        // cluster-bootstrap/token/jws: the header of a token `abcdef`.
        assert!(detached("content", "abcdef", "key").starts_with("eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9.."));
    }

    #[test]
    fn every_token_that_may_sign_does_and_old_signatures_go() {
        let token = |id: &str, signs: &str| {
            let name = format!("bootstrap-token-{id}");
            let mut secret = Secret { metadata: fixtures::meta(NAMESPACE, &name, &name), ..Secret::default() };
            secret.type_ = Some(TOKEN.into());
            let entries = [("token-id", id), ("token-secret", "s3cret"), ("usage-bootstrap-signing", signs)];
            let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
            secret.data = Some(entries.iter().map(|(k, v)| ((*k).to_owned(), bytes(v))).collect());
            secret
        };
        let info = ConfigMap {
            metadata: fixtures::meta(PUBLIC, INFO, ""),
            data: Some(fixtures::labels(&[(CONTENT, "config"), ("jws-kubeconfig-gone", "x")])),
            ..ConfigMap::default()
        };
        let mut objects = Objects::new(&BootstrapSigner.watches())
            .with(&info)
            .with(&token("abcdef", "true"))
            .with(&token("silent", "false"));
        let key = Key::new(PUBLIC, INFO);
        let world = BootstrapSigner.observe(&key, &View::fixed(&objects)).unwrap();
        objects.apply(&BootstrapSigner.plan(&world, now()), now());
        let data = objects.typed::<ConfigMap>(&key).unwrap().data.clone().unwrap();
        assert_eq!(data.keys().collect::<Vec<_>>(), ["jws-kubeconfig-abcdef", CONTENT]);
        let world = BootstrapSigner.observe(&key, &View::fixed(&objects)).unwrap();
        assert!(BootstrapSigner.plan(&world, now()).is_empty());
    }
}
