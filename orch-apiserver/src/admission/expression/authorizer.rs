//! The `authorizer` of expressions: may the user of the request do something else as well?

use crate::{
    authn::User,
    authz::{Attributes, Authorizer},
};
use orch_api::cel::{Authorize, Decision, Question};
use std::sync::Arc;

/// Asks the server's authorizer on behalf of a user.
pub(super) struct OnBehalf {
    pub(super) authorizer: Arc<dyn Authorizer>,
    pub(super) user: Arc<User>,
}

impl Authorize for OnBehalf {
    fn authorize(&self, question: &Question) -> Decision {
        let account;
        let user = match &question.service_account {
            None => &*self.user,
            Some((namespace, name)) => {
                account = service_account(namespace, name);
                &account
            }
        };
        if user.in_group(User::MASTERS) {
            return Decision { allowed: true, ..Decision::default() };
        }
        let attributes = match &*question.path {
            "" => Attributes {
                subresource: &question.subresource,
                fields: &question.field_selector,
                ..Attributes::resource(user, &question.verb, &question.group, &question.resource)
                    .within(&question.namespace)
                    .named(&question.name)
            },
            path => Attributes::path(user, &question.verb, path),
        };
        let decision = self.authorizer.authorize(&attributes);
        Decision { allowed: decision.is_allowed(), reason: decision.reason.into_owned(), error: String::new() }
    }
}

fn service_account(namespace: &str, name: &str) -> User {
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ];
    User { name: format!("system:serviceaccount:{namespace}:{name}"), groups: groups.into(), ..User::default() }
}
