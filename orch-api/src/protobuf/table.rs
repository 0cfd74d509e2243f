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
}
