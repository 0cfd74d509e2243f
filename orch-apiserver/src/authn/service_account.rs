//! Service account tokens: signed for TokenRequest, checked against the objects that they are bound to
//! (`pkg/serviceaccount`).

use super::{Authenticator, Credentials, User, jwt, openid::OpenId, static_tokens::hash};
use crate::pki::Secret;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{collections::HashMap, fmt, sync::Arc};

/// How long after its deletion an object still counts (clocks differ).
const LEEWAY: SignedDuration = SignedDuration::from_mins(1);

/// Verified tokens that are remembered, so that a client's next request costs no signature check.
const REMEMBERED: usize = 4096;

/// Name and UID of an object that a token is bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
}

/// What a token is bound to beside its service account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bound {
    /// Nothing.
    #[default]
    Nothing,
    /// A pod, and the node that it runs on where that is known.
    Pod(Reference, Option<Reference>),
    /// A secret.
    Secret(Reference),
    /// A node.
    Node(Reference),
}

/// What a token shall say.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// Namespace of the service account.
    pub namespace: String,
    /// The service account.
    pub service_account: Reference,
    /// Who may accept the token; empty for the API server itself.
    pub audiences: Vec<String>,
    /// How long the token lasts.
    pub lifetime: SignedDuration,
    /// What the token is bound to.
    pub bound: Bound,
    /// A unique id (a UUID), by which audit finds the token's use.
    pub id: String,
}

/// Signs tokens and gives out the public key.
pub struct TokenSigner {
    key: jwt::Key,
    issuer: String,
    audiences: Vec<String>,
}

impl TokenSigner {
    /// A signer with a P-256 key. `audiences` are those of the API server; the issuer is one of them where
    /// the list is empty.
    ///
    /// # Errors
    ///
    /// What is wrong with the key.
    pub fn new(key: &Secret, issuer: &str, audiences: Vec<String>) -> Result<Self, String> {
        let audiences = if audiences.is_empty() { vec![issuer.to_owned()] } else { audiences };
        Ok(Self { key: jwt::Key::read(key)?, issuer: issuer.to_owned(), audiences })
    }

    /// The audiences of the API server.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// A signed token and when it expires.
    ///
    /// # Errors
    ///
    /// When the system has no randomness to sign with.
    pub fn sign(&self, request: &TokenRequest, now: Timestamp) -> Result<(Secret, Timestamp), String> {
        let expires = now.saturating_add(request.lifetime).unwrap_or(Timestamp::MAX);
        let audiences = if request.audiences.is_empty() { &self.audiences } else { &request.audiences };
        let account = &request.service_account;
        let mut kubernetes = json!({"namespace": request.namespace, "serviceaccount": account});
        match &request.bound {
            Bound::Nothing => {}
            Bound::Pod(pod, node) => {
                kubernetes["pod"] = json!(pod);
                if let Some(node) = node {
                    kubernetes["node"] = json!(node);
                }
            }
            Bound::Secret(secret) => kubernetes["secret"] = json!(secret),
            Bound::Node(node) => kubernetes["node"] = json!(node),
        }
        let token = self.key.sign(&json!({
            "iss": self.issuer,
            "sub": format!("system:serviceaccount:{}:{}", request.namespace, account.name),
            "aud": audiences,
            "exp": expires.as_second(),
            "iat": now.as_second(),
            "nbf": now.as_second(),
            "jti": request.id,
            "kubernetes.io": kubernetes,
        }))?;
        Ok((Secret::new(token), expires))
    }

    /// The OpenID documents by which others verify the tokens. `base` is the server's public URL.
    pub fn openid(&self, base: &str) -> OpenId {
        OpenId::new(&self.issuer, base, &self.key.public())
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenSigner({})", self.issuer)
    }
}

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
    /// them that the token has. This is what TokenReview asks.
    ///
    /// # Errors
    ///
    /// Why the token is refused.
    pub async fn review(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
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
        self.review(token, &[], credentials.now).await.map(|(user, _)| Some(Arc::new(user)))
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
