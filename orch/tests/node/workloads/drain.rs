//! A node is drained: the budget of a Service's pods holds, and the Service answers.

use super::{kubectl, three_nodes, until, watch::Watch};
use crate::{command::Kubectl, hammer::Hammer, hammer::Tally};
use std::{collections::BTreeMap, fs::File, net::SocketAddr, sync::mpsc, thread};

/// Of four pods on three nodes, two share one. A new one takes two seconds to be ready, so that evictions meet the budget.
const SHOP: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 4
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
      - name: shop
        image: "orch.local/toolbox:latest"
        imagePullPolicy: IfNotPresent
        args: [serve, --drain, "3"]
        readinessProbe: {httpGet: {path: /healthz, port: 8080}, initialDelaySeconds: 2, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {selector: {app: shop}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: shop}
spec: {minAvailable: 3, selector: {matchLabels: {app: shop}}}
"#;

#[test]
fn a_drained_node_is_left_within_the_budget() {
    let Some(k) = kubectl("drain") else { return };
    k.apply(SHOP).succeeds();
    k.rolled_out("deploy/shop", "successfully rolled out");
    k.wait("jsonpath={.status.disruptionsAllowed}=1", "pdb/shop");
    k.run("get pdb shop").has_row(&["shop", "3", "N/A", "1", "*"]);
    let (node, pods) = busiest(&k);
    assert!(pods > 1, "{pods} of four pods are on {node}");

    let address = SocketAddr::new(k.read("svc/shop", "{.spec.clusterIP}").parse().unwrap(), 80);
    let clients = Clients::start(address);
    let healthy = Watch::start(&k, "pdb/shop", "{.status.currentHealthy}");
    let available = Watch::start(&k, "deploy/shop", "{.status.availableReplicas}");
    // Other stories have pods here, too: they are left alone.
    let drained = k.run(&format!("drain {node} --pod-selector=app=shop --timeout=300s"));
    drained
        .contains(&format!("node/{node} cordoned"))
        .contains("Cannot evict pod as it would violate the pod's disruption budget.")
        .contains(&format!("node/{node} drained"));
    assert_eq!(drained.stdout().matches(" evicted\n").count(), pods, "{}", drained.all());
    k.run(&format!("get node {node}")).has_row(&[&node, "Ready,SchedulingDisabled", "<none>", "*", "*"]);
    k.rolled_out("deploy/shop", "successfully rolled out");
    assert!(!spread(&k).contains_key(&node), "its pods are elsewhere");
    until("the budget to allow it again", || (k.read("pdb/shop", "{.status.disruptionsAllowed}") == "1").then_some(()));
    healthy.never_below(3);
    available.never_below(3);

    let tally = clients.end();
    println!("{} requests, {} failures", tally.requests, tally.failures.len());
    assert!(tally.failures.is_empty(), "{:#?}", tally.failures);
    assert!(tally.answered() > 0);

    // Nobody comes back by himself, but who is new may be there again.
    k.run(&format!("uncordon {node}")).prints(&format!("node/{node} uncordoned\n"));
    k.run("delete deploy shop").succeeds();
    let alone = format!(r#"{{"spec":{{"nodeSelector":{{"kubernetes.io/hostname":"{node}"}}}}}}"#);
    let image = "--image=orch.local/toolbox:latest --image-pull-policy=IfNotPresent";
    k.run(&format!("run back {image} --overrides={alone} -- serve")).succeeds();
    k.wait("condition=Ready", "pod/back");
    k.run("delete pod back --grace-period=1").succeeds();
}

/// How many pods each node has that are not on their way out.
fn spread(k: &Kubectl) -> BTreeMap<String, usize> {
    let path = "{range .items[*]}{.metadata.deletionTimestamp}/{.spec.nodeName}{\"\\n\"}{end}";
    let mut nodes = BTreeMap::new();
    for node in k.read("pods -l app=shop", path).lines().filter_map(|line| line.strip_prefix('/')) {
        *nodes.entry(node.to_owned()).or_default() += 1;
    }
    nodes
}

fn busiest(k: &Kubectl) -> (String, usize) {
    spread(k).into_iter().max_by_key(|(_, pods)| *pods).unwrap()
}

/// Clients in the cluster's network that ask a Service all the time.
struct Clients {
    end: mpsc::Sender<()>,
    thread: thread::JoinHandle<Tally>,
}

impl Clients {
    fn start(address: SocketAddr) -> Self {
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            // For this thread, which is the only one of its runtime.
            let network = File::open(three_nodes().network()).unwrap();
            nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            tokio.block_on(async {
                let hammer = Hammer::start(address, 1, 1, str::to_owned);
                while matches!(ended.try_recv(), Err(mpsc::TryRecvError::Empty)) {
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
                hammer.stop().await
            })
        });
        Self { end, thread }
    }

    fn end(self) -> Tally {
        drop(self.end);
        self.thread.join().unwrap()
    }
}
