//! Jobs and CronJobs: create, wait, get, describe.

use crate::{cluster::simulated, run::with_each};

/// Three indexes, two at a time; each pod runs for a second.
const COUNT: &str = r#"
apiVersion: batch/v1
kind: Job
metadata: { name: count }
spec:
  completions: 3
  parallelism: 2
  completionMode: Indexed
  template:
    metadata: { annotations: { simulated.orch.dev/run: "1" } }
    spec:
      restartPolicy: Never
      containers: [{ name: main, image: "orch.local/toolbox:latest", command: [sleep, "1"] }]
"#;

/// Never due while the test runs.
const NIGHTLY: &str = r#"
apiVersion: batch/v1
kind: CronJob
metadata: { name: nightly }
spec:
  schedule: "0 0 29 2 *"
  timeZone: Europe/Zurich
  jobTemplate:
    spec:
      template:
        metadata: { annotations: { simulated.orch.dev/run: "1" } }
        spec:
          restartPolicy: Never
          containers: [{ name: main, image: "orch.local/toolbox:latest" }]
"#;

#[test]
fn a_job_is_waited_for_and_described() {
    with_each(simulated, "job", |k| {
        k.apply(COUNT).succeeds();
        k.run("wait --for=condition=complete job/count --timeout=60s").prints("job.batch/count condition met\n");
        k.run("get job count --no-headers").contains("count   Complete   3/3");
        k.run("get pods -l batch.kubernetes.io/job-name=count -o jsonpath={.items[*].spec.hostname}")
            .contains("count-2");
        k.run("describe job count")
            .contains("Indexed")
            .contains("0 Active (0 Ready) / 3 Succeeded / 0 Failed")
            .contains("0-2")
            .contains("SuccessfulCreate")
            .contains("Job completed");
        k.run("delete job count").succeeds();
        k.run("wait --for=delete pod -l batch.kubernetes.io/job-name=count --timeout=60s").succeeds();
    });
}

#[test]
fn a_job_is_suspended_and_resumed() {
    with_each(simulated, "suspend", |k| {
        k.apply(&COUNT.replace("  completions: 3\n", "  completions: 3\n  suspend: true\n")).succeeds();
        k.run("wait --for=condition=suspended job/count --timeout=30s").succeeds();
        k.run("get job count --no-headers").contains("count   Suspended   0/3");
        k.run("set resources job/count --limits=cpu=1").prints("job.batch/count resource requirements updated\n");
        k.run(r#"patch job count -p {"spec":{"suspend":false}}"#).succeeds();
        k.run("wait --for=condition=complete job/count --timeout=60s").succeeds();
        k.run("set resources job/count --limits=cpu=2").fails("field is immutable");
    });
}

#[test]
fn a_cron_job_lends_its_template_to_a_job() {
    with_each(simulated, "cron", |k| {
        k.apply(NIGHTLY).succeeds();
        k.run("get cronjob nightly --no-headers").contains("0 0 29 2 *   Europe/Zurich   False   0     <none>");
        k.run("create job now --from=cronjob/nightly").prints("job.batch/now created\n");
        k.run("wait --for=condition=complete job/now --timeout=60s").succeeds();
        k.run("get job now -o jsonpath={.metadata.ownerReferences[0].name}").prints("nightly");
        k.run("describe cronjob nightly").contains("0 0 29 2 *").contains("UnexpectedJob");
        k.run("patch cronjob nightly -p {\"spec\":{\"schedule\":\"TZ=UTC\"}}")
            .fails("cannot use TZ or CRON_TZ in schedule");
        k.run("patch cronjob nightly -p {\"spec\":{\"timeZone\":\"Nowhere\"}}").fails("unknown time zone Nowhere");
        k.run("delete cronjob nightly").succeeds();
        k.run("wait --for=delete job/now --timeout=60s").succeeds();
    });
}
