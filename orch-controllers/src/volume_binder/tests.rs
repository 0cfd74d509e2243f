use super::*;
use crate::fixtures::{self, now};
use expect_test::{Expect, expect};
use orch_runtime::testing::Objects;

/// The claim among these volumes and classes.
struct Case {
    claim: PersistentVolumeClaim,
    volumes: Vec<PersistentVolume>,
    classes: Vec<StorageClass>,
    pods: Vec<Pod>,
}

fn case(claim: PersistentVolumeClaim) -> Case {
    Case { claim, volumes: Vec::new(), classes: Vec::new(), pods: Vec::new() }
}

impl Case {
    fn volume(mut self, volume: PersistentVolume) -> Self {
        self.volumes.push(volume);
        self
    }

    fn class(mut self, class: StorageClass) -> Self {
        self.classes.push(class);
        self
    }

    fn pod(mut self, pod: Pod) -> Self {
        self.pods.push(pod);
        self
    }

    #[track_caller]
    fn check(self, expect: Expect) {
        let mut objects = Objects::new(&VolumeBinder.watches()).with(&self.claim);
        self.volumes.iter().for_each(|volume| objects.insert(volume));
        self.classes.iter().for_each(|class| objects.insert(class));
        self.pods.iter().for_each(|pod| objects.insert(pod));
        let world = VolumeBinder.observe(&self.claim.key(), &View::fixed(&objects)).unwrap();
        fixtures::expect_plan(&VolumeBinder.plan(&world, now()), &expect);
    }
}

fn claim() -> PersistentVolumeClaim {
    fixtures::claim("data", Some("fast"))
}

fn named() -> PersistentVolumeClaim {
    let mut claim = claim();
    claim.spec.get_or_insert_default().volume_name = Some("v1".into());
    claim
}

#[test]
fn a_claim_and_the_smallest_volume_that_fits_name_each_other() {
    case(claim())
        .volume(fixtures::volume("large", "5Gi"))
        .volume(fixtures::volume("fits", "2Gi"))
        .volume(fixtures::volume("small", "1Mi"))
        .check(expect![[r#"
            update PersistentVolume fits metadata.annotations.pv.kubernetes.io/bound-by-controller=yes spec.claimRef.apiVersion=v1 spec.claimRef.kind=PersistentVolumeClaim spec.claimRef.name=data spec.claimRef.namespace=default spec.claimRef.resourceVersion=1 spec.claimRef.uid=claim-data
            update PersistentVolumeClaim default/data metadata.annotations.pv.kubernetes.io/bind-completed=yes metadata.annotations.pv.kubernetes.io/bound-by-controller=yes spec.volumeName=fits
        "#]]);
}

#[test]
fn of_two_volumes_that_fit_the_one_with_fewer_access_modes_is_taken() {
    let mut many = fixtures::volume("many", "1Gi");
    many.spec.get_or_insert_default().access_modes = Some(vec!["ReadWriteOnce".into(), "ReadOnlyMany".into()]);
    case(claim()).volume(many).volume(fixtures::volume("one", "9Gi")).check(expect![[r#"
        update PersistentVolume one metadata.annotations.pv.kubernetes.io/bound-by-controller=yes spec.claimRef.apiVersion=v1 spec.claimRef.kind=PersistentVolumeClaim spec.claimRef.name=data spec.claimRef.namespace=default spec.claimRef.resourceVersion=1 spec.claimRef.uid=claim-data
        update PersistentVolumeClaim default/data metadata.annotations.pv.kubernetes.io/bind-completed=yes metadata.annotations.pv.kubernetes.io/bound-by-controller=yes spec.volumeName=one
    "#]]);
}

#[test]
fn a_claim_is_bound_once_its_volume_is() {
    let (mut volume, mut claim) = fixtures::bound(fixtures::volume("v1", "2Gi"), claim());
    claim.status = fixtures::claim("data", None).status;
    case(claim.clone()).volume(volume.clone()).check(expect![[r#"
        status PersistentVolumeClaim default/data accessModes=["ReadWriteOnce"] capacity.storage=2Gi phase=Bound
    "#]]);
    volume.status.get_or_insert_default().phase = Some("Available".into());
    case(claim).volume(volume).check(expect![[""]]);
}

#[test]
fn a_volume_that_is_reserved_by_name_gets_the_uid_and_no_mark_of_the_controller() {
    let mut reserved = fixtures::for_claim(fixtures::volume("v1", "1Gi"), &claim());
    reserved.spec.as_mut().unwrap().claim_ref.as_mut().unwrap().uid = None;
    case(claim()).volume(reserved).check(expect![[r#"
        update PersistentVolume v1 spec.claimRef.resourceVersion=1 spec.claimRef.uid=claim-data
        update PersistentVolumeClaim default/data metadata.annotations.pv.kubernetes.io/bind-completed=yes metadata.annotations.pv.kubernetes.io/bound-by-controller=yes spec.volumeName=v1
    "#]]);
}

#[test]
fn a_volume_that_is_asked_for_by_name_must_fit() {
    case(named()).check(expect![[""]]);
    case(named()).volume(fixtures::volume("v1", "1Mi")).check(expect![[r#"
        event Warning VolumeMismatch: Cannot bind to requested volume "v1": requested PV is too small
    "#]]);
    case(named()).volume(fixtures::volume("v1", "1Gi")).check(expect![[r#"
        update PersistentVolume v1 metadata.annotations.pv.kubernetes.io/bound-by-controller=yes spec.claimRef.apiVersion=v1 spec.claimRef.kind=PersistentVolumeClaim spec.claimRef.name=data spec.claimRef.namespace=default spec.claimRef.resourceVersion=1 spec.claimRef.uid=claim-data
        update PersistentVolumeClaim default/data metadata.annotations.pv.kubernetes.io/bind-completed=yes
    "#]]);
    let taken = fixtures::for_claim(fixtures::volume("v1", "1Gi"), &fixtures::claim("other", None));
    case(named()).volume(taken).check(expect![[r#"
        event Warning FailedBinding: volume "v1" already bound to a different claim.
    "#]]);
}

#[test]
fn a_claim_of_a_class_that_waits_is_left_for_the_scheduler() {
    let waits = || case(claim()).class(fixtures::class("fast", "example.com/disks", true));
    waits().volume(fixtures::volume("v1", "1Gi")).check(expect![[r#"
        event Normal WaitForFirstConsumer: waiting for first consumer to be created before binding
    "#]]);
    let pod = |name| fixtures::with_claim(fixtures::pod(name, "web"), "data");
    waits().pod(pod("a")).check(expect![[r#"
        event Normal WaitForPodScheduled: waiting for pod a to be scheduled
    "#]]);
    waits().pod(pod("a")).pod(pod("b")).pod(fixtures::on_node(pod("c"), "n1")).check(expect![[r#"
        event Normal WaitForPodScheduled: waiting for pods a,b to be scheduled
    "#]]);
}

#[test]
fn a_provisioner_is_asked_when_nothing_fits() {
    let selected = fixtures::annotated(claim(), "volume.kubernetes.io/selected-node", "n1");
    case(selected).class(fixtures::class("fast", "example.com/disks", true)).check(expect![[r#"
        update PersistentVolumeClaim default/data metadata.annotations.volume.beta.kubernetes.io/storage-provisioner=example.com/disks metadata.annotations.volume.kubernetes.io/storage-provisioner=example.com/disks
        event Normal ExternalProvisioning: Waiting for a volume to be created either by the external provisioner 'example.com/disks' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.
    "#]]);
    case(claim()).class(fixtures::class("fast", "kubernetes.io/no-provisioner", false)).check(expect![[r#"
        event Warning ProvisioningFailed: no volume plugin matched name: kubernetes.io/no-provisioner
    "#]]);
    case(claim()).check(expect![[r#"
        event Warning ProvisioningFailed: storageclass.storage.k8s.io "fast" not found
    "#]]);
}

#[test]
fn a_claim_without_a_class_gets_the_default_one_when_there_is_one() {
    let unclassed = || case(fixtures::claim("data", None));
    let class = fixtures::class("fast", "example.com/disks", false);
    unclassed().class(class.clone()).check(expect![[r#"
        event Normal FailedBinding: no persistent volumes available for this claim and no storage class is set
    "#]]);
    let default = fixtures::annotated(class, "storageclass.kubernetes.io/is-default-class", "true");
    unclassed().class(default.clone()).check(expect![[r#"
        update PersistentVolumeClaim default/data spec.storageClassName=fast
    "#]]);
    case(fixtures::claim("data", Some(""))).class(default).check(expect![[r#"
        event Normal FailedBinding: no persistent volumes available for this claim and no storage class is set
    "#]]);
}

#[test]
fn a_claim_whose_volume_is_gone_has_lost_its_data() {
    let (volume, claim) = fixtures::bound(fixtures::volume("v1", "1Gi"), claim());
    case(claim.clone()).check(expect![[r#"
        status PersistentVolumeClaim default/data -accessModes -capacity phase=Lost
        event Warning ClaimLost: Bound claim has lost its PersistentVolume. Data on the volume is lost!
    "#]]);
    let stolen = fixtures::for_claim(volume, &fixtures::claim("other", None));
    case(claim).volume(stolen).check(expect![[r#"
        status PersistentVolumeClaim default/data -accessModes -capacity phase=Lost
        event Warning ClaimMisbound: Two claims are bound to the same volume, this one is bound incorrectly
    "#]]);
}

#[test]
fn a_claim_that_is_being_deleted_uses_no_volume_up() {
    case(fixtures::deleting(claim())).volume(fixtures::volume("v1", "1Gi")).check(expect![[""]]);
}
