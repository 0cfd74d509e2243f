//! `root-ca-certificate-publisher`: every namespace has the cluster's CA in a config map
//! (`pkg/controller/certificates/rootcacertpublisher`).

use crate::service_account::{is_ending, namespace_of};
use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use orch_api::Key;
use orch_runtime::{Controller, Plan, View, Watches};
use orch_store::informer::Delta;
use std::{collections::BTreeMap, sync::Arc};

/// Publishes the cluster's CA in every namespace.
pub struct RootCaPublisher {
    /// The CA certificates in PEM.
    pub ca: Arc<str>,
}

/// The name of the config map.
pub const NAME: &str = "kube-root-ca.crt";
const FILE: &str = "ca.crt";
const DESCRIPTION: &str = "kubernetes.io/description";
const WORDS: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

/// A namespace and its config map.
pub struct World {
    namespace: Arc<Namespace>,
    published: Option<Arc<ConfigMap>>,
}

impl Controller for RootCaPublisher {
    const NAME: &'static str = "root-ca-certificate-publisher";
    const ABOUT: &'static str = "Publishes the cluster's CA in the ConfigMap `kube-root-ca.crt` of every namespace.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Namespace>().maps::<ConfigMap>(namespace_of).only(is_published)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        Some(World { namespace: view.get(key)?, published: view.get(&Key::new(key.name.clone(), NAME)) })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if is_ending(&world.namespace) {
            return plan;
        }
        let data = Some(BTreeMap::from([(FILE.to_owned(), self.ca.to_string())]));
        match &world.published {
            None => {
                let metadata = ObjectMeta {
                    name: Some(NAME.into()),
                    namespace: world.namespace.metadata.name.clone(),
                    annotations: Some(BTreeMap::from([(DESCRIPTION.to_owned(), WORDS.to_owned())])),
                    ..ObjectMeta::default()
                };
                plan.ensure(&ConfigMap { metadata, data, ..ConfigMap::default() });
            }
            Some(old) => {
                let mut new = ConfigMap { data, ..(**old).clone() };
                new.metadata.annotations.get_or_insert_default().insert(DESCRIPTION.into(), WORDS.into());
                plan.update(&**old, &new);
            }
        }
        plan
    }
}

fn is_published(delta: &Delta) -> bool {
    delta.new.as_ref().or(delta.old.as_ref()).is_some_and(|stored| &*stored.key.name == NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, now};
    use expect_test::{Expect, expect};
    use orch_api::Object;
    use orch_runtime::testing::Objects;

    #[track_caller]
    fn check(published: Option<&str>, expect: Expect) {
        let controller = RootCaPublisher { ca: "PEM".into() };
        let namespace = fixtures::namespace("demo");
        let mut objects = Objects::new(&controller.watches()).with(&namespace);
        if let Some(ca) = published {
            let metadata = fixtures::meta("demo", NAME, "");
            let data = Some(fixtures::labels(&[(FILE, ca)]));
            objects.insert(&ConfigMap { metadata, data, ..ConfigMap::default() });
        }
        let world = controller.observe(&namespace.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&controller.plan(&world, now()), &expect);
    }

    #[test]
    fn the_ca_is_published() {
        check(
            None,
            expect![[r#"
            create ConfigMap demo/kube-root-ca.crt
        "#]],
        );
    }

    #[test]
    fn what_someone_changed_is_put_right() {
        check(
            Some("forged"),
            expect![[r#"
            update ConfigMap demo/kube-root-ca.crt data.ca.crt=PEM metadata.annotations.kubernetes.io/description="Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
        "#]],
        );
    }
}
