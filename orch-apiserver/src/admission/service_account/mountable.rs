//! `kubernetes.io/enforce-mountable-secrets`: pods of such an account see no secrets but those that it names. Deprecated, and
//! still enforced (`limitSecretReferences`).

use super::{Account, Named};
use crate::core::json;
use serde_json::Value;

const ANNOTATION: &str = "kubernetes.io/enforce-mountable-secrets";

/// Which secret the pod must not see, in upstream's words.
pub(super) fn fault(account: &Account, pod: &Value) -> Option<String> {
    if !is_enforced(account) {
        return None;
    }
    let spec = |list: &str| json::items(pod, &["spec", list]);
    let volumes = spec("volumes").iter().filter_map(|volume| volume.get("secret"));
    let volume = volumes.map(|secret| json::text(secret, &["secretName"])).find(|name| !has(&account.secrets, name));
    if let Some(name) = volume {
        return Some(refuse(account, &format!("volume with secret.secretName=\"{name}\""), "secret"));
    }
    let of = |kind: &str, list: &str| spec(list).iter().find_map(|container| of_container(account, kind, container));
    if let Some(why) = of("init container", "initContainers").or_else(|| of("container", "containers")) {
        return Some(why);
    }
    let pulls = spec("imagePullSecrets").iter().map(|secret| json::text(secret, &["name"])).enumerate();
    let (at, name) = pulls.into_iter().find(|(_, name)| !has(&account.image_pull_secrets, name))?;
    Some(refuse(account, &format!("imagePullSecrets[{at}].name=\"{name}\""), "imagePullSecret"))
}

/// The same for the ephemeral containers that a pod gets later.
pub(super) fn ephemeral_fault(account: &Account, pod: &Value) -> Option<String> {
    let containers = json::items(pod, &["spec", "ephemeralContainers"]).iter().filter(|_| is_enforced(account));
    containers.into_iter().find_map(|container| of_container(account, "ephemeral container", container))
}

fn of_container(account: &Account, kind: &str, container: &Value) -> Option<String> {
    let strange = |item: &Value, path: &[&str]| {
        let secret = json::at(item, path).map(|reference| json::text(reference, &["name"]).to_owned());
        secret.filter(|secret| !has(&account.secrets, secret))
    };
    let of_variable = |env: &Value| {
        let secret = strange(env, &["valueFrom", "secretKeyRef"])?;
        Some(format!("envVar {} referencing secret.secretName=\"{secret}\"", json::text(env, &["name"])))
    };
    let of_source = |from: &Value| {
        strange(from, &["secretRef"]).map(|secret| format!("envFrom referencing secret.secretName=\"{secret}\""))
    };
    let variable = json::items(container, &["env"]).iter().find_map(of_variable);
    let what = variable.or_else(|| json::items(container, &["envFrom"]).iter().find_map(of_source))?;
    Some(refuse(account, &format!("{kind} {} with {what}", json::text(container, &["name"])), "secret"))
}

fn refuse(account: &Account, what: &str, kind: &str) -> String {
    let name = &account.metadata.name;
    format!("{what} is not allowed because service account {name} does not reference that {kind}")
}

fn is_enforced(account: &Account) -> bool {
    account.metadata.annotations.get(ANNOTATION).is_some_and(|value| is_true(value))
}

fn has(secrets: &[Named], name: &str) -> bool {
    secrets.iter().any(|secret| secret.name == name)
}

/// `strconv.ParseBool`
fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn account(enforced: &str) -> Account {
        let object = json!({"metadata": {"name": "robot", "annotations": {ANNOTATION: enforced}},
            "secrets": [{"name": "own"}], "imagePullSecrets": [{"name": "registry"}]});
        serde_json::from_value(object).unwrap()
    }

    fn check(spec: Value, expected: &str) {
        let pod = json!({"spec": spec});
        let why = fault(&account("true"), &pod).unwrap_or_default();
        let because = " because service account robot does not reference that secret";
        assert_eq!(why.strip_suffix(because).unwrap_or(&why), expected);
        assert_eq!(fault(&account("false"), &pod), None);
    }

    #[test]
    fn a_pod_sees_the_secrets_of_its_account_alone() {
        let env = |secret: &str| json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]);
        let own = json!({"name": "c", "env": env("own"), "envFrom": [{"secretRef": {"name": "own"}}]});
        check(
            json!({"containers": [own], "volumes": [{"secret": {"secretName": "own"}}], "imagePullSecrets": [{"name": "registry"}]}),
            "",
        );
        check(
            json!({"volumes": [{"emptyDir": {}}, {"secret": {"secretName": "b"}}]}),
            "volume with secret.secretName=\"b\" is not allowed",
        );
        check(
            json!({"containers": [own, {"name": "d", "env": env("b")}]}),
            "container d with envVar A referencing secret.secretName=\"b\" is not allowed",
        );
        check(
            json!({"initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "b"}}]}]}),
            "init container i with envFrom referencing secret.secretName=\"b\" is not allowed",
        );
        check(
            json!({"imagePullSecrets": [{"name": "registry"}, {"name": "own"}]}),
            "imagePullSecrets[1].name=\"own\" is not allowed because service account robot does not reference that \
             imagePullSecret",
        );
    }

    #[test]
    fn so_does_an_ephemeral_container() {
        let env = json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}]);
        let pod = json!({"spec": {"containers": [{"name": "c", "env": env}], "ephemeralContainers": [{"name": "e", "env": env}]}});
        assert_eq!(
            ephemeral_fault(&account("1"), &pod).unwrap(),
            "ephemeral container e with envVar A referencing secret.secretName=\"b\" is not allowed because service account \
             robot does not reference that secret"
        );
        assert_eq!(ephemeral_fault(&account(""), &pod), None);
    }
}
