use super::*;
use crate::fixtures::{self, now};
use expect_test::{Expect, expect};
use orch_runtime::testing::Objects;

#[track_caller]
fn check(volume: PersistentVolume, claim: Option<PersistentVolumeClaim>, expect: Expect) {
    let mut objects = Objects::new(&VolumeRelease.watches()).with(&volume);
    claim.iter().for_each(|claim| objects.insert(claim));
    let world = VolumeRelease.observe(&volume.key(), &View::fixed(&objects)).unwrap();
    fixtures::expect_plan(&VolumeRelease.plan(&world, now()), &expect);
}

fn volume() -> PersistentVolume {
    fixtures::volume("v1", "1Gi")
}

fn pair() -> (PersistentVolume, PersistentVolumeClaim) {
    fixtures::bound(volume(), fixtures::claim("data", Some("fast")))
}

fn phase(mut volume: PersistentVolume, phase: &str) -> PersistentVolume {
    volume.status.get_or_insert_default().phase = Some(phase.into());
    volume
}

fn policy(mut volume: PersistentVolume, policy: &str) -> PersistentVolume {
    volume.spec.get_or_insert_default().persistent_volume_reclaim_policy = Some(policy.into());
    volume
}

#[test]
fn a_volume_without_a_claim_is_available_and_one_with_a_claim_is_bound() {
    check(
        phase(volume(), "Pending"),
        None,
        expect![[r#"
        status PersistentVolume v1 phase=Available
    "#]],
    );
    let (volume, claim) = pair();
    check(
        phase(volume.clone(), "Available"),
        Some(claim.clone()),
        expect![[r#"
        status PersistentVolume v1 phase=Bound
    "#]],
    );
    check(volume, Some(claim), expect![[""]]);
}

#[test]
fn a_volume_that_is_only_reserved_is_available() {
    let mut volume = phase(fixtures::for_claim(volume(), &fixtures::claim("data", None)), "Pending");
    volume.spec.as_mut().unwrap().claim_ref.as_mut().unwrap().uid = None;
    check(
        volume,
        Some(fixtures::claim("data", None)),
        expect![[r#"
        status PersistentVolume v1 phase=Available
    "#]],
    );
}

#[test]
fn a_volume_whose_claim_is_gone_is_released_and_then_taken_back() {
    let (volume, mut claim) = pair();
    check(
        volume.clone(),
        None,
        expect![[r#"
        status PersistentVolume v1 phase=Released
    "#]],
    );
    claim.metadata.uid = Some("another".into());
    check(
        volume.clone(),
        Some(claim),
        expect![[r#"
        status PersistentVolume v1 phase=Released
    "#]],
    );
    let released = phase(volume, "Released");
    check(released.clone(), None, expect![[""]]);
    check(
        policy(released.clone(), "Recycle"),
        None,
        expect![[r#"
        status PersistentVolume v1 message="No recycler plugin found for the volume!" phase=Failed
        event Warning VolumeFailedRecycle: No recycler plugin found for the volume!
    "#]],
    );
    check(
        policy(released.clone(), "Delete"),
        None,
        expect![[r#"
        status PersistentVolume v1 message="error getting deleter volume plugin for volume \"v1\": no deletable volume plugin matched" phase=Failed
        event Warning VolumeFailedDelete: error getting deleter volume plugin for volume "v1": no deletable volume plugin matched
    "#]],
    );
    let made = fixtures::annotated(released, marks::PROVISIONED_BY, "example.com/disks");
    check(policy(made, "Delete"), None, expect![[""]]);
}

#[test]
fn a_volume_whose_claim_found_another_one_is_free_again() {
    let (volume, mut claim) = pair();
    claim.spec.get_or_insert_default().volume_name = Some("v2".into());
    check(
        volume.clone(),
        Some(claim.clone()),
        expect![[r#"
        update PersistentVolume v1 -metadata.annotations.pv.kubernetes.io/bound-by-controller -spec.claimRef
    "#]],
    );
    let mut by_hand = volume.clone();
    by_hand.metadata.annotations = None;
    check(
        by_hand,
        Some(claim.clone()),
        expect![[r#"
        update PersistentVolume v1 -spec.claimRef.uid
    "#]],
    );
    let made = fixtures::annotated(volume, marks::PROVISIONED_BY, "example.com/disks");
    check(
        policy(made, "Delete"),
        Some(claim),
        expect![[r#"
        status PersistentVolume v1 phase=Released
    "#]],
    );
}

#[test]
fn a_volume_of_the_wrong_mode_is_told_to_both() {
    let (mut volume, mut claim) = pair();
    volume.spec.get_or_insert_default().volume_mode = Some("Block".into());
    claim.spec.get_or_insert_default().volume_name = None;
    check(
        volume,
        Some(claim),
        expect![[r#"
        event Warning VolumeMismatch: Cannot bind PersistentVolume to requested PersistentVolumeClaim "data" due to incompatible volumeMode.
        event Warning VolumeMismatch: Cannot bind PersistentVolume "v1" to requested PersistentVolumeClaim due to incompatible volumeMode.
    "#]],
    );
}
