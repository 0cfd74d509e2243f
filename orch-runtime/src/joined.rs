//! [`Joined`]: an index over several kinds, for relations that none of them has alone: which services select a pod, which
//! sites mount a secret.
//!
//! ```text
//! informer of A ─deltas─┐
//! informer of B ─deltas─┴─► Joint (one per process): Joined::apply, in turn ─┬─► View::joined reads
//!                                                                            └─► keys ─► the queues of all loops that join
//! ```
//!
//! Nobody reads a joint that is behind: a read takes in what the informers have told by then. So the consistency gate holds
//! for it as well, and a loop is woken after its joint has changed, never before.

use crate::{testing::Objects, view::Caches};
use futures::{StreamExt, stream, stream::BoxStream};
use orch_api::{Gvk, Gvr, Key, Object};
use orch_store::{Informers, informer::Delta, panics::caught};
use parking_lot::Mutex;
use std::any::type_name;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How many changes wake a loop at once.
const CHUNK: usize = 256;

/// An index over several kinds: plain data that is told every change of each.
///
/// # Laws
///
/// - What the index holds follows from the objects that there are. Changes of one kind come in their order; those of
///   different kinds come in any, and all orders lead to the same index.
/// - `apply` does no IO and reads no cache: it has the index and the change.
/// - The keys that `apply` returns are those for which a loop that joins would decide differently now. One too many costs a
///   reconcile, one too few is a lost event.
///
/// ```
/// # use orch_api::{Gvr, Key, Object};
/// # use orch_runtime::{Watches, joined::{Joined, Joins}};
/// # use orch_store::informer::Delta;
/// # use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
/// # use std::{collections::{BTreeMap, BTreeSet}, sync::Arc};
/// /// How many pods and secrets each namespace has; a ConfigMap called `census` says so.
/// #[derive(Default)]
/// struct Census(BTreeMap<Arc<str>, BTreeSet<(Gvr, Key)>>);
///
/// impl Joined for Census {
///     fn kinds() -> Vec<Joins> {
///         vec![Joins::of::<Pod>(), Joins::of::<Secret>()]
///     }
///
///     fn apply(&mut self, resource: &Gvr, delta: &Delta) -> Vec<Key> {
///         let Some(key) = delta.key() else { return Vec::new() };
///         let counted = self.0.entry(key.namespace.clone()).or_default();
///         match &delta.new {
///             Some(_) => counted.insert((resource.clone(), key.clone())),
///             None => counted.remove(&(resource.clone(), key.clone())),
///         };
///         vec![Key::new(key.namespace.clone(), "census")]
///     }
/// }
///
/// let watches = Watches::root::<ConfigMap>().joins::<Census>();
/// // In a reconcile: ctx.view().joined(|census: &Census| census.0.get("default").map_or(0, BTreeSet::len))
/// # drop(watches);
/// ```
pub trait Joined: Default + Send + Sync + 'static {
    /// The kinds whose changes are told.
    fn kinds() -> Vec<Joins>;

    /// Takes in a change of one of the kinds. Returns whom it concerns, as keys of the root kind of whoever joins.
    fn apply(&mut self, resource: &Gvr, delta: &Delta) -> Vec<Key>;
}

/// A kind of a joined index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joins {
    /// Its resource.
    pub gvr: Gvr,
    /// Its kind.
    pub gvk: Gvk,
}

impl Joins {
    /// A typed kind.
    pub fn of<K: Object>() -> Self {
        Self { gvr: K::gvr(), gvk: K::gvk() }
    }
}

/// A joined index as [`Watches`](crate::Watches) names it: how a loop is woken by it.
pub(crate) type Wakes = fn(&Caches) -> BoxStream<'static, Key>;

/// An index with what it has not taken in yet.
pub(crate) struct Joint<I>(Mutex<Inner<I>>);

struct Inner<I> {
    index: I,
    inputs: Vec<(Gvr, UnboundedReceiver<Delta>)>,
    outputs: Vec<UnboundedSender<Key>>,
}

impl<I: Joined> Joint<I> {
    pub(crate) fn new(informers: &Informers) -> Self {
        let inputs = I::kinds().into_iter().map(|kind| {
            let deltas = informers.get(&kind.gvr).subscribe();
            (kind.gvr, deltas)
        });
        Self(Mutex::new(Inner { index: I::default(), inputs: inputs.collect(), outputs: Vec::new() }))
    }

    pub(crate) fn read<R>(&self, read: impl FnOnce(&I) -> R) -> R {
        let mut inner = self.0.lock();
        inner.settle();
        read(&inner.index)
    }

    fn listen(&self) -> UnboundedReceiver<Key> {
        let (sender, receiver) = unbounded_channel();
        self.0.lock().outputs.push(sender);
        receiver
    }
}

impl<I: Joined> Inner<I> {
    /// Takes in what the informers have told.
    fn settle(&mut self) {
        for (resource, deltas) in &mut self.inputs {
            while let Ok(delta) = deltas.try_recv() {
                for key in guarded(&mut self.index, resource, &delta) {
                    self.outputs.retain(|output| output.send(key.clone()).is_ok());
                }
            }
        }
    }
}

/// The keys of all changes from now on. An informer tells its subscribers in the order in which they came, so that a wake
/// follows the change that the joint, which came before, was told.
pub(crate) fn wakes<I: Joined>(caches: &Caches) -> BoxStream<'static, Key> {
    let joint = caches.joint::<I>();
    let mut keys = joint.listen();
    let deltas = I::kinds().into_iter().map(|kind| {
        let deltas = caches.informers().get(&kind.gvr).subscribe();
        stream::unfold(deltas, |mut deltas| async move { deltas.recv().await.map(|_| ((), deltas)) }).boxed()
    });
    let woken = stream::select_all(deltas).ready_chunks(CHUNK).map(move |_| {
        joint.read(|_| ());
        stream::iter(std::iter::from_fn(|| keys.try_recv().ok()).collect::<Vec<_>>())
    });
    woken.flatten().boxed()
}

/// The index of a fixed set of objects.
pub(crate) fn of_objects<I: Joined>(objects: &Objects) -> I {
    let mut index = I::default();
    for Joins { gvr, .. } in I::kinds() {
        for object in objects.list(&gvr, "") {
            guarded(&mut index, &gvr, &Delta { old: None, new: Some(object) });
        }
    }
    index
}

/// Applies a change; where that panics the index lacks it, and nobody else is harmed.
fn guarded<I: Joined>(index: &mut I, resource: &Gvr, delta: &Delta) -> Vec<Key> {
    caught(|| index.apply(resource, delta)).unwrap_or_else(|why| {
        let (index, object) = (type_name::<I>(), delta.key());
        tracing::error!(index, ?object, why, "a joined index panicked; it does not have this change");
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::View;
    use k8s_openapi::api::core::v1::{ConfigMap, Secret};
    use orch_store::{Ambient, Client, ClientExt, backend::MemoryBackend, testing::BareClient};
    use std::{collections::BTreeSet, sync::Arc};

    /// Names that both a config map and a secret have.
    #[derive(Default)]
    struct Pairs {
        maps: BTreeSet<Key>,
        secrets: BTreeSet<Key>,
    }

    impl Pairs {
        fn of(&self) -> Vec<Key> {
            self.maps.intersection(&self.secrets).cloned().collect()
        }
    }

    impl Joined for Pairs {
        fn kinds() -> Vec<Joins> {
            vec![Joins::of::<ConfigMap>(), Joins::of::<Secret>()]
        }

        fn apply(&mut self, resource: &Gvr, delta: &Delta) -> Vec<Key> {
            let key = delta.key().unwrap().clone();
            assert!(&*key.name != "bad", "no idea");
            let side = if *resource == Secret::gvr() { &mut self.secrets } else { &mut self.maps };
            match delta.new {
                Some(_) => side.insert(key.clone()),
                None => side.remove(&key),
            };
            vec![key]
        }
    }

    fn named<K: Object + Default>(name: &str) -> K {
        let mut object = K::default();
        (object.meta_mut().name, object.meta_mut().namespace) = (Some(name.into()), Some("default".into()));
        object
    }

    struct World {
        client: Arc<dyn Client>,
        caches: Caches,
    }

    impl World {
        fn new() -> Self {
            let ambient = Ambient::seeded(1);
            let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
            Self { caches: Caches::new(Informers::new(client.clone(), ambient)), client }
        }

        fn pairs(&self) -> Vec<String> {
            let pairs = View::live(&self.caches).joined(Pairs::of);
            pairs.into_iter().map(|key| key.name.to_string()).collect()
        }

        async fn add<K: Object + Default>(&self, name: &str) {
            let made = self.client.add(&named::<K>(name)).await.unwrap();
            let revision = made.meta().resource_version.as_ref().unwrap().parse().unwrap();
            self.caches.informer(&K::gvr()).seen(&Key::new("default", name), orch_store::Revision(revision)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_has_what_the_caches_of_all_its_kinds_have() {
        let world = World::new();
        world.add::<ConfigMap>("a").await;
        assert!(world.pairs().is_empty());
        world.add::<Secret>("a").await;
        world.add::<Secret>("b").await;
        assert_eq!(world.pairs(), ["a"]);
        world.add::<ConfigMap>("bad").await;
        world.add::<ConfigMap>("b").await;
        assert_eq!(world.pairs(), ["a", "b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_after_the_index_has_it_whoever_read_meanwhile() {
        let world = World::new();
        let mut wakes = wakes::<Pairs>(&world.caches);
        world.add::<ConfigMap>("a").await;
        assert_eq!(wakes.next().await.unwrap().name.as_ref(), "a");
        world.add::<Secret>("a").await;
        assert_eq!(world.pairs(), ["a"], "a read takes the change in");
        assert_eq!(wakes.next().await.unwrap().name.as_ref(), "a", "and its key is not lost");
    }

    #[test]
    fn a_test_reads_the_index_of_its_objects() {
        let watches = crate::Watches::root::<ConfigMap>().joins::<Pairs>();
        let objects = Objects::new(&watches).with(&named::<ConfigMap>("a")).with(&named::<Secret>("a"));
        assert_eq!(View::fixed(&objects).joined(Pairs::of).len(), 1);
        assert_eq!(watches.sources.iter().map(|s| s.kind.kind.as_ref()).collect::<Vec<_>>(), ["ConfigMap", "Secret"]);
    }
}
