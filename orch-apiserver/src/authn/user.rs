//! [`User`]: the identity that a request acts as.

use std::collections::BTreeMap;

/// Groups and names that the system itself gives out (`apiserver/pkg/authentication/user`).
impl User {
    /// The name of requests without credentials.
    pub const ANONYMOUS: &str = "system:anonymous";
    /// The group of requests without credentials.
    pub const UNAUTHENTICATED: &str = "system:unauthenticated";
    /// The group of requests with accepted credentials.
    pub const AUTHENTICATED: &str = "system:authenticated";
    /// The group that may do everything.
    pub const MASTERS: &str = "system:masters";
    /// The group of kubelets.
    pub const NODES: &str = "system:nodes";
    /// The group of all service accounts.
    pub const SERVICE_ACCOUNTS: &str = "system:serviceaccounts";
}

/// The identity that a request acts as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Unique name, such as `jane` or `system:serviceaccount:default:builder`.
    pub name: String,
    /// Unique across time, empty when the authenticator knows none.
    pub uid: String,
    /// Groups that the user is in.
    pub groups: Vec<String>,
    /// Whatever else the authenticator says of the user.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A user with accepted credentials, in these groups and in `system:authenticated`.
    pub fn authenticated<G: Into<String>>(name: impl Into<String>, groups: impl IntoIterator<Item = G>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        if !groups.iter().any(|g| g == Self::AUTHENTICATED) {
            groups.push(Self::AUTHENTICATED.into());
        }
        Self { name: name.into(), groups, ..Self::default() }
    }

    /// A request without credentials.
    pub fn anonymous() -> Self {
        Self { name: Self::ANONYMOUS.into(), groups: vec![Self::UNAUTHENTICATED.into()], ..Self::default() }
    }

    /// The server's own components in this process.
    pub fn system(component: &str) -> Self {
        Self::authenticated(format!("system:{component}"), [Self::MASTERS])
    }

    /// A service account, in the groups of all accounts and of its namespace's accounts.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let groups = [Self::SERVICE_ACCOUNTS.to_owned(), format!("{}:{namespace}", Self::SERVICE_ACCOUNTS)];
        Self::authenticated(format!("system:serviceaccount:{namespace}:{name}"), groups)
    }

    /// Whether the user is in the group.
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// The node that this user is the kubelet of.
    pub fn node_name(&self) -> Option<&str> {
        self.name.strip_prefix("system:node:").filter(|name| !name.is_empty() && self.in_group(Self::NODES))
    }

    /// Namespace and name of the service account that this user is.
    pub fn as_service_account(&self) -> Option<(&str, &str)> {
        self.name.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}
