//! [`StringMap`]: labels and field values in one allocation.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::{borrow::Cow, fmt};

/// A small immutable map of strings, sorted by key, in one allocation.
///
/// Made for the labels and the selectable fields of an object: a handful of short entries of which
/// there are as many as there are objects. Look-ups scan. An entry with a NUL in its key or value,
/// which no validated label has, is left out.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct StringMap {
    /// `key NUL value NUL` for each entry.
    packed: Box<str>,
}

impl StringMap {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// Whether the key has a value.
    pub fn contains_key(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All entries in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut parts = self.packed.split_terminator(SEPARATOR);
        std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.packed.len()
    }

    fn pack(mut entries: Vec<(Cow<'_, str>, Cow<'_, str>)>) -> Self {
        entries.retain(|(k, v)| !k.contains(SEPARATOR) && !v.contains(SEPARATOR));
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        let size = entries.iter().map(|(k, v)| k.len() + v.len() + 2).sum();
        let mut packed = String::with_capacity(size);
        for (i, (key, value)) in entries.iter().enumerate() {
            if entries.get(i + 1).is_some_and(|(next, _)| next == key) {
                continue; // The last of equal keys wins, as in JSON.
            }
            packed.push_str(key);
            packed.push(SEPARATOR);
            packed.push_str(value);
            packed.push(SEPARATOR);
        }
        Self { packed: packed.into_boxed_str() }
    }
}

const SEPARATOR: char = '\0';

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for StringMap {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let owned = |(k, v): (K, V)| (Cow::Owned(k.as_ref().to_owned()), Cow::Owned(v.as_ref().to_owned()));
        Self::pack(entries.into_iter().map(owned).collect())
    }
}

impl orch_api::label_selector::Labels for StringMap {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

impl fmt::Debug for StringMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'de> Deserialize<'de> for StringMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = StringMap;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of strings")
    }

    fn visit_unit<E>(self) -> Result<StringMap, E> {
        Ok(StringMap::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StringMap, A::Error> {
        let mut entries = Vec::with_capacity(8);
        while let Some((Text(key), Text(value))) = map.next_entry()? {
            entries.push((key, value));
        }
        Ok(StringMap::pack(entries))
    }
}

/// A string that borrows from the input where it can.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sorted_and_found_by_key() {
        let map: StringMap = serde_json::from_str(r#"{"b":"2","a":"1","empty":"","b\u0041":"x\"y"}"#).unwrap();
        let entries: Vec<_> = map.iter().collect();
        assert_eq!(entries, [("a", "1"), ("b", "2"), ("bA", "x\"y"), ("empty", "")]);
        assert_eq!(map.get("b"), Some("2"));
        assert_eq!(map.get("empty"), Some(""));
        assert_eq!(map.get("c"), None);
        assert_eq!(map.len(), 4);
    }

    #[test]
    fn null_is_the_empty_map() {
        let map: StringMap = serde_json::from_str("null").unwrap();
        assert!(map.is_empty());
        assert_eq!(map.heap_bytes(), 0);
    }

    #[test]
    fn a_separator_inside_an_entry_cannot_forge_another_entry() {
        let map: StringMap = [("a", "1\0admin\0yes"), ("b", "2")].into_iter().collect();
        assert_eq!(map.iter().collect::<Vec<_>>(), [("b", "2")]);
    }

    #[test]
    fn the_last_of_equal_keys_wins() {
        let map: StringMap = serde_json::from_str(r#"{"a":"1","a":"2"}"#).unwrap();
        assert_eq!(map.iter().collect::<Vec<_>>(), [("a", "2")]);
    }
}
