//! [`Profile`]: the plugins that schedule the pods of one scheduler name.

use super::plugin::{
    Bind, Filter, Permit, Plugin, PostBind, PostFilter, PreBind, PreEnqueue, PreFilter, PreScore, QueueSort, Reserve,
    Score,
};
use std::sync::Arc;

/// The plugins that schedule the pods of one scheduler name.
#[derive(Clone)]
pub struct Profile {
    /// `spec.schedulerName` of its pods.
    pub scheduler: Arc<str>,
    /// Plugins by extension point.
    pub points: Points,
}

/// A score with its weight.
#[derive(Clone)]
pub struct Scored {
    /// The plugin.
    pub plugin: Arc<dyn Score>,
    /// What its normalized score is multiplied by.
    pub weight: i64,
}

/// Plugins by extension point, each in the order in which they joined.
#[derive(Clone, Default)]
#[allow(missing_docs)] // The names are those of the extension points.
pub struct Points {
    pub plugins: Vec<Arc<dyn Plugin>>,
    pub pre_enqueue: Vec<Arc<dyn PreEnqueue>>,
    pub queue_sort: Option<Arc<dyn QueueSort>>,
    pub pre_filter: Vec<Arc<dyn PreFilter>>,
    pub filter: Vec<Arc<dyn Filter>>,
    pub post_filter: Vec<Arc<dyn PostFilter>>,
    pub pre_score: Vec<Arc<dyn PreScore>>,
    pub score: Vec<Scored>,
    pub reserve: Vec<Arc<dyn Reserve>>,
    pub permit: Vec<Arc<dyn Permit>>,
    pub pre_bind: Vec<Arc<dyn PreBind>>,
    pub bind: Vec<Arc<dyn Bind>>,
    pub post_bind: Vec<Arc<dyn PostBind>>,
}

impl Profile {
    /// A profile without plugins.
    pub fn new(scheduler: &str) -> Self {
        Self { scheduler: scheduler.into(), points: Points::default() }
    }

    /// Adds a plugin at every extension point that it joins.
    #[must_use]
    pub fn with(mut self, plugin: impl Plugin) -> Self {
        let plugin = Arc::new(plugin);
        self.points.plugins.push(plugin.clone());
        plugin.register(&mut self.points);
        self
    }
}

/// Declares the method by which a plugin joins an extension point.
macro_rules! join {
    ($($point:ident: $extension:ident),* $(,)?) => {
        impl Points {
            $(
                #[doc = concat!("Joins [`", stringify!($extension), "`].")]
                pub fn $point(&mut self, plugin: Arc<dyn $extension>) -> &mut Self {
                    self.$point.push(plugin);
                    self
                }
            )*

            /// Orders the queue; the last plugin to say so wins.
            pub fn queue_sort(&mut self, plugin: Arc<dyn QueueSort>) -> &mut Self {
                self.queue_sort = Some(plugin);
                self
            }

            /// Joins [`Score`] with a weight.
            pub fn score(&mut self, plugin: Arc<dyn Score>, weight: i64) -> &mut Self {
                self.score.push(Scored { plugin, weight });
                self
            }
        }
    };
}

join! {
    pre_enqueue: PreEnqueue,
    pre_filter: PreFilter,
    filter: Filter,
    post_filter: PostFilter,
    pre_score: PreScore,
    reserve: Reserve,
    permit: Permit,
    pre_bind: PreBind,
    bind: Bind,
    post_bind: PostBind,
}
