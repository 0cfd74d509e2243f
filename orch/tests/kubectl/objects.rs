//! apply, get, describe, label, annotate, patch, replace, diff, wait, delete.

use crate::{WEB, cluster::simulated, run::with_each};

#[test]
fn a_deployment_is_applied_read_in_every_form_and_applied_again() {
    with_each(simulated, "apply", |k| {
        k.apply(WEB).prints("deployment.apps/web created\nservice/web created\n");
        k.run("rollout status deploy/web --timeout=30s").contains("successfully rolled out");
        k.apply(WEB).prints("deployment.apps/web unchanged\nservice/web unchanged\n");
        k.apply(&WEB.replace("replicas: 2", "replicas: 3"))
            .prints("deployment.apps/web configured\nservice/web unchanged\n");
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("get deploy")
            .has_row(&["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"])
            .has_row(&["web", "3/3", "3", "3", "*"]);
        k.run("get deploy -o wide").has_row(&[
            "web",
            "3/3",
            "3",
            "3",
            "*",
            "web",
            "orch.local/toolbox:latest",
            "app=web",
        ]);
        k.run("get pods -l app=web -o wide")
            .has_row(&["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"])
            .has_row(&["*", "1/1", "Running", "0", "*", "*", "*", "<none>", "<none>"]);
        k.run("get svc web -o wide").has_row(&["web", "ClusterIP", "*", "<none>", "80/TCP", "*", "app=web"]);
        k.run("get deploy web -o jsonpath={.status.readyReplicas}").prints("3");
        k.run("get pods -o jsonpath={.items[*].spec.containers[0].image}").contains("orch.local/toolbox:latest orch");
        k.run("get deploy web -o yaml").contains("kind: Deployment").contains("  readyReplicas: 3");
        k.run("get deploy,svc -o name").prints("deployment.apps/web\nservice/web\n");
        k.run("get pods -o name --field-selector status.phase=Running --chunk-size=1").contains("pod/web-");
        k.run("get deploy web -o custom-columns=N:.metadata.name --no-headers").prints("web\n");
        k.run("get deploy web -o go-template={{.spec.replicas}}").prints("3");
        k.run("get deploy web --subresource=scale").has_row(&["web", "3", "3", "*"]);
        k.run("get pods --show-labels -L app --sort-by=.metadata.name").contains("pod-template-hash=");
        k.run("get all").contains("pod/web-").contains("service/web").contains("replicaset.apps/web-");
        k.run("get events --field-selector reason=ScalingReplicaSet").contains("Scaled up replica set web-");
        k.run("events --for deployment/web").contains("Scaled up replica set web-");
    });
}

#[test]
fn describe_tells_of_objects_and_their_events() {
    with_each(simulated, "describe", |k| {
        k.apply(WEB).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("describe deploy web")
            .contains("2 desired | 2 updated | 2 total | 2 available | 0 unavailable")
            .contains("RollingUpdateStrategy:  25% max unavailable, 25% max surge")
            .contains("OldReplicaSets:  <none>\nNewReplicaSet:   web-")
            .contains("ScalingReplicaSet");
        k.run("describe rs -l app=web").contains("Controlled By:  Deployment/web").contains("2 Running / 0 Waiting");
        k.run("describe pods -l app=web")
            .contains("Controlled By:  ReplicaSet/web-")
            .contains("QoS Class:")
            .contains("BestEffort")
            .contains("Successfully assigned describe-")
            .contains("PodScheduled                True");
        k.run("describe svc web").has_row(&["Session Affinity:", "None"]).contains("Endpoints:");
        k.run("describe node node-0").contains("Allocated resources:").contains("MemoryPressure");
        let empty = k.run(&format!("describe namespace {}", k.namespace));
        empty.contains("Status:       Active").contains("No resource quota.").contains("No LimitRange resource.");
        k.run("describe pod nothing").fails("Error from server (NotFound): pods \"nothing\" not found");
    });
}

#[test]
fn objects_are_labelled_annotated_patched_and_replaced() {
    with_each(simulated, "change", |k| {
        k.apply(WEB).succeeds();
        k.run("label deploy/web tier=front").prints("deployment.apps/web labeled\n");
        k.run("label deploy/web tier=back").fails("'tier' already has a value (front), and --overwrite is false");
        k.run("label deploy/web tier=back --overwrite").prints("deployment.apps/web labeled\n");
        k.run("label deploy/web tier-").prints("deployment.apps/web unlabeled\n");
        k.run("label deploy/web bad=a/b").fails("a valid label must be an empty string or consist of alphanumeric");
        k.run("annotate deploy/web note=one").prints("deployment.apps/web annotated\n");
        k.run("annotate deploy/web note-").prints("deployment.apps/web annotated\n");
        k.run("annotate deploy/nothing note=one").fails("deployments.apps \"nothing\" not found");
        k.run(r#"patch svc web -p {"metadata":{"labels":{"a":"b"}}}"#).prints("service/web patched\n");
        k.run(r#"patch svc web -p {"metadata":{"labels":{"a":"b"}}}"#).prints("service/web patched (no change)\n");
        k.run(r#"patch svc web --type=merge -p {"metadata":{"labels":{"a":null}}}"#).succeeds();
        k.run(r#"patch svc web --type=json -p [{"op":"remove","path":"/none"}]"#)
            .fails("the server rejected our request due to an error in our request");
        let web = k.run("get svc web -o json").stdout();
        k.with_input("replace -f -", &web.replace("\"targetPort\": 8080", "\"targetPort\": 8081"))
            .prints("service/web replaced\n");
        k.with_input("replace -f -", &web).fails("the object has been modified; please apply your changes");
        k.run("set env deploy/web MODE=quick").prints("deployment.apps/web env updated\n");
        k.run("set resources deploy/web --limits=cpu=100m")
            .prints("deployment.apps/web resource requirements updated\n");
    });
}

/// [sig-cli] Kubectl client Kubectl diff should check if kubectl diff finds a difference for Deployments [Conformance]
#[test]
fn diff_shows_what_apply_would_do() {
    with_each(simulated, "diff", |k| {
        k.with_input("create --save-config -f -", WEB).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.with_input("diff -f -", WEB).prints("");
        let changed = k.with_input("diff -f -", &WEB.replace("replicas: 2", "replicas: 5"));
        changed.fails("-  replicas: 2\n+  replicas: 5");
        let image = k.with_input("diff -f -", &WEB.replace("toolbox:latest", "busybox:latest"));
        image.fails("-        image: orch.local/toolbox:latest\n").fails("+        image: orch.local/busybox:latest\n");
        assert_eq!(image.output.status.code(), Some(1));
        k.run("get deploy web -o jsonpath={.spec.replicas}").prints("2");
        k.with_input("diff -f -", &WEB.replace("replicas: 2", "replicas: -2"))
            .fails("must be greater than or equal to 0");
        k.with_input("apply --dry-run=server -f -", &WEB.replace("replicas: 2", "replicas: 5"))
            .prints("deployment.apps/web configured (server dry run)\nservice/web unchanged (server dry run)\n");
    });
}

#[test]
fn wait_ends_with_its_condition_or_its_time() {
    with_each(simulated, "wait", |k| {
        k.apply(WEB).succeeds();
        k.run("wait --for=condition=Available deploy/web --timeout=30s").prints("deployment.apps/web condition met\n");
        k.run("wait --for=jsonpath={.status.readyReplicas}=2 deploy/web --timeout=30s").succeeds();
        k.run("wait --for=condition=Ready pod -l app=web --timeout=30s").contains("condition met");
        k.run("wait --for=condition=None deploy/web --timeout=1s").fails("timed out waiting for the condition");
        k.run("wait --for=condition=Ready pod/nothing --timeout=1s").fails("pods \"nothing\" not found");
        k.run("delete deploy web --wait=false").succeeds();
        k.run("wait --for=delete pod -l app=web --timeout=60s").succeeds();
        k.run("get pods -o name").prints("");
    });
}

#[test]
fn deletion_takes_dependents_along_as_asked() {
    with_each(simulated, "delete", |k| {
        k.apply(WEB).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("delete deploy web --cascade=orphan").prints(&format!("deployment.apps \"web\" deleted{}\n", from(k)));
        k.run("get rs -o jsonpath={.items[*].status.replicas}").prints("2");
        k.run("get rs -o jsonpath={.items[*].metadata.ownerReferences}").prints("");
        // A Deployment of the same selector takes the orphans up.
        k.apply(WEB).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("get rs -o jsonpath={.items[*].metadata.ownerReferences[*].name}").prints("web");
        k.run("delete deploy web --cascade=foreground").succeeds();
        k.run("get rs,pods -o name").prints("");

        k.apply(WEB).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("delete deploy web --cascade=background").succeeds();
        k.run("wait --for=delete rs,pods -l app=web --timeout=30s").succeeds();
        k.run("delete svc web --now").succeeds();
        k.run("delete svc web").fails("services \"web\" not found");
        k.run("delete svc web --ignore-not-found").prints("");
        k.run("delete svc").fails("resource(s) were provided, but no name was specified");
        k.run("delete deploy web --cascade=sideways").fails("invalid cascade value (sideways)");
        k.apply(WEB).succeeds();
        k.run("delete all --all").contains("service \"web\" deleted");
        k.run("delete pods --all --force --grace-period=0").succeeds();
    });
}

#[test]
fn generators_create_their_objects() {
    with_each(simulated, "generate", |k| {
        k.run("create configmap settings --from-literal=a=b").prints("configmap/settings created\n");
        k.run("create configmap settings --from-literal=a=b").fails("configmaps \"settings\" already exists");
        k.run("create secret generic keys --from-literal=a=b").prints("secret/keys created\n");
        k.run("create serviceaccount bot").prints("serviceaccount/bot created\n");
        k.run("create token bot --duration=1h").contains(".");
        k.run("create deployment site --image=orch.local/toolbox:latest").prints("deployment.apps/site created\n");
        k.run("expose deployment site --port=80").prints("service/site exposed\n");
        k.run("run lonely --image=orch.local/toolbox:latest --restart=Never -- sleep 600")
            .prints("pod/lonely created\n");
        k.run("create quota few --hard=pods=10").prints("resourcequota/few created\n");
    });
}

/// How newer versions say where something was deleted.
fn from(k: &crate::run::Kubectl) -> String {
    let words = format!(" from {} namespace", k.namespace);
    if k.run("delete configmap kube-root-ca.crt").stdout().contains(&words) { words } else { String::new() }
}
