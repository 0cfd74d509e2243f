use super::*;
use orch_api::Reason;
use serde_json::{Value, json};

fn bootstrapped() -> Rbac {
    Rbac::of(&bootstrap_objects())
}

fn bind(kind: &str, namespace: &str, role_kind: &str, role: &str, subject: Value) -> Value {
    json!({
        "kind": kind,
        "metadata": {"name": format!("{role}-binding"), "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [subject],
    })
}

fn jane() -> User {
    User::authenticated("jane", ["developers"])
}

fn may(authorizer: &dyn Authorizer, a: Attributes<'_>) -> bool {
    authorizer.authorize(&a).is_allowed()
}

#[test]
fn a_refusal_reads_as_kubernetes_prints_it() {
    let jane = jane();
    let list = Attributes::resource(&jane, "list", "", "pods").within("default");
    let error = list.forbidden("");
    assert_eq!((error.code(), error.reason()), (403, Reason::Forbidden));
    assert_eq!(
        error.message(),
        r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default""#
    );
    assert_eq!(
        Attributes::resource(&jane, "update", "apps", "deployments")
            .sub("scale")
            .named("web")
            .forbidden("why")
            .message(),
        r#"deployments.apps "web" is forbidden: User "jane" cannot update resource "deployments/scale" in API group "apps" at the cluster scope: why"#
    );
    assert_eq!(
        Attributes::path(&jane, "get", "/metrics").forbidden("").message(),
        r#"forbidden: User "jane" cannot get path "/metrics""#
    );
}

#[test]
fn masters_may_do_everything_and_others_nothing_by_default() {
    let rbac = bootstrapped();
    let root = User::authenticated("root", [User::MASTERS]);
    assert!(may(&rbac, Attributes::resource(&root, "delete", "", "nodes")));
    assert!(may(&Masters, Attributes::path(&root, "get", "/metrics")));
    assert!(!may(&rbac, Attributes::resource(&jane(), "list", "", "pods").within("default")));
    assert!(may(&rbac, Attributes::path(&jane(), "get", "/api")), "discovery is open to authenticated users");
    assert!(may(&rbac, Attributes::path(&User::anonymous(), "get", "/readyz")), "health is open to everybody");
    assert!(!may(&rbac, Attributes::path(&User::anonymous(), "get", "/api")));
}

#[test]
fn a_role_binding_of_a_cluster_role_holds_in_its_namespace_alone() {
    let rbac = bootstrapped();
    let binding = bind("RoleBinding", "dev", "ClusterRole", "view", json!({"kind":"User","name":"jane"}));
    rbac.upsert(&binding);
    let jane = jane();
    let read = Attributes::resource(&jane, "get", "", "pods").named("web");
    assert!(may(&rbac, read.within("dev")));
    assert!(!may(&rbac, read.within("prod")));
    assert!(!may(&rbac, Attributes::resource(&jane, "get", "", "secrets").within("dev")), "view reads no secrets");
    let decision = rbac.authorize(&read.within("dev"));
    assert_eq!(
        decision.reason,
        r#"RBAC: allowed by RoleBinding "view-binding/dev" of ClusterRole "view" to User "jane""#
    );
    rbac.remove(&binding);
    assert!(!may(&rbac, read.within("dev")));
}

#[test]
fn a_group_a_service_account_and_a_missing_role_are_bound_as_expected() {
    let rbac = bootstrapped();
    rbac.upsert(&bind("ClusterRoleBinding", "", "ClusterRole", "edit", json!({"kind":"Group","name":"developers"})));
    rbac.upsert(&bind("RoleBinding", "ci", "ClusterRole", "admin", json!({"kind":"ServiceAccount","name":"builder"})));
    rbac.upsert(&bind("RoleBinding", "ci", "Role", "nope", json!({"kind":"User","name":"joe"})));
    let (jane, builder) = (jane(), User::service_account("ci", "builder"));
    assert!(may(&rbac, Attributes::resource(&jane, "delete", "apps", "deployments").within("any")));
    assert!(may(&rbac, Attributes::resource(&builder, "create", "rbac.authorization.k8s.io", "roles").within("ci")));
    assert!(!may(&rbac, Attributes::resource(&builder, "create", "rbac.authorization.k8s.io", "roles").within("x")));
    let joe = User::authenticated("joe", [] as [&str; 0]);
    let decision = rbac.authorize(&Attributes::resource(&joe, "get", "", "pods").within("ci"));
    assert_eq!(decision.reason, r#"RBAC: role.rbac.authorization.k8s.io "nope" not found"#);
}

#[test]
fn an_aggregated_role_takes_up_new_roles_with_its_label() {
    let rbac = bootstrapped();
    rbac.upsert(&bind("ClusterRoleBinding", "", "ClusterRole", "admin", json!({"kind":"User","name":"jane"})));
    let jane = jane();
    let crontabs = Attributes::resource(&jane, "list", "stable.example.com", "crontabs");
    assert!(!may(&rbac, crontabs));
    let role = json!({
        "kind": "ClusterRole",
        "metadata": {"name": "crontabs", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"verbs": ["list"], "apiGroups": ["stable.example.com"], "resources": ["crontabs"]}],
    });
    rbac.upsert(&role);
    assert!(may(&rbac, crontabs), "view is aggregated into edit, and edit into admin");
    rbac.remove(&role);
    assert!(!may(&rbac, crontabs));
}

#[test]
fn rules_match_subresources_names_and_paths() {
    let rule = |verbs: &[&str], resources: &[&str], names: &[&str], urls: &[&str]| {
        let own = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Rule {
            verbs: own(verbs),
            api_groups: vec!["".into()],
            resources: own(resources),
            resource_names: own(names),
            non_resource_urls: own(urls),
        }
    };
    let jane = jane();
    let get = Attributes::resource(&jane, "get", "", "pods");
    for (rule, request, allowed) in [
        (rule(&["get"], &["pods"], &[], &[]), get, true),
        (rule(&["get"], &["pods"], &[], &[]), get.sub("log"), false),
        (rule(&["get"], &["pods/log"], &[], &[]), get.sub("log"), true),
        (rule(&["get"], &["*/log"], &[], &[]), get.sub("log"), true),
        (rule(&["get"], &["*"], &[], &[]), get.sub("log"), true),
        (rule(&["get"], &["pods"], &["a"], &[]), get.named("a"), true),
        (rule(&["get"], &["pods"], &["a"], &[]), get.named("b"), false),
        (rule(&["list"], &["pods"], &[], &[]), get, false),
        (rule(&["get"], &[], &[], &["/healthz/*"]), Attributes::path(&jane, "get", "/healthz/etcd"), true),
        (rule(&["get"], &[], &[], &["/healthz"]), Attributes::path(&jane, "get", "/healthz/etcd"), false),
    ] {
        assert_eq!(rule.allows(&request), allowed, "{rule:?} {request:?}");
    }
}

#[test]
fn nobody_grants_what_he_does_not_have() {
    let rbac = bootstrapped();
    rbac.upsert(&bind("RoleBinding", "dev", "ClusterRole", "view", json!({"kind":"User","name":"jane"})));
    let grant = |verbs: &[&str], resource: &str| Rule {
        verbs: verbs.iter().map(|v| (*v).into()).collect(),
        api_groups: vec!["".into()],
        resources: vec![resource.into()],
        ..Rule::default()
    };
    let user = jane();
    assert_eq!(confirm_no_escalation(&rbac, &user, "dev", &[grant(&["get", "list"], "pods")], None), Ok(()));
    let denied = confirm_no_escalation(&rbac, &user, "dev", &[grant(&["get", "delete"], "secrets")], None).unwrap_err();
    assert_eq!(
        denied.to_string(),
        "user \"jane\" (groups=[\"developers\" \"system:authenticated\"]) is attempting to grant RBAC permissions not \
         currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\"]}"
    );
    let root = User::authenticated("root", [User::MASTERS]);
    assert_eq!(confirm_no_escalation(&rbac, &root, "", &[grant(&["*"], "*")], None), Ok(()));
}

#[test]
fn a_kubelet_reads_what_its_pods_mention() {
    let node = NodeAuthorizer::new();
    let pod = json!({
        "kind": "Pod",
        "metadata": {"namespace": "dev", "name": "web"},
        "spec": {
            "nodeName": "n1",
            "serviceAccountName": "builder",
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "password"}}}]}],
            "volumes": [{"configMap": {"name": "settings"}}, {"persistentVolumeClaim": {"claimName": "data"}}],
        },
    });
    node.upsert(&pod);
    node.upsert(&json!({"kind": "PersistentVolume", "metadata": {"name": "pv1"},
        "spec": {"claimRef": {"namespace": "dev", "name": "data"}}}));
    let (n1, n2) =
        (User::authenticated("system:node:n1", [User::NODES]), User::authenticated("system:node:n2", [User::NODES]));
    let secret = |user| Attributes::resource(user, "get", "", "secrets").within("dev").named("password");
    assert!(may(&node, secret(&n1)));
    assert_eq!(node.authorize(&secret(&n2)).reason, "no relationship found between node 'n2' and this object");
    assert!(may(&node, Attributes::resource(&n1, "watch", "", "configmaps").within("dev").named("settings")));
    assert!(may(&node, Attributes::resource(&n1, "get", "", "persistentvolumes").named("pv1")));
    assert!(may(
        &node,
        Attributes::resource(&n1, "create", "", "serviceaccounts").sub("token").within("dev").named("builder")
    ));
    let own = Attributes { fields: "spec.nodeName=n1", ..Attributes::resource(&n1, "list", "", "pods") };
    assert!(may(&node, own));
    assert!(!may(&node, Attributes { fields: "spec.nodeName=n2", ..own }));
    assert!(may(&node, Attributes::resource(&n1, "patch", "", "nodes").sub("status").named("n1")));
    assert!(may(
        &node,
        Attributes::resource(&n1, "update", "coordination.k8s.io", "leases").within("kube-node-lease").named("n1")
    ));
    assert!(may(&node, Attributes::resource(&n1, "watch", "", "services")));
    node.remove(&pod);
    assert!(!may(&node, secret(&n1)));
    assert!(!may(&node, Attributes::resource(&n1, "get", "", "persistentvolumes").named("pv1")));
}

#[test]
fn the_bootstrap_objects_are_complete_and_named_once() {
    let objects = bootstrap_objects();
    let find = |kind: &str, name: &str| objects.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    for name in [
        "cluster-admin",
        "admin",
        "edit",
        "view",
        "system:discovery",
        "system:basic-user",
        "system:node",
        "system:public-info-viewer",
        "system:controller:replicaset-controller",
        "system:kube-scheduler",
    ] {
        assert!(
            find("ClusterRole", name).is_some_and(|r| r["rules"].as_array().is_some_and(|r| !r.is_empty())),
            "{name}"
        );
    }
    let admin = find("ClusterRoleBinding", "cluster-admin").unwrap();
    assert_eq!(
        admin["subjects"][0],
        json!({"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"system:masters"})
    );
    let mut names: Vec<String> = objects
        .iter()
        .map(|o| format!("{} {}/{}", o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]))
        .collect();
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn a_rules_review_lists_resources_and_paths_apart() {
    let status = rules_status(&bootstrapped().rules(&jane(), "default"));
    assert_eq!(status["incomplete"], false);
    let has = |list: &str, pointer: &str| status[list].as_array().unwrap().iter().any(|r| r.get(pointer).is_some());
    assert!(has("resourceRules", "resources") && has("nonResourceRules", "nonResourceURLs"));
    assert!(!has("resourceRules", "nonResourceURLs"));
}
