//! The built-in loops by name.

use super::host::MakeLoop;
use orch_controllers::Config;
use orch_runtime::{Description, Discovery, discovery::Served};
use orch_store::Clock;
use std::sync::Arc;

/// The names of the built-in loops.
pub fn loops() -> Vec<String> {
    descriptions().into_iter().map(|each| each.name.to_owned()).collect()
}

/// What the built-in loops say of themselves.
pub(super) fn descriptions() -> Vec<Description> {
    orch_controllers::all(&dry()).iter().map(|each| each.describe()).collect()
}

/// A configuration to describe loops by.
pub(super) fn dry() -> Config {
    let discovery: Arc<dyn Discovery> = Arc::new(Vec::<Served>::new());
    Config::new(discovery, "".into(), Clock::system())
}

/// The built-in loop of that name.
pub(super) fn built_in(name: &str) -> MakeLoop {
    let name = name.to_owned();
    Arc::new(move |config| {
        let mut all = orch_controllers::all(config);
        let at = all.iter().position(|each| each.describe().name == name).unwrap_or(0);
        all.swap_remove(at)
    })
}
