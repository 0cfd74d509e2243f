use super::*;
use crate::fixtures::{self, minutes_ago, now};
use expect_test::{Expect, expect};
use orch_runtime::testing::Objects;
use serde_json::{Value, from_value, json};

/// A CronJob, made two hours ago, for every full hour, with this in its spec and status. It is midnight.
fn cron(spec: Value, status: Value) -> CronJob {
    let mut whole = json!({
        "metadata": fixtures::meta("default", "clean", "cron-clean"),
        "spec": {"schedule": "0 * * * *", "concurrencyPolicy": "Allow", "jobTemplate": {
            "metadata": {"labels": {"a": "b"}}, "spec": {"template": {}}}},
        "status": status,
    });
    spec.as_object().unwrap().iter().for_each(|(name, value)| whole["spec"][name] = value.clone());
    from_value(whole).unwrap()
}

/// The Job of so many hours ago, with a condition and the time of that.
fn child(hours: i64, condition: Option<&str>) -> Job {
    let at = now() - jiff::SignedDuration::from_hours(hours);
    let cron = cron(json!({}), json!({}));
    let conditions: Vec<Value> = condition.iter().map(|kind| json!({"type": kind, "status": "True"})).collect();
    let mut job: Job = from_value(json!({
        "metadata": {"name": job_name(&cron, at), "namespace": "default", "uid": format!("job-{hours}"),
            "annotations": {SCHEDULED: at}, "ownerReferences": [crate::common::owner::controller_ref(&cron)]},
        "spec": {"template": {}},
        "status": {"conditions": conditions, "startTime": at},
    }))
    .unwrap();
    if condition == Some("Complete") {
        job.status.as_mut().unwrap().completion_time = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at));
    }
    job
}

fn active(hours: i64) -> Value {
    let job = child(hours, None);
    json!({"active": [{"name": job.metadata.name, "namespace": "default", "uid": job.metadata.uid}],
        "lastScheduleTime": now() - jiff::SignedDuration::from_hours(hours)})
}

fn world(cron: &CronJob, jobs: &[Job]) -> Objects {
    let mut objects = Objects::new(&CronJobController::default().watches()).with(cron);
    jobs.iter().for_each(|job| objects.insert(job));
    objects
}

fn plan(objects: &Objects) -> Plan {
    let world = CronJobController::default().observe(&Key::new("default", "clean"), &View::fixed(objects)).unwrap();
    CronJobController::default().plan(&world, now())
}

#[track_caller]
fn check(cron: CronJob, jobs: &[Job], expect: Expect) {
    fixtures::expect_plan(&plan(&world(&cron, jobs)), &expect);
}

#[test]
fn a_job_that_is_due_is_created_and_noted_when_it_is_seen() {
    let mut objects = world(&cron(json!({}), json!({})), &[]);
    let first = plan(&objects);
    fixtures::expect_plan(
        &first,
        &expect![[r#"
        create Job default/clean-29433600
        requeue after 300s
    "#]],
    );
    objects.apply(&first, now());
    let second = plan(&objects);
    fixtures::expect_plan(
        &second,
        &expect![[r#"
        status CronJob default/clean active[clean-29433600].apiVersion=batch/v1 active[clean-29433600].kind=Job active[clean-29433600].name=clean-29433600 active[clean-29433600].namespace=default active[clean-29433600].resourceVersion=2 active[clean-29433600].uid=jobs-clean-29433600-1 lastScheduleTime=2025-12-18T00:00:00Z
        requeue after 300s
    "#]],
    );
    objects.apply(&second, now());
    assert!(plan(&objects).is_empty());
}

#[test]
fn the_job_has_the_template_the_name_of_its_time_and_the_time_in_the_zone() {
    let mut objects = world(&cron(json!({"timeZone": "Asia/Tokyo"}), json!({})), &[]);
    objects.apply(&plan(&objects), now());
    let job: Arc<Job> = objects.list(&Job::gvr(), "default")[0].decode().unwrap();
    let at =
        now().to_zoned(orch_api::cron::zone("Asia/Tokyo").unwrap()).strftime("%Y-%m-%dT%H:%M:%S+09:00").to_string();
    assert_eq!(job.metadata.annotations.as_ref().unwrap()[SCHEDULED], at);
    assert_eq!(job.metadata.name.as_deref(), Some(&*format!("clean-{}", now().as_second() / 60)));
    assert_eq!(job.metadata.labels.as_ref().unwrap()["a"], "b");
    assert_eq!(job.metadata.owner_references.as_ref().unwrap()[0].uid, "cron-clean");
}

#[test]
fn a_time_is_used_once() {
    check(
        cron(json!({}), json!({"lastScheduleTime": now()})),
        &[child(0, Some("Complete"))],
        expect![[r#"
        status CronJob default/clean lastSuccessfulTime=2025-12-18T00:00:00Z
        requeue after 300s
    "#]],
    );
}

#[test]
fn jobs_that_ended_leave_the_list_and_are_told_of() {
    let jobs = [child(0, None), child(1, Some("Complete")), child(2, Some("Failed"))];
    let mut status = active(0);
    for hours in [1, 2] {
        status["active"].as_array_mut().unwrap().push(active(hours)["active"][0].clone());
    }
    check(
        cron(json!({}), status),
        &jobs,
        expect![[r#"
        status CronJob default/clean -active[clean-29433480] -active[clean-29433540] lastSuccessfulTime=2025-12-17T23:00:00Z
        event Normal SawCompletedJob: Saw completed job: clean-29433480, condition: Failed
        event Normal SawCompletedJob: Saw completed job: clean-29433540, condition: Complete
        requeue after 300s
    "#]],
    );
}

#[test]
fn forbid_waits_for_the_job_before() {
    check(
        cron(json!({"concurrencyPolicy": "Forbid"}), active(1)),
        &[child(1, None)],
        expect![[r#"
        event Normal JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid
        requeue after 300s
    "#]],
    );
}

#[test]
fn allow_does_not_wait() {
    check(
        cron(json!({}), active(1)),
        &[child(1, None)],
        expect![[r#"
        create Job default/clean-29433600
        requeue after 300s
    "#]],
    );
}

#[test]
fn replace_deletes_the_job_before() {
    let spec = json!({"concurrencyPolicy": "Replace"});
    check(
        cron(spec.clone(), active(1)),
        &[child(1, None)],
        expect![[r#"
        delete Job default/clean-29433540 background
        status CronJob default/clean -active
        create Job default/clean-29433600
        requeue after 300s
    "#]],
    );
    check(
        cron(spec, active(1)),
        &[fixtures::deleting(child(1, None))],
        expect![[r#"
        status CronJob default/clean -active
        create Job default/clean-29433600
        requeue after 300s
    "#]],
    );
}

#[test]
fn a_job_that_was_to_be_replaced_and_was_not_is_noted_again() {
    let status = json!({"lastScheduleTime": now()});
    check(
        cron(json!({"concurrencyPolicy": "Replace"}), status),
        &[child(0, None), child(1, None)],
        expect![[r#"
        status CronJob default/clean active[clean-29433540].apiVersion=batch/v1 active[clean-29433540].kind=Job active[clean-29433540].name=clean-29433540 active[clean-29433540].namespace=default active[clean-29433540].resourceVersion=3 active[clean-29433540].uid=job-1 active[clean-29433600].apiVersion=batch/v1 active[clean-29433600].kind=Job active[clean-29433600].name=clean-29433600 active[clean-29433600].namespace=default active[clean-29433600].resourceVersion=2 active[clean-29433600].uid=job-0
        requeue after 300s
    "#]],
    );
}

#[test]
fn one_that_is_too_late_is_not_started() {
    let spec = json!({"schedule": "50 * * * *", "startingDeadlineSeconds": 300});
    check(
        cron(spec, json!({})),
        &[],
        expect![[r#"
        requeue after 300s
    "#]],
    );
    let spec = json!({"schedule": "50 * * * *", "startingDeadlineSeconds": 601});
    check(
        cron(spec, json!({})),
        &[],
        expect![[r#"
            create Job default/clean-29433590
            requeue after 300s
        "#]],
    );
}

#[test]
fn after_many_missed_times_only_the_last_one_is_made_up_for() {
    check(
        cron(json!({"schedule": "* * * * *"}), json!({"lastScheduleTime": minutes_ago(300)})),
        &[],
        expect![[r#"
        event Warning TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew
        create Job default/clean-29433600
        requeue after 60.1s
    "#]],
    );
}

#[test]
fn a_suspended_one_only_keeps_its_status() {
    check(
        cron(json!({"suspend": true}), active(1)),
        &[child(1, Some("Complete"))],
        expect![[r#"
        status CronJob default/clean -active lastSuccessfulTime=2025-12-17T23:00:00Z
        event Normal SawCompletedJob: Saw completed job: clean-29433540, condition: Complete
    "#]],
    );
}

#[test]
fn schedules_and_zones_that_nobody_understands_are_told_of_and_not_retried() {
    check(
        cron(json!({"schedule": "x"}), json!({})),
        &[],
        expect![[r#"
        event Warning UnparseableSchedule: unparseable schedule: "x" : expected exactly 5 fields, found 1: [x]
    "#]],
    );
    check(
        cron(json!({"timeZone": "Nowhere/Land"}), json!({})),
        &[],
        expect![[r#"
        event Warning UnknownTimeZone: invalid timeZone: "Nowhere/Land": unknown time zone Nowhere/Land
    "#]],
    );
    check(
        cron(json!({"schedule": "0 0 31 2 *"}), json!({})),
        &[],
        expect![[r#"
        event Warning InvalidSchedule: invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second
    "#]],
    );
    check(
        cron(json!({"schedule": "TZ=Asia/Tokyo 30 * * * *"}), json!({"lastScheduleTime": now()})),
        &[],
        expect![[r#"
        event Warning UnsupportedSchedule: CRON_TZ or TZ used in schedule "TZ=Asia/Tokyo 30 * * * *" is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details
        requeue after 300s
    "#]],
    );
}

#[test]
fn a_clock_that_was_set_back_starts_nothing_until_it_has_caught_up() {
    check(
        cron(json!({}), json!({"lastScheduleTime": minutes_ago(-90)})),
        &[],
        expect![[r#"
        requeue after 300s
    "#]],
    );
}

#[test]
fn old_jobs_go_when_there_are_more_than_the_limits() {
    let spec = json!({"suspend": true, "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0});
    let status = json!({"lastScheduleTime": now(), "lastSuccessfulTime": now()});
    let jobs = [child(3, Some("Complete")), child(1, Some("Complete")), child(2, Some("Failed"))];
    check(
        cron(spec, status),
        &jobs,
        expect![[r#"
        delete Job default/clean-29433420 background
        delete Job default/clean-29433480 background
    "#]],
    );
}

#[test]
fn a_job_of_a_user_is_told_of_and_not_counted() {
    let mut manual = child(1, None);
    manual.metadata.name = Some("manual".into());
    let spec = json!({"concurrencyPolicy": "Forbid", "suspend": true});
    check(
        cron(spec, json!({"lastScheduleTime": now()})),
        &[manual],
        expect![[r#"
        event Warning UnexpectedJob: Saw a job that the controller did not create or forgot: manual
    "#]],
    );
}

#[test]
fn a_job_that_is_gone_leaves_the_list_unless_the_server_has_it() {
    let cron = cron(json!({"suspend": true}), active(1));
    check(
        cron.clone(),
        &[],
        expect![[r#"
        status CronJob default/clean -active
        event Normal MissingJob: Active job went missing: clean-29433540
    "#]],
    );
    let mut late = CronJobController::default().observe(&cron.key(), &View::fixed(&world(&cron, &[]))).unwrap();
    late.elsewhere.push("job-1".into());
    assert!(CronJobController::default().plan(&late, now()).is_empty());
}

#[test]
fn a_new_schedule_is_for_times_to_come() {
    let ran = json!({"lastScheduleTime": now() - jiff::SignedDuration::from_mins(690)});
    let [old, new] = ["30 12 * * *", "30 23 * * *"].map(|times| cron(json!({"schedule": times}), ran.clone()));
    let controller = CronJobController::default();
    let see = |cron: &CronJob| controller.observe(&cron.key(), &View::fixed(&world(cron, &[]))).unwrap();
    let starts = |at: Timestamp| controller.plan(&see(&new), at).to_string().contains("create Job");
    assert!(starts(now()), "nobody knows that it had another one");
    controller.remember(&see(&old), minutes_ago(5), None);
    assert!(!starts(now()));
    controller.remember(&see(&new), now(), None);
    assert!(!starts(now()));
    assert!(starts(now() + jiff::SignedDuration::from_mins(23 * 60 + 31)));
}

#[test]
fn one_that_is_being_deleted_starts_nothing() {
    check(fixtures::deleting(cron(json!({}), json!({}))), &[], expect![[""]]);
}
