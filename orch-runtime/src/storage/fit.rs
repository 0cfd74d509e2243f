//! Who fits whom. Pure.

use super::{ClaimInfo, VolumeInfo, VolumePhase};
use crate::scheduler::NodeInfo;
use std::sync::Arc;

/// Whether the volume is bound to the claim, or reserved for it by name (`IsVolumeBoundToClaim`).
pub fn is_for(volume: &VolumeInfo, claim: &ClaimInfo) -> bool {
    volume.claim.as_ref().is_some_and(|of| of.key == claim.key && (of.uid.is_empty() || of.uid == claim.uid))
}

/// Whether the node can reach the volume (`CheckNodeAffinity`).
pub fn reaches(node: &NodeInfo, volume: &VolumeInfo) -> bool {
    volume.affinity.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
}

/// Why a volume that a claim asks for by name cannot be had, in the binder's words (`checkVolumeSatisfyClaim`).
pub fn mismatch(volume: &VolumeInfo, claim: &ClaimInfo) -> Option<String> {
    let words = if volume.deleting {
        return Some(format!("the volume is marked for deletion {:?}", volume.name));
    } else if volume.capacity.value() < claim.request.value() {
        "requested PV is too small"
    } else if *volume.class != *claim.class_name() {
        "storageClassName does not match"
    } else if volume.attributes_class != claim.attributes_class {
        "volumeAttributesClassName does not match"
    } else if volume.block != claim.block {
        "incompatible volumeMode"
    } else if !volume.modes.contains(claim.modes) {
        "incompatible accessMode"
    } else {
        return None;
    };
    Some(words.to_owned())
}

/// The best volume for a claim: the one that is reserved for it, or else the smallest that fits
/// (`FindMatchingVolume`). For a `node` only what it can reach counts. `reserved_only` leaves out volumes that are not
/// reserved for the claim, for it is not bound before a pod has a node. `taken` are chosen already.
pub fn best_match<'a>(
    claim: &ClaimInfo,
    volumes: impl IntoIterator<Item = &'a Arc<VolumeInfo>>,
    node: Option<&NodeInfo>,
    reserved_only: bool,
    taken: &[Arc<str>],
) -> Option<&'a Arc<VolumeInfo>> {
    let mut smallest: Option<&Arc<VolumeInfo>> = None;
    for volume in volumes {
        let reserved = is_for(volume, claim);
        if taken.contains(&volume.name)
            || (volume.claim.is_some() && !reserved)
            || volume.capacity < claim.request
            || volume.block != claim.block
            || volume.attributes_class != claim.attributes_class
            || volume.deleting
        {
            continue;
        }
        let reachable = node.is_none_or(|node| reaches(node, volume));
        if reserved {
            // A reservation for a volume elsewhere rules the node out.
            return reachable.then_some(volume);
        }
        let fits = !reserved_only
            && reachable
            // Others would be refused by conflicts: they are not through the binder yet.
            && volume.phase == VolumePhase::Available
            && *volume.class == *claim.class_name()
            && volume.modes.contains(claim.modes)
            && selected(claim, volume);
        if fits && smallest.is_none_or(|best| volume.capacity < best.capacity) {
            smallest = Some(volume);
        }
    }
    smallest
}

fn selected(claim: &ClaimInfo, volume: &VolumeInfo) -> bool {
    claim.selector.as_ref().is_none_or(|selector| {
        !selector.is_nothing() && selector.requirements().iter().all(|r| r.matches(volume.labels.get(&r.key)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{AccessModes, ClaimRef};
    use orch_api::{Key, label_selector::Selector, quantity::Quantity};

    fn claim() -> ClaimInfo {
        ClaimInfo {
            key: Key::new("default", "data"),
            uid: "u1".into(),
            class: Some("fast".into()),
            request: Quantity::parse("1Gi").unwrap(),
            modes: AccessModes::of(["ReadWriteOnce"]),
            ..ClaimInfo::default()
        }
    }

    fn volume(name: &str, size: &str) -> VolumeInfo {
        VolumeInfo {
            name: name.into(),
            class: "fast".into(),
            capacity: Quantity::parse(size).unwrap(),
            modes: AccessModes::of(["ReadWriteOnce", "ReadOnlyMany"]),
            phase: VolumePhase::Available,
            ..VolumeInfo::default()
        }
    }

    #[track_caller]
    fn check(claim: &ClaimInfo, volumes: &[VolumeInfo], reserved_only: bool, expected: Option<&str>) {
        let volumes: Vec<_> = volumes.iter().cloned().map(Arc::new).collect();
        let found = best_match(claim, &volumes, None, reserved_only, &[]);
        assert_eq!(found.map(|v| &*v.name), expected);
    }

    #[test]
    fn the_smallest_that_is_large_enough_is_taken() {
        check(&claim(), &[volume("huge", "9Gi"), volume("small", "1Mi"), volume("fits", "2Gi")], false, Some("fits"));
        check(&claim(), &[volume("small", "1Mi")], false, None);
    }

    #[test]
    fn a_volume_that_is_reserved_for_the_claim_comes_first() {
        let reserved = |uid: &str| VolumeInfo {
            claim: Some(ClaimRef { key: claim().key, uid: uid.into() }),
            phase: VolumePhase::Pending,
            ..volume("mine", "9Gi")
        };
        check(&claim(), &[volume("fits", "1Gi"), reserved("")], false, Some("mine"));
        check(&claim(), &[volume("fits", "1Gi"), reserved("")], true, Some("mine"));
        check(&claim(), &[volume("fits", "1Gi"), reserved("u2")], true, None);
        check(&claim(), &[volume("fits", "1Gi")], true, None);
    }

    #[test]
    fn class_modes_selector_and_phase_must_fit() {
        let one = |change: fn(&mut VolumeInfo)| {
            let mut volume = volume("v", "1Gi");
            change(&mut volume);
            [volume]
        };
        check(&claim(), &one(|_| {}), false, Some("v"));
        check(&claim(), &one(|v| v.class = "slow".into()), false, None);
        check(&claim(), &one(|v| v.modes = AccessModes::of(["ReadWriteMany"])), false, None);
        check(&claim(), &one(|v| v.phase = VolumePhase::Released), false, None);
        check(&claim(), &one(|v| v.block = true), false, None);
        check(&claim(), &one(|v| v.deleting = true), false, None);
        let choosy = ClaimInfo { selector: Some(Selector::parse("tier=gold").unwrap()), ..claim() };
        check(&choosy, &one(|_| {}), false, None);
    }

    #[test]
    fn a_volume_that_is_asked_for_by_name_must_fit_too() {
        let words = |change: fn(&mut VolumeInfo)| {
            let mut volume = volume("v", "1Gi");
            change(&mut volume);
            mismatch(&volume, &claim())
        };
        assert_eq!(words(|_| {}), None);
        assert_eq!(words(|v| v.deleting = true).as_deref(), Some("the volume is marked for deletion \"v\""));
        assert_eq!(words(|v| v.capacity = Quantity::default()).as_deref(), Some("requested PV is too small"));
        assert_eq!(words(|v| v.class = "slow".into()).as_deref(), Some("storageClassName does not match"));
        assert_eq!(words(|v| v.block = true).as_deref(), Some("incompatible volumeMode"));
        assert_eq!(words(|v| v.modes = AccessModes::default()).as_deref(), Some("incompatible accessMode"));
    }
}
