//! An autoscaler follows what pods really use.

use super::{BUSYBOX, IMAGES, kubectl, until};
use crate::command::Kubectl;

/// Burns what it may while the file is there.
const MILL: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: mill}
spec:
  replicas: 1
  selector: {matchLabels: {app: mill}}
  template:
    metadata: {labels: {app: mill}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: mill
        image: IMAGE
        resources: {requests: {cpu: 20m, memory: 4Mi}, limits: {cpu: 200m, memory: 32Mi}}
        args: ["while :; do if [ -e /tmp/grind ]; then n=0; while [ $n -lt 5000 ]; do n=$((n+1)); done; else sleep 0.5; fi; done"]
"#;

#[test]
fn an_autoscaler_follows_the_load_up_and_down() {
    let Some(k) = kubectl("autoscale") else { return };
    k.apply(&MILL.replace("IMAGE", IMAGES[0])).succeeds();
    k.rolled_out("deploy/mill", "successfully rolled out");
    let pod = k.read("pods -l app=mill", "{.items[0].metadata.name}");
    k.run(&format!("exec {pod} -- {BUSYBOX} touch /tmp/grind")).succeeds();
    k.run("autoscale deployment mill --min=1 --max=3 --cpu-percent=50").contains("autoscaled");
    k.run(r#"patch hpa mill -p {"spec":{"behavior":{"scaleDown":{"stabilizationWindowSeconds":0}}}}"#).succeeds();

    k.wait("jsonpath={.spec.replicas}=3", "deploy/mill");
    k.rolled_out("deploy/mill", "successfully rolled out");
    let used = until("that it is seen in use", || Some(millis(&k, &pod)?).filter(|millis| *millis >= 30));
    println!("{pod} uses {used}m");
    k.run("top pod -l app=mill --containers").has_row(&[&pod, "mill", "*", "*"]);
    k.run(&format!("top pod {pod} --no-headers")).has_row(&[&pod, "*", "*"]);
    let nodes = k.run("top node --no-headers").succeeds().stdout();
    assert_eq!(nodes.lines().filter(|line| line.contains('%')).count(), 3, "{nodes}");
    k.wait("condition=ScalingActive", "hpa/mill");
    k.wait("condition=ScalingLimited", "hpa/mill");
    k.run("describe hpa mill")
        .contains("New size: 3; reason: cpu resource utilization (percentage of request) above target")
        .contains("the desired replica count is more than the maximum replica count");

    // It may have been the one to go, had it been the youngest.
    k.run(&format!("exec {pod} -- {BUSYBOX} rm /tmp/grind")).succeeds();
    k.wait("jsonpath={.spec.replicas}=1", "deploy/mill");
    k.wait("jsonpath={.status.replicas}=1", "deploy/mill");
    k.run("describe hpa mill").contains("New size: 1; reason: All metrics below target");
    k.run("delete hpa,deploy mill").succeeds();
}

/// Thousandths of a CPU that a pod uses, once that is known.
fn millis(k: &Kubectl, pod: &str) -> Option<u32> {
    let ran = k.run(&format!("top pod {pod} --no-headers"));
    let text = ran.stdout();
    text.split_whitespace().nth(1)?.strip_suffix('m')?.parse().ok()
}
