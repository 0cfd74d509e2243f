//! The metrics: names of client-go (`workqueue_…`, `leader_election_…`) and controller-runtime (`controller_runtime_…`).

use super::Metric;

/// From ten nanoseconds to a quarter of an hour, as client-go has them.
const WAITS: &[f64] = &[1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0];
/// As controller-runtime has them.
const RECONCILES: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5,
    1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0,
];

const fn plain(name: &'static str, help: &'static str) -> Metric {
    Metric { name, help, buckets: &[] }
}

/// Keys that are ready.
pub static QUEUE_DEPTH: Metric = plain("workqueue_depth", "Current depth of workqueue");
/// Requests for keys.
pub static QUEUE_ADDS: Metric = plain("workqueue_adds", "Total number of adds handled by workqueue");
/// How long keys wait past the time when they were due.
pub static QUEUE_LATENCY: Metric = Metric {
    name: "workqueue_queue_duration_seconds",
    help: "How long in seconds an item stays in workqueue before being requested",
    buckets: WAITS,
};
/// How long keys are held by workers.
pub static QUEUE_WORK: Metric = Metric {
    name: "workqueue_work_duration_seconds",
    help: "How long in seconds processing an item from workqueue takes",
    buckets: WAITS,
};
/// Keys that failed and come again.
pub static QUEUE_RETRIES: Metric = plain("workqueue_retries", "Total number of retries handled by workqueue");
/// How long the key that waits longest has waited; not in client-go.
pub static QUEUE_OLDEST: Metric =
    plain("workqueue_oldest_item_age_seconds", "How many seconds the item that waits longest has been due");
/// The work that is under way.
pub static QUEUE_UNFINISHED: Metric = plain(
    "workqueue_unfinished_work_seconds",
    "How many seconds of work has been done that is in progress and has not been observed by work_duration",
);
/// The longest work that is under way.
pub static QUEUE_LONGEST: Metric = plain(
    "workqueue_longest_running_processor_seconds",
    "How many seconds the longest running processor for workqueue has been running",
);

/// Reconciles by their result: `success`, `error`, `requeue_after`.
pub static RECONCILES_TOTAL: Metric =
    plain("controller_runtime_reconcile", "Total number of reconciliations per controller");
/// Reconciles that failed.
pub static RECONCILE_ERRORS: Metric =
    plain("controller_runtime_reconcile_errors", "Total number of reconciliation errors per controller");
/// Reconciles that failed for good.
pub static RECONCILE_TERMINAL: Metric = plain(
    "controller_runtime_terminal_reconcile_errors",
    "Total number of terminal reconciliation errors per controller",
);
/// Reconciles that panicked.
pub static RECONCILE_PANICS: Metric =
    plain("controller_runtime_reconcile_panics", "Total number of reconciliation panics per controller");
/// Reconciles that took too long.
pub static RECONCILE_TIMEOUTS: Metric =
    plain("controller_runtime_reconcile_timeouts", "Total number of reconciliation timeouts per controller");
/// How long reconciles take.
pub static RECONCILE_TIME: Metric = Metric {
    name: "controller_runtime_reconcile_time_seconds",
    help: "Length of time per reconciliation per controller",
    buckets: RECONCILES,
};
/// How many workers there are.
pub static WORKERS_MAX: Metric =
    plain("controller_runtime_max_concurrent_reconciles", "Maximum number of concurrent reconciles per controller");
/// How many workers are busy.
pub static WORKERS_ACTIVE: Metric =
    plain("controller_runtime_active_workers", "Number of currently used workers per controller");
/// Functions of a controller's watches that panicked; not in controller-runtime.
pub static WATCH_PANICS: Metric =
    plain("controller_runtime_watch_panics", "Total number of panics in predicates and mappers per controller");
/// Scheduler plugins that panicked, by plugin and extension point; not in kube-scheduler, which ends then.
pub static SCHEDULER_PLUGIN_PANICS: Metric =
    plain("scheduler_plugin_panics", "Total number of panics in scheduler plugins, by plugin and extension point");
/// Whether this process leads: 1 or 0.
pub static LEADS: Metric =
    plain("leader_election_master_status", "Whether this process leads by the lease of that name (1) or stands by (0)");
