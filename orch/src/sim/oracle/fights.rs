//! Fights: two loops of which each undoes what the other did.

use super::{Judge, Oracle};
use crate::sim::{
    fault::USER,
    state::{Verb, Write},
};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

/// No field goes back and forth between the same two values, set by two loops in turn (or, where it is a wish, by one that
/// cannot make up its mind), and no loop goes on ending Pods that another goes on making. What the user does begins
/// the count anew: it is what the loops have to answer to.
#[derive(Default)]
pub struct Fights {
    /// By UID and JSON pointer.
    fields: BTreeMap<(Arc<str>, String), Field>,
    /// Who made which Pod.
    makers: BTreeMap<Arc<str>, Arc<str>>,
    /// How many Pods of an owner, made by the one, the other has ended.
    ended: BTreeMap<Ending, u32>,
}

/// An owner's UID, who made its Pods, and who ends them.
type Ending = (Arc<str>, Arc<str>, Arc<str>);

/// How often a field may be set back. A view that lags excuses a loop once or twice.
const UNDONE: u32 = 4;

/// How many Pods of one owner may be ended by another than their maker: all of them, and those that replaced them.
const ENDED: u32 = 10;

/// The last change of a field, and how often in a row each change undid the one before.
struct Field {
    who: Arc<str>,
    from: Value,
    to: Value,
    undone: u32,
}

impl Oracle for Fights {
    fn name(&self) -> &'static str {
        "fight"
    }

    fn judge(&mut self, write: &Write, _: &Judge<'_>) -> Result<(), String> {
        match &*write.who {
            USER => self.begin(),
            "apiserver" => {}
            _ if write.verb == Verb::Update && !write.dooms() => return self.update(write),
            _ => return self.pod(write),
        }
        Ok(())
    }
}

impl Fights {
    fn begin(&mut self) {
        self.fields.clear();
        self.ended.clear();
    }

    fn update(&mut self, write: &Write) -> Result<(), String> {
        let (Some(old), Some(new)) = (&write.old, &write.new) else { return Ok(()) };
        let mut changed = Vec::new();
        differing("", &old.value, &new.value, &mut changed);
        for (pointer, from, to) in changed {
            // What a quota says is in use, the API server writes with every Pod that it admits.
            if IGNORED.contains(&&*pointer) || (new.kind == "ResourceQuota" && pointer.starts_with("/status")) {
                continue;
            }
            let key = (new.uid.clone(), pointer);
            let before = self.fields.get(&key);
            let undoes = before.filter(|last| last.from == *to && last.to == *from);
            let counts = |last: &&Field| last.who != write.who || key.1.starts_with("/spec/");
            let undone = undoes.filter(counts).map_or(0, |last| last.undone + 1);
            let other = before.map_or_else(|| write.who.clone(), |last| last.who.clone());
            if undone >= UNDONE {
                self.begin();
                let pointer = &key.1;
                let (from, to) = (short(from), short(to));
                return Err(format!("{pointer} of {new} goes from {from} to {to} and back: {other}, {}", write.who));
            }
            self.fields.insert(key, Field { who: write.who.clone(), from: from.clone(), to: to.clone(), undone });
        }
        Ok(())
    }

    fn pod(&mut self, write: &Write) -> Result<(), String> {
        let Some(pod) = write.object().filter(|object| object.kind == "Pod") else { return Ok(()) };
        let Some((owner, _)) = pod.controller() else { return Ok(()) };
        if write.verb == Verb::Create {
            self.makers.insert(pod.uid.clone(), write.who.clone());
            return Ok(());
        }
        let maker = self.makers.get(&pod.uid).filter(|maker| **maker != write.who && write.dooms());
        let Some(maker) = maker.cloned() else { return Ok(()) };
        let count = self.ended.entry((owner.into(), maker.clone(), write.who.clone())).or_default();
        *count += 1;
        match *count > ENDED {
            true => Err(format!("{} ends {pod}: {count} Pods that {maker} made for the same owner", write.who)),
            false => Ok(()),
        }
    }
}

/// What every write changes.
const IGNORED: &[&str] = &["/metadata/resourceVersion", "/metadata/managedFields", "/metadata/generation"];

/// A value in a few words.
fn short(value: &Value) -> String {
    let text = value.to_string();
    text.char_indices().nth(60).map_or(text.clone(), |(at, _)| format!("{}…", &text[..at]))
}

/// The fields in which two values differ. Lists count as one field.
fn differing<'a>(pointer: &str, old: &'a Value, new: &'a Value, found: &mut Vec<(String, &'a Value, &'a Value)>) {
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
        for name in names {
            let (old, new) = (before.get(name).unwrap_or(&Value::Null), after.get(name).unwrap_or(&Value::Null));
            differing(&format!("{pointer}/{name}"), old, new, found);
        }
    } else if old != new {
        found.push((pointer.to_owned(), old, new));
    }
}
