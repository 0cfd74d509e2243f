//! Fields that one operating system knows and the other does not (`validateOS`, `validateLinux`, `validateWindows`).

use crate::validation::at::At;

const NOT_ON_WINDOWS: &str = "cannot be set for a windows pod";

/// `os` and what it excludes.
pub(super) fn os(spec: At<'_>) {
    let os = spec.at("os");
    if !os.is_set() {
        return;
    }
    if !os.at("name").require("") {
        return;
    }
    os.at("name").one_of(&["linux", "windows"]);
    match os.at("name").str() {
        "linux" => {
            for context in contexts(spec) {
                forbid(context, &["windowsOptions"], "windows options cannot be set for a linux pod");
            }
        }
        "windows" => windows(spec),
        _ => {}
    }
}

fn windows(spec: At<'_>) {
    forbid(spec, &["hostUsers", "hostPID", "hostIPC", "shareProcessNamespace"], NOT_ON_WINDOWS);
    for context in contexts(spec) {
        let fields = [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "fsGroup",
            "fsGroupChangePolicy",
            "sysctls",
            "runAsUser",
            "runAsGroup",
            "supplementalGroups",
            "supplementalGroupsPolicy",
            "capabilities",
            "readOnlyRootFilesystem",
            "privileged",
            "allowPrivilegeEscalation",
            "procMount",
        ];
        forbid(context, &fields, NOT_ON_WINDOWS);
    }
}

/// The security contexts of the pod and of all of its containers.
fn contexts(spec: At<'_>) -> Vec<At<'_>> {
    let mut all = vec![spec.at("securityContext")];
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        all.extend(spec.at(list).items().map(|c| c.at("securityContext")));
    }
    all
}

fn forbid(at: At<'_>, fields: &[&'static str], why: &str) {
    for field in fields {
        let value = at.at(field);
        let is_false_host = field.starts_with("host") && *field != "hostUsers" && !value.flag();
        if value.is_set() && !is_false_host {
            value.forbidden(why);
        }
    }
}
