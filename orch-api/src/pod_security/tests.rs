use super::*;
use serde_json::{Value, json};

fn check(level: Level, version: Version, spec: Value, expected: &str) {
    let pod = json!({"spec": spec});
    let found = violations(LevelVersion { level, version }, &Subject::of(&pod));
    assert_eq!(sentence(&found).unwrap_or_default(), expected, "{pod}");
}

fn baseline(spec: Value, expected: &str) {
    check(Level::Baseline, Version::Latest, spec, expected);
}

fn container(security: Value) -> Value {
    json!({"containers": [{"name": "a", "securityContext": security}]})
}

#[test]
fn a_plain_pod_is_baseline_and_far_from_restricted() {
    let plain = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    check(Level::Privileged, Version::Latest, plain.clone(), "");
    baseline(plain.clone(), "");
    check(
        Level::Restricted,
        Version::Latest,
        plain,
        "allowPrivilegeEscalation != false (containers \"a\", \"b\" must set securityContext.allowPrivilegeEscalation=false), \
         unrestricted capabilities (containers \"a\", \"b\" must set securityContext.capabilities.drop=[\"ALL\"]), \
         runAsNonRoot != true (pod or containers \"a\", \"b\" must set securityContext.runAsNonRoot=true), \
         seccompProfile (pod or containers \"a\", \"b\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" \
         or \"Localhost\")",
    );
}

#[test]
fn a_hardened_pod_is_restricted() {
    let hardened = json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "v", "emptyDir": {}}],
        "containers": [{"name": "a", "securityContext": {"allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}]});
    check(Level::Restricted, Version::Latest, hardened, "");
}

#[test]
fn baseline_forbids_what_leads_out_of_the_container() {
    baseline(
        json!({"hostNetwork": true, "hostPID": true, "containers": []}),
        "host namespaces (hostNetwork=true, hostPID=true)",
    );
    baseline(
        container(json!({"privileged": true})),
        "privileged (container \"a\" must not set securityContext.privileged=true)",
    );
    baseline(
        container(json!({"capabilities": {"add": ["SYS_ADMIN", "CHOWN", "NET_RAW"]}})),
        "non-default capabilities (container \"a\" must not include \"NET_RAW\", \"SYS_ADMIN\" in \
         securityContext.capabilities.add)",
    );
    baseline(
        json!({"containers": [], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
        "hostPath volumes (volume \"v\")",
    );
    baseline(
        json!({"containers": [{"name": "a", "ports": [{"hostPort": 80}, {"hostPort": 8080}]}]}),
        "hostPort (container \"a\" uses hostPorts 80, 8080)",
    );
    baseline(
        json!({"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "10.0.0.1"}}}]}),
        "probe or lifecycle host (container \"a\" uses probe or lifecycle host \"10.0.0.1\")",
    );
    baseline(
        container(json!({"procMount": "Unmasked"})),
        "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")",
    );
    baseline(
        container(json!({"seLinuxOptions": {"type": "spc_t", "user": "u"}})),
        "seLinuxOptions (container \"a\" set forbidden securityContext.seLinuxOptions: type \"spc_t\"; user may not be set)",
    );
    baseline(
        container(json!({"seccompProfile": {"type": "Unconfined"}})),
        "seccompProfile (container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
    );
    baseline(
        json!({"containers": [], "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem"}, {"name": "kernel.x"}]}}),
        "forbidden sysctls (kernel.x)",
    );
    baseline(
        container(json!({"windowsOptions": {"hostProcess": true}})),
        "hostProcess (container \"a\" must not set securityContext.windowsOptions.hostProcess=true)",
    );
    baseline(
        container(json!({"appArmorProfile": {"type": "Unconfined"}})),
        "forbidden AppArmor profile (container \"a\" must not set AppArmor profile type to \"Unconfined\")",
    );
}

#[test]
fn a_check_reads_as_it_did_in_the_version_that_is_asked_for() {
    let sysctl = json!({"containers": [], "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}});
    check(Level::Baseline, Version::Minor(31), sysctl.clone(), "forbidden sysctls (net.ipv4.tcp_rmem)");
    check(Level::Baseline, Version::Minor(32), sysctl, "");
    let probe = json!({"containers": [{"name": "a", "startupProbe": {"tcpSocket": {"host": "h"}}}]});
    check(Level::Baseline, Version::Minor(33), probe, "");
    let windows = json!({"os": {"name": "windows"}, "securityContext": {"runAsNonRoot": true},
        "containers": [{"name": "a"}]});
    check(Level::Restricted, Version::Latest, windows, "");
    let future = container(json!({"privileged": true}));
    let words = "privileged (container \"a\" must not set securityContext.privileged=true)";
    check(Level::Baseline, Version::Minor(99), future, words);
}

#[test]
fn users_of_the_pods_own_may_be_root() {
    let mut pod = container(json!({"procMount": "Unmasked"}));
    pod["hostUsers"] = false.into();
    baseline(pod.clone(), "");
    pod["securityContext"] = json!({"runAsUser": 0, "runAsNonRoot": false, "seccompProfile": {"type": "Localhost"}});
    pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = false.into();
    pod["containers"][0]["securityContext"]["capabilities"] = json!({"drop": ["ALL"]});
    let words = "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")";
    check(Level::Restricted, Version::Latest, pod, words);
}

#[test]
fn restricted_checks_stand_for_the_baseline_ones_that_they_sharpen() {
    let volumes = json!({"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [], "volumes": [{"name": "h", "hostPath": {}}, {"name": "n", "nfs": {}}, {"name": "s", "secret": {}}]});
    check(
        Level::Restricted,
        Version::Latest,
        volumes,
        "restricted volume types (volumes \"h\", \"n\" use restricted volume types \"hostPath\", \"nfs\")",
    );
}

fn policy(labels: &[(&str, &str)]) -> (String, Vec<String>) {
    let find = |name: &str| {
        let short = name.strip_prefix("pod-security.kubernetes.io/").unwrap_or(name);
        labels.iter().find(|(key, _)| *key == short).map(|(_, value)| *value)
    };
    let (policy, errors) = Policy::of(find);
    let shown = format!("{} {} {}", policy.enforce, policy.audit, policy.warn);
    (shown, errors.iter().map(ToString::to_string).collect())
}

#[test]
fn labels_say_what_a_namespace_asks_for() {
    let check = |labels: &[(&str, &str)], expected: &str| assert_eq!(policy(labels).0, expected);
    check(&[], "privileged:latest privileged:latest privileged:latest");
    check(&[("enforce", "baseline")], "baseline:latest privileged:latest baseline:latest");
    check(
        &[("enforce", "restricted"), ("enforce-version", "v1.25"), ("warn", "baseline")],
        "restricted:v1.25 privileged:latest baseline:latest",
    );
    check(&[("enforce", "baseline"), ("enforce-version", "v1.25")], "baseline:v1.25 privileged:latest baseline:v1.25");
}

#[test]
fn labels_that_cannot_be_read_enforce_the_strictest() {
    let (shown, errors) = policy(&[("enforce", "lax"), ("audit", "x"), ("warn-version", "v1.01")]);
    assert_eq!(shown, "restricted:latest privileged:latest privileged:latest");
    assert_eq!(errors.len(), 3);
    let words = "metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"lax\": must be one of privileged, \
                 baseline, restricted";
    assert_eq!(errors[0], words);
}
