//! Nobody grants what he does not have (`pkg/registry/rbac/validation`, `escalation_check.go`).

use super::{Attributes, Authorizer, Rule};
use crate::authn::User;
use std::{collections::BTreeSet, fmt};

/// The rights that a grant would give beyond those of its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    user: String,
    groups: Vec<String>,
    missing: Vec<Rule>,
}

/// Checks that `user` holds all of `granted` in `namespace` (empty for the whole cluster), or may exceed
/// his rights: by the verb `escalate` on the role when he writes a role, by `bind` when he binds one.
/// `exempt` is that request; it is asked first.
///
/// # Errors
///
/// The missing rights, in words for a 403.
pub fn confirm_no_escalation(
    authorizer: &dyn Authorizer,
    user: &User,
    namespace: &str,
    granted: &[Rule],
    exempt: Option<&Attributes<'_>>,
) -> Result<(), Denied> {
    if user.in_group(User::MASTERS) || exempt.is_some_and(|a| authorizer.authorize(a).is_allowed()) {
        return Ok(());
    }
    let held = authorizer.rules(user, namespace).rules;
    let missing: Vec<Rule> =
        granted.iter().flat_map(Rule::split).filter(|part| !held.iter().any(|rule| rule.covers(part))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Denied { user: user.name.clone(), groups: user.groups.clone(), missing: compact(missing) })
}

/// Joins rules that differ in their verb alone.
fn compact(rules: Vec<Rule>) -> Vec<Rule> {
    let mut out: Vec<Rule> = Vec::new();
    for rule in rules {
        let same = |other: &&mut Rule| {
            Rule { verbs: Vec::new(), ..(**other).clone() } == Rule { verbs: Vec::new(), ..rule.clone() }
        };
        match out.iter_mut().find(same) {
            Some(known) => known.verbs.extend(rule.verbs),
            None => out.push(rule),
        }
    }
    out
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<String> = self.groups.iter().map(|g| format!("{g:?}")).collect();
        let lines: BTreeSet<String> = self.missing.iter().map(Rule::compact).collect();
        write!(
            f,
            "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
            self.user,
            groups.join(" "),
            lines.into_iter().collect::<Vec<_>>().join("\n")
        )
    }
}

impl std::error::Error for Denied {}
