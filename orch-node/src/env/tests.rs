use super::*;
use serde_json::{Value, json};

struct World(BTreeMap<(Gvr, Key), Arc<Stored>>);

impl Lookups for World {
    fn lookup(&self, resource: &Gvr, key: &Key) -> Lookup {
        self.0.get(&(resource.clone(), key.clone())).cloned().map_or(Lookup::Absent, Lookup::Present)
    }
}

fn world() -> World {
    let put = |body: Value| Arc::new(Stored::from_json(body.to_string().into()).unwrap());
    let map = put(json!({"metadata": {"name": "m", "namespace": "ns"}, "data": {"k": "v", "x": "y"}}));
    let secret = put(json!({"metadata": {"name": "s", "namespace": "ns"}, "data": {"p": "aHVudGVyMg=="}}));
    World([((CONFIG_MAPS, map.key.clone()), map), ((SECRETS, secret.key.clone()), secret)].into())
}

fn run(env: Value, env_from: Value) -> Result<Vec<(String, String)>, ConfigError> {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "ns", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "env": env, "envFrom": env_from,
            "resources": {"limits": {"memory": "64Mi"}, "requests": {"cpu": "250m"}}}]},
    }))
    .unwrap();
    let facts = Facts { pod_ips: vec![[10, 0, 0, 7].into()], ..Facts::default() };
    let services = [("SVC_SERVICE_HOST".to_owned(), "10.1.2.3".to_owned())];
    environment(&pod, &pod.spec.as_ref().unwrap().containers[0], &facts, &services, &world())
}

#[track_caller]
fn check(env: Value, env_from: Value, expected: &[&str]) {
    let got = run(env, env_from).unwrap();
    let got: Vec<_> = got.iter().filter(|(n, _)| !n.starts_with("SVC")).map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(got, expected);
}

#[test]
fn values_refer_to_earlier_ones_and_to_services() {
    let env = json!([{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)/$(SVC_SERVICE_HOST)/$(C)"}, {"name": "C", "value": "3"}]);
    check(env, json!([]), &["A=1", "B=1/10.1.2.3/$(C)", "C=3"]);
}

#[test]
fn fields_and_resources_are_read() {
    let field = |n: &str, p: &str| json!({"name": n, "valueFrom": {"fieldRef": {"fieldPath": p}}});
    let resource = |n: &str, r: &str, d: &str| json!({"name": n, "valueFrom": {"resourceFieldRef": {"resource": r, "divisor": d}}});
    let env = json!([
        field("NODE", "spec.nodeName"),
        field("IP", "status.podIP"),
        field("APP", "metadata.labels['app']"),
        resource("MEM", "limits.memory", "1Mi"),
        resource("CPU", "requests.cpu", "1m"),
        resource("CPUS", "requests.cpu", "0")
    ]);
    check(env, json!([]), &["NODE=n1", "IP=10.0.0.7", "APP=web", "MEM=64", "CPU=250", "CPUS=1"]);
}

#[test]
fn whole_maps_come_first_and_are_overridden() {
    let from = json!([{"prefix": "P_", "configMapRef": {"name": "m"}}, {"secretRef": {"name": "s"}}]);
    check(json!([{"name": "P_k", "value": "own"}]), from, &["P_k=own", "P_x=y", "p=hunter2"]);
}

#[test]
fn what_is_missing_is_an_error_unless_optional() {
    let key = |name: &str, key: &str, optional: bool| json!([{"name": "A", "valueFrom": {"configMapKeyRef": {"name": name, "key": key, "optional": optional}}}]);
    assert_eq!(run(key("no", "k", false), json!([])).unwrap_err().0, "configmap \"no\" not found");
    assert_eq!(run(key("m", "no", false), json!([])).unwrap_err().0, "couldn't find key no in ConfigMap ns/m");
    check(key("m", "no", true), json!([]), &[]);
    check(key("no", "k", true), json!([]), &[]);
}
