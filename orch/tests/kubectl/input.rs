//! Bad input, and what it is answered with.

use crate::{cluster::simulated, run::with_each};

#[test]
fn bad_input_is_refused_in_the_words_of_kubernetes() {
    with_each(simulated, "bad", |k| {
        let refuses = |text: &str, words: &str| {
            k.apply(text).fails(words);
        };
        refuses(
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"dat":{}}"#,
            "strict decoding error: unknown field \"dat\"",
        );
        refuses(
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m"},"data":{"a":1}}"#,
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        );
        refuses(
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"Bad_Name"}}"#,
            "metadata.name: Invalid value: \"Bad_Name\": a lowercase RFC 1123 subdomain",
        );
        refuses(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}"#, "spec.containers: Required value");
        k.with_input("apply --validate=ignore -f -", r#"{"apiVersion":"v1","kind":"Nothing","metadata":{"name":"p"}}"#)
            .fails("no matches for kind \"Nothing\" in version \"v1\"");
        refuses(r#"{"apiVersion":"v1","metadata":{"name":"p"}}"#, "error validating data: kind not set");
        refuses("a: [", "error converting YAML to JSON");
        refuses("apiVersion: v1\nkind: ConfigMap\n", "resource name may not be empty");
        k.run("get pod nothing").fails("Error from server (NotFound): pods \"nothing\" not found");
        k.run("get pods --field-selector spec.none=1").fails("field label not supported: spec.none");
        k.run("get pods -l a==b==c").fails("");
        k.run("get pods -o sideways").fails("unable to match a printer suitable for the output format \"sideways\"");
        k.run("get --raw /apis/nothing").fails("the server could not find the requested resource");
        k.run("get --raw /api/v1/pods?limit=x").fails("");
        k.with_input(
            "create -f -",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","namespace":"none"}}"#,
        )
        .fails("does not match the namespace");
        k.run("create configmap m -n none-such").fails("namespaces \"none-such\" not found");
        k.run("patch configmap none -p {}").fails("configmaps \"none\" not found");
        k.run("create namespace Bad_Name").fails("Invalid value: \"Bad_Name\"");
        k.run("expose deploy nothing --port=80").fails("deployments.apps \"nothing\" not found");
        let large = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"m"}},"data":{{"a":"{}"}}}}"#,
            "x".repeat(2 << 20)
        );
        k.with_input("create -f -", &large).fails("may not be more than 1048576 bytes");
        let larger = large.replace("xxxx", "xxxxxxxx");
        k.with_input("create -f -", &larger).fails("Request entity too large: limit is 3145728");
        k.run("get configmaps -o jsonpath={.items[*].metadata.name}").prints("kube-root-ca.crt");
    });
}
