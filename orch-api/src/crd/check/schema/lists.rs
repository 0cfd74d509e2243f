//! List types and map types.

use super::Walk;
use crate::{
    FieldError, Path,
    crd::check::tree::{flag, get, items, object, text},
};
use serde_json::Value;

impl Walk {
    pub(super) fn maps(&mut self, path: &Path, schema: &Value) {
        let Some(map_type) = get(schema, "x-kubernetes-map-type").and_then(Value::as_str) else { return };
        let words = "must be object if x-kubernetes-map-type is specified";
        self.must_be(&path.child("type"), text(schema, "type"), "object", words);
        if !matches!(map_type, "atomic" | "granular") {
            let path = path.child("x-kubernetes-map-type");
            self.out.push(FieldError::not_supported(&path, map_type, &["atomic", "granular"]));
        }
    }

    fn must_be(&mut self, path: &Path, found: &str, wanted: &str, words: &str) {
        match found {
            "" => self.out.push(FieldError::required(path, words)),
            found if found != wanted => self.out.push(FieldError::invalid(path, found, words)),
            _ => {}
        }
    }

    pub(super) fn lists(&mut self, path: &Path, schema: &Value) {
        let list_type = get(schema, "x-kubernetes-list-type").and_then(Value::as_str);
        let keys: Vec<&str> = items(schema, "x-kubernetes-list-map-keys").filter_map(|(_, k)| k.as_str()).collect();
        let inner = object(schema, "items");
        let at_type = path.child("x-kubernetes-list-type");
        match list_type {
            Some(_) if text(schema, "type") != "array" => {
                let words = "must be array if x-kubernetes-list-type is specified";
                self.must_be(&path.child("type"), text(schema, "type"), "array", words);
            }
            Some("set") => {
                if let Some(inner) = inner {
                    self.set_items(&path.child("items"), inner);
                }
            }
            _ => {}
        }
        if let Some(other) = list_type.filter(|t| !matches!(*t, "atomic" | "set" | "map")) {
            self.out.push(FieldError::not_supported(&at_type, other, &["atomic", "set", "map"]));
        }
        if !keys.is_empty() && list_type != Some("map") {
            let words = "must be map if x-kubernetes-list-map-keys is non-empty";
            self.out.push(match list_type {
                None => FieldError::required(&at_type, words),
                Some(other) => FieldError::invalid(&at_type, other, words),
            });
        }
        if list_type == Some("map") {
            self.map_list(path, schema, &keys);
        }
        if let (Some(list_type @ ("set" | "map")), Some(inner)) = (list_type, inner) {
            if flag(inner, "nullable") {
                let words = format!("cannot be nullable when x-kubernetes-list-type is {list_type}");
                self.out.push(FieldError::forbidden(&path.child("items").child("nullable"), words));
            }
            if list_type == "map" {
                self.map_keys(&path.child("items"), inner, &keys);
            }
        }
    }

    fn set_items(&mut self, path: &Path, items: &Value) {
        let words = "must be atomic as item of a list with x-kubernetes-list-type=set";
        let list_type = get(items, "x-kubernetes-list-type").and_then(Value::as_str);
        match text(items, "type") {
            "array" if list_type.is_some_and(|t| t != "atomic") => {
                let path = path.child("x-kubernetes-list-type");
                self.out.push(FieldError::invalid(&path, list_type, words));
            }
            "object" if text(items, "x-kubernetes-map-type") != "atomic" => {
                let path = path.child("x-kubernetes-map-type");
                self.out.push(FieldError::invalid(&path, list_type, words));
            }
            _ => {}
        }
    }

    fn map_list(&mut self, path: &Path, schema: &Value, keys: &[&str]) {
        let at_keys = path.child("x-kubernetes-list-map-keys");
        if keys.is_empty() {
            self.out.push(FieldError::required(&at_keys, "must not be empty if x-kubernetes-list-type is map"));
        }
        let Some(inner) = object(schema, "items") else {
            let words = "must have a schema if x-kubernetes-list-type is map";
            self.out.push(FieldError::required(&path.child("items"), words));
            return;
        };
        if text(inner, "type") != "object" {
            let words = "must be object if parent array's x-kubernetes-list-type is map";
            let path = path.child("items").child("type");
            self.out.push(FieldError::invalid(&path, text(inner, "type"), words));
            return;
        }
        for (i, key) in keys.iter().enumerate() {
            match get(inner, "properties").and_then(|p| p.get(*key)) {
                Some(field) if matches!(text(field, "type"), "array" | "object") => {
                    let words = "must be a scalar type if parent array's x-kubernetes-list-type is map";
                    let path = path.child("items").child("properties").key(key).child("type");
                    self.out.push(FieldError::invalid(&path, text(inner, "type"), words));
                }
                Some(_) => {}
                None => {
                    let words = "entries must all be names of item properties";
                    self.out.push(FieldError::invalid(&at_keys, keys.to_vec(), words));
                }
            }
            if keys.iter().take(i).any(|other| other == key) {
                self.out.push(FieldError::invalid(&at_keys, keys.to_vec(), "must not contain duplicate entries"));
            }
        }
    }

    /// Keys always have a value.
    fn map_keys(&mut self, path: &Path, inner: &Value, keys: &[&str]) {
        for key in keys {
            let Some(field) = get(inner, "properties").and_then(|p| p.get(*key)) else { continue };
            let path = path.child("properties").key(key);
            let required = items(inner, "required").any(|(_, name)| name == key);
            if !required && get(field, "default").is_none() {
                let words = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required \
                     property";
                self.out.push(FieldError::required(&path.child("default"), words));
            }
            if flag(field, "nullable") {
                let words = "this property is in x-kubernetes-list-map-keys, so it cannot be nullable";
                self.out.push(FieldError::forbidden(&path.child("nullable"), words));
            }
        }
    }
}
