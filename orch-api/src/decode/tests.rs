use super::*;
use crate::schema;
use serde_json::json;

fn check_syntax(text: &str, expected: &str) {
    assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
}

fn conformed(kind: &str, text: &str) -> Result<(serde_json::Value, Vec<String>), String> {
    let schema = schema::builtin(kind).unwrap();
    let mut parsed = parse(text.as_bytes()).map_err(|e| e.to_string())?;
    let conformed = conform(&mut parsed.value, &schema).map_err(|e| e.to_string())?;
    let faults = strict_faults(&parsed, &conformed);
    Ok((parsed.value, faults))
}

const DEPLOYMENT: &str = "io.k8s.api.apps.v1.Deployment";
const POD: &str = "io.k8s.api.core.v1.Pod";

fn check_type(kind: &str, text: &str, expected: &str) {
    assert_eq!(conformed(kind, text).unwrap_err(), expected, "{text}");
}

#[test]
fn malformed_json_is_refused_in_gos_words() {
    check_syntax("", "unexpected end of JSON input");
    check_syntax("{", "unexpected end of JSON input");
    check_syntax("{a:1}", "invalid character 'a' looking for beginning of object key string");
    check_syntax("{\"a\" 1}", "invalid character '1' after object key");
    check_syntax("{\"a\":1 2}", "invalid character '2' after object key:value pair");
    check_syntax("[1 2]", "invalid character '2' after array element");
    check_syntax("[1,]", "invalid character ']' looking for beginning of value");
    check_syntax("{} x", "invalid character 'x' after top-level value");
    check_syntax("nul!", "invalid character '!' in literal null (expecting 'l')");
    check_syntax("\"a\nb\"", r"invalid character '\n' in string literal");
    check_syntax("\"\\q\"", "invalid character 'q' in string escape code");
    check_syntax("-x", "invalid character 'x' in numeric literal");
    check_syntax("1.x", "invalid character 'x' after decimal point in numeric literal");
    check_syntax("'", r"invalid character '\'' looking for beginning of value");
    check_syntax(&"[".repeat(100_000), "exceeded max depth");
}

#[test]
fn what_parse_accepts_is_what_serde_json_accepts() {
    for text in [
        r#"{"a":[1,-2,3.5,1e3,true,false,null,"x\n\u00e9\ud83d\ude00\/"],"b":{}}"#,
        " [ ] ",
        "\"\u{1F600}\"",
        "0.1",
        "9223372036854775807",
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap().value, serde_json::from_str::<serde_json::Value>(text).unwrap());
    }
}

#[test]
fn unknown_and_duplicate_fields_are_named_with_their_paths() {
    let text = r#"{"kind":"Deployment","spec":{"foo":1,"replicas":1,"replicas":2,
        "template":{"spec":{"containers":[{"name":"a","name":"b","bar":{"x":1,"x":2}}]}}}}"#;
    let (value, faults) = conformed(DEPLOYMENT, text).unwrap();
    assert_eq!(
        faults,
        [
            r#"unknown field "spec.foo""#,
            r#"unknown field "spec.template.spec.containers[0].bar""#,
            r#"duplicate field "spec.replicas""#,
            r#"duplicate field "spec.template.spec.containers[0].name""#,
        ]
    );
    assert_eq!(value["spec"]["replicas"], json!(2));
    assert_eq!(value["spec"].get("foo"), None);
}

#[test]
fn a_strict_refusal_reads_as_kube_apiserver_writes_it() {
    let mut parsed = parse(br#"{"spec":{"foo":1}}"#).unwrap();
    let conformed = conform(&mut parsed.value, &schema::builtin(DEPLOYMENT).unwrap()).unwrap();
    assert_eq!(
        refuse_strict(&parsed, &conformed, "v1", "Deployment").unwrap().message(),
        r#"Deployment in version "v1" cannot be handled as a Deployment: strict decoding error: unknown field "spec.foo""#
    );
}

#[test]
fn a_wrong_type_is_refused_in_gos_words() {
    let place = "json: cannot unmarshal";
    check_type(
        DEPLOYMENT,
        r#"{"spec":{"replicas":"3"}}"#,
        &format!("{place} string into Go struct field DeploymentSpec.spec.replicas of type int32"),
    );
    check_type(
        DEPLOYMENT,
        r#"{"spec":{"replicas":1.5}}"#,
        &format!("{place} number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"),
    );
    check_type(
        DEPLOYMENT,
        r#"{"spec":{"replicas":3000000000}}"#,
        &format!("{place} number 3000000000 into Go struct field DeploymentSpec.spec.replicas of type int32"),
    );
    check_type(
        POD,
        r#"{"spec":{"containers":[{"env":[{"name":"A","value":1}]}]}}"#,
        &format!("{place} number into Go struct field EnvVar.spec.containers.env.value of type string"),
    );
    check_type(
        POD,
        r#"{"metadata":{"labels":{"a":true}}}"#,
        &format!("{place} bool into Go struct field ObjectMeta.metadata.labels of type string"),
    );
    check_type(
        POD,
        r#"{"spec":{"containers":{}}}"#,
        &format!("{place} object into Go struct field PodSpec.spec.containers of type []v1.Container"),
    );
    check_type(
        POD,
        r#"{"spec":{"restartPolicy":1}}"#,
        &format!("{place} number into Go struct field PodSpec.spec.restartPolicy of type v1.RestartPolicy"),
    );
    check_type(
        "io.k8s.api.certificates.v1.CertificateSigningRequest",
        r#"{"spec":{"usages":[1]}}"#,
        &format!("{place} number into Go struct field CertificateSigningRequestSpec.spec.usages of type v1.KeyUsage"),
    );
    check_type(POD, "[]", &format!("{place} array into Go value of type v1.Pod"));
}

#[test]
fn a_malformed_quantity_wins_over_an_earlier_type_error() {
    check_type(
        POD,
        r#"{"metadata":{"name":1},"spec":{"containers":[{"resources":{"limits":{"cpu":"much"}}}]}}"#,
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
}

#[test]
fn nulls_go_and_quantities_and_times_become_canonical() {
    let text = r#"{"metadata":{"creationTimestamp":null,"deletionTimestamp":"2026-07-01T14:00:00+02:00"},
        "spec":{"nodeName":null,"containers":[{"args":[null],
            "resources":{"limits":{"cpu":0.5,"memory":"1024Mi"}}}]}}"#;
    let (value, faults) = conformed(POD, text).unwrap();
    assert!(faults.is_empty());
    assert_eq!(
        value,
        json!({
            "metadata": {"deletionTimestamp": "2026-07-01T12:00:00Z"},
            "spec": {"containers": [{"args": [""], "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}]},
        })
    );
}

#[test]
fn what_is_empty_goes_where_go_would_drop_it() {
    let text = r#"{"metadata":{"labels":{},"managedFields":[],"deletionGracePeriodSeconds":0},
        "spec":{"tolerations":[],"nodeSelector":{},"hostNetwork":false,"priority":0,"nodeName":"",
            "automountServiceAccountToken":false,"securityContext":{},"volumes":[{"name":"v","emptyDir":{}}],
            "containers":[{"name":"","command":[],"args":[""],"resources":{"limits":{}},"env":[{"name":"A","value":""}],
                "ports":[{"containerPort":0,"hostPort":0}],"livenessProbe":{"periodSeconds":0,"exec":{"command":[]}}}]},
        "status":{}}"#;
    let (value, faults) = conformed(POD, text).unwrap();
    assert!(faults.is_empty());
    assert_eq!(
        value,
        json!({
            "metadata": {"managedFields": [], "deletionGracePeriodSeconds": 0},
            "spec": {"priority": 0, "automountServiceAccountToken": false, "securityContext": {},
                "volumes": [{"name": "v", "emptyDir": {}}],
                "containers": [{"name": "", "args": [""], "resources": {}, "env": [{"name": "A"}],
                    "ports": [{"containerPort": 0}], "livenessProbe": {"exec": {}}}]},
            "status": {},
        })
    );
}

#[test]
fn what_is_empty_stays_in_an_applied_configuration() {
    let mut value = json!({"spec": {"replicas": 0, "template": {"spec": {"tolerations": []}}}});
    let before = value.clone();
    conform_applied(&mut value, &schema::builtin(DEPLOYMENT).unwrap()).unwrap();
    assert_eq!(value, before);
}

#[test]
fn secrets_hold_base64() {
    let secret = "io.k8s.api.core.v1.Secret";
    check_type(secret, r#"{"data":{"a":"aGVsbG8"}}"#, "illegal base64 data at input byte 4");
    check_type(secret, r#"{"data":{"a":"a!"}}"#, "illegal base64 data at input byte 1");
    assert!(conformed(secret, r#"{"data":{"a":"aGVsbG8="}}"#).is_ok());
}

#[test]
fn a_recursive_schema_is_pruned_at_every_depth() {
    let crd = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";
    let text = r#"{"spec":{"versions":[{"schema":{"openAPIV3Schema":
        {"properties":{"a":{"properties":{"b":{"type":"string","oops":1}}}}}}}]}}"#;
    let (_, faults) = conformed(crd, text).unwrap();
    let path = "spec.versions[0].schema.openAPIV3Schema.properties.a.properties.b.oops";
    assert_eq!(faults, [format!("unknown field {path:?}")]);
}
