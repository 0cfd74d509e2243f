use super::*;
use crate::{kind::Cell, schema};
use std::collections::HashSet;

#[test]
fn every_kind_has_names_of_its_own() {
    let mut resources = HashSet::new();
    let mut kinds = HashSet::new();
    for kind in all() {
        assert!(resources.insert(kind.gvr()), "{:?}", kind.gvr());
        assert!(kinds.insert(kind.gvk()), "{:?}", kind.gvk());
        assert_eq!(find(&kind.gvr()).unwrap().gvk(), kind.gvk());
        assert_eq!(find_kind(&kind.gvk()).unwrap().gvr(), kind.gvr());
    }
}

#[test]
fn short_names_stand_for_one_resource() {
    let mut owners: HashMap<&str, (&str, &str)> = HashMap::new();
    for kind in all() {
        for short in kind.short_names.iter() {
            let owner = (&*kind.plural, &*kind.kind);
            assert_eq!(*owners.entry(short).or_insert(owner), owner, "{short}");
        }
    }
}

#[test]
fn every_kind_has_a_schema_with_metadata() {
    for kind in all() {
        let schema = schema::builtin(&kind.definition).unwrap_or_else(|| panic!("{}", kind.definition));
        let schema::Shape::Object(fields) = &schema.shape else { panic!("{}", kind.definition) };
        assert!(fields.properties.contains_key("metadata"), "{}", kind.definition);
    }
}

#[test]
fn subresources_are_sorted_and_have_verbs() {
    for kind in all() {
        let names: Vec<_> = kind.subresources.iter().map(|s| s.name.clone()).collect();
        assert!(names.is_sorted(), "{} {names:?}", kind.plural);
        assert!(kind.subresources.iter().all(|s| !s.verbs.is_empty() && s.verbs.is_sorted()), "{}", kind.plural);
    }
}

#[test]
fn every_kind_has_one_identifying_column() {
    for kind in all() {
        assert_eq!(kind.columns.iter().filter(|c| c.format == "name").count(), 1, "{}", kind.plural);
        for column in kind.columns.iter() {
            assert!(["string", "integer", "boolean", "date"].contains(&&*column.kind), "{}", column.name);
            assert!(!column.description.is_empty(), "{} {}", kind.plural, column.name);
        }
    }
}

#[test]
fn no_cell_fails_on_an_empty_object() {
    let empty = serde_json::json!({});
    for column in all().iter().flat_map(|kind| kind.columns.iter()) {
        if let Cell::Computed(cell) = column.cell {
            assert!(!cell(&empty, jiff::Timestamp::UNIX_EPOCH).is_object());
        }
    }
}
