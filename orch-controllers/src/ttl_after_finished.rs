//! `ttl-after-finished-controller`: deletes finished Jobs whose time to live has passed (`pkg/controller/ttlafterfinished`).

use crate::{
    common::time::{by_the_clock, plus_seconds},
    job,
};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use orch_api::{Key, Object};
use orch_runtime::{Controller, Deletes, Plan, Target, View, Watches};
use orch_store::{
    Revision,
    client::{DeleteOptions, Propagation},
};
use std::sync::Arc;

/// Deletes finished Jobs whose time to live has passed.
///
/// The times are those of the clock that wrote them. A clock that is ahead deletes too early, and one that is behind too
/// late, as Kubernetes' documentation warns of.
pub struct TtlAfterFinished;

impl Controller for TtlAfterFinished {
    const NAME: &'static str = "ttl-after-finished-controller";
    const ABOUT: &'static str = "Deletes finished Jobs whose `ttlSecondsAfterFinished` have passed.";
    const DELETES: Deletes = Deletes::Others("finished Jobs whose time to live has passed");
    type World = Arc<Job>;

    fn watches(&self) -> Watches {
        Watches::root::<Job>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Arc<Job>> {
        view.get::<Job>(key).filter(|job| !job.is_deleting() && expires(job).is_some())
    }

    fn plan(&self, job: &Arc<Job>, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        match expires(job) {
            Some(at) if at > now => plan.requeue_within(by_the_clock(at, now)),
            Some(_) => {
                // As it was seen: the time to live may have been changed meanwhile.
                let revision = job.metadata.resource_version.as_deref().and_then(|revision| revision.parse().ok());
                let revision = revision.map(Revision);
                let (uid, propagation) = (Some(job.uid().into()), Some(Propagation::Foreground));
                plan.delete_with(
                    Target::of(&**job),
                    DeleteOptions { uid, revision, propagation, ..Default::default() },
                );
            }
            None => {}
        }
        plan
    }
}

/// When a finished Job expires; `None` where it does not.
fn expires(job: &Job) -> Option<Timestamp> {
    let seconds = job.spec.as_ref()?.ttl_seconds_after_finished?;
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let finished = conditions.iter().find(|condition| job::ends(condition))?.last_transition_time.as_ref()?.0;
    Some(plus_seconds(finished, seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, minutes_ago, now};
    use expect_test::{Expect, expect};
    use orch_runtime::testing::Objects;
    use serde_json::{Value, from_value, json};

    /// A Job with this time to live that got a condition so many minutes ago.
    #[track_caller]
    fn check(ttl: Value, condition: &str, minutes: i64, expect: Expect) {
        let job: Job = from_value(json!({
            "metadata": fixtures::meta("default", "work", ""),
            "spec": {"ttlSecondsAfterFinished": ttl, "template": {}},
            "status": {"conditions": [
                {"type": condition, "status": "True", "lastTransitionTime": minutes_ago(minutes)}]},
        }))
        .unwrap();
        let objects = Objects::new(&TtlAfterFinished.watches()).with(&job);
        let world = TtlAfterFinished.observe(&job.key(), &View::fixed(&objects));
        let plan = world.map(|world| TtlAfterFinished.plan(&world, now())).unwrap_or_default();
        expect_plan(&plan, &expect);
    }

    #[test]
    fn a_job_goes_when_its_time_has_passed_since_it_ended() {
        check(
            json!(60),
            "Complete",
            2,
            expect![[r#"
            delete Job default/work foreground
        "#]],
        );
        check(
            json!(60),
            "Failed",
            1,
            expect![[r#"
            delete Job default/work foreground
        "#]],
        );
        check(
            json!(0),
            "Failed",
            0,
            expect![[r#"
            delete Job default/work foreground
        "#]],
        );
    }

    #[test]
    fn until_then_it_stays() {
        check(
            json!(180),
            "Complete",
            1,
            expect![[r#"
            requeue after 120s
        "#]],
        );
        check(
            json!(86_400),
            "Complete",
            1,
            expect![[r#"
            requeue after 300s
        "#]],
        );
    }

    #[test]
    fn a_job_that_runs_or_has_no_time_to_live_stays() {
        check(json!(0), "SuccessCriteriaMet", 5, expect![[""]]);
        check(Value::Null, "Complete", 5, expect![[""]]);
    }

    #[test]
    fn one_that_ended_in_the_future_waits_for_that() {
        check(
            json!(0),
            "Complete",
            -2,
            expect![[r#"
            requeue after 120s
        "#]],
        );
    }
}
