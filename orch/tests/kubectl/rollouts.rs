//! scale, set image, and all of `kubectl rollout`.

use crate::{WEB, cluster::simulated, run::with_each};

#[test]
fn a_rollout_is_watched_undone_and_restarted() {
    with_each(simulated, "rollout", |k| {
        k.apply(WEB).succeeds();
        k.run("rollout status deploy/web --timeout=30s").contains("deployment \"web\" successfully rolled out");
        k.run("set image deploy/web web=orch.local/toolbox:v2").prints("deployment.apps/web image updated\n");
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("annotate deploy/web kubernetes.io/change-cause=second").succeeds();
        k.run("set image deploy/web web=orch.local/toolbox:v3").succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("rollout history deploy/web")
            .contains("deployment.apps/web \n")
            .contains("REVISION  CHANGE-CAUSE\n1         <none>\n");
        k.run("rollout history deploy/web --revision=2").contains("with revision #2").contains("orch.local/toolbox:v2");
        k.run("rollout history deploy/web --revision=9").fails("unable to find the specified revision");
        k.run("rollout undo deploy/web --to-revision=1").prints("deployment.apps/web rolled back\n");
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("get deploy web -o jsonpath={.spec.template.spec.containers[0].image}")
            .prints("orch.local/toolbox:latest");
        k.run("rollout history deploy/web").lacks("\n1  ").contains("\n4  ");
        k.run("rollout undo deploy/web --to-revision=99").fails("unable to find specified revision 99 in history");
        k.run("rollout undo deploy/web --to-revision=4")
            .contains("skipped rollback (current template already matches revision 4)");
        k.run("rollout restart deploy/web").prints("deployment.apps/web restarted\n");
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("get deploy web -o jsonpath={.spec.template.metadata.annotations}").contains("restartedAt");
    });
}

/// A chart's blanks are not in what kubectl sends back: the set of the first revision is found again by the template.
#[test]
fn a_rollout_of_a_template_with_blanks_is_undone_without_another_replica_set() {
    const BLANKS: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {}}
    spec:
      nodeSelector: {}
      tolerations: []
      hostNetwork: false
      containers:
      - {name: web, image: "orch.local/toolbox:latest", args: [sleep, "600"], env: [{name: A, value: ""}]}
"#;
    with_each(simulated, "blanks", |k| {
        k.apply(BLANKS).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("get deploy web -o jsonpath={.spec.template.spec.tolerations}").prints("");
        k.run("set image deploy/web web=orch.local/toolbox:v2").succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("rollout undo deploy/web").prints("deployment.apps/web rolled back\n");
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        assert_eq!(k.run("get rs -o name").stdout().lines().count(), 2);
        k.apply(BLANKS).succeeds();
        assert_eq!(k.run("get rs -o name").stdout().lines().count(), 2);
    });
}

#[test]
fn a_paused_rollout_waits_until_it_is_resumed() {
    with_each(simulated, "pause", |k| {
        k.apply(WEB).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("set image deploy/web web=orch.local/toolbox:v1").succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("rollout pause deploy/web").prints("deployment.apps/web paused\n");
        k.run("rollout pause deploy/web").fails("deployments.apps \"web\" is already paused");
        k.run("set image deploy/web web=orch.local/toolbox:v2").succeeds();
        k.run("rollout restart deploy/web").fails("can't restart paused deployment (run rollout resume first)");
        k.run("rollout undo deploy/web").fails("you cannot rollback a paused deployment; resume it first");
        k.run("rollout status deploy/web --timeout=1s").fails("");
        assert_eq!(k.run("get rs -o name").stdout().lines().count(), 2, "nothing was rolled out");
        k.run("rollout resume deploy/web").prints("deployment.apps/web resumed\n");
        k.run("rollout resume deploy/web").fails("deployments.apps \"web\" is not paused");
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        assert_eq!(k.run("get rs -o name").stdout().lines().count(), 3);
    });
}

#[test]
fn deployments_and_replica_sets_are_scaled() {
    with_each(simulated, "scale", |k| {
        k.apply(WEB).succeeds();
        k.run("scale deploy/web --replicas=4").prints("deployment.apps/web scaled\n");
        k.run("wait --for=jsonpath={.status.readyReplicas}=4 deploy/web --timeout=30s").succeeds();
        k.run("scale deploy/web --current-replicas=3 --replicas=1").fails("Expected replicas to be 3, was 4");
        k.run("scale deploy web --current-replicas=4 --replicas=1").prints("deployment.apps/web scaled\n");
        k.run("scale deploy/web --replicas=-1")
            .fails("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
        k.run("scale deploy/nothing --replicas=1").fails("deployments.apps \"nothing\" not found");
        k.run("scale svc/web --replicas=1").fails("could not find the requested resource");
        k.run("rollout status svc/web").fails("no status viewer has been implemented for Service");
        k.run("rollout status deploy/nothing").fails("deployments.apps \"nothing\" not found");
    });
}

/// A workload `db` of a kind, with these fields besides its selector and template.
fn workload(kind: &str, fields: &str) -> String {
    format!(
        r#"{{"apiVersion": "apps/v1", "kind": "{kind}", "metadata": {{"name": "db"}}, "spec": {{{fields}
            "selector": {{"matchLabels": {{"app": "db"}}}},
            "template": {{"metadata": {{"labels": {{"app": "db"}}}}, "spec": {{"terminationGracePeriodSeconds": 0,
                "containers": [{{"name": "db", "image": "orch.local/toolbox:v1"}}]}}}}}}}}"#
    )
}

/// What `kubectl rollout` does with the kinds that keep their history in ControllerRevisions.
fn history_is_kept(k: &crate::run::Kubectl, kind: &str, fields: &str, done: &str) {
    k.apply(&workload(kind, fields)).succeeds();
    let (lower, status) = (kind.to_lowercase(), format!("rollout status {kind}/db --timeout=60s"));
    k.run(&status).contains(done);
    k.run(&format!("set image {kind}/db db=orch.local/toolbox:v2")).prints(&format!("{lower}.apps/db image updated\n"));
    k.run(&status).contains(done);
    k.run(&format!("rollout history {kind}/db"))
        .contains(&format!("{lower}.apps/db \n"))
        .contains("1         <none>\n2         <none>\n");
    k.run(&format!("rollout history {kind}/db --revision=1")).contains("orch.local/toolbox:v1");
    k.run(&format!("rollout undo {kind}/db")).prints(&format!("{lower}.apps/db rolled back\n"));
    k.run(&status).contains(done);
    k.run("get pods -l app=db -o jsonpath={.items[*].spec.containers[0].image}").lacks("v2").contains("v1");
    k.run(&format!("rollout history {kind}/db")).lacks("\n1  ").contains("\n2         <none>\n3         <none>\n");
    k.run(&format!("rollout undo {kind}/db --to-revision=9")).fails("unable to find specified revision 9 in history");
    k.run(&format!("rollout restart {kind}/db")).prints(&format!("{lower}.apps/db restarted\n"));
    k.run(&status).contains(done);
    k.run(&format!("get {kind} db -o jsonpath={{.spec.template.metadata.annotations}}")).contains("restartedAt");
    k.run(&format!("delete {kind} db")).succeeds();
}

#[test]
fn a_stateful_set_is_rolled_out_undone_and_restarted() {
    with_each(simulated, "ordered", |k| {
        let fields = r#""serviceName": "db", "replicas": 2,"#;
        history_is_kept(k, "StatefulSet", fields, "roll out complete: 2 new pods have been updated");
    });
}

#[test]
fn a_daemon_set_is_rolled_out_undone_and_restarted() {
    with_each(simulated, "daemons", |k| {
        history_is_kept(k, "DaemonSet", "", "daemon set \"db\" successfully rolled out");
    });
}
