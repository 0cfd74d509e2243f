//! May they? Turns a call into the attributes that authorizers see.

use super::{Call, Core, Verb};
use crate::{authn::User, authz::Attributes};
use orch_api::StatusError;

impl Core {
    /// Refuses a call that nobody allows.
    pub(crate) fn authorize(&self, call: &Call, verb: Verb) -> Result<(), StatusError> {
        let attributes = Attributes {
            user: &call.user,
            verb: verb.as_str(),
            group: &call.kind.group,
            version: &call.kind.version,
            resource: &call.kind.plural,
            subresource: call.subresource.as_deref().unwrap_or_default(),
            name: &call.key.name,
            namespace: &call.key.namespace,
            path: "",
        };
        self.allow(&attributes)
    }

    /// Refuses what nobody allows.
    pub(crate) fn allow(&self, attributes: &Attributes<'_>) -> Result<(), StatusError> {
        if attributes.user.in_group(User::MASTERS) {
            return Ok(());
        }
        let decision = self.authorizer.authorize(attributes);
        if decision.is_allowed() { Ok(()) } else { Err(attributes.forbidden(&decision.reason)) }
    }
}
