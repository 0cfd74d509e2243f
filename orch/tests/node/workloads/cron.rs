//! CronJobs on the real clock.

use super::{IMAGES, kubectl, until};
use std::collections::BTreeSet;

/// A Job is named for its minute, as in Kubernetes. So one that is to be seen again within the minute must be gone by then, which
/// a limit of 0 sees to.
fn cron_job(name: &str, schedule: &str, fields: &str, script: &str) -> String {
    format!(
        r#"
apiVersion: batch/v1
kind: CronJob
metadata: {{name: {name}}}
spec:
  schedule: "{schedule}"
  {fields}
  jobTemplate:
    spec:
      backoffLimit: 0
      template:
        spec:
          restartPolicy: Never
          containers: [{{name: main, image: "{image}", args: ["{script}"]}}]
"#,
        image = IMAGES[0],
    )
}

#[test]
fn a_cron_job_ticks_until_it_is_suspended() {
    let Some(k) = kubectl("cron") else { return };
    for name in ["tick", "other"] {
        k.apply(&cron_job(name, "@every 3s", "successfulJobsHistoryLimit: 0", "date")).succeeds();
    }
    let last = |name: &str| k.read(&format!("cronjob/{name}"), "{.status.lastScheduleTime}");
    let ticks = |name: &str, count: usize| {
        let mut seen = BTreeSet::new();
        until("ticks", || {
            seen.insert(last(name)).then_some(())?;
            (seen.iter().filter(|at| !at.is_empty()).count() >= count).then_some(())
        });
    };
    ticks("tick", 3);
    k.wait("jsonpath={.status.lastSuccessfulTime}", "cronjob/tick");
    k.run("describe cronjob tick")
        .has_row(&["Schedule:", "@every 3s"])
        .contains("SuccessfulCreate")
        .contains("Created job tick-")
        .contains("SawCompletedJob");

    k.run(r#"patch cronjob tick -p {"spec":{"suspend":true}}"#).prints("cronjob.batch/tick patched\n");
    k.run("get cronjob tick").has_row(&["tick", "@every 3s", "<none>", "True", "*", "*", "*"]);
    until("the last one to end", || k.read("cronjob/tick", "{.status.active}").is_empty().then_some(()));
    // Whoever of the two was looked at while the other was being suspended is done when the other ticks once more.
    ticks("other", 2);
    let at = last("tick");
    ticks("other", 3);
    assert_eq!(last("tick"), at, "it is suspended");
    k.run(r#"patch cronjob tick -p {"spec":{"suspend":false}}"#).succeeds();
    until("it to go on", || (last("tick") != at).then_some(()));
    k.run("delete cronjob tick other").succeeds();
}

#[test]
fn the_history_of_a_cron_job_is_what_ended_last() {
    let Some(k) = kubectl("history") else { return };
    let limits = "successfulJobsHistoryLimit: 2\n  failedJobsHistoryLimit: 1";
    k.apply(&cron_job("good", "0 0 29 2 *", limits, "true")).succeeds();
    k.apply(&cron_job("bad", "0 0 29 2 *", limits, "exit 7")).succeeds();
    // One after the other: by when they began it is decided which are the oldest, and that is told in seconds.
    for (n, (from, condition)) in [("good", "complete"), ("bad", "failed")].repeat(4).into_iter().enumerate() {
        let job = format!("{from}-run-{}", n / 2);
        k.run(&format!("create job {job} --from=cronjob/{from}")).prints(&format!("job.batch/{job} created\n"));
        // It may be gone already, being the oldest of its second.
        until("its end", || {
            let path = format!("jsonpath={{.status.conditions[?(@.type==\"{}\")].status}}", capital(condition));
            (k.run(&format!("get job {job} --ignore-not-found -o {path}")).stdout() == "True").then_some(())
        });
    }
    let there = || k.names("jobs");
    let expected = ["job.batch/bad-run-3", "job.batch/good-run-2", "job.batch/good-run-3"];
    until("the history", || (there() == expected).then_some(()));
    until("their pods to go", || (k.names("pods").len() == 3).then_some(()));
    k.run("describe cronjob good").contains("Deleted job good-run-0").contains("Deleted job good-run-1");
    k.run("delete cronjob good bad").succeeds();
    until("what was theirs to go", || there().is_empty().then_some(()));
}

fn capital(condition: &str) -> &'static str {
    if condition == "complete" { "Complete" } else { "Failed" }
}
