//! `test/e2e/auth/subjectreviews.go`.

use super::*;
use http::Request;
use http_body_util::Full;
use k8s_openapi::api::{
    authorization::v1::{LocalSubjectAccessReview, SubjectAccessReview},
    core::v1::ServiceAccount,
    rbac::v1::{Role, RoleBinding},
};

const USER: &str = "system:serviceaccount:default:e2e";
const GROUPS: [&str; 3] = ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:default"];

/// What both kinds of review say about whether the account may list config maps.
async fn reviewed(here: &World, uid: &Value) -> [Value; 2] {
    let attributes = json!({"verb": "list", "resource": "configmaps", "namespace": "default", "version": "v1"});
    let spec = json!({"resourceAttributes": attributes, "user": USER, "groups": GROUPS, "uid": uid});
    let everywhere = here.kind::<SubjectAccessReview>().create(json!({"spec": spec})).await;
    let local = json!({"metadata": {"namespace": "default"}, "spec": spec});
    let local = here.kind::<LocalSubjectAccessReview>().create(local).await;
    [&everywhere, &local].map(|review| review["status"]["allowed"].clone())
}

/// The code of the answer when the account lists config maps.
async fn listed(here: &World, uid: &Value) -> u16 {
    let mut request = Request::get("/api/v1/namespaces/default/configmaps")
        .header("impersonate-user", USER)
        .header("impersonate-uid", uid.as_str().unwrap());
    for group in GROUPS {
        request = request.header("impersonate-group", group);
    }
    here.send(request.body(Full::default()).unwrap()).await.code.as_u16()
}

/// [sig-auth] SubjectReview should support SubjectReview API operations [Conformance]
#[tokio::test(start_paused = true)]
async fn reviews_say_what_requests_are_answered() {
    let here = World::with_roles().await;
    let made = here.kind::<ServiceAccount>().create(json!({"metadata": {"name": "e2e"}})).await;
    let uid = &made["metadata"]["uid"];
    assert_eq!(reviewed(&here, uid).await, [false, false].map(Value::from));
    assert_eq!(listed(&here, uid).await, 403);

    let rule = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]});
    here.kind::<Role>().create(json!({"metadata": {"name": "lists"}, "rules": [rule]})).await;
    let subject = json!({"kind": "ServiceAccount", "name": "e2e", "namespace": "default"});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "lists"});
    let binding = json!({"metadata": {"name": "lists"}, "subjects": [subject], "roleRef": role});
    here.kind::<RoleBinding>().create(binding).await;
    assert_eq!(reviewed(&here, uid).await, [true, true].map(Value::from));
    assert_eq!(listed(&here, uid).await, 200);
}
