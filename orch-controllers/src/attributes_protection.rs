//! `volumeattributesclass-protection-controller`: a class of attributes that volumes have does not vanish
//! (`pkg/controller/volume/vacprotection`).

use crate::common::finalizers;
use jiff::Timestamp;
use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::VolumeAttributesClass,
};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Plan, View, Watches, storage::marks::PROTECT_ATTRIBUTES};
use orch_store::{Stored, informer::Delta};
use serde::Deserialize;
use std::sync::Arc;

/// Keeps classes of attributes until no volume and no claim names them.
pub struct AttributesProtection;

/// A class whose finalizer may have to be put there or taken away.
pub struct World {
    class: Arc<VolumeAttributesClass>,
    is_used: bool,
}

const BY_ATTRIBUTES: &str = "volume attributes class";

impl Controller for AttributesProtection {
    const NAME: &'static str = "volumeattributesclass-protection-controller";
    const ABOUT: &'static str = "Keeps VolumeAttributesClasses that are being deleted until no volume has them.";
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<VolumeAttributesClass>()
            .maps::<PersistentVolume>(left)
            .index(BY_ATTRIBUTES, named)
            .maps::<PersistentVolumeClaim>(left)
            .index(BY_ATTRIBUTES, named)
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let stored = view.stored(&VolumeAttributesClass::gvr(), key)?;
        finalizers::is_due(&stored.meta, PROTECT_ATTRIBUTES).then_some(())?;
        let kinds = [PersistentVolume::gvr(), PersistentVolumeClaim::gvr()];
        let is_used = kinds.iter().any(|gvr| !view.by_index_stored(gvr, BY_ATTRIBUTES, &key.name).is_empty());
        Some(World { class: view.get(key)?, is_used })
    }

    fn plan(&self, world: &World, _: Timestamp) -> Plan {
        finalizers::protect(&*world.class, PROTECT_ATTRIBUTES, world.is_used)
    }
}

/// The classes that a volume or a claim names: wanted, had, or on the way.
fn named(stored: &Stored) -> Vec<Arc<str>> {
    let Json { spec, status } = stored.parse().unwrap_or_default();
    let target = status.modify_volume_status.target_volume_attributes_class_name;
    let mut names = vec![spec.volume_attributes_class_name, status.current_volume_attributes_class_name, target];
    names.retain(|name| !name.is_empty());
    names.dedup();
    names
}

/// The classes that were named before and are not any more.
fn left(delta: &Delta, _: &View<'_>) -> Vec<Key> {
    let names = |stored: &Option<Arc<Stored>>| stored.as_ref().map(|stored| named(stored)).unwrap_or_default();
    let now = names(&delta.new);
    names(&delta.old).into_iter().filter(|name| !now.contains(name)).map(Key::cluster).collect()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Json {
    spec: Spec,
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    volume_attributes_class_name: Arc<str>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    current_volume_attributes_class_name: Arc<str>,
    modify_volume_status: Modify,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Modify {
    target_volume_attributes_class_name: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;

    #[track_caller]
    fn check(claims: &[PersistentVolumeClaim], expect: Expect) {
        let mut class =
            VolumeAttributesClass { metadata: fixtures::meta("", "gold", "gold"), ..VolumeAttributesClass::default() };
        class.metadata.finalizers = Some(vec![PROTECT_ATTRIBUTES.into()]);
        let class = fixtures::deleting(class);
        let mut objects = Objects::new(&AttributesProtection.watches()).with(&class);
        claims.iter().for_each(|claim| objects.insert(claim));
        let world = AttributesProtection.observe(&class.key(), &View::fixed(&objects)).unwrap();
        fixtures::expect_plan(&AttributesProtection.plan(&world, now()), &expect);
    }

    #[test]
    fn a_class_goes_when_nobody_names_it() {
        check(
            &[fixtures::claim("data", None)],
            expect![[r#"
            update VolumeAttributesClass gold metadata.finalizers=[]
        "#]],
        );
    }

    #[test]
    fn a_class_stays_while_a_claim_has_it_or_is_to_get_it() {
        let mut has = fixtures::claim("data", None);
        has.status.get_or_insert_default().current_volume_attributes_class_name = Some("gold".into());
        check(&[has], expect![[""]]);
        let mut wants = fixtures::claim("data", None);
        wants.spec.get_or_insert_default().volume_attributes_class_name = Some("gold".into());
        check(&[wants], expect![[""]]);
    }
}
