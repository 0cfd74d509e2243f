//! Since when a CronJob has its schedule. A new one is for times that come, not for those that it would have had
//! (`updateCronJob` of `pkg/controller/cronjob/cronjob_controllerv2.go`).

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::CronJob;
use orch_api::{Key, Object};
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// The schedules of all CronJobs. They are forgotten with the process, as upstream's changes are.
#[derive(Debug, Default)]
pub(super) struct Schedules(Mutex<BTreeMap<Key, Schedule>>);

/// The schedule that a CronJob was last seen with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    uid: Arc<str>,
    times: String,
    zone: Option<String>,
    /// When it replaced another one.
    since: Option<Timestamp>,
}

impl Schedules {
    pub(super) fn of(&self, cron: &CronJob) -> Option<Schedule> {
        self.0.lock().get(&cron.key()).filter(|schedule| *schedule.uid == *cron.uid()).cloned()
    }

    pub(super) fn set(&self, cron: &CronJob, schedule: Schedule) {
        self.0.lock().insert(cron.key(), schedule);
    }

    pub(super) fn forget(&self, key: &Key) {
        self.0.lock().remove(key);
    }
}

impl Schedule {
    /// The schedule that the CronJob has now, after the one that it was seen with before.
    pub(super) fn after(before: Option<&Self>, cron: &CronJob, now: Timestamp) -> Self {
        let (times, zone) = (cron.spec.schedule.clone(), cron.spec.time_zone.clone());
        let since = match before {
            Some(before) if before.times != times || before.zone != zone => Some(now),
            Some(before) => before.since,
            None => None,
        };
        Self { uid: cron.uid().into(), times, zone, since }
    }

    /// From when on Jobs are due by it, if that is not told by the last of them.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.since
    }
}
