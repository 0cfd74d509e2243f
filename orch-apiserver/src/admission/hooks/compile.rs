//! [`Hooks`]: all webhooks of the server, compiled when their configurations change.

use super::hook::{Declared, Hook, Reach};
use crate::{admission::derived::Derived, core::Core, webhook::WebhookClient};
use orch_api::{
    Gvr, Object,
    k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
};
use orch_store::{AdmissionHook, Revision, Stored, cache::Snapshot, review::Webhook};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

const GROUP: &str = "admissionregistration.k8s.io";
const MUTATING: Gvr = Gvr::of(GROUP, "v1", "mutatingwebhookconfigurations");
const VALIDATING: Gvr = Gvr::of(GROUP, "v1", "validatingwebhookconfigurations");

/// All webhooks of the server.
pub(crate) struct Hooks {
    client: WebhookClient,
    in_process: Vec<AdmissionHook>,
    mutating: Derived<Compiled>,
    validating: Derived<Compiled>,
}

/// The webhooks of one kind, in the order in which they are asked: configurations by name, and within one as it
/// lists them.
#[derive(Default)]
pub(crate) struct Compiled {
    configurations: BTreeMap<String, Configuration>,
    ordered: Vec<Arc<Hook>>,
}

#[derive(Clone)]
struct Configuration {
    revision: Revision,
    hooks: Vec<Arc<Hook>>,
}

impl Compiled {
    /// The webhooks in order.
    pub(super) fn hooks(&self) -> &[Arc<Hook>] {
        &self.ordered
    }

    fn of(
        last: &Self,
        stored: &Snapshot,
        in_process: Vec<(String, Vec<Arc<Hook>>)>,
        compile: impl Fn(&Stored) -> Vec<Arc<Hook>>,
    ) -> Self {
        let mut configurations = BTreeMap::new();
        for object in stored.iter(None, None) {
            let name = object.key.name.to_string();
            let known = last.configurations.get(&name).filter(|known| known.revision == object.revision);
            let made = || Configuration { revision: object.revision, hooks: compile(object) };
            configurations.insert(name, known.cloned().unwrap_or_else(made));
        }
        let mut all: Vec<(&str, &[Arc<Hook>])> = configurations.iter().map(|(name, c)| (&**name, &*c.hooks)).collect();
        all.extend(in_process.iter().map(|(name, hooks)| (&**name, &**hooks)));
        all.sort_by(|a, b| a.0.cmp(b.0));
        let ordered = all.into_iter().flat_map(|(_, hooks)| hooks.iter().cloned()).collect();
        Self { configurations, ordered }
    }
}

impl Hooks {
    /// Webhooks that are reached by a client, and those of this process.
    pub(crate) fn new(client: WebhookClient, in_process: Vec<AdmissionHook>) -> Self {
        Self { client, in_process, mutating: Derived::new(MUTATING), validating: Derived::new(VALIDATING) }
    }

    pub(crate) fn mutating(&self, core: &Core) -> Arc<Compiled> {
        self.mutating.get(core, |stored, last| {
            Compiled::of(last, stored, self.functions(true), |object| {
                self.compile(object, |c: &MutatingWebhookConfiguration| {
                    c.webhooks.iter().flatten().map(Declared::from).collect()
                })
            })
        })
    }

    pub(crate) fn validating(&self, core: &Core) -> Arc<Compiled> {
        self.validating.get(core, |stored, last| {
            Compiled::of(last, stored, self.functions(false), |object| {
                self.compile(object, |c: &ValidatingWebhookConfiguration| {
                    c.webhooks.iter().flatten().map(Declared::from).collect()
                })
            })
        })
    }

    fn compile<K: Object>(&self, object: &Stored, webhooks: impl Fn(&K) -> Vec<Declared<'_>>) -> Vec<Arc<Hook>> {
        let configuration = match object.decode::<K>() {
            Ok(configuration) => configuration,
            Err(error) => {
                tracing::error!(configuration = %object.key, %error, "a webhook configuration cannot be read");
                return Vec::new();
            }
        };
        let mut seen: HashMap<String, usize> = HashMap::new();
        let compile = |declared: Declared<'_>| {
            let index = seen.entry(declared.name.to_owned()).or_default();
            let reach = Reach::https(&self.client, declared.config);
            let hook = Hook::new(&object.key.name, *index, &declared, reach);
            *index += 1;
            Arc::new(hook)
        };
        webhooks(&configuration).into_iter().map(compile).collect()
    }

    /// The functions of this process. Each counts as a configuration of its own name.
    fn functions(&self, mutating: bool) -> Vec<(String, Vec<Arc<Hook>>)> {
        let compile = |hook: &AdmissionHook| {
            let declared = match &hook.webhook {
                Webhook::Mutating(webhook) => Declared::from(webhook),
                Webhook::Validating(webhook) => Declared::from(webhook),
            };
            let function = Reach::Function(hook.handler.clone());
            let compiled = Arc::new(Hook::new(hook.name(), 0, &declared, function));
            (declared.mutating == mutating).then(|| (hook.name().to_owned(), vec![compiled]))
        };
        self.in_process.iter().filter_map(compile).collect()
    }
}
