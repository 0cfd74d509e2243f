use super::*;
use crate::schema;
use serde_json::{Value, json};

fn round_trip(object: &Value) -> Value {
    decode(&encode(object).unwrap().unwrap()).unwrap()
}

#[test]
fn a_pod_survives_the_wire() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "creationTimestamp": "2026-07-01T12:00:00Z", "labels": {"app": "web"},
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {".": {}}}}]},
        "spec": {
            "containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "500m"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
                "ports": [{"containerPort": 80}]}],
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 0}}],
            "terminationGracePeriodSeconds": 0,
        },
    });
    assert_eq!(round_trip(&pod), pod);
}

/// Types whose JSON is no object of their fields, and those of kinds that the server does not serve.
const WITHOUT_MESSAGE: &[&str] = &[
    "apiextensions.v1.JSON",
    "apiextensions.v1.JSONSchemaPropsOrArray",
    "apiextensions.v1.JSONSchemaPropsOrBool",
    "apiextensions.v1.JSONSchemaPropsOrStringArray",
    "api.resource.Quantity",
    "meta.v1.FieldsV1",
    "meta.v1.MicroTime",
    "meta.v1.Time",
    "metrics.v1beta1.ContainerMetrics",
    "metrics.v1beta1.NodeMetrics",
    "metrics.v1beta1.PodMetrics",
    "pkg.runtime.RawExtension",
    "util.intstr.IntOrString",
];

/// Fields that came after the table.
const WITHOUT_NUMBER: &[&str] = &[
    "core.v1.NodeSystemInfo runningInUserNamespace",
    "resource.v1.DeviceCounterConsumption compatibilityGroups",
    "resource.v1.DeviceDerivedAttribute",
    "resource.v1.DeviceSubRequest derivedAttributes",
    "resource.v1.ExactDeviceRequest derivedAttributes",
];

#[test]
fn every_field_of_every_kind_is_in_the_table() {
    let mut missing = Vec::new();
    for (name, definition) in schema::roots::all_definitions() {
        let dots = name.rmatch_indices('.').nth(2).unwrap().0;
        let name = &name[dots + 1..];
        let Some(message) = table::named(name) else {
            missing.extend((!WITHOUT_MESSAGE.contains(&name)).then(|| name.to_owned()));
            continue;
        };
        let fields = definition.get("properties").and_then(Value::as_object).into_iter().flatten();
        let unknown = fields.map(|(field, _)| field).filter(|field| !known(message, field));
        missing.extend(unknown.filter(|f| !matches!(&***f, "apiVersion" | "kind")).map(|f| format!("{name} {f}")));
    }
    assert_eq!(missing, WITHOUT_NUMBER);
}

fn known(message: &table::Message, name: &str) -> bool {
    message.fields.iter().any(|field| match field.kind {
        table::Type::Message(place) if field.name == table::INLINE => known(table::message(place), name),
        _ => field.name == name,
    })
}

#[test]
fn a_list_survives_the_wire() {
    let list = json!({"apiVersion": "v1", "kind": "SecretList", "metadata": {"resourceVersion": "7"},
        "items": [{"metadata": {"name": "s"}, "data": {"k": "aGk="}, "type": "Opaque"}]});
    assert_eq!(round_trip(&list), list);
}

#[test]
fn values_without_fields_of_their_own_survive_the_wire() {
    let props = json!({"type": "object", "default": {"a": [1, null]}, "enum": ["x", 1], "maximum": 2.5, "minimum": 3,
        "additionalProperties": false, "items": {"type": "string"},
        "dependencies": {"a": ["b"], "c": {"type": "integer"}}});
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "spec": {"group": "g", "names": {"plural": "p", "kind": "K"}, "scope": "Namespaced",
            "versions": [{"name": "v1", "served": true, "storage": false, "schema": {"openAPIV3Schema": props}}]}});
    assert_eq!(round_trip(&crd), crd);
    let revision = json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {"spec": {}}});
    assert_eq!(round_trip(&revision), revision);
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "spec": {"renewTime": "2026-07-01T12:00:00.000123Z"}});
    assert_eq!(round_trip(&lease), lease);
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": "u", "extra": {"scopes": ["a", "b"]}}, "status": {"allowed": false}});
    assert_eq!(round_trip(&review), review);
}

#[test]
fn zeroes_are_left_out_where_go_omits_them() {
    // A Deployment whose metadata has an empty name and generation 0, and whose replicas are a pointer to 0.
    let bytes = b"k8s\0\n\x15\n\x07apps/v1\x12\nDeployment\x12\x0c\n\x04\n\0\x38\0\x12\x04\x08\0\x50\0";
    let expected = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": {"replicas": 0}});
    assert_eq!(decode(bytes).unwrap(), expected);
}

#[test]
fn a_field_of_another_wire_type_is_refused() {
    let bytes = b"k8s\0\n\t\n\x02v1\x12\x03Pod\x12\x02\x08\x01";
    assert_eq!(decode(bytes), Err(DecodeError::WireType { field: "metadata", wire: 0 }));
}

#[test]
fn depth_is_bounded() {
    let mut props = json!({});
    for _ in 0..200 {
        props = json!({"not": props});
    }
    let crd = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "spec": {"versions": [{"schema": {"openAPIV3Schema": props}}]}});
    assert_eq!(decode(&encode(&crd).unwrap().unwrap()), Err(DecodeError::Depth));
}

#[test]
fn damaged_bytes_never_panic() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "1"}}}]}});
    let whole = encode(&pod).unwrap().unwrap();
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + next() % 4 {
            let at = next() % bytes.len();
            bytes[at] = next() as u8;
        }
        bytes.truncate(next() % (bytes.len() * 2) + 1);
        let _ = decode(&bytes);
    }
}
