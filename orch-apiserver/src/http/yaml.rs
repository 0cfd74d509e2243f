//! YAML documents as JSON, with go-yaml's words for keys that stand twice.

use orch_api::decode::MAX_DEPTH;
use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Error, Options, options};

/// Reads a document; of a key that stands twice the last value counts.
pub(super) fn read(bytes: &[u8]) -> Result<Value, String> {
    let value: Value = parse(bytes, DuplicateKeyPolicy::LastWins).map_err(|error| format!("yaml: {error}"))?;
    if too_deep(&value, MAX_DEPTH) { Err("yaml: exceeded max depth".into()) } else { Ok(value) }
}

/// What a strict reader has against a document that can be read: its first key that stands twice.
pub(super) fn fault(bytes: &[u8]) -> Option<String> {
    match parse(bytes, DuplicateKeyPolicy::Error).err()?.without_snippet() {
        Error::DuplicateMappingKey { key, location } => {
            let (line, key) = (location.line(), key.as_deref().unwrap_or_default());
            Some(format!("yaml: unmarshal errors:\n  line {line}: key {key:?} already set in map"))
        }
        _ => None,
    }
}

fn parse(bytes: &[u8], duplicates: DuplicateKeyPolicy) -> Result<Value, Error> {
    let options: Options = options! { duplicate_keys: duplicates };
    serde_saphyr::from_slice_with_options(bytes, options)
}

fn too_deep(value: &Value, left: usize) -> bool {
    match value {
        Value::Array(_) | Value::Object(_) if left == 0 => true,
        Value::Array(list) => list.iter().any(|v| too_deep(v, left - 1)),
        Value::Object(map) => map.values().any(|v| too_deep(v, left - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_of_two_values_counts_and_the_second_key_is_told() {
        let twice = b"a: 1\nspec:\n  foo: one\n  foo: two\n";
        assert_eq!(read(twice).unwrap(), json!({"a": 1, "spec": {"foo": "two"}}));
        assert_eq!(fault(twice).unwrap(), "yaml: unmarshal errors:\n  line 4: key \"foo\" already set in map");
        assert_eq!(fault(b"a: 1\nb: 2\n"), None);
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        assert!(read(b"a: [").unwrap_err().starts_with("yaml: "));
        assert!(read(b"\xff").unwrap_err().starts_with("yaml: "));
    }
}
