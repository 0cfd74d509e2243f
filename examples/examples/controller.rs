//! How do I write a controller, and test it? This one gives every Namespace a ConfigMap called `welcome`.
//! `cargo run -p examples --example controller`, `cargo test -p examples --example controller`

use orch::{
    Cluster,
    api::{
        Key, Object,
        k8s_openapi::{
            api::core::v1::{ConfigMap, Namespace},
            jiff::Timestamp,
        },
    },
    runtime::{Controller, Manager, Plan, View, Watches},
    store::ClientExt,
};
use std::sync::Arc;

struct Welcome;

impl Controller for Welcome {
    const NAME: &'static str = "welcome";
    const ABOUT: &'static str = "Gives every Namespace a ConfigMap called `welcome`.";
    type World = (Arc<Namespace>, Option<Arc<ConfigMap>>);

    fn watches(&self) -> Watches {
        // A changed ConfigMap asks for the Namespace that it is in.
        Watches::root::<Namespace>().maps::<ConfigMap>(|delta, _| {
            delta.key().map(|key| Key::cluster(key.namespace.clone())).into_iter().collect()
        })
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Self::World> {
        Some((view.get(key)?, view.get(&Key::new(key.name.clone(), "welcome"))))
    }

    fn plan(&self, (namespace, found): &Self::World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        if found.is_none() && !namespace.is_deleting() {
            let mut welcome = ConfigMap::default();
            welcome.metadata.name = Some("welcome".into());
            welcome.metadata.namespace = namespace.metadata.name.clone();
            plan.create(&welcome);
        }
        plan
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cluster = Cluster::builder().build().await?;
    let manager = Manager::new(&cluster.caches(), cluster.ambient()).controller(Welcome);
    cluster.ambient().tasks.spawn_graceful(async move { drop(manager.run(std::future::pending()).await) });

    let key = Key::new("default", "welcome");
    let found = cluster.client().wait_for(&key, |found: Option<&ConfigMap>| found.is_some()).await?;
    println!("default has been welcomed: {}", found.is_some());
    cluster.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use orch::runtime::testing::{Objects, check_plan};

    #[test]
    fn a_namespace_is_welcomed_once() {
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some("demo".into());
        let mut objects = Objects::new(&Welcome.watches()).with(&namespace);
        let plan = |objects: &Objects| {
            let world = Welcome.observe(&namespace.key(), &View::fixed(objects)).unwrap();
            Welcome.plan(&world, Timestamp::UNIX_EPOCH)
        };
        let first = plan(&objects);
        check_plan(&first, "create ConfigMap demo/welcome");
        objects.apply(&first, Timestamp::UNIX_EPOCH);
        check_plan(&plan(&objects), "");
    }
}
