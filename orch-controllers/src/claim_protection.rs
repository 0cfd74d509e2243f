//! `persistentvolumeclaim-protection-controller`: a claim that a pod uses does not vanish
//! (`pkg/controller/volume/pvcprotection`).

use crate::common::{
    finalizers,
    storage::{BY_CLAIM, PodUse, by_claim, claims_of_pod, is_of_pod},
};
use futures::future::{BoxFuture, FutureExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Error, Plan, View, Watches, storage::marks::PROTECT_CLAIM};
use orch_store::{Client, Stored, client::ListOptions};
use std::sync::Arc;

/// Keeps claims until no pod uses them.
pub struct ClaimProtection;

/// A claim whose finalizer may have to be put there or taken away.
pub struct World {
    claim: Arc<PersistentVolumeClaim>,
    is_used: bool,
}

impl Controller for ClaimProtection {
    const NAME: &'static str = "persistentvolumeclaim-protection-controller";
    const ABOUT: &'static str = "Keeps PersistentVolumeClaims that are being deleted until no Pod uses them.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<PersistentVolumeClaim>().maps::<Pod>(claims_of_pod).index(BY_CLAIM, by_claim)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let stored = view.stored(&PersistentVolumeClaim::gvr(), key)?;
        finalizers::is_due(&stored.meta, PROTECT_CLAIM).then_some(())?;
        let claim: Arc<PersistentVolumeClaim> = view.get(key)?;
        let pods = view.by_index_stored(&Pod::gvr(), BY_CLAIM, &key.to_string());
        let is_used = pods.iter().any(|pod| uses(pod, &claim));
        Some(World { claim, is_used })
    }

    /// Asks the API itself before a claim goes: the caches may not have a pod yet that was made just now.
    fn gather<'a>(&'a self, mut world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        async move {
            if world.claim.is_deleting() && !world.is_used {
                let namespace = world.claim.key().namespace;
                let options = ListOptions { namespace, ..ListOptions::default() };
                let pods = client.list(&Pod::gvr(), &options).await?;
                world.is_used = pods.items.iter().any(|pod| uses(pod, &world.claim));
            }
            Ok(world)
        }
        .boxed()
    }

    fn plan(&self, world: &World, _: Timestamp) -> Plan {
        finalizers::protect(&*world.claim, PROTECT_CLAIM, world.is_used)
    }
}

/// Whether a pod uses the claim. One without a node does not: no node starts a pod with a claim that is being deleted.
fn uses(pod: &Stored, claim: &PersistentVolumeClaim) -> bool {
    let used = PodUse::read(pod);
    let name = claim.metadata.name.as_deref().unwrap_or_default();
    let is_it = |(of, ephemeral): &(Arc<str>, bool)| {
        **of == *name && (!ephemeral || (!used.is_shut_down && is_of_pod(claim, &pod.meta.uid)))
    };
    !used.node.is_empty() && used.claims.iter().any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;

    #[track_caller]
    fn check(claim: PersistentVolumeClaim, pods: &[Pod], expect: Expect) {
        let mut objects = Objects::new(&ClaimProtection.watches()).with(&claim);
        pods.iter().for_each(|pod| objects.insert(pod));
        let world = ClaimProtection.observe(&claim.key(), &View::fixed(&objects));
        fixtures::expect_plan(&world.map(|w| ClaimProtection.plan(&w, now())).unwrap_or_default(), &expect);
    }

    fn leaving() -> PersistentVolumeClaim {
        let mut claim = fixtures::claim("data", Some("fast"));
        claim.metadata.finalizers = Some(vec![PROTECT_CLAIM.into()]);
        fixtures::deleting(claim)
    }

    fn user() -> Pod {
        fixtures::with_claim(fixtures::pod("user", "web"), "data")
    }

    #[test]
    fn a_claim_without_its_finalizer_gets_it() {
        check(
            fixtures::claim("data", None),
            &[],
            expect![[r#"
            update PersistentVolumeClaim default/data metadata.finalizers=["kubernetes.io/pvc-protection"]
        "#]],
        );
    }

    #[test]
    fn a_claim_stays_while_a_pod_on_a_node_uses_it() {
        check(leaving(), &[fixtures::on_node(user(), "n1")], expect![[""]]);
        check(leaving(), &[fixtures::phase(fixtures::on_node(user(), "n1"), "Succeeded")], expect![[""]]);
    }

    #[test]
    fn a_claim_goes_when_only_pods_without_a_node_or_without_it_are_left() {
        let gone = expect![[r#"
            update PersistentVolumeClaim default/data metadata.finalizers=[]
        "#]];
        check(leaving(), &[user(), fixtures::on_node(fixtures::pod("other", "web"), "n1")], gone);
    }

    #[test]
    fn a_claim_of_an_ephemeral_volume_is_used_only_by_the_pod_that_owns_it() {
        let pod = fixtures::with_ephemeral(fixtures::on_node(fixtures::pod("p", "web"), "n1"), "data");
        let mut claim = leaving();
        claim.metadata.name = Some("p-data".into());
        let gone = expect![[r#"
            update PersistentVolumeClaim default/p-data metadata.finalizers=[]
        "#]];
        check(claim.clone(), std::slice::from_ref(&pod), gone);
        claim.metadata.owner_references =
            Some(vec![crate::common::owner::controller_ref(&fixtures::uid(&pod, "pods-p"))]);
        check(claim, &[pod], expect![[""]]);
    }
}
