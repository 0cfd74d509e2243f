//! The types of `metrics.k8s.io/v1beta1`: what nodes and pods use (`staging/src/k8s.io/metrics/pkg/apis/metrics/v1beta1`).
//! They are answered, never stored.

use k8s_openapi::apimachinery::pkg::{api::resource::Quantity as Text, apis::meta::v1::ObjectMeta};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{borrow::Cow, collections::BTreeMap};

const PACKAGE: &str = "io.k8s.metrics.pkg.apis.metrics.v1beta1";

/// An amount of CPU as the API prints it: `5391226n`.
pub fn cpu(nanocores: u64) -> String {
    if nanocores == 0 { "0".into() } else { format!("{nanocores}n") }
}

/// An amount of memory as the API prints it, in whole KiB: `18132Ki`.
pub fn memory(bytes: u64) -> String {
    if bytes < 1024 { "0".into() } else { format!("{}Ki", bytes / 1024) }
}

/// CPU and memory as a `ResourceList`.
pub fn amounts(nanocores: u64, bytes: u64) -> Value {
    json!({"cpu": cpu(nanocores), "memory": memory(bytes)})
}

/// What a container uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerMetrics {
    /// Its name in the pod.
    pub name: String,
    /// Amounts by resource.
    pub usage: BTreeMap<String, Text>,
}

/// What a pod uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodMetrics {
    /// The pod's name, namespace and labels.
    pub metadata: ObjectMeta,
    /// The end of the time in which it was measured.
    pub timestamp: String,
    /// The length of that time, as Go writes it.
    pub window: String,
    /// Its containers.
    #[serde(default)]
    pub containers: Vec<ContainerMetrics>,
}

/// What a node uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeMetrics {
    /// The node's name and labels.
    pub metadata: ObjectMeta,
    /// The end of the time in which it was measured.
    pub timestamp: String,
    /// The length of that time, as Go writes it.
    pub window: String,
    /// Amounts by resource.
    #[serde(default)]
    pub usage: BTreeMap<String, Text>,
}

fn common(generator: &mut SchemaGenerator) -> Vec<(&'static str, Value)> {
    let text = json!({"type": "string"});
    let metadata = json!({"allOf": [generator.subschema_for::<ObjectMeta>()],
        "description": "Standard object's metadata."});
    vec![
        ("apiVersion", text.clone()),
        ("kind", text.clone()),
        ("metadata", metadata),
        ("timestamp", json!({"type": "string", "format": "date-time", "description": "When the measurement ended."})),
        ("window", json!({"type": "string", "description": "How long it took, such as 15s."})),
    ]
}

fn usage(generator: &mut SchemaGenerator) -> Value {
    json!({"type": "object", "description": "Amounts by resource.",
        "additionalProperties": generator.subschema_for::<Text>()})
}

fn object(properties: Vec<(&'static str, Value)>, required: &[&str]) -> Schema {
    let properties: serde_json::Map<String, Value> = properties.into_iter().map(|(k, v)| (k.into(), v)).collect();
    json_schema!({"type": "object", "properties": properties, "required": required})
}

impl JsonSchema for ContainerMetrics {
    fn schema_name() -> Cow<'static, str> {
        format!("{PACKAGE}.ContainerMetrics").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        object(vec![("name", json!({"type": "string"})), ("usage", usage(generator))], &["name", "usage"])
    }
}

impl JsonSchema for PodMetrics {
    fn schema_name() -> Cow<'static, str> {
        format!("{PACKAGE}.PodMetrics").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = common(generator);
        let containers = json!({"type": "array", "items": generator.subschema_for::<ContainerMetrics>()});
        properties.push(("containers", containers));
        object(properties, &["timestamp", "window", "containers"])
    }
}

impl JsonSchema for NodeMetrics {
    fn schema_name() -> Cow<'static, str> {
        format!("{PACKAGE}.NodeMetrics").into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = common(generator);
        properties.push(("usage", usage(generator)));
        object(properties, &["timestamp", "window", "usage"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Quantity;

    #[test]
    fn amounts_are_printed_as_metrics_server_prints_them() {
        assert_eq!((cpu(5_391_226), cpu(0)), ("5391226n".into(), "0".into()));
        assert_eq!((memory(18_567_999), memory(100)), ("18132Ki".into(), "0".into()));
        assert_eq!(Quantity::parse(&cpu(1_500_000_000)).unwrap(), Quantity::from_millis(1500));
    }
}
