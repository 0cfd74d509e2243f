//! explain, api-resources, api-versions, version.

use crate::{cluster::simulated, run::with_each};

/// [sig-cli] Kubectl client Kubectl api-versions should check if v1 is in available api versions [Conformance]
/// [sig-cli] Kubectl client Kubectl cluster-info should check if Kubernetes control plane services is included in cluster-info [Conformance]
/// [sig-cli] Kubectl client Kubectl version should check is all data is printed [Conformance]
#[test]
fn types_are_listed() {
    with_each(simulated, "types", |k| {
        k.run("api-resources --api-group=apps")
            .has_row(&["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"])
            .has_row(&["deployments", "deploy", "apps/v1", "true", "Deployment"]);
        k.run("api-resources --namespaced=false -o name").contains("nodes\n").contains("namespaces\n").lacks("pods");
        k.run("api-resources --verbs=evict").lacks("pods");
        k.run("api-resources -o wide").contains("create,delete,deletecollection,get,list,patch,update,watch");
        k.run("api-resources --categories=all -o name").contains("deployments.apps").lacks("configmaps");
        k.run("api-resources --cached=sometimes").fails("invalid argument");
        k.run("api-versions").contains("rbac.authorization.k8s.io/v1").contains("\nv1\n");
        k.run("version").contains("Client Version: v1.").contains("Server Version: v1.37.");
        k.run("cluster-info").contains("Kubernetes control plane").contains("is running at");
        k.run("get --raw /readyz").prints("ok");
        k.run("get nothing").fails("the server doesn't have a resource type \"nothing\"");
    });
}

#[test]
fn types_are_explained() {
    with_each(simulated, "explain", |k| {
        k.run("explain deploy")
            .contains("GROUP:      apps")
            .contains("KIND:       Deployment")
            .contains("spec\t<DeploymentSpec>");
        k.run("explain pod.spec.containers")
            .contains("FIELD: containers <[]Container>")
            .contains("image\t<string>")
            .contains("name\t<string> -required-");
        k.run("explain svc --recursive").contains("  spec\t<ServiceSpec>\n").contains("    clusterIP\t<string>\n");
        k.run("explain deploy --api-version=apps/v1").contains("VERSION:    v1");
        k.run("explain pod.spec.nothing").fails("field \"nothing\" does not exist");
        k.run("explain nothing").fails("the server doesn't have a resource type \"nothing\"");
    });
}
