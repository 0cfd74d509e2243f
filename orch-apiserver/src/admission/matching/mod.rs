//! Which writes a webhook or a policy is asked about: rules, selectors and match policy
//! (`apiserver/pkg/admission/plugin/webhook/predicates`, `plugin/policy/matching`).

mod criteria;
mod rule;

pub(crate) use criteria::Criteria;

use super::Review;

const GROUP: &str = "admissionregistration.k8s.io";
const EXEMPT: [&str; 6] = [
    "validatingwebhookconfigurations",
    "mutatingwebhookconfigurations",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
];

/// Whether a write is about what configures admission: nobody is asked about that, so that a broken webhook can be
/// taken away.
pub(crate) fn is_exempt(review: &Review<'_>) -> bool {
    review.call.kind.group == GROUP && EXEMPT.contains(&&*review.call.kind.plural)
}
