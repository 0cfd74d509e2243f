"""What a program does with the official client: KUBECONFIG NAMESPACE. Prints `done` when all of it worked."""

import sys

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import stream

NAME = "web"
IMAGE = "orch.local/toolbox:latest"
COMMAND = ["sh", "-c", "echo begun; exec sleep 600"]


def deployment():
    labels = {"app": NAME}
    container = client.V1Container(name="main", image=IMAGE, command=COMMAND)
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels=labels), spec=client.V1PodSpec(containers=[container])
    )
    spec = client.V1DeploymentSpec(replicas=1, selector=client.V1LabelSelector(match_labels=labels), template=template)
    return client.V1Deployment(metadata=client.V1ObjectMeta(name=NAME), spec=spec)


def wait_for(method, namespace, test, **options):
    """Watches until an object passes the test; that object."""
    events = watch.Watch()
    for event in events.stream(method, namespace, timeout_seconds=60, **options):
        if test(event):
            events.stop()
            return event["object"]
    raise AssertionError("the awaited event never came")


def refusal(call):
    try:
        call()
    except ApiException as error:
        return error.status, error.reason
    raise AssertionError("it should have been refused")


def main(kubeconfig, namespace):
    config.load_kube_config(kubeconfig)
    apps, core = client.AppsV1Api(), client.CoreV1Api()

    created = apps.create_namespaced_deployment(namespace, deployment())
    assert created.metadata.uid and created.spec.strategy.type == "RollingUpdate", created
    assert refusal(lambda: apps.create_namespaced_deployment(namespace, deployment())) == (409, "Conflict")

    def ready(event):
        return event["object"].status.ready_replicas == event["object"].spec.replicas

    version = created.metadata.resource_version
    wait_for(apps.list_namespaced_deployment, namespace, ready, resource_version=version)
    listed = apps.list_namespaced_deployment(namespace, label_selector="", limit=1)
    assert [item.metadata.name for item in listed.items] == [NAME], listed

    pod = core.list_namespaced_pod(namespace, label_selector=f"app={NAME}").items[0].metadata.name
    assert core.read_namespaced_pod_log(pod, namespace) == "begun\n"
    answer = stream(
        core.connect_get_namespaced_pod_exec, pod, namespace, command=["sh", "-c", "echo $((40 + 2)); echo no >&2"],
        stdin=False, stdout=True, stderr=True, tty=False,
    )
    assert answer.split() in (["42", "no"], ["no", "42"]), answer
    talk = stream(
        core.connect_get_namespaced_pod_exec, pod, namespace, command=["sh"],
        stdin=True, stdout=True, stderr=True, tty=False, _preload_content=False,
    )
    talk.write_stdin("echo one; exit 3\n")
    talk.run_forever(timeout=30)
    assert (talk.read_stdout(), talk.returncode) == ("one\n", 3)

    patched = apps.patch_namespaced_deployment(NAME, namespace, {"spec": {"replicas": 2}})
    assert patched.spec.replicas == 2
    wait_for(apps.list_namespaced_deployment, namespace, ready)
    scale = apps.read_namespaced_deployment_scale(NAME, namespace)
    scale.spec.replicas = 1
    apps.replace_namespaced_deployment_scale(NAME, namespace, scale)
    stale = created
    stale.spec.replicas = 9
    assert refusal(lambda: apps.replace_namespaced_deployment(NAME, namespace, stale)) == (409, "Conflict")

    apps.delete_namespaced_deployment(NAME, namespace, propagation_policy="Foreground", grace_period_seconds=0)
    remaining = apps.list_namespaced_deployment(namespace)
    if remaining.items:
        version = remaining.metadata.resource_version
        gone = lambda event: event["type"] == "DELETED"
        wait_for(apps.list_namespaced_deployment, namespace, gone, resource_version=version)
    assert refusal(lambda: apps.read_namespaced_deployment(NAME, namespace)) == (404, "Not Found")
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
