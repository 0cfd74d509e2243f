//! `kube-apiserver-serving-clustertrustbundle-publisher-controller`: the CA of the API server as a ClusterTrustBundle
//! (`pkg/controller/certificates/clustertrustbundlepublisher`).

use jiff::Timestamp;
use k8s_openapi::{
    api::certificates::v1::{ClusterTrustBundle, ClusterTrustBundleSpec},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Deletes, Plan, View, Watches};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Publishes what certificates of the API server are trusted by.
pub struct TrustBundlePublisher {
    /// The CA certificates in PEM.
    pub ca: Arc<str>,
}

const SIGNER: &str = "kubernetes.io/kube-apiserver-serving";

impl Controller for TrustBundlePublisher {
    const NAME: &'static str = "kube-apiserver-serving-clustertrustbundle-publisher-controller";
    const ABOUT: &'static str = "Publishes the cluster's CA in a ClusterTrustBundle.";
    const DELETES: Deletes = Deletes::Others("its bundles of CAs that are no longer");
    /// All bundles of the signer.
    type World = Vec<Arc<ClusterTrustBundle>>;

    fn watches(&self) -> Watches {
        // There is nothing yet whose change could ask for the first one.
        let first = Key::cluster(self.name());
        Watches::root::<ClusterTrustBundle>().stream("the beginning", futures::stream::iter([first]))
    }

    fn observe(&self, _: &Key, view: &View<'_>) -> Option<Self::World> {
        let mut bundles = view.list::<ClusterTrustBundle>("");
        bundles.retain(|bundle| bundle.spec.signer_name.as_deref() == Some(SIGNER));
        (!self.ca.is_empty()).then_some(bundles)
    }

    fn plan(&self, bundles: &Self::World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let name = self.name();
        let spec = ClusterTrustBundleSpec { signer_name: Some(SIGNER.into()), trust_bundle: self.ca.to_string() };
        match bundles.iter().find(|bundle| *bundle.key().name == *name) {
            Some(old) => drop(plan.update(&**old, &ClusterTrustBundle { spec, ..(**old).clone() })),
            None => {
                let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
                plan.ensure(&ClusterTrustBundle { metadata, spec });
            }
        }
        for other in bundles.iter().filter(|bundle| *bundle.key().name != *name && !bundle.is_deleting()) {
            plan.delete(&**other);
        }
        plan
    }
}

impl TrustBundlePublisher {
    /// The signer, and the beginning of the hash of what is in the bundle.
    fn name(&self) -> String {
        let hash: String = Sha256::digest(self.ca.as_bytes()).iter().take(12).map(|b| format!("{b:02x}")).collect();
        format!("{}:{hash}", SIGNER.replace('/', ":"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{expect_plan, now};
    use expect_test::expect;
    use orch_runtime::testing::Objects;

    #[test]
    fn the_ca_is_published_under_its_hash_and_older_ones_go() {
        let publisher = TrustBundlePublisher { ca: "PEM".into() };
        let mut objects = Objects::new(&publisher.watches());
        let plan = |objects: &Objects, publisher: &TrustBundlePublisher| {
            let world = publisher.observe(&Key::cluster("any"), &View::fixed(objects)).unwrap();
            publisher.plan(&world, now())
        };
        let first = plan(&objects, &publisher);
        expect_plan(
            &first,
            &expect![[r#"
            create ClusterTrustBundle kubernetes.io:kube-apiserver-serving:384fb9a44fabe158be2757b9
        "#]],
        );
        objects.apply(&first, now());
        assert!(plan(&objects, &publisher).is_empty());
        let renewed = TrustBundlePublisher { ca: "NEW".into() };
        expect_plan(
            &plan(&objects, &renewed),
            &expect![[r#"
            create ClusterTrustBundle kubernetes.io:kube-apiserver-serving:a253ff09c5a8678e1fd1962b
            delete ClusterTrustBundle kubernetes.io:kube-apiserver-serving:384fb9a44fabe158be2757b9
        "#]],
        );
    }
}
