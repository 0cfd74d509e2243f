//! Role bindings (`pkg/apis/rbac/v1/defaults.go`).

use crate::value::{Object, each, ensure, fill_text, text};

const GROUP: &str = "rbac.authorization.k8s.io";

/// RoleBinding and ClusterRoleBinding.
pub(super) fn binding(object: &mut Object) {
    if let Some(role) = ensure(object, "roleRef") {
        fill_text(role, "apiGroup", GROUP);
    }
    for subject in each(object, "subjects") {
        if matches!(text(subject, "kind"), "User" | "Group") {
            fill_text(subject, "apiGroup", GROUP);
        }
    }
}
