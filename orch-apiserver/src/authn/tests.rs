use super::*;
use crate::{
    authz::{Rbac, bootstrap_objects},
    pki::Pki,
};
use http::HeaderMap;
use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{collections::HashMap, sync::LazyLock};

fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

#[derive(Default)]
struct World(Mutex<HashMap<String, LiveObject>>);

impl World {
    fn put(&self, path: &str, uid: &str, deletion_timestamp: Option<Timestamp>) {
        self.0.lock().insert(path.into(), LiveObject { uid: uid.into(), deletion_timestamp });
    }
}

#[async_trait]
impl LiveObjects for World {
    async fn find(&self, resource: &str, namespace: &str, name: &str) -> Option<LiveObject> {
        self.0.lock().get(&format!("{resource}/{namespace}/{name}")).cloned()
    }
}

struct Setup {
    world: Arc<World>,
    signer: Arc<TokenSigner>,
    tokens: ServiceAccountTokens,
}

fn setup() -> Setup {
    let pki = Pki::in_memory(now()).unwrap();
    let issuer = "https://kubernetes.default.svc.cluster.local";
    let signer = Arc::new(TokenSigner::new(pki.service_account_key(), issuer, Vec::new()).unwrap());
    let world = Arc::new(World::default());
    world.put("serviceaccounts/dev/builder", "sa-uid", None);
    world.put("pods/dev/web", "pod-uid", None);
    Setup { tokens: ServiceAccountTokens::new(signer.clone(), world.clone()), signer, world }
}

fn request() -> TokenRequest {
    TokenRequest {
        namespace: "dev".into(),
        service_account: Reference { name: "builder".into(), uid: "sa-uid".into() },
        warn_after: None,
        audiences: Vec::new(),
        lifetime: SignedDuration::from_hours(1),
        bound: Bound::Pod(
            Reference { name: "web".into(), uid: "pod-uid".into() },
            Some(Reference { name: "n1".into(), uid: "node-uid".into() }),
        ),
        id: "some-uuid".into(),
    }
}

/// Nobody reads what these tests note.
static NOTES: LazyLock<Notes> = LazyLock::new(Notes::default);

fn shows<'a>(token: Option<&'a str>, path: &'static str) -> Credentials<'a> {
    Credentials { certificate: None, token, path, now: now(), notes: &NOTES }
}

#[tokio::test]
async fn a_token_names_its_service_account_pod_and_node() {
    let Setup { signer, tokens, .. } = setup();
    let (token, expires) = signer.sign(&request(), now()).unwrap();
    assert_eq!(expires, now() + SignedDuration::from_hours(1));
    let user = tokens.authenticate(&shows(Some(token.reveal()), "/api")).await.unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("system:serviceaccount:dev:builder", "sa-uid"));
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:dev", "system:authenticated"]);
    assert_eq!(user.extra["authentication.kubernetes.io/pod-name"], ["web"]);
    assert_eq!(user.extra["authentication.kubernetes.io/node-uid"], ["node-uid"]);
    assert_eq!(user.extra["authentication.kubernetes.io/credential-id"], ["JTI=some-uuid"]);
}

#[tokio::test]
async fn a_token_dies_with_its_time_its_pod_and_its_account() {
    let Setup { signer, tokens, world } = setup();
    let (token, _) = signer.sign(&request(), now()).unwrap();
    let review = |at: Timestamp| tokens.review(token.reveal(), &[], at, &NOTES);
    assert!(review(now()).await.is_ok());
    let late = review(now() + SignedDuration::from_hours(2)).await.unwrap_err();
    assert_eq!(late, "service account token has expired");
    world.put("pods/dev/web", "another", None);
    assert!(review(now()).await.is_err(), "another pod of that name");
    world.put("pods/dev/web", "pod-uid", Some(now() - SignedDuration::from_secs(30)));
    assert!(review(now()).await.is_ok(), "a pod that is just terminating still counts");
    world.put("pods/dev/web", "pod-uid", Some(now() - SignedDuration::from_mins(5)));
    assert!(review(now()).await.is_err());
    world.put("pods/dev/web", "pod-uid", None);
    world.0.lock().remove("serviceaccounts/dev/builder");
    assert!(review(now()).await.is_err());
}

#[tokio::test]
async fn a_token_for_another_audience_key_or_text_is_refused() {
    let Setup { signer, tokens, .. } = setup();
    let vault = TokenRequest { audiences: vec!["vault".into()], ..request() };
    let (token, _) = signer.sign(&vault, now()).unwrap();
    assert!(tokens.review(token.reveal(), &[], now(), &NOTES).await.is_err());
    let (_, common) = tokens.review(token.reveal(), &["vault".into(), "x".into()], now(), &NOTES).await.unwrap();
    assert_eq!(common, ["vault"]);
    let (foreign, _) = setup().signer.sign(&request(), now()).unwrap();
    assert_eq!(tokens.review(foreign.reveal(), &[], now(), &NOTES).await.unwrap_err(), "invalid signature");
    let mut forged = foreign.reveal().to_owned();
    forged.replace_range(..forged.find('.').unwrap(), "eyJhbGciOiJub25lIn0");
    assert_eq!(tokens.review(&forged, &[], now(), &NOTES).await.unwrap_err(), "unexpected signature algorithm");
    assert!(tokens.review("a.b", &[], now(), &NOTES).await.is_err());
    assert_eq!(tokens.authenticate(&shows(Some("opaque"), "/")).await, Ok(None), "not one of ours");
}

#[tokio::test]
async fn credentials_are_asked_in_order_and_nobody_is_unauthorized() {
    let jane = Arc::new(User::authenticated("jane", ["dev"]));
    let tokens = StaticTokens::new().with("secret", User::authenticated("joe", [] as [&str; 0]));
    assert!(!format!("{tokens:?}").contains("secret"));
    let union = Union::new(vec![Arc::new(ClientCertificates), Arc::new(tokens), Arc::new(Anonymous::for_health())]);
    let with_certificate = Credentials { certificate: Some(&jane), ..shows(Some("secret"), "/") };
    assert_eq!(union.user(&with_certificate).await.unwrap().name, "jane");
    assert_eq!(union.user(&shows(Some("secret"), "/")).await.unwrap().name, "joe");
    for (token, path) in [(Some("wrong"), "/readyz"), (None, "/api"), (None, "/healthzz"), (None, "/version/x")] {
        let error = union.user(&shows(token, path)).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (401, "Unauthorized"), "{path}");
    }
    for path in ["/readyz", "/livez/ping", "/healthz", "/version"] {
        assert_eq!(union.user(&shows(None, path)).await.unwrap().name, User::ANONYMOUS, "{path}");
    }
}

#[test]
fn a_bearer_token_is_read_from_its_header() {
    assert_eq!(bearer("Bearer abc"), Some("abc"));
    assert_eq!(bearer("bearer  abc "), Some("abc"));
    assert_eq!(bearer("Basic abc"), None);
    assert_eq!(bearer("Bearer "), None);
}

#[test]
fn the_openid_documents_name_the_issuer_and_the_key() {
    let openid = setup().signer.openid("https://10.0.0.1:6443/");
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let configuration = read(&openid.configuration);
    assert_eq!(configuration["issuer"], "https://kubernetes.default.svc.cluster.local");
    assert_eq!(configuration["jwks_uri"], "https://10.0.0.1:6443/openid/v1/jwks");
    assert_eq!(configuration["id_token_signing_alg_values_supported"], json!(["ES256"]));
    let key = &read(&openid.keys)["keys"][0];
    assert_eq!((&key["kty"], &key["crv"]), (&json!("EC"), &json!("P-256")));
    assert_eq!(key["x"].as_str().unwrap().len(), 43);
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, value.parse().unwrap());
    }
    map
}

#[test]
fn an_administrator_acts_as_another_and_others_do_not() {
    let rbac = Rbac::of(&bootstrap_objects());
    let root = User::authenticated("root", [User::MASTERS]);
    let wish = |pairs: &[(&'static str, &'static str)]| Impersonation::of(&headers(pairs)).unwrap().unwrap();
    let jane =
        wish(&[("Impersonate-User", "jane"), ("Impersonate-Group", "dev"), ("Impersonate-Extra-Scopes%2Fx", "view")]);
    let user = impersonate(&rbac, &root, &jane).unwrap();
    assert_eq!((user.name.as_str(), user.groups), ("jane", vec!["dev".into(), User::AUTHENTICATED.into()]));
    assert_eq!(user.extra["scopes/x"], ["view"]);
    let account = wish(&[("Impersonate-User", "system:serviceaccount:dev:builder")]);
    assert!(impersonate(&rbac, &root, &account).unwrap().in_group("system:serviceaccounts:dev"));
    let error = impersonate(&rbac, &User::authenticated("joe", ["x"]), &jane).unwrap_err();
    assert_eq!(
        error.message(),
        r#"users "jane" is forbidden: User "joe" cannot impersonate resource "users" in API group "" at the cluster scope"#
    );
}

#[test]
fn groups_are_not_impersonated_without_a_user() {
    let error = Impersonation::of(&headers(&[("Impersonate-Group", "dev")])).unwrap_err();
    assert_eq!((error.code(), error.message()), (400, "requested [Group] without impersonating a user"));
    assert_eq!(Impersonation::of(&headers(&[("Accept", "x")])), Ok(None));
}
