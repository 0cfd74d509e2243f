//! [`Guard`]: what a plugin that panics is to the scheduler: an error of one pod that names the plugin and the extension point.
//!
//! kube-scheduler ends with a plugin that panics. Here the pod fails in the words that it has for a plugin's error
//! (`pkg/scheduler/framework/runtime/framework.go`), and is tried again after a back-off.

use orch_runtime::metrics::{Meter, SCHEDULER_PLUGIN_PANICS, Unmeasured};
use orch_store::panics::{caught, caught_async};
use std::{fmt, sync::Arc};

/// Where in the framework a plugin is called. The names are those of kube-scheduler's metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Point {
    PreEnqueue,
    QueueSort,
    QueueingHint,
    PreFilter,
    Filter,
    PostFilter,
    PreScore,
    Score,
    Normalize,
    Reserve,
    Unreserve,
    Permit,
    PreBind,
    Bind,
    PostBind,
}

/// A plugin that panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// The plugin.
    pub plugin: &'static str,
    /// Where it was called.
    pub point: Point,
    /// What the panic said.
    pub why: String,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plugin, point, why } = self;
        match point {
            Point::Filter => write!(f, "running {plugin:?} filter plugin: "),
            Point::Score => write!(f, "running Score plugins: plugin {plugin:?} failed with: "),
            Point::Normalize => write!(f, "running Normalize on Score plugins: plugin {plugin:?} failed with: "),
            point => write!(f, "running {point:?} plugin {plugin:?}: "),
        }?;
        write!(f, "it panicked: {why}")
    }
}

/// Calls plugins, and counts and logs their panics.
#[derive(Clone)]
pub struct Guard {
    meter: Arc<dyn Meter>,
}

impl Default for Guard {
    fn default() -> Self {
        Self::new(Arc::new(Unmeasured))
    }
}

impl Guard {
    /// Counts panics with a meter.
    pub fn new(meter: Arc<dyn Meter>) -> Self {
        Self { meter }
    }

    /// Calls plugins of one extension point. `plugin` is asked after a panic: which of them was it?
    pub fn call<T>(
        &self,
        point: Point,
        plugin: impl FnOnce() -> &'static str,
        work: impl FnOnce() -> T,
    ) -> Result<T, Panicked> {
        caught(work).map_err(|why| self.note(plugin(), point, why))
    }

    /// As [`Guard::call`], for a plugin that waits.
    pub async fn wait<T>(
        &self,
        point: Point,
        plugin: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, Panicked> {
        caught_async(work).await.map_err(|why| self.note(plugin, point, why))
    }

    fn note(&self, plugin: &'static str, point: Point, why: String) -> Panicked {
        let name = format!("{point:?}");
        tracing::error!(plugin, extension_point = name, why, "a scheduler plugin panicked");
        self.meter.counter(&SCHEDULER_PLUGIN_PANICS, &[("plugin", plugin), ("extension_point", &name)])(1);
        Panicked { plugin, point, why }
    }
}
