//! auth can-i, auth whoami, and what the words of a refusal are.

use crate::{cluster::simulated, run::with_each};

#[test]
fn rights_are_asked_for_and_refused() {
    with_each(simulated, "auth", |k| {
        let bot = format!("--as=system:serviceaccount:{}:bot", k.namespace);
        k.run("create serviceaccount bot").succeeds();
        k.run("create role reader --verb=get,list --resource=pods")
            .prints("role.rbac.authorization.k8s.io/reader created\n");
        k.run(&format!("create rolebinding bot --role=reader --serviceaccount={}:bot", k.namespace))
            .prints("rolebinding.rbac.authorization.k8s.io/bot created\n");
        k.run("auth can-i * *").prints("yes\n");
        k.run(&format!("auth can-i get pods {bot}")).prints("yes\n");
        k.run(&format!("auth can-i delete pods {bot}")).fails("no");
        k.run(&format!("auth can-i get pods --subresource=log {bot}")).fails("no");
        k.run(&format!("auth can-i --list {bot}")).has_row(&["pods", "[]", "[]", "[get list]"]);
        k.run(&format!("auth can-i fly pods {bot}")).fails("no");
        k.run(&format!("auth can-i get nothings {bot}")).fails("the server doesn't have a resource type 'nothings'");
        k.run("auth can-i get").fails("you must specify two arguments: verb resource or verb resource/resourceName.");
        k.run("auth whoami").contains("kubernetes-admin").contains("system:masters");
        k.run(&format!("get pods {bot}")).contains("No resources found");
        let user = format!("User \"system:serviceaccount:{}:bot\"", k.namespace);
        k.run(&format!("get secrets {bot}")).fails(&format!(
            "Error from server (Forbidden): secrets is forbidden: {user} cannot list resource \"secrets\" in API group \"\" in the namespace \"{}\"",
            k.namespace
        ));
        k.run(&format!("delete pod x {bot}")).fails(&format!(
            "pods \"x\" is forbidden: {user} cannot delete resource \"pods\" in API group \"\" in the namespace \"{}\"",
            k.namespace
        ));
        let rule = r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"reader","namespace":"NAMESPACE"},
            "rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get","list","watch"]}]}"#;
        k.with_input("auth reconcile -f -", &rule.replace("NAMESPACE", &k.namespace))
            .contains("role.rbac.authorization.k8s.io/reader reconciled");
        k.run(&format!("auth can-i watch pods {bot}")).prints("yes\n");
    });
}
