//! helm, with a chart of the test's own.

use crate::{
    cluster::processes,
    run::{Kubectl, with_each},
    tools::{helm, skip},
};
use std::{fs, path::Path, process::Command};

const CHART: &[(&str, &str)] = &[
    ("Chart.yaml", "apiVersion: v2\nname: shop\ndescription: A shop\nversion: 0.1.0\nappVersion: \"1\"\n"),
    ("values.yaml", "replicas: 2\ngreeting: hello\n"),
    (
        "templates/web.yaml",
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings}
data: {greeting: {{ .Values.greeting | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}-web}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {greeting: {{ .Values.greeting | quote }}}}
    spec: {containers: [{name: web, image: "orch.local/toolbox:latest", args: [serve, --port, "8080"]}]}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}-web}
spec: {selector: {app: web}, ports: [{port: 8080}]}
"#,
    ),
    (
        "templates/test.yaml",
        r#"
apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-test
  annotations: {"helm.sh/hook": test}
spec:
  restartPolicy: Never
  containers: [{name: main, image: "orch.local/toolbox:latest", args: [echo, tested]}]
"#,
    ),
];

#[test]
fn a_chart_is_installed_upgraded_rolled_back_tested_and_removed() {
    let Some(program) = helm() else { return skip("helm is not installed") };
    with_each(processes, "helm", |k| {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in CHART {
            let path = dir.path().join("shop").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let helm = |line: &str| run(&program, k, dir.path(), line);
        assert!(helm("install one shop --wait --timeout 60s").contains("STATUS: deployed"));
        k.run("get deploy one-web").has_row(&["one-web", "2/2", "2", "2", "*"]);
        assert!(helm("list").contains("shop-0.1.0"));
        assert!(
            helm("upgrade one shop --set greeting=welcome --set replicas=3 --wait --timeout 60s")
                .contains("REVISION: 2")
        );
        k.run("get configmap one-settings -o jsonpath={.data.greeting}").prints("welcome");
        k.run("get deploy one-web").has_row(&["one-web", "3/3", "3", "3", "*"]);
        assert!(helm("rollback one 1 --wait --timeout 60s").contains("Rollback was a success"));
        k.run("get configmap one-settings -o jsonpath={.data.greeting}").prints("hello");
        let history = helm("history one");
        assert!(history.contains("superseded") && history.contains("Rollback to 1"), "{history}");
        assert!(helm("test one --logs --timeout 60s").contains("tested"));
        assert!(helm("uninstall one --wait --timeout 60s").contains("release \"one\" uninstalled"));
        k.run("get deploy,svc,configmap -o name").prints("configmap/kube-root-ca.crt\n");
        assert!(!helm("list").contains("shop"));
    });
}

fn run(program: &Path, k: &Kubectl, dir: &Path, line: &str) -> String {
    let output = Command::new(program)
        .current_dir(dir)
        .args(["--kubeconfig".as_ref(), k.kubeconfig.as_os_str()])
        .args(["--namespace", &k.namespace])
        .args(line.split(' '))
        .env("HELM_CACHE_HOME", dir.join("cache"))
        .env("HELM_CONFIG_HOME", dir.join("config"))
        .env("HELM_DATA_HOME", dir.join("data"))
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "helm {line}: {text}");
    text
}
