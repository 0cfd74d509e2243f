use crate::support::*;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use http::{Request, StatusCode};
use http_body_util::Full;
use orch_api::Gvr;
use orch_apiserver::{
    ApiServer,
    authn::{TokenSigner, User},
    pki::{Pki, server_config},
};
use orch_store::{Ambient, Client, backend::memory::MemoryBackend, client::ListOptions};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tower::ServiceExt;

#[tokio::test(start_paused = true)]
async fn who_has_no_role_may_do_nothing_and_a_binding_changes_that() {
    let server = Server::start().await;
    let jane = server.api.client_as(User::authenticated("jane", Vec::<String>::new()));
    let maps = Gvr::of("", "v1", "configmaps");
    let options = ListOptions { namespace: "default".into(), ..ListOptions::default() };
    let error = jane.list(&maps, &options).await.unwrap_err();
    assert_eq!(
        error.message(),
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \
         \"default\""
    );
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}]});
    server.post("/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", binding).await.ok();
    tokio::time::sleep(Duration::from_millis(1)).await;
    jane.list(&maps, &options).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn reviews_answer_what_the_authorizer_thinks() {
    let server = Server::start().await;
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": "default"}}});
    let uri = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    assert_eq!(server.post(uri, review.clone()).await.ok()["status"]["allowed"], true);
    let jane = server.api.service_as(User::authenticated("jane", Vec::<String>::new()));
    let request = Request::post(uri).body(Full::<bytes::Bytes>::from(review.to_string())).unwrap();
    let response = jane.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    let me = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let me = server.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", me).await.ok();
    assert_eq!(me["status"]["userInfo"]["username"], "system:apiserver");
}

#[tokio::test]
async fn a_service_account_token_is_signed_and_known_again() {
    let server = signing().await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let issued = server.post(TOKEN, request).await.ok();
    let token = issued["status"]["token"].as_str().unwrap();
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let review = server.post("/apis/authentication.k8s.io/v1/tokenreviews", review).await.ok();
    assert_eq!(review["status"]["user"]["username"], "system:serviceaccount:default:default");
    let short = json!({"spec": {"audiences": [], "expirationSeconds": 5}});
    assert_eq!(
        server.post(TOKEN, short).await.status(),
        "422 Invalid: TokenRequest.authentication.k8s.io \"default\" is invalid: spec.expirationSeconds: Invalid value: 5: \
         may not specify a duration less than 10 minutes"
    );
}

/// What clients are told of tokens that were made for accounts by themselves (`pkg/serviceaccount/legacy.go`).
const LEGACY: &str = "299 - \"Use tokens from the TokenRequest API or manually created secret-based tokens instead of \
                      auto-generated secret-based tokens.\"";

#[tokio::test]
async fn who_uses_a_token_that_was_made_for_an_account_by_itself_is_warned() {
    const SECRETS: &str = "/api/v1/namespaces/default/secrets";
    const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/default";
    let ambient = Ambient::system();
    let pki = Pki::in_memory(ambient.clock.now()).unwrap();
    let signer = TokenSigner::new(pki.service_account_key(), "https://kubernetes.default.svc", Vec::new()).unwrap();
    let builder = ApiServer::builder(ambient.clone(), Arc::new(MemoryBackend::new()));
    let builder = builder.allow_all().token_signer(Arc::new(signer));
    let server = Server::of(builder).await.with_account().await;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "old", "annotations": {"kubernetes.io/service-account.name": "default"}}});
    server.post(SECRETS, secret).await.ok();
    let reference = json!({"apiVersion": "v1", "kind": "Secret", "name": "old"});
    let request = json!({"spec": {"audiences": [], "boundObjectRef": reference}});
    let issued = server.post(&format!("{ACCOUNT}/token"), request).await.ok();
    let token = issued["status"]["token"].as_str().unwrap().to_owned();
    let uri = format!("{SECRETS}/old");
    let patch = async |uri: &str, patch| server.patch(uri, "merge-patch+json", patch).await.ok();
    patch(&uri, json!({"data": {"token": base64(&token)}})).await;

    let mut config = over_tls(&server.api, &pki, &ambient).await;
    config.auth_info.token = Some(token.clone().into());
    let client = kube::Client::try_from(config).unwrap();
    let ask = async |path: &'static str| {
        let response = client.send(Request::get(path).body(kube::client::Body::empty()).unwrap()).await.unwrap();
        let warnings = response.headers().get_all("warning").iter().map(|value| value.to_str().unwrap().to_owned());
        (response.status(), warnings.collect::<Vec<_>>())
    };
    assert_eq!(ask(MAPS).await, (StatusCode::OK, vec![]));
    patch(ACCOUNT, json!({"secrets": [{"name": "old"}]})).await;
    for path in [MAPS, "/version", "/api/v1/namespaces/default/configmaps/none"] {
        assert_eq!(ask(path).await.1, [LEGACY], "{path}");
    }
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}});
    let review = server.post("/apis/authentication.k8s.io/v1/tokenreviews", review).await;
    assert_eq!(review.warnings(), [LEGACY]);
    patch(&uri, json!({"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}})).await;
    assert_eq!(ask(MAPS).await, (StatusCode::UNAUTHORIZED, vec![]));
    ambient.tasks.stop().await;
}

/// A server that signs tokens.
async fn signing() -> Server {
    let ambient = Ambient::system();
    let pki = Pki::in_memory(ambient.clock.now()).unwrap();
    let signer = TokenSigner::new(pki.service_account_key(), "https://kubernetes.default.svc", Vec::new()).unwrap();
    let api = ApiServer::builder(ambient, Arc::new(MemoryBackend::new())).token_signer(Arc::new(signer)).build().await;
    let api = api.unwrap();
    Server { service: api.service(), api }.with_account().await
}

/// What a token says, without a look at its signature.
fn claims(issued: &Value) -> Value {
    let token = issued["status"]["token"].as_str().unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

const TOKEN: &str = "/api/v1/namespaces/default/serviceaccounts/default/token";

#[tokio::test]
async fn a_token_is_signed_for_the_account_that_is_meant_and_no_other() {
    let server = signing().await;
    let account = server.get("/api/v1/namespaces/default/serviceaccounts/default").await.ok();
    let uid = account["metadata"]["uid"].as_str().unwrap();
    let ask =
        async |metadata: Value| server.post(TOKEN, json!({"metadata": metadata, "spec": {"audiences": []}})).await;
    let issued = ask(json!({"name": "default", "namespace": "default", "uid": uid})).await.ok();
    assert_eq!(issued["metadata"]["uid"], uid);
    assert_eq!(ask(json!({})).await.ok()["metadata"]["uid"], uid);
    assert_eq!(
        ask(json!({"name": "other"})).await.status(),
        "422 Invalid: TokenRequest.authentication.k8s.io \"default\" is invalid: metadata.name: Invalid value: \"other\": \
         must match the service account name if specified"
    );
    assert_eq!(
        ask(json!({"namespace": "other"})).await.status(),
        "400 BadRequest: the namespace of the provided object does not match the namespace sent on the request"
    );
    assert_eq!(
        ask(json!({"uid": "old"})).await.status(),
        format!(
            "409 Conflict: Operation cannot be fulfilled on TokenRequest.authentication.k8s.io \"default\": the UID in the \
             token request (old) does not match the UID of the service account ({uid})"
        )
    );
}

#[tokio::test]
async fn the_token_that_pods_get_by_themselves_lasts_a_year_and_says_an_hour() {
    let server = signing().await;
    server.post(PODS, pod("web")).await.ok();
    let ask = async |seconds: i64, audiences: Value| {
        let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": "web"});
        let spec = json!({"audiences": audiences, "expirationSeconds": seconds, "boundObjectRef": bound});
        let issued = server.post(TOKEN, json!({"spec": spec})).await.ok();
        let claims = claims(&issued);
        let after = |time: &Value| time.as_i64().map(|time| time - claims["iat"].as_i64().unwrap());
        let told: jiff::Timestamp = issued["status"]["expirationTimestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(after(&told.as_second().into()), Some(seconds));
        (after(&claims["exp"]), after(&claims["kubernetes.io"]["warnafter"]))
    };
    let year = Some(365 * 24 * 3600);
    assert_eq!(ask(3607, json!([])).await, (year, Some(3607)));
    assert_eq!(ask(3607, json!(["https://kubernetes.default.svc"])).await, (year, Some(3607)));
    assert_eq!(ask(3607, json!(["vault"])).await, (Some(3607), None));
    assert_eq!(ask(3600, json!([])).await, (Some(3600), None));
    let unbound = server.post(TOKEN, json!({"spec": {"audiences": [], "expirationSeconds": 3607}})).await.ok();
    assert_eq!(claims(&unbound)["kubernetes.io"].get("warnafter"), None);
}

#[tokio::test]
async fn over_tls_a_client_certificate_names_the_user() {
    let ambient = Ambient::system();
    let now = ambient.clock.now();
    let pki = Pki::in_memory(now).unwrap();
    let api = ApiServer::builder(ambient.clone(), Arc::new(MemoryBackend::new())).build().await.unwrap();
    let mut config = over_tls(&api, &pki, &ambient).await;
    let admin = pki.client("admin", "admin", "system:masters", now).unwrap();
    config.auth_info.client_certificate_data = Some(base64(&admin.certificate));
    config.auth_info.client_key_data = Some(base64(admin.key.reveal()).into());
    let client = kube::Client::try_from(config).unwrap();
    let namespaces: kube::Api<orch_api::k8s_openapi::api::core::v1::Namespace> = kube::Api::all(client);
    assert_eq!(namespaces.list(&Default::default()).await.unwrap().items.len(), 4);
    ambient.tasks.stop().await;
}

/// How to reach a server that serves over TLS until the tasks stop.
async fn over_tls(api: &ApiServer, pki: &Pki, ambient: &Ambient) -> kube::Config {
    let tls = server_config(&pki.serving(&[], ambient.clock.now()).unwrap(), Some(pki.ca_certificate())).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = api.clone();
    ambient.tasks.spawn_graceful(async move { serving.serve(listener, tls).await.unwrap() });
    let mut config = kube::Config::new(format!("https://127.0.0.1:{port}").parse().unwrap());
    config.root_cert = Some(vec![pem(pki.ca_certificate())]);
    config
}

#[tokio::test(start_paused = true)]
async fn nobody_grants_what_he_does_not_have() {
    const ROLES: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    const BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let server = Server::start().await;
    let group = "rbac.authorization.k8s.io";
    let subjects = json!([{"apiGroup": group, "kind": "User", "name": "jane"}]);
    let binding = |name: &str, kind: &str, role: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": kind, "name": role}, "subjects": subjects})
    };
    let role = |name: &str, resource: &str, of: &str, verbs: serde_json::Value| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
            "rules": [{"apiGroups": [of], "resources": [resource], "verbs": verbs}]})
    };
    server.post(ROLES, role("granter", "*", group, json!(["create", "update", "get"]))).await.ok();
    server.post(BINDINGS, binding("granter", "Role", "granter")).await.ok();
    server.post(BINDINGS, binding("view", "ClusterRole", "view")).await.ok();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let jane = User::authenticated("jane", Vec::<String>::new());
    let post = async |uri: &str, body: serde_json::Value| {
        let request = Request::post(uri).body(Full::<bytes::Bytes>::from(body.to_string())).unwrap();
        let response = server.api.service_as(jane.clone()).oneshot(request).await.unwrap();
        let code = response.status().as_u16();
        let bytes = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        let status: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        (code, status["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(post(ROLES, role("reader", "pods", "", json!(["get"]))).await.0, 201);
    assert_eq!(
        post(ROLES, role("thief", "secrets", "", json!(["get"]))).await,
        (
            403,
            "roles.rbac.authorization.k8s.io \"thief\" is forbidden: user \"jane\" (groups=[\"system:authenticated\"]) is \
             attempting to grant RBAC permissions not currently held:\n\
             {APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}"
                .to_owned()
        )
    );
    assert_eq!(post(BINDINGS, binding("more", "ClusterRole", "cluster-admin")).await.0, 403);
    assert_eq!(post(BINDINGS, binding("same", "ClusterRole", "view")).await.0, 201);
    assert_eq!(
        post(BINDINGS, binding("none", "Role", "none")).await,
        (404, "roles.rbac.authorization.k8s.io \"none\" not found".to_owned())
    );
    server.post(ROLES, role("binder", "clusterroles", group, json!(["bind"]))).await.ok();
    server.post(BINDINGS, binding("binder", "Role", "binder")).await.ok();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(post(BINDINGS, binding("more", "ClusterRole", "cluster-admin")).await.0, 201);
}

#[tokio::test]
async fn a_scale_has_columns_of_its_own() {
    let server = Server::start().await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    server.post(deployments, deployment("web")).await.ok();
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let table: serde_json::Value =
        serde_json::from_str(&server.get_as(&format!("{deployments}/web/scale"), accept).await.text).unwrap();
    let names: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].clone()).collect();
    assert_eq!(json!(names), json!(["Name", "Desired", "Available", "Age"]));
    assert_eq!(table["rows"][0]["cells"][1], 2);
}

fn pem(text: &str) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

fn base64(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}
