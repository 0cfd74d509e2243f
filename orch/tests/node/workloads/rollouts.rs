//! `kubectl rollout` of Deployments and StatefulSets whose containers say which version they are.

use super::{BUSYBOX, IMAGES, SLEEP, kubectl, until};
use crate::command::Kubectl;

fn workload(kind: &str, replicas: u32, fields: &str) -> String {
    format!(
        r#"
apiVersion: apps/v1
kind: {kind}
metadata: {{name: app}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: app}}}}
  {fields}
  template:
    metadata: {{labels: {{app: app}}}}
    spec:
      terminationGracePeriodSeconds: 5
      containers: [{{name: main, image: "{image}", args: ["{SLEEP}"]}}]
"#,
        image = IMAGES[0],
    )
}

#[test]
fn a_deployment_of_containers_is_rolled_out_paused_and_undone() {
    let Some(k) = kubectl("deployments") else { return };
    const DONE: &str = "deployment \"app\" successfully rolled out";
    k.apply(&workload("Deployment", 2, "revisionHistoryLimit: 5")).succeeds();
    k.rolled_out("deploy/app", DONE);
    runs(&k, 2, "1");
    k.run("annotate deploy/app kubernetes.io/change-cause=first").succeeds();
    k.run(&format!("set image deploy/app main={}", IMAGES[1])).prints("deployment.apps/app image updated\n");
    k.rolled_out("deploy/app", DONE);
    runs(&k, 2, "2");
    k.run("rollout history deploy/app").contains("REVISION  CHANGE-CAUSE\n1         first\n2         first\n");
    k.run("rollout history deploy/app --revision=1").contains(IMAGES[0]);
    k.run("rollout undo deploy/app").prints("deployment.apps/app rolled back\n");
    k.rolled_out("deploy/app", DONE);
    runs(&k, 2, "1");

    // What is changed while it is paused is rolled out at once afterwards.
    k.run("rollout pause deploy/app").prints("deployment.apps/app paused\n");
    let before = k.names("pods");
    k.run("set env deploy/app COLOUR=green").prints("deployment.apps/app env updated\n");
    k.run(&format!("set image deploy/app main={}", IMAGES[1])).succeeds();
    k.wait("condition=Progressing=Unknown", "deploy/app");
    k.wait(
        &format!("jsonpath={{.status.observedGeneration}}={}", k.read("deploy/app", "{.metadata.generation}")),
        "deploy/app",
    );
    assert_eq!(k.names("pods"), before, "nothing was rolled out");
    k.run("rollout undo deploy/app").fails("you cannot rollback a paused deployment; resume it first");
    k.run("rollout resume deploy/app").prints("deployment.apps/app resumed\n");
    k.rolled_out("deploy/app", DONE);
    runs(&k, 2, "2");
    k.run("exec deploy/app -- /bin/busybox env").contains("COLOUR=green");
    k.run("rollout history deploy/app").lacks("\n1  ").lacks("\n5  ").contains("\n4         first\n");
    k.run("rollout restart deploy/app").prints("deployment.apps/app restarted\n");
    k.rolled_out("deploy/app", DONE);
    until("the others to go", || (k.names("pods").len() == 2).then_some(()));
    assert!(k.names("pods").iter().all(|pod| !before.contains(pod)));
    k.run("delete deploy app").succeeds();
}

#[test]
fn a_stateful_set_of_containers_is_rolled_out_from_the_last_and_undone() {
    let Some(k) = kubectl("stateful") else { return };
    const DONE: &str = "roll out complete: 2 new pods have been updated";
    let fields = "serviceName: app\n  updateStrategy: {rollingUpdate: {partition: 1}}";
    k.apply(&workload("StatefulSet", 2, fields)).succeeds();
    k.rolled_out("sts/app", "2 new pods have been updated");
    // Those before the partition stay as they are.
    k.run(&format!("set image sts/app main={}", IMAGES[1])).prints("statefulset.apps/app image updated\n");
    k.rolled_out("sts/app", "partitioned roll out complete: 1 new pods have been updated");
    assert_eq!(["pod/app-0", "pod/app-1"].map(|pod| version(&k, pod)), ["1", "2"]);
    k.run(r#"patch sts app -p {"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}"#).succeeds();
    k.rolled_out("sts/app", DONE);
    runs(&k, 2, "2");
    k.run("rollout history sts/app")
        .contains("statefulset.apps/app \nREVISION  CHANGE-CAUSE\n1         <none>\n2         <none>\n");
    k.run("rollout undo sts/app").prints("statefulset.apps/app rolled back\n");
    k.rolled_out("sts/app", DONE);
    runs(&k, 2, "1");
    k.run("rollout history sts/app").lacks("\n1  ").contains("\n2         <none>\n3         <none>\n");
    k.run("rollout pause sts/app").fails("statefulsets.apps \"app\" pausing is not supported");
    k.run("rollout restart sts/app").prints("statefulset.apps/app restarted\n");
    k.rolled_out("sts/app", DONE);
    k.run("delete sts app").succeeds();
}

/// The version that a pod's container finds in its image.
pub(super) fn version(k: &Kubectl, pod: &str) -> String {
    k.run(&format!("exec {pod} -- {BUSYBOX} cat /version")).succeeds().stdout()
}

/// Sees that all pods run a version, once the last of the others is gone.
#[track_caller]
fn runs(k: &Kubectl, count: usize, wanted: &str) {
    let pods = until("the pods of the version alone", || Some(k.names("pods")).filter(|pods| pods.len() == count));
    for pod in pods {
        assert_eq!(version(k, &pod), wanted, "{pod}");
    }
}
