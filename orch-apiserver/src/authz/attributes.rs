//! [`Attributes`]: what an authorizer sees of a request.

use crate::authn::User;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusDetails;
use orch_api::{Reason, StatusError};

/// What an authorizer sees of a request. Empty strings stand for what the request does not have.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// Who asks.
    pub user: &'a User,
    /// The API verb (`list`) or, for a path that is no resource, the HTTP method in lower case.
    pub verb: &'a str,
    /// API group; empty for the core group.
    pub group: &'a str,
    /// API version.
    pub version: &'a str,
    /// Plural resource; empty when the request is about a path.
    pub resource: &'a str,
    /// Subresource.
    pub subresource: &'a str,
    /// Name of the object; empty for collections and creates.
    pub name: &'a str,
    /// Namespace; empty for cluster-scoped resources and for all namespaces.
    pub namespace: &'a str,
    /// The field selector of a list, watch or deletecollection, as it came.
    pub fields: &'a str,
    /// The URL's path.
    pub path: &'a str,
}

impl<'a> Attributes<'a> {
    /// A request about a path that is no resource.
    pub fn path(user: &'a User, verb: &'a str, path: &'a str) -> Self {
        let none = "";
        let (group, version, resource, subresource) = (none, none, none, none);
        Self { user, verb, group, version, resource, subresource, name: none, namespace: none, fields: none, path }
    }

    /// A request about a resource.
    pub fn resource(user: &'a User, verb: &'a str, group: &'a str, resource: &'a str) -> Self {
        Self { group, resource, ..Self::path(user, verb, "") }
    }

    /// The same in a namespace.
    #[must_use]
    pub fn within(self, namespace: &'a str) -> Self {
        Self { namespace, ..self }
    }

    /// The same about one object.
    #[must_use]
    pub fn named(self, name: &'a str) -> Self {
        Self { name, ..self }
    }

    /// The same about a subresource.
    #[must_use]
    #[allow(clippy::should_implement_trait)] // Nothing is subtracted here.
    pub fn sub(self, subresource: &'a str) -> Self {
        Self { subresource, ..self }
    }

    /// Whether the field selector demands that `field` has this value.
    pub fn selects_field(&self, field: &str, value: &str) -> bool {
        self.fields
            .split(',')
            .filter_map(|part| part.split_once('='))
            .any(|(name, wanted)| name == field && wanted.strip_prefix('=').unwrap_or(wanted) == value)
    }

    /// Whether the request is about a resource rather than a path.
    pub fn is_resource(&self) -> bool {
        !self.resource.is_empty()
    }

    /// Whether the request only reads.
    pub fn is_read(&self) -> bool {
        matches!(self.verb, "get" | "list" | "watch")
    }

    /// The refusal: `pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the
    /// namespace "default"`, with the authorizer's reason behind it.
    pub fn forbidden(&self, reason: &str) -> StatusError {
        let why = self.refusal(reason);
        let of = match self.group {
            "" => self.resource.to_owned(),
            group => format!("{}.{group}", self.resource),
        };
        let message = match (self.resource, self.name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{of} is forbidden: {why}"),
            (_, name) => format!("{of} {name:?} is forbidden: {why}"),
        };
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        StatusError::new(Reason::Forbidden, message).with_details(StatusDetails {
            group: some(self.group),
            kind: some(self.resource),
            name: some(self.name),
            ..StatusDetails::default()
        })
    }

    /// The words of a refusal after `forbidden: `.
    pub fn refusal(&self, reason: &str) -> String {
        let Self { user, verb, group, resource, subresource, namespace, path, .. } = self;
        let name = &user.name;
        let mut words = if !self.is_resource() {
            format!("User {name:?} cannot {verb} path {path:?}")
        } else {
            let what =
                if subresource.is_empty() { (*resource).to_owned() } else { format!("{resource}/{subresource}") };
            let place = match *namespace {
                "" => "at the cluster scope".to_owned(),
                namespace => format!("in the namespace {namespace:?}"),
            };
            format!("User {name:?} cannot {verb} resource {what:?} in API group {group:?} {place}")
        };
        if !reason.is_empty() {
            words.push_str(": ");
            words.push_str(reason);
        }
        words
    }
}
