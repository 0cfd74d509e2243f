//! Writes an object once per revision: JSON with a slot for the revision that will commit it.

use orch_api::StatusError;
use orch_store::backend;
use serde_json::Value;

/// The JSON of an object with `"resourceVersion":""` in its metadata and where the revision goes.
/// Absent fields stay absent: nulls of the top level are dropped, and of the metadata what is empty, as Kubernetes'
/// own encoding does (`omitempty`).
pub fn encode(object: &Value) -> Result<backend::Value, StatusError> {
    let mut out = Vec::with_capacity(512);
    let mut slot = None;
    out.push(b'{');
    let Value::Object(fields) = object else {
        return Err(StatusError::internal("an object is expected"));
    };
    for (name, value) in fields.iter().filter(|(_, v)| !v.is_null()) {
        key(&mut out, name)?;
        match value {
            Value::Object(meta) if name == "metadata" => slot = Some(metadata(&mut out, meta)?),
            value => write(&mut out, value)?,
        }
    }
    out.push(b'}');
    let slot = slot.and_then(|s| u32::try_from(s).ok());
    Ok(backend::Value { json: out.into(), slot })
}

fn metadata(out: &mut Vec<u8>, meta: &serde_json::Map<String, Value>) -> Result<usize, StatusError> {
    out.push(b'{');
    for (name, value) in meta.iter().filter(|(k, v)| *k != "resourceVersion" && !is_empty(v)) {
        key(out, name)?;
        write(out, value)?;
    }
    key(out, "resourceVersion")?;
    out.push(b'"');
    let slot = out.len();
    out.extend_from_slice(b"\"}");
    Ok(slot)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn key(out: &mut Vec<u8>, name: &str) -> Result<(), StatusError> {
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    serde_json::to_writer(&mut *out, name).map_err(StatusError::internal)?;
    out.push(b':');
    Ok(())
}

fn write(out: &mut Vec<u8>, value: &Value) -> Result<(), StatusError> {
    serde_json::to_writer(out, value).map_err(StatusError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch_store::Revision;
    use serde_json::json;

    #[test]
    fn the_revision_lands_in_the_metadata_and_nowhere_else() {
        let object = json!({
            "data": {"resourceVersion": ""},
            "metadata": {"name": "a", "annotations": {"x": "\"resourceVersion\":\"\""}},
        });
        let value = encode(&object).unwrap();
        let read: Value = serde_json::from_slice(&value.at(Revision(7))).unwrap();
        assert_eq!(read["metadata"]["resourceVersion"], "7");
        assert_eq!(read["data"]["resourceVersion"], "");
    }

    #[test]
    fn an_empty_metadata_is_still_well_formed() {
        let value = encode(&json!({"metadata": {}})).unwrap();
        assert_eq!(&value.at(Revision(3))[..], br#"{"metadata":{"resourceVersion":"3"}}"#);
    }
}
