//! [`Node`]: what all pods of a node share.

use crate::{
    event::{Recorder, Severity},
    files::DnsConfig,
    follow::Objects,
    probe::Prober,
    stats::Usage,
};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use orch_runtime::node::container::ContainerRuntime;
use orch_store::{Ambient, Client, Informer};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc};

/// What all pods of a node share.
pub struct Node {
    /// The node's name.
    pub name: Arc<str>,
    /// The API server.
    pub client: Arc<dyn Client>,
    /// Objects that pods name.
    pub objects: Objects,
    /// Services, for environment variables; pods get none without it.
    pub services: Option<Informer>,
    /// Who runs containers.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// The runtime's name, the scheme of container ids.
    pub runtime_name: String,
    /// Who makes probes.
    pub prober: Arc<dyn Prober>,
    /// Writes events.
    pub recorder: Recorder,
    /// Time, chance and tasks.
    pub ambient: Ambient,
    /// The node's addresses, the first one first.
    pub host_ips: Vec<IpAddr>,
    /// What pods may use, as quantities.
    pub allocatable: BTreeMap<String, String>,
    /// Where pods send their DNS queries.
    pub dns: DnsConfig,
    /// Where pods' directories and logs are.
    pub data_dir: PathBuf,
    /// Whether volumes, hosts files and logs are made on disk; simulated pods need none.
    pub materialize: bool,
    /// Whether other nodes are on the machine, too.
    pub shares_machine: bool,
    /// What containers had used when somebody asked, so that the next one to ask learns what they use since.
    pub usage: Usage,
}

impl Node {
    /// The directory of a pod.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.data_dir.join("pods").join(uid)
    }

    /// The directory of a pod's logs.
    pub fn log_dir(&self, uid: &str) -> PathBuf {
        self.pod_dir(uid).join("logs")
    }

    /// Records an event about a pod, or about one of its containers.
    pub fn event(&self, pod: &Pod, container: Option<&str>, severity: Severity, reason: &'static str, message: String) {
        let meta = &pod.metadata;
        let init =
            |name: &str| pod.spec.as_ref().is_some_and(|s| s.init_containers.iter().flatten().any(|c| c.name == name));
        let path = container.map(|name| match init(name) {
            true => format!("spec.initContainers{{{name}}}"),
            false => format!("spec.containers{{{name}}}"),
        });
        let about = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            resource_version: meta.resource_version.clone(),
            field_path: path,
        };
        self.recorder.record(&about, severity, reason, message);
    }
}
