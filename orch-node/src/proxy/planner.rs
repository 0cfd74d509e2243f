//! [`Planner`]: the rules of a node, kept in step with the cluster at a cost that grows with what changed.

use super::{
    model::{Service, Slice},
    plan::{Front, Rule, Ruleset, rules_of},
};
use orch_api::Key;
use std::collections::{BTreeMap, BTreeSet};

/// What became of fronts: their new rule, or `None` for those that are gone.
pub type Changes = BTreeMap<Front, Option<Rule>>;

/// What [`super::plan()`] says of the cluster, Service by Service.
#[derive(Debug)]
pub struct Planner {
    nodes: BTreeSet<String>,
    services: BTreeMap<Key, Service>,
    slices: BTreeMap<Key, Slice>,
    slices_of: BTreeMap<Key, BTreeSet<Key>>,
    /// Services whose rules are to be computed again.
    dirty: BTreeSet<Key>,
    /// The rules of each Service by itself.
    rules_of: BTreeMap<Key, Ruleset>,
    /// Who wants a front; the first has it.
    claims: BTreeMap<Front, BTreeSet<Key>>,
    rules: Ruleset,
}

impl Planner {
    /// The planner of a machine, by the names of its nodes; nothing is known of the cluster yet.
    pub fn new<N: Into<String>>(nodes: impl IntoIterator<Item = N>) -> Self {
        Self {
            nodes: nodes.into_iter().map(Into::into).collect(),
            services: BTreeMap::new(),
            slices: BTreeMap::new(),
            slices_of: BTreeMap::new(),
            dirty: BTreeSet::new(),
            rules_of: BTreeMap::new(),
            claims: BTreeMap::new(),
            rules: Ruleset::new(),
        }
    }

    /// Adds or replaces a Service.
    pub fn set_service(&mut self, service: Service) {
        if self.services.get(&service.key) != Some(&service) {
            self.dirty.insert(service.key.clone());
            self.services.insert(service.key.clone(), service);
        }
    }

    /// Forgets a Service.
    pub fn remove_service(&mut self, key: &Key) {
        if self.services.remove(key).is_some() {
            self.dirty.insert(key.clone());
        }
    }

    /// Adds or replaces a slice.
    pub fn set_slice(&mut self, key: Key, slice: Slice) {
        if self.slices.get(&key) == Some(&slice) {
            return;
        }
        self.remove_slice(&key);
        self.dirty.insert(slice.service.clone());
        self.slices_of.entry(slice.service.clone()).or_default().insert(key.clone());
        self.slices.insert(key, slice);
    }

    /// Forgets a slice.
    pub fn remove_slice(&mut self, key: &Key) {
        let Some(slice) = self.slices.remove(key) else { return };
        if let Some(keys) = self.slices_of.get_mut(&slice.service) {
            keys.remove(key);
            if keys.is_empty() {
                self.slices_of.remove(&slice.service);
            }
        }
        self.dirty.insert(slice.service);
    }

    /// All rules, as of the last call of [`Planner::changes`].
    pub fn rules(&self) -> &Ruleset {
        &self.rules
    }

    /// The Service that a front leads to.
    pub fn owner(&self, front: &Front) -> Option<&Key> {
        self.claims.get(front)?.first()
    }

    /// What changed since the last call.
    pub fn changes(&mut self) -> Changes {
        let mut touched = BTreeSet::new();
        for key in std::mem::take(&mut self.dirty) {
            let new = self.compute(&key);
            let old = self.rules_of.remove(&key).unwrap_or_default();
            for front in old.keys().filter(|front| !new.contains_key(front)) {
                if let Some(claims) = self.claims.get_mut(front) {
                    claims.remove(&key);
                }
            }
            for front in new.keys() {
                self.claims.entry(*front).or_default().insert(key.clone());
            }
            touched.extend(old.keys().chain(new.keys()).copied());
            if !new.is_empty() {
                self.rules_of.insert(key, new);
            }
        }
        touched.into_iter().filter_map(|front| self.settle(front)).collect()
    }

    fn compute(&self, key: &Key) -> Ruleset {
        let mut rules = Ruleset::new();
        if let Some(service) = self.services.get(key).filter(|s| s.has_fronts()) {
            let keys = self.slices_of.get(key).into_iter().flatten();
            let slices: Vec<&Slice> = keys.filter_map(|k| self.slices.get(k)).collect();
            rules_of(service, &slices, &self.nodes, &mut rules);
        }
        rules
    }

    /// Brings one front up to date, and says so if that changed it.
    fn settle(&mut self, front: Front) -> Option<(Front, Option<Rule>)> {
        let owner = self.claims.get(&front).and_then(BTreeSet::first);
        let rule = owner.and_then(|key| self.rules_of.get(key)?.get(&front)).cloned();
        if owner.is_none() {
            self.claims.remove(&front);
        }
        if self.rules.get(&front) == rule.as_ref() {
            return None;
        }
        match &rule {
            Some(rule) => drop(self.rules.insert(front, rule.clone())),
            None => drop(self.rules.remove(&front)),
        }
        Some((front, rule))
    }
}

/// What leads from one ruleset to another.
pub(super) fn difference(old: &Ruleset, new: &Ruleset) -> Changes {
    let gone = old.keys().filter(|front| !new.contains_key(front)).map(|front| (*front, None));
    let changed = new.iter().filter(|(front, rule)| old.get(front) != Some(rule));
    gone.chain(changed.map(|(front, rule)| (*front, Some(rule.clone())))).collect()
}
