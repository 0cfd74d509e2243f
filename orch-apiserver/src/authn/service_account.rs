//! Service account tokens are checked against the objects that they are bound to (`pkg/serviceaccount`).

use super::{
    Authenticator, Credentials, User, jwt,
    signer::{Reference, TokenSigner},
    static_tokens::hash,
};
use crate::core::Notes;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use orch_api::Key;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{collections::HashMap, sync::Arc};

/// How long after its deletion an object still counts (clocks differ).
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

/// Verified tokens that are remembered, so that a client's next request costs no signature check.
const REMEMBERED: usize = 4096;

/// What a check needs to know of a live object.
#[derive(Clone, Debug, Default)]
pub struct LiveObject {
    /// UID.
    pub uid: String,
    /// When its deletion was asked for.
    pub deletion_timestamp: Option<Timestamp>,
}

/// Where tokens find the objects that they are bound to.
#[async_trait]
pub trait LiveObjects: Send + Sync + 'static {
    /// An object of the core group: `serviceaccounts`, `pods`, `secrets` or `nodes` (no namespace).
    async fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<LiveObject>;

    /// A token that is bound to this secret is used. An error says why it is good no longer.
    async fn used(&self, secret: &Key, token: &str, now: Timestamp, notes: &Notes) -> Result<(), String> {
        let _ = (secret, token, now, notes);
        Ok(())
    }
}

/// Knows the users of service account tokens.
pub struct ServiceAccountTokens {
    signer: Arc<TokenSigner>,
    live: Arc<dyn LiveObjects>,
    verified: Mutex<HashMap<[u8; 32], Arc<Claims>>>,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iss: String,
    #[serde(default)]
    aud: Audience,
    exp: i64,
    #[serde(default)]
    nbf: i64,
    #[serde(default)]
    jti: String,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Kubernetes,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

#[derive(Debug, Deserialize)]
struct Kubernetes {
    namespace: String,
    serviceaccount: Reference,
    pod: Option<Reference>,
    node: Option<Reference>,
    secret: Option<Reference>,
}

impl ServiceAccountTokens {
    /// Checks tokens of the signer against live objects.
    pub fn new(signer: Arc<TokenSigner>, live: Arc<dyn LiveObjects>) -> Self {
        Self { signer, live, verified: Mutex::default() }
    }

    /// The user of a token that is meant for one of `audiences` (empty: for the API server), and those of
    /// them that the token has. This is what TokenReview asks. Of a token that a secret keeps there may be something to note.
    ///
    /// # Errors
    ///
    /// Why the token is refused.
    pub async fn review(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
        notes: &Notes,
    ) -> Result<(User, Vec<String>), String> {
        let claims = self.claims(token)?;
        let wanted = if audiences.is_empty() { &self.signer.audiences } else { audiences };
        let has = |audience: &&String| match &claims.aud {
            Audience::One(one) => one == *audience,
            Audience::Many(many) => many.contains(audience),
        };
        let common: Vec<String> = wanted.iter().filter(has).cloned().collect();
        if common.is_empty() {
            return Err(format!("token audiences {:?} is invalid for the target audiences {wanted:?}", claims.aud));
        }
        let second = now.as_second();
        if second > claims.exp {
            return Err("service account token has expired".into());
        }
        if second < claims.nbf.saturating_sub(LEEWAY.as_secs()) {
            return Err("service account token is not valid yet".into());
        }
        self.check_bound(&claims.kubernetes, now).await?;
        if let Some(secret) = &claims.kubernetes.secret {
            let key = Key::new(&*claims.kubernetes.namespace, &*secret.name);
            self.live.used(&key, token, now, notes).await?;
        }
        Ok((claims.user(), common))
    }

    fn claims(&self, token: &str) -> Result<Arc<Claims>, String> {
        let hash = hash(token);
        if let Some(known) = self.verified.lock().get(&hash) {
            return Ok(known.clone());
        }
        let claims: Claims = serde_json::from_value(self.signer.key.verify(token)?).map_err(|why| why.to_string())?;
        if claims.iss != self.signer.issuer {
            return Err("unexpected issuer".into());
        }
        let claims = Arc::new(claims);
        let mut verified = self.verified.lock();
        if verified.len() >= REMEMBERED {
            verified.clear();
        }
        verified.insert(hash, claims.clone());
        Ok(claims)
    }

    async fn check_bound(&self, bound: &Kubernetes, now: Timestamp) -> Result<(), String> {
        let Kubernetes { namespace, serviceaccount, pod, node, secret } = bound;
        self.check_one("serviceaccounts", namespace, serviceaccount, now).await?;
        if let Some(secret) = secret {
            self.check_one("secrets", namespace, secret, now).await?;
        }
        match (pod, node) {
            (Some(pod), _) => self.check_one("pods", namespace, pod, now).await,
            (None, Some(node)) => self.check_one("nodes", "", node, now).await,
            (None, None) => Ok(()),
        }
    }

    async fn check_one(
        &self,
        resource: &str,
        namespace: &str,
        bound: &Reference,
        now: Timestamp,
    ) -> Result<(), String> {
        let gone = || format!("{resource} {namespace}/{} of the token is gone", bound.name);
        let live = self.live.find(resource, namespace, &bound.name).await.ok_or_else(gone)?;
        if live.uid != bound.uid {
            return Err(format!("{resource} UID ({}) does not match claim ({})", live.uid, bound.uid));
        }
        match live.deletion_timestamp {
            Some(deleted) if now.duration_since(deleted) > LEEWAY => Err(gone()),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Authenticator for ServiceAccountTokens {
    async fn authenticate(&self, credentials: &Credentials<'_>) -> Result<Option<Arc<User>>, String> {
        let Some(token) = credentials.token else { return Ok(None) };
        let ours = jwt::peek(token).is_some_and(|claims| claims.get("iss") == Some(&Value::from(&*self.signer.issuer)));
        if !ours {
            return Ok(None);
        }
        self.review(token, &[], credentials.now, credentials.notes).await.map(|(user, _)| Some(Arc::new(user)))
    }
}

impl Claims {
    fn user(&self) -> User {
        let bound = &self.kubernetes;
        let mut user = User::service_account(&bound.namespace, &bound.serviceaccount.name);
        user.uid = bound.serviceaccount.uid.clone();
        let mut extra = Map::new();
        let mut say = |key: &str, value: &str| drop(extra.insert(key.to_owned(), value.into()));
        if !self.jti.is_empty() {
            say("credential-id", &format!("JTI={}", self.jti));
        }
        if let Some(pod) = &bound.pod {
            say("pod-name", &pod.name);
            say("pod-uid", &pod.uid);
        }
        if let Some(node) = &bound.node {
            say("node-name", &node.name);
            say("node-uid", &node.uid);
        }
        for (key, value) in extra {
            let value = value.as_str().unwrap_or_default().to_owned();
            user.extra.insert(format!("authentication.kubernetes.io/{key}"), vec![value]);
        }
        user
    }
}
