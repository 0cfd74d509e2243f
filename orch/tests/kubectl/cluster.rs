//! Clusters that tests share: the binary, started once for each kind of node that tests need.

pub(crate) use crate::shared::Cluster;

use std::sync::OnceLock;

/// Three nodes whose pods run no processes.
pub(crate) fn simulated() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "simulated", "--nodes", "3"]))
}

/// The same, for tests that take nodes away from pods.
pub(crate) fn restless() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "simulated", "--nodes", "3"]))
}

/// This machine as two nodes whose pods are plain processes.
pub(crate) fn processes() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "process", "--nodes", "2"]))
}

/// A node, for the tests of operators: each watches all namespaces, so that two would fight.
pub(crate) fn for_operator_on_kube() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "simulated", "--nodes", "1"]))
}

/// The same for the other operator.
pub(crate) fn for_operator_on_orch() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(&["--runtime", "simulated", "--nodes", "1"]))
}
