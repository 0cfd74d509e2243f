//! Asking a provisioner for a volume, and telling the user what a claim waits for.

use super::World;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use orch_runtime::{
    Plan,
    plan::Notice,
    storage::marks::{PROVISIONER, PROVISIONER_OF_OLD},
};

/// Plugins of old were part of Kubernetes and went by this prefix.
const IN_TREE: &str = "kubernetes.io/";

/// What a claim waits for that is bound for its first pod (`emitEventForUnboundDelayBindingClaim`).
pub(super) fn waits_for(world: &World) -> Notice {
    let claim = &*world.claim;
    match &world.pods[..] {
        [] => {
            let words = "waiting for first consumer to be created before binding";
            Notice::normal(claim, "WaitForFirstConsumer", words)
        }
        [pod] => Notice::normal(claim, "WaitForPodScheduled", format!("waiting for pod {pod} to be scheduled")),
        pods => {
            let words = format!("waiting for pods {} to be scheduled", pods.join(","));
            Notice::normal(claim, "WaitForPodScheduled", words)
        }
    }
}

/// Names the provisioner of the class on the claim (`provisionClaim`).
pub(super) fn ask(world: &World, plan: &mut Plan) {
    let claim = &*world.claim;
    let failed = |words: String| Notice::warning(claim, "ProvisioningFailed", words);
    let Some(class) = &world.class else {
        let words = format!("storageclass.storage.k8s.io {:?} not found", world.info.class_name());
        return plan.event(failed(words));
    };
    let provisioner = &*class.provisioner;
    if provisioner.starts_with(IN_TREE) {
        return plan.event(failed(format!("no volume plugin matched name: {provisioner}")));
    }
    plan.update(claim, &asking(claim, provisioner));
    let words = format!(
        "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the system \
         administrator. If volume creation is delayed, please verify that the provisioner is running and correctly \
         registered."
    );
    plan.event(Notice::normal(claim, "ExternalProvisioning", words));
}

fn asking(claim: &PersistentVolumeClaim, provisioner: &str) -> PersistentVolumeClaim {
    let mut new = claim.clone();
    let annotations = new.metadata.annotations.get_or_insert_default();
    for name in [PROVISIONER, PROVISIONER_OF_OLD] {
        annotations.insert(name.into(), provisioner.into());
    }
    new
}
