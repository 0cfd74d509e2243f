//! Pods that kubectl runs, labels, replaces, and changes for show alone.

use super::{IMAGE, OTHER};
use crate::{
    cluster::processes,
    run::{Kubectl, with_each},
};

const POD: &str = "e2e-test-agnhost-pod";

/// The image of the pod's container.
fn image(k: &Kubectl) -> String {
    k.run(&format!("get pod {POD} -o jsonpath={{.spec.containers[*].image}}")).succeeds().stdout()
}

/// [sig-cli] Kubectl client Kubectl server-side dry-run should check if kubectl can dry-run update Pods [Conformance]
#[test]
fn a_dry_run_changes_no_pod() {
    with_each(processes, "dry-run", |k| {
        k.run(&format!("run {POD} --image={IMAGE} --pod-running-timeout=2m0s --labels=run={POD} -- sleep 600"))
            .succeeds();
        let patch = format!(r#"{{"spec":{{"containers":[{{"name":"{POD}","image":"{OTHER}"}}]}}}}"#);
        k.run(&format!("patch pod {POD} -p {patch} --dry-run=server")).succeeds();
        assert_eq!(image(k), IMAGE);
        k.run(&format!("delete pods {POD} --now")).succeeds();
    });
}

/// [sig-cli] Kubectl client Kubectl run pod should create a pod from an image when restart is Never [Conformance]
#[test]
fn a_pod_is_run_once() {
    with_each(processes, "run-once", |k| {
        let ran = format!("run {POD} --restart=Never --pod-running-timeout=2m0s --image={IMAGE} -- sleep 600");
        k.run(&ran).prints(&format!("pod/{POD} created\n"));
        assert_eq!(image(k), IMAGE);
        k.run(&format!("get pod {POD} -o jsonpath={{.spec.restartPolicy}}")).prints("Never");
        k.run(&format!("delete pods {POD} --now")).succeeds();
    });
}

/// [sig-cli] Kubectl client Kubectl replace should update a single-container pod's image [Conformance]
#[test]
fn the_image_of_a_pod_is_replaced() {
    with_each(processes, "replace", |k| {
        k.run(&format!("run {POD} --image={IMAGE} --pod-running-timeout=2m0s --labels=run={POD} -- sleep 600"))
            .succeeds();
        k.run(&format!("wait --for=jsonpath={{.status.phase}}=Running pod -l run={POD} --timeout=60s")).succeeds();
        let json = k.run(&format!("get pod {POD} -o json"));
        json.contains(POD);
        k.with_input("replace -f -", &json.stdout().replacen(IMAGE, OTHER, 1)).prints(&format!("pod/{POD} replaced\n"));
        assert_eq!(image(k), OTHER);
        k.run(&format!("delete pods {POD} --now")).succeeds();
    });
}

/// [sig-cli] Kubectl client Kubectl label should update the label on a resource [Conformance]
#[test]
fn a_running_pod_is_labelled() {
    with_each(processes, "label", |k| {
        k.run(&format!("run pause --image={IMAGE} -- sleep 600")).succeeds();
        k.run("wait --for=condition=Ready pod/pause --timeout=60s").succeeds();
        k.run("label pods pause testing-label=testing-label-value").succeeds();
        k.run("get pod pause -L testing-label").contains("testing-label-value");
        k.run("label pods pause testing-label-").succeeds();
        k.run("get pod pause -L testing-label").lacks("testing-label-value");
        k.run("delete pod pause --now").succeeds();
    });
}
