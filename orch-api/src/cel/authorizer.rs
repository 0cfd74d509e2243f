//! The `authorizer` variable: `authorizer.group('apps').resource('deployments').check('create').allowed()`
//! (`apiserver/pkg/cel/library/authz.go`).

use std::{fmt, sync::Arc};

/// Decides about what an expression asks for.
pub trait Authorize: Send + Sync {
    /// Whether the user may; the reason in either case. `user` is `None` for the user of the request, or the
    /// namespace and name of a service account.
    fn authorize(&self, question: &Question) -> Decision;
}

/// What is asked.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Namespace and name of the service account to ask for; the user of the request where there is none.
    pub service_account: Option<(String, String)>,
    /// The verb.
    pub verb: String,
    /// A path that is no resource; empty for resources.
    pub path: String,
    /// API group.
    pub group: String,
    /// Resource.
    pub resource: String,
    /// Subresource.
    pub subresource: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Field selector.
    pub field_selector: String,
    /// Label selector.
    pub label_selector: String,
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// Why.
    pub reason: String,
    /// What went wrong, empty where nothing did.
    pub error: String,
}

/// A step on the way to a decision.
#[derive(Clone)]
pub enum Check {
    /// `authorizer`
    Authorizer(Arc<dyn Authorize>, Question),
    /// `authorizer.path(…)`
    Path(Arc<dyn Authorize>, Question),
    /// `authorizer.group(…)`
    Group(Arc<dyn Authorize>, Question),
    /// `authorizer.group(…).resource(…)`
    Resource(Arc<dyn Authorize>, Question),
    /// `….check(…)`
    Decision(Decision),
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.type_name())
    }
}

impl Check {
    /// The name of the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Authorizer(..) => "kubernetes.authorization.Authorizer",
            Self::Path(..) => "kubernetes.authorization.PathCheck",
            Self::Group(..) => "kubernetes.authorization.GroupCheck",
            Self::Resource(..) => "kubernetes.authorization.ResourceCheck",
            Self::Decision(_) => "kubernetes.authorization.Decision",
        }
    }

    /// The next step; `None` where there is no such method.
    pub(super) fn then(&self, method: &str, args: &[&str]) -> Option<Self> {
        let first = args.first().map(|a| (*a).to_owned()).unwrap_or_default();
        let question = |q: &Question, set: &dyn Fn(&mut Question)| {
            let mut q = q.clone();
            set(&mut q);
            q
        };
        Some(match (self, method) {
            (Self::Authorizer(a, q), "path") => Self::Path(a.clone(), question(q, &|q| q.path.clone_from(&first))),
            (Self::Authorizer(a, q), "group") => Self::Group(a.clone(), question(q, &|q| q.group.clone_from(&first))),
            (Self::Authorizer(a, q), "serviceAccount") => {
                let name = args.get(1).map(|n| (*n).to_owned()).unwrap_or_default();
                let account = Some((first.clone(), name));
                Self::Authorizer(a.clone(), question(q, &|q| q.service_account.clone_from(&account)))
            }
            (Self::Group(a, q), "resource") => {
                Self::Resource(a.clone(), question(q, &|q| q.resource.clone_from(&first)))
            }
            (Self::Resource(a, q), part) if part != "check" => {
                let mut q = q.clone();
                let slot = match part {
                    "subresource" => &mut q.subresource,
                    "namespace" => &mut q.namespace,
                    "name" => &mut q.name,
                    "fieldSelector" => &mut q.field_selector,
                    "labelSelector" => &mut q.label_selector,
                    _ => return None,
                };
                *slot = first;
                Self::Resource(a.clone(), q)
            }
            (Self::Resource(a, q) | Self::Path(a, q), "check") => {
                Self::Decision(a.authorize(&question(q, &|q| q.verb.clone_from(&first))))
            }
            _ => return None,
        })
    }
}
