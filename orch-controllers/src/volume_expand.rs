//! `persistentvolume-expander-controller`: tells who is to let volumes grow (`pkg/controller/volume/expand`). There are no
//! plugins here that could; provisioners do it themselves, that of the nodes among them.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use orch_api::Key;
use orch_runtime::{
    Controller, Plan, View, Watches,
    plan::{EventKind, Notice},
    storage::{ClaimInfo, ClaimPhase, Source, VolumeInfo},
    view::Known,
};
use orch_store::informer::Delta;
use std::sync::Arc;

/// Tells who is to let volumes grow.
pub struct VolumeExpander;

/// A claim that asks for more than it has, and its volume.
pub struct World {
    claim: Arc<PersistentVolumeClaim>,
    volume: Known<VolumeInfo>,
}

impl Controller for VolumeExpander {
    const NAME: &'static str = "persistentvolume-expander-controller";
    const ABOUT: &'static str = "Tells that a PersistentVolumeClaim which asks for more waits for its provisioner.";
    const COMPONENT: &'static str = "volume_expand";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<PersistentVolumeClaim>().only(asks_for_more).reads::<PersistentVolume>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let claim = view.known::<ClaimInfo>(key)?.facts;
        let volume = view.known::<VolumeInfo>(&Key::cluster(claim.volume.clone()))?;
        let is_its = volume.facts.claim.as_ref().is_some_and(|of| of.key == claim.key && of.uid == claim.uid);
        let grows = claim.phase == ClaimPhase::Bound && claim.request > claim.capacity;
        (grows && is_its).then_some(World { claim: view.get(key)?, volume })
    }

    fn plan(&self, world: &World, _: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let words = "waiting for an external controller to expand this PVC";
        let notice = Notice::normal(&*world.claim, "ExternalExpanding", words);
        let volume = &world.volume.facts;
        // Nobody will come for what no driver and no provisioner has made.
        let is_somebodys = matches!(volume.source, Source::Csi(_)) || !volume.provisioner.is_empty();
        let kind = if is_somebodys { EventKind::Normal } else { EventKind::Warning };
        plan.event(Notice { kind, ..notice });
        plan
    }
}

fn asks_for_more(delta: &Delta) -> bool {
    let Some(new) = delta.new.as_ref().map(|new| ClaimInfo::read(new)) else { return false };
    let old = delta.old.as_ref().map(|old| ClaimInfo::read(old));
    new.phase == ClaimPhase::Bound && old.is_none_or(|old| new.request > old.request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, now};
    use expect_test::{Expect, expect};
    use orch_api::Object;
    use orch_runtime::testing::Objects;

    #[track_caller]
    fn check(has: &str, provisioner: &str, expect: Expect) {
        let (volume, claim) = fixtures::bound(fixtures::volume("v1", has), fixtures::claim("data", Some("fast")));
        let volume = match provisioner {
            "" => volume,
            by => fixtures::annotated(volume, "pv.kubernetes.io/provisioned-by", by),
        };
        let objects = Objects::new(&VolumeExpander.watches()).with(&volume).with(&claim);
        let world = VolumeExpander.observe(&claim.key(), &View::fixed(&objects));
        fixtures::expect_plan(&world.map(|w| VolumeExpander.plan(&w, now())).unwrap_or_default(), &expect);
    }

    #[test]
    fn a_claim_that_has_what_it_asks_for_waits_for_nobody() {
        check("1Gi", "", expect![[""]]);
    }

    #[test]
    fn a_claim_that_asks_for_more_waits_for_its_provisioner() {
        check(
            "512Mi",
            "example.com/disks",
            expect![[r#"
            event Normal ExternalExpanding: waiting for an external controller to expand this PVC
        "#]],
        );
        check(
            "512Mi",
            "",
            expect![[r#"
            event Warning ExternalExpanding: waiting for an external controller to expand this PVC
        "#]],
        );
    }
}
