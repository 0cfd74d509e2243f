//! Which fields a message has: numbers, JSON names and types, from `fields.txt`.

use crate::kinds;
use std::{
    collections::{HashMap, HashSet},
    sync::OnceLock,
};

/// A message and its fields by ascending number.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) fields: Vec<Field>,
}

/// One field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) number: u32,
    /// JSON name; [`INLINE`] where the message's fields stand in the object around it.
    pub(super) name: &'static str,
    /// Go's `omitempty`: a plain field's zero is not written in JSON.
    pub(super) omit_empty: bool,
    pub(super) count: Count,
    pub(super) kind: Type,
}

/// The JSON name of inlined messages.
pub(super) const INLINE: &str = ".";

/// How often a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// Once; its absence is the zero of its type.
    One,
    /// Once or not at all: a pointer in Go.
    Optional,
    /// A list.
    Many,
    /// A map from text: entries of key (1) and value (2).
    Map,
}

/// What a field, an item or a map's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    String,
    Bytes,
    Int32,
    Int64,
    Bool,
    Double,
    /// A message by its place in the table.
    Message(usize),
    /// `Quantity{string}`
    Quantity,
    /// `IntOrString{type, intVal, strVal}`
    IntOrString,
    /// `Time{seconds, nanos}`
    Time,
    /// `MicroTime{seconds, nanos}`
    MicroTime,
    /// `RawExtension`, `FieldsV1` or `JSON`: `{raw}` with JSON, or with an enveloped object.
    Json,
    /// A list of texts that is a message: `ExtraValue`, `Verbs`.
    Strings,
    /// `JSONSchemaPropsOrBool`
    SchemaOrBool,
    /// `JSONSchemaPropsOrArray`
    SchemaOrArray,
    /// `JSONSchemaPropsOrStringArray`
    SchemaOrStrings,
}

impl Message {
    /// The field of that number.
    pub(super) fn field(&self, number: u32) -> Option<&Field> {
        self.fields.binary_search_by_key(&number, |f| f.number).ok().and_then(|at| self.fields.get(at))
    }
}

/// The message of a table entry; the places inside of the table are always valid.
pub(super) fn message(place: usize) -> &'static Message {
    static EMPTY: Message = Message { fields: Vec::new() };
    table().messages.get(place).unwrap_or(&EMPTY)
}

/// The message by its name in the table, such as `core.v1.PodSpec`.
pub(super) fn named(name: &str) -> Option<&'static Message> {
    table().places.get(name).map(|place| message(*place))
}

/// Whether Go writes no JSON for such a field when it is empty. A struct is never empty, and the zero behind a pointer is a
/// value. Managed fields stay: an empty list of them asks the server to forget all owners.
pub(super) fn omits_empty(message: &'static Message, name: &str) -> Option<bool> {
    let can_be_empty = |field: &Field| match (field.count, field.kind) {
        (Count::Optional, _) => false,
        (Count::Many | Count::Map, _) => true,
        (Count::One, kind) => matches!(
            kind,
            Type::String | Type::Bytes | Type::Int32 | Type::Int64 | Type::Bool | Type::Double | Type::Strings
        ),
    };
    find(message, name).map(|field| field.omit_empty && can_be_empty(field) && name != "managedFields")
}

/// The field of that JSON name, in the message or one that is inlined in it.
fn find(message: &'static Message, name: &str) -> Option<&'static Field> {
    message.fields.iter().find_map(|field| match (field.name, field.kind) {
        (INLINE, Type::Message(place)) => find(self::message(place), name),
        (own, _) => (own == name).then_some(field),
    })
}

/// The message of a kind. The kinds of `meta.v1`, such as `DeleteOptions`, are in every group.
pub(super) fn message_of(api_version: &str, kind: &str) -> Option<&'static Message> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let package = package(group)?;
    named(&format!("{package}.{version}.{kind}")).or_else(|| named(&format!("meta.v1.{kind}")))
}

/// `rbac` of `rbac.authorization.k8s.io`, for the groups that are built in.
fn package(group: &str) -> Option<&str> {
    static GROUPS: OnceLock<HashSet<&'static str>> = OnceLock::new();
    let groups = GROUPS.get_or_init(|| kinds::all().iter().map(|kind| &*kind.group).collect());
    match group {
        "" => Some("core"),
        "meta.k8s.io" => Some("meta"),
        "admission.k8s.io" => Some("admission"),
        group if groups.contains(group) => group.split('.').next(),
        _ => None,
    }
}

struct Table {
    messages: Vec<Message>,
    places: HashMap<&'static str, usize>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| read(include_str!("fields.txt")))
}

fn read(text: &'static str) -> Table {
    let lines = || text.lines().filter(|line| !line.starts_with('#'));
    let names = lines().filter(|line| !line.starts_with(' '));
    let places: HashMap<&str, usize> = names.enumerate().map(|(place, name)| (name, place)).collect();
    let mut messages: Vec<Message> = Vec::new();
    let mut package = "";
    for line in lines() {
        match line.strip_prefix("  ") {
            None => {
                package = line.rsplit_once('.').map_or("", |(package, _)| package);
                messages.push(Message { fields: Vec::new() });
            }
            Some(words) => {
                if let (Some(message), Some(field)) = (messages.last_mut(), field(words, package, &places)) {
                    message.fields.push(field);
                }
            }
        }
    }
    Table { messages, places }
}

fn field(words: &'static str, package: &str, places: &HashMap<&str, usize>) -> Option<Field> {
    let mut words = words.split(' ');
    let number = words.next()?.parse().ok()?;
    let name = words.next()?;
    let (count, kind) = counted(words.next()?);
    Some(Field {
        number,
        name: name.trim_end_matches('?'),
        omit_empty: name.ends_with('?'),
        count,
        kind: type_of(kind, package, places)?,
    })
}

fn counted(word: &'static str) -> (Count, &'static str) {
    let marks = [("*", Count::Optional), ("[]", Count::Many), ("{}", Count::Map)];
    let marked = marks.iter().find_map(|(mark, count)| Some((*count, word.strip_prefix(mark)?)));
    marked.unwrap_or((Count::One, word))
}

fn type_of(word: &str, package: &str, places: &HashMap<&str, usize>) -> Option<Type> {
    Some(match word {
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "bool" => Type::Bool,
        "double" => Type::Double,
        "quantity" => Type::Quantity,
        "int-or-string" => Type::IntOrString,
        "time" => Type::Time,
        "micro-time" => Type::MicroTime,
        "json" => Type::Json,
        "strings" => Type::Strings,
        "schema-or-bool" => Type::SchemaOrBool,
        "schema-or-array" => Type::SchemaOrArray,
        "schema-or-strings" => Type::SchemaOrStrings,
        name if name.contains('.') => Type::Message(*places.get(name)?),
        name => Type::Message(*places.get(&*format!("{package}.{name}"))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use serde_json::Value;

    #[test]
    fn every_line_of_the_table_is_a_field() {
        let lines = include_str!("fields.txt").lines().filter(|l| l.starts_with(' ')).count();
        let fields: usize = table().messages.iter().map(|m| m.fields.len()).sum();
        assert_eq!(fields, lines);
        for message in &table().messages {
            assert!(message.fields.is_sorted_by(|a, b| a.number < b.number));
        }
    }

    #[test]
    fn kinds_are_found_by_their_group() {
        assert!(message_of("rbac.authorization.k8s.io/v1", "ClusterRole").is_some());
        assert!(message_of("apps/v1", "DeleteOptions").is_some());
        assert!(message_of("apps.example.com/v1", "Deployment").is_none());
    }

    /// What is newer than the table. Metrics have no Go types in k8s.io/api.
    #[test]
    fn every_other_field_of_the_schemas_is_known() {
        let mut missing = Vec::new();
        let all = schema::roots::all_definitions();
        for (definition, json) in all.iter().filter(|(definition, _)| !definition.contains(".metrics.")) {
            let definition = schema::facts::short(definition);
            let message = named(definition);
            for (name, _) in json.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let is_known = message.is_some_and(|message| find(message, name).is_some());
                if !is_known && !matches!(&**name, "apiVersion" | "kind") {
                    missing.push(format!("{definition} {name}"));
                }
            }
        }
        assert_eq!(
            missing,
            [
                "core.v1.NodeSystemInfo runningInUserNamespace",
                "resource.v1.DeviceCounterConsumption compatibilityGroups",
                "resource.v1.DeviceDerivedAttribute expression",
                "resource.v1.DeviceDerivedAttribute name",
                "resource.v1.DeviceSubRequest derivedAttributes",
                "resource.v1.ExactDeviceRequest derivedAttributes",
            ]
        );
    }

    #[test]
    fn what_go_leaves_out_when_it_is_empty_is_known() {
        let check = |message: &str, name: &str, expected: bool| {
            assert_eq!(omits_empty(named(message).unwrap(), name), Some(expected), "{message} {name}");
        };
        assert_eq!(omits_empty(named("core.v1.PodSpec").unwrap(), "none"), None);
        check("core.v1.PodSpec", "tolerations", true);
        check("core.v1.PodSpec", "nodeSelector", true);
        check("core.v1.PodSpec", "hostNetwork", true);
        check("core.v1.EnvVar", "value", true);
        check("core.v1.Probe", "periodSeconds", true);
        check("rbac.v1.PolicyRule", "verbs", false);
        check("core.v1.PodSpec", "containers", false);
        check("core.v1.PodSpec", "automountServiceAccountToken", false);
        check("core.v1.Volume", "emptyDir", false);
        check("apps.v1.Deployment", "status", false);
        check("meta.v1.ObjectMeta", "labels", true);
        check("meta.v1.ObjectMeta", "managedFields", false);
    }
}
