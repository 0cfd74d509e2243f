//! Pods whose fate every runtime brings about alike: the same manifests through a whole cluster.
//!
//! All run the commands of [`crate::image::TOOLBOX_IMAGE`]. What a runtime cannot do it says in
//! [`RuntimeInfo::lacks`](orch_runtime::node::container::RuntimeInfo::lacks); cases that need it are skipped and
//! named in the [`Summary`].

mod files;
mod health;
mod lives;
mod volumes;
mod world;

pub use world::World;

use futures::{FutureExt, future::LocalBoxFuture};
use orch_runtime::node::container::Ability;
use std::panic::AssertUnwindSafe;

/// What happens to one pod.
pub struct Case {
    /// What holds, in words.
    pub name: &'static str,
    /// What the runtime must be able to do.
    pub needs: &'static [Ability],
    /// Creates the pod, follows it, panics when it goes another way.
    pub run: for<'a> fn(&'a World) -> LocalBoxFuture<'a, ()>,
}

/// How the cases went.
#[derive(Debug, Default)]
pub struct Summary {
    /// Those that hold.
    pub passed: Vec<&'static str>,
    /// Those that do not.
    pub failed: Vec<&'static str>,
    /// Those that the runtime says it cannot do.
    pub skipped: Vec<&'static str>,
}

/// Every case.
pub fn all() -> Vec<Case> {
    lives::cases().into_iter().chain(health::cases()).chain(files::cases()).chain(volumes::cases()).collect()
}

/// Runs every case that the runtime can do, all at the same time.
pub async fn run(world: &World) -> Summary {
    let lacks = world.runtime.info().await.unwrap().lacks;
    let (can, cannot): (Vec<_>, Vec<_>) =
        all().into_iter().partition(|case| case.needs.iter().all(|need| !lacks.contains(need)));
    let mut summary = Summary { skipped: cannot.iter().map(|case| case.name).collect(), ..Summary::default() };
    let runs = can.iter().map(|case| AssertUnwindSafe((case.run)(world)).catch_unwind());
    for (case, result) in can.iter().zip(futures::future::join_all(runs).await) {
        let list = if result.is_ok() { &mut summary.passed } else { &mut summary.failed };
        list.push(case.name);
    }
    summary
}
