//! top, autoscale, and budgets that hold up a drain.

use crate::{
    WEB,
    cluster::{restless, simulated},
    run::with_each,
};

#[test]
fn what_nodes_and_pods_use_is_shown_and_scaled_by() {
    with_each(simulated, "top", |k| {
        k.apply(WEB).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.until("top pod", "10m").contains("16Mi");
        k.run("top pod -l app=web --containers").contains("web ");
        k.run("top pod -l app=other").succeeds();
        k.run("top pod nobody").fails("podmetrics.metrics.k8s.io");
        k.until("top node", "node-1").contains("%");
        k.run("get --raw /apis/metrics.k8s.io/v1beta1").contains("PodMetrics").contains("NodeMetrics");
        k.run("explain podmetrics.containers --api-version=metrics.k8s.io/v1beta1").contains("usage");
        k.run("autoscale deployment web --min=2 --max=4 --cpu-percent=80").contains("autoscaled");
        k.run("wait --for=condition=AbleToScale hpa/web --timeout=60s").succeeds();
        k.run("wait --for=condition=ScalingActive=false hpa/web --timeout=60s").succeeds();
        // At first the pods count as not ready yet.
        k.until("describe hpa web", "missing request for cpu in container web of Pod")
            .contains("FailedGetResourceMetric");
        k.run("set resources deploy/web --requests=cpu=10m").succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("wait --for=condition=ScalingActive hpa/web --timeout=120s").succeeds();
        k.run(&format!("delete namespace {}", k.namespace)).succeeds();
    });
}

#[test]
fn a_drain_waits_for_the_budget() {
    with_each(restless, "budget", |k| {
        k.apply(WEB).succeeds();
        k.run("rollout status deploy/web --timeout=30s").succeeds();
        k.run("create pdb web --selector=app=web --min-available=2").prints("poddisruptionbudget.policy/web created\n");
        k.run("wait --for=jsonpath={.status.currentHealthy}=2 pdb/web --timeout=30s").succeeds();
        k.run("get pdb web").has_row(&["web", "2", "N/A", "0", "*"]);
        let node = k.run("get pods -l app=web -o jsonpath={.items[0].spec.nodeName}").succeeds().stdout();
        k.run(&format!("drain {node} --timeout=3s"))
            .fails("Cannot evict pod as it would violate the pod's disruption budget.");
        k.run("patch pdb web -p {\"spec\":{\"minAvailable\":1}}").succeeds();
        k.run(&format!("drain {node} --timeout=60s")).contains("drained");
        k.run(&format!("uncordon {node}")).succeeds();
        k.run(&format!("delete namespace {}", k.namespace)).succeeds();
    });
}
