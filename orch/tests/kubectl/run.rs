//! Stories that every kubectl tells.

pub(crate) use crate::command::{Kubectl, Ran};

use crate::{
    cluster::Cluster,
    tools::{kubectls, skip},
};

/// Runs a story with every kubectl there is, each in a new namespace of the cluster.
pub(crate) fn with_each(cluster: fn() -> &'static Cluster, name: &str, story: impl Fn(&Kubectl)) {
    let programs = kubectls();
    if programs.is_empty() {
        return skip("kubectl is not installed");
    }
    for (n, program) in programs.into_iter().enumerate() {
        let namespace = format!("{name}-{n}");
        println!("{} in {namespace}", program.display());
        story(&Kubectl::in_new_namespace([program], cluster().kubeconfig.clone(), &namespace));
    }
}
