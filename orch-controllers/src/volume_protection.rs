//! `persistentvolume-protection-controller`: a volume that is bound does not vanish
//! (`pkg/controller/volume/pvprotection`).

use crate::common::finalizers;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolume;
use orch_api::Key;
use orch_runtime::{
    Controller, Plan, View, Watches,
    storage::{VolumeInfo, VolumePhase, marks::PROTECT_VOLUME},
};
use std::sync::Arc;

/// Keeps volumes until they are no longer bound.
pub struct VolumeProtection;

/// A volume whose finalizer may have to be put there or taken away.
pub struct World {
    volume: Arc<PersistentVolume>,
    is_used: bool,
}

impl Controller for VolumeProtection {
    const NAME: &'static str = "persistentvolume-protection-controller";
    const ABOUT: &'static str = "Keeps PersistentVolumes that are being deleted until they are no longer bound.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<PersistentVolume>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let known = view.known::<VolumeInfo>(key)?;
        finalizers::is_due(&known.stored.meta, PROTECT_VOLUME).then_some(())?;
        Some(World { volume: view.get(key)?, is_used: known.facts.phase == VolumePhase::Bound })
    }

    fn plan(&self, world: &World, _: Timestamp) -> Plan {
        finalizers::protect(&*world.volume, PROTECT_VOLUME, world.is_used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, now};
    use expect_test::{Expect, expect};
    use k8s_openapi::api::core::v1::PersistentVolumeStatus;
    use orch_api::Object;
    use orch_runtime::testing::Objects;

    #[track_caller]
    fn check(phase: &str, finalizers: &[&str], deleting: bool, expect: Expect) {
        let mut volume = fixtures::volume("v1", "1Gi");
        volume.metadata.finalizers = Some(finalizers.iter().map(|f| (*f).to_owned()).collect());
        volume.status = Some(PersistentVolumeStatus { phase: Some(phase.into()), ..Default::default() });
        let volume = if deleting { fixtures::deleting(volume) } else { volume };
        let objects = Objects::new(&VolumeProtection.watches()).with(&volume);
        let world = VolumeProtection.observe(&volume.key(), &View::fixed(&objects));
        fixtures::expect_plan(&world.map(|w| VolumeProtection.plan(&w, now())).unwrap_or_default(), &expect);
    }

    #[test]
    fn a_volume_without_its_finalizer_gets_it() {
        check(
            "Available",
            &[],
            false,
            expect![[r#"
            update PersistentVolume v1 metadata.finalizers=["kubernetes.io/pv-protection"]
        "#]],
        );
        check("Available", &[PROTECT_VOLUME], false, expect![[""]]);
    }

    #[test]
    fn a_volume_that_is_being_deleted_goes_when_it_is_not_bound() {
        check("Bound", &[PROTECT_VOLUME], true, expect![[""]]);
        check(
            "Released",
            &[PROTECT_VOLUME, "other"],
            true,
            expect![[r#"
            update PersistentVolume v1 metadata.finalizers=["other"]
        "#]],
        );
    }
}
