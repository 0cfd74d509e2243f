//! Names: of an object ([`Key`]), of a resource ([`Gvr`]) and of a kind ([`Gvk`]).

use std::{borrow::Cow, fmt, sync::Arc};

/// Namespace and name of an object. The namespace of a cluster-scoped object is empty.
/// Cheap to clone: both parts are shared.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace, or the empty string for a cluster-scoped object.
    pub namespace: Arc<str>,
    /// The name, unique in the namespace for its resource.
    pub name: Arc<str>,
}

impl Key {
    /// The key of a namespaced object.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of a cluster-scoped object.
    pub fn cluster(name: impl Into<Arc<str>>) -> Self {
        Self { namespace: Arc::from(""), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A static or owned name. Built-in kinds cost no allocation, custom kinds own theirs.
pub type Name = Cow<'static, str>;

/// Group, version and resource (the lower-case plural): what a REST path names.
/// The core group is the empty string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvr {
    /// API group; empty for the core group.
    pub group: Name,
    /// API version, such as `v1`.
    pub version: Name,
    /// Lower-case plural, such as `pods`.
    pub resource: Name,
}

impl Gvr {
    /// A name made of static parts, usable in constants.
    pub const fn of(group: &'static str, version: &'static str, resource: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version), resource: Cow::Borrowed(resource) }
    }

    /// `apps/v1` or, in the core group, `v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// `deployments.apps` or, in the core group, `pods`: how errors and RBAC name the resource.
    pub fn group_resource(&self) -> String {
        match &*self.group {
            "" => self.resource.to_string(),
            group => format!("{}.{group}", self.resource),
        }
    }
}

/// Group, version and kind: what an object says of itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gvk {
    /// API group; empty for the core group.
    pub group: Name,
    /// API version, such as `v1`.
    pub version: Name,
    /// CamelCase singular, such as `Pod`.
    pub kind: Name,
}

impl Gvk {
    /// A name made of static parts, usable in constants.
    pub const fn of(group: &'static str, version: &'static str, kind: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version), kind: Cow::Borrowed(kind) }
    }

    /// Splits an `apiVersion` such as `apps/v1` and joins it with a kind.
    pub fn parse(api_version: &str, kind: &str) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { group: Cow::Owned(group.into()), version: Cow::Owned(version.into()), kind: Cow::Owned(kind.into()) }
    }

    /// `apps/v1` or, in the core group, `v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }
}

fn api_version(group: &str, version: &str) -> String {
    match group {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    }
}
