//! What a service is told of its slices.

use super::{World, endpoints, hints};
use crate::common::facts::PodFacts;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use orch_api::{Key, Object};
use orch_runtime::{Plan, plan::Notice, view::Known};

/// Says when hints begin, and why there are none.
pub(super) fn tell_of_hints(
    service: &Service,
    family: &str,
    slices: &[&EndpointSlice],
    given: Result<(), String>,
    plan: &mut Plan,
) {
    match given {
        Ok(()) if !hints::are_there(slices) => {
            let words = format!("Topology Aware Hints has been enabled, addressType: {family}");
            plan.event(Notice::normal(service, "TopologyAwareHintsEnabled", words));
        }
        Ok(()) => {}
        Err(why) => disabled(service, family, &why, plan),
    }
}

/// Says that hints end with the annotation that asked for them.
pub(super) fn tell_of_the_end_of_hints(world: &World, families: &[&str], plan: &mut Plan) {
    let ends = world.shares.is_none() && world.was_hinted;
    let hinted = |family: &&&str| ends && hints::are_there(&world.of_family(family));
    if let Some(family) = families.iter().find(hinted) {
        disabled(&world.service, family, "Topology Aware Hints has been disabled", plan);
    }
}

fn disabled(service: &Service, family: &str, why: &str, plan: &mut Plan) {
    plan.event(Notice::warning(service, "TopologyAwareHintsDisabled", format!("{why}, addressType: {family}")));
}

/// Says of which pods there are no endpoints although they have addresses, since their nodes are gone.
pub(super) fn tell_of_lost_pods(world: &World, plan: &mut Plan) {
    let Key { namespace, name } = world.service.key();
    let skipped = |pod: &Known<PodFacts>| {
        let (pod, node) = (&pod.stored.key.name, &pod.facts.node);
        format!("skipping Pod {pod} for Service {namespace}/{name}: Node {node} Not Found")
    };
    let lost: Vec<String> = endpoints::of_lost_nodes(world).map(skipped).collect();
    let why = match lost.as_slice() {
        [] => return,
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let words = format!("Error updating Endpoint Slices for Service {namespace}/{name}: {why}");
    plan.event(Notice::warning(&*world.service, "FailedToUpdateEndpointSlices", words));
}
