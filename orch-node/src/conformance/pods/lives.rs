//! How pods begin and end.

use super::{
    Case, World,
    world::{container, ended, ended_before, main, phase, restarts, waiting},
};
use orch_runtime::node::container::Ability::Limits;
use serde_json::{Value, json};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { name: "a pod runs, is ready, and is gone when deleted", needs: &[], run: |w| Box::pin(runs(w)) },
        Case { name: "exit codes decide between Succeeded and Failed", needs: &[], run: |w| Box::pin(once(w)) },
        Case {
            name: "OnFailure runs again until it succeeds or not at all",
            needs: &[],
            run: |w| Box::pin(on_failure(w)),
        },
        Case { name: "a container that crashes backs off", needs: &[], run: |w| Box::pin(crashes(w)) },
        Case {
            name: "init containers run one after the other before the rest",
            needs: &[],
            run: |w| Box::pin(init(w)),
        },
        Case {
            name: "an init container that fails ends a pod that never restarts",
            needs: &[],
            run: |w| Box::pin(bad_init(w)),
        },
        Case { name: "a sidecar does not keep its pod from ending", needs: &[], run: |w| Box::pin(sidecar(w)) },
        Case { name: "a pod past its deadline fails", needs: &[], run: |w| Box::pin(overdue(w)) },
        Case { name: "a command that is not there is said and tried again", needs: &[], run: |w| Box::pin(missing(w)) },
        Case { name: "a container over its memory limit is OOMKilled", needs: &[Limits], run: |w| Box::pin(oom(w)) },
    ]
}

/// What the simulated runtime needs to be told about a container that ends.
fn ends(code: &str) -> Value {
    json!({"simulated.orch.dev/run": "0.1", "simulated.orch.dev/exit-code": code})
}

async fn runs(w: &World) {
    w.pod("runs", json!({}), json!({"containers": [main(&["sleep", "1000"])]})).await;
    let pod = w.ready("runs").await;
    let status = pod.status.as_ref().unwrap();
    assert_eq!(phase(&pod), "Running");
    assert!(status.pod_ip.is_some() && status.host_ip.is_some());
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    w.delete("runs").await;
}

async fn once(w: &World) {
    for (name, code, wanted, reason) in [("succeeds", "0", "Succeeded", "Completed"), ("fails", "3", "Failed", "Error")]
    {
        w.pod(name, ends(code), json!({"restartPolicy": "Never", "containers": [main(&["exit", code])]})).await;
        let pod = w.phase(name, wanted).await;
        assert_eq!(ended(&pod), Some((code.parse().unwrap(), reason.to_owned())));
        assert_eq!(restarts(&pod), 0);
        w.delete(name).await;
    }
}

async fn on_failure(w: &World) {
    w.pod("retries", ends("2"), json!({"restartPolicy": "OnFailure", "containers": [main(&["exit", "2"])]})).await;
    w.until("retries", "a second run", |pod| restarts(pod) >= 1).await;
    w.delete("retries").await;
    w.pod("content", ends("0"), json!({"restartPolicy": "OnFailure", "containers": [main(&["exit", "0"])]})).await;
    let pod = w.phase("content", "Succeeded").await;
    assert_eq!(restarts(&pod), 0);
    w.delete("content").await;
}

async fn crashes(w: &World) {
    w.pod("crashes", ends("3"), json!({"containers": [main(&["exit", "3"])]})).await;
    let pod = w.until("crashes", "CrashLoopBackOff", |pod| waiting(pod) == Some("CrashLoopBackOff")).await;
    assert_eq!(ended_before(&pod), Some((3, "Error".to_owned())));
    assert!(restarts(&pod) >= 1, "the first failure is retried at once and is no loop");
    assert_eq!(phase(&pod), "Running");
    w.event("crashes", "BackOff").await;
    w.delete("crashes").await;
}

async fn init(w: &World) {
    let rules = json!({"simulated.orch.dev/run.first": "0.1", "simulated.orch.dev/run.second": "0.1"});
    let init = [container("first", &["exit", "0"]), container("second", &["exit", "0"])];
    w.pod("initializes", rules, json!({"initContainers": init, "containers": [main(&["sleep", "1000"])]})).await;
    let pod = w.ready("initializes").await;
    let all = pod.status.as_ref().unwrap().init_container_statuses.clone().unwrap();
    let ends: Vec<_> = all.iter().map(|c| c.state.as_ref().unwrap().terminated.clone().unwrap()).collect();
    assert!(ends.iter().all(|end| end.exit_code == 0));
    assert!(ends[0].finished_at <= ends[1].started_at);
    w.delete("initializes").await;
}

async fn bad_init(w: &World) {
    let rules = json!({"simulated.orch.dev/run.init": "0.1", "simulated.orch.dev/exit-code.init": "4"});
    let spec = json!({"restartPolicy": "Never", "initContainers": [container("init", &["exit", "4"])],
        "containers": [main(&["sleep", "1000"])]});
    w.pod("bad-init", rules, spec).await;
    let pod = w.phase("bad-init", "Failed").await;
    assert_eq!(ended(&pod), None, "the rest never ran");
    w.delete("bad-init").await;
}

async fn sidecar(w: &World) {
    let mut beside = container("beside", &["sleep", "1000"]);
    beside["restartPolicy"] = json!("Always");
    let rules = json!({"simulated.orch.dev/run.main": "0.2"});
    let spec = json!({"restartPolicy": "Never", "initContainers": [beside], "containers": [main(&["exit", "0", "--after", "0.2"])]});
    w.pod("sidecar", rules, spec).await;
    let pod = w.phase("sidecar", "Succeeded").await;
    let beside = &pod.status.as_ref().unwrap().init_container_statuses.as_ref().unwrap()[0];
    assert!(beside.state.as_ref().unwrap().terminated.is_some(), "the sidecar was stopped");
    w.delete("sidecar").await;
}

async fn overdue(w: &World) {
    let spec = json!({"restartPolicy": "Never", "activeDeadlineSeconds": 10, "containers": [main(&["sleep", "1000"])]});
    w.pod("overdue", json!({}), spec).await;
    let pod = w.phase("overdue", "Failed").await;
    assert_eq!(pod.status.as_ref().unwrap().reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(ended(&pod).map(|(code, _)| code), Some(143));
    w.event("overdue", "DeadlineExceeded").await;
    w.delete("overdue").await;
}

async fn missing(w: &World) {
    let rules = json!({"simulated.orch.dev/start-error": "no such file or directory"});
    w.pod("missing", rules, json!({"containers": [main(&["/no/such/program"])]})).await;
    let refused = |pod: &k8s_openapi::api::core::v1::Pod| {
        matches!(waiting(pod), Some("RunContainerError" | "CreateContainerError" | "CrashLoopBackOff"))
    };
    w.until("missing", "the refusal", refused).await;
    w.event("missing", "Failed").await;
    w.delete("missing").await;
}

async fn oom(w: &World) {
    let mut hungry = main(&["allocate", "200"]);
    hungry["resources"] = json!({"limits": {"memory": "64Mi"}});
    w.pod("hungry", json!({}), json!({"restartPolicy": "Never", "containers": [hungry]})).await;
    let pod = w.phase("hungry", "Failed").await;
    assert_eq!(ended(&pod), Some((137, "OOMKilled".to_owned())));
    w.delete("hungry").await;
}
