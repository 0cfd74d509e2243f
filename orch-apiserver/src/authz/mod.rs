//! Whether they may: [`Attributes`] of a request go into an [`Authorizer`], a [`Decision`] comes out.
//!
//! ```text
//! Union ─► Masters ─► Node (kubelets, by what their pods mention) ─► Rbac (roles and bindings)
//! ```
//!
//! The authorizers are synchronous indexes. Whoever watches roles, bindings and pods feeds them.

mod attributes;
mod bootstrap;
mod escalation;
mod node;
mod rbac;
mod rule;
mod rules_review;
#[cfg(test)]
mod tests;

pub use attributes::Attributes;
pub use bootstrap::bootstrap_objects;
pub use escalation::{Denied as EscalationDenied, confirm_no_escalation};
pub use node::NodeAuthorizer;
pub use rbac::Rbac;
pub use rule::Rule;
pub use rules_review::{Rules, rules_status};

use crate::authn::User;
use std::{borrow::Cow, sync::Arc};

/// What an authorizer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may go on.
    pub verdict: Verdict,
    /// Why, for audit and for the message of a refusal; may be empty.
    pub reason: Cow<'static, str>,
}

/// The answer of one authorizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request is allowed, whatever others think.
    Allow,
    /// The request is refused, whatever others think.
    Deny,
    /// Ask the next one; a request that nobody allows is refused.
    NoOpinion,
}

impl Decision {
    /// The request is allowed.
    pub fn allow(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { verdict: Verdict::Allow, reason: reason.into() }
    }

    /// The request is not allowed by this authorizer.
    pub fn no_opinion(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { verdict: Verdict::NoOpinion, reason: reason.into() }
    }

    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }
}

/// Decides whether a request may be made.
///
/// # Laws
///
/// Answers from memory and never blocks. Holds no lock while it returns.
pub trait Authorizer: Send + Sync + 'static {
    /// Decides about one request.
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision;

    /// Everything that the user may do in the namespace, as far as this authorizer can list it.
    fn rules(&self, user: &User, namespace: &str) -> Rules;
}

/// Asks authorizers in order; the first that allows or denies decides.
pub struct Union(Vec<Arc<dyn Authorizer>>);

impl Union {
    /// The authorizers in the order in which they are asked.
    pub fn new(authorizers: Vec<Arc<dyn Authorizer>>) -> Self {
        Self(authorizers)
    }
}

impl Authorizer for Union {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let mut reasons: Vec<Cow<'static, str>> = Vec::new();
        for authorizer in &self.0 {
            let decision = authorizer.authorize(attributes);
            if decision.verdict != Verdict::NoOpinion {
                return decision;
            }
            if !decision.reason.is_empty() {
                reasons.push(decision.reason);
            }
        }
        Decision::no_opinion(reasons.join("\n"))
    }

    fn rules(&self, user: &User, namespace: &str) -> Rules {
        self.0.iter().map(|a| a.rules(user, namespace)).fold(Rules::default(), Rules::and)
    }
}

/// Allows everything to `system:masters`.
pub struct Masters;

impl Authorizer for Masters {
    fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.user.in_group(User::MASTERS) { Decision::allow("") } else { Decision::no_opinion("") }
    }

    fn rules(&self, user: &User, _: &str) -> Rules {
        if user.in_group(User::MASTERS) { Rules::everything() } else { Rules::default() }
    }
}

/// Allows everything to everybody: for tests and for embedding without identities.
pub struct AlwaysAllow;

impl Authorizer for AlwaysAllow {
    fn authorize(&self, _: &Attributes<'_>) -> Decision {
        Decision::allow("")
    }

    fn rules(&self, _: &User, _: &str) -> Rules {
        Rules::everything()
    }
}
