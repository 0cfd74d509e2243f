//! Jobs whose indexes fail, each by another policy.

use super::{IMAGES, kubectl, until};
use crate::command::Kubectl;

/// Most indexes succeed. 13 and 57 fail for good by the policy, 21 fails whenever it is tried, 66 at the first attempt alone, and
/// what 42 does at first is overlooked.
const HUNDRED: &str = r#"
    case $JOB_COMPLETION_INDEX in
      13|57) exit 3;;
      21) exit 1;;
      66) [ $FAILURES = 1 ] || exit 1;;
      42) [ $IGNORED = 1 ] || exit 42;;
    esac"#;

fn job(name: &str, fields: &str, script: &str) -> String {
    let annotation = |name: &str| {
        format!("{{fieldRef: {{fieldPath: \"metadata.annotations['batch.kubernetes.io/job-index-{name}']\"}}}}")
    };
    let (failures, ignored) = (annotation("failure-count"), annotation("ignored-failure-count"));
    format!(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {{name: {name}}}
spec:
  completionMode: Indexed
  backoffLimitPerIndex: 1
  {fields}
  podFailurePolicy:
    rules:
    - {{action: FailIndex, onExitCodes: {{containerName: main, operator: In, values: [3]}}}}
    - {{action: Ignore, onExitCodes: {{operator: In, values: [42]}}}}
    - {{action: FailJob, onExitCodes: {{operator: In, values: [9]}}}}
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: {image}
        env:
        - {{name: FAILURES, valueFrom: {failures}}}
        - {{name: IGNORED, valueFrom: {ignored}}}
        args:
        - |
          echo index $JOB_COMPLETION_INDEX of $(hostname)
          {script}
"#,
        image = IMAGES[0],
        script = script.trim().replace('\n', "\n      "),
    )
}

#[test]
fn a_job_of_a_hundred_indexes_of_which_some_fail() {
    let Some(k) = kubectl("jobs") else { return };
    k.apply(&job("hundred", "completions: 100\n  parallelism: 10\n  maxFailedIndexes: 5", HUNDRED)).succeeds();
    k.wait("condition=failed", "job/hundred");
    assert_eq!(k.read("job/hundred", "{.status.completedIndexes}"), "0-12,14-20,22-56,58-99");
    assert_eq!(k.read("job/hundred", "{.status.failedIndexes}"), "13,21,57");
    // What was overlooked does not count.
    assert_eq!(k.read("job/hundred", "{.status.succeeded} {.status.failed}"), "97 5");
    assert_eq!(ended(&k, "hundred"), "FailedIndexes: Job has failed indexes");
    k.run("get job hundred --no-headers").contains("hundred   Failed   97/100");
    k.run("describe job hundred")
        .has_row(&["Completions:", "100"])
        .has_row(&["Pods Statuses:", "0 Active (0 Ready) / 97 Succeeded / 5 Failed"])
        .has_row(&["Completed Indexes:", "0-12,14-20,22-56,58-99"])
        .contains("(combined from similar events): Created pod: hundred-");

    k.run("logs -l batch.kubernetes.io/job-completion-index=7").prints("index 7 of hundred-7\n");
    let pods = |index: u32| k.names(&format!("pods -l batch.kubernetes.io/job-completion-index={index}")).len();
    assert_eq!([7, 13, 21, 42, 57, 66].map(pods), [1, 1, 2, 2, 1, 2], "how often each was tried");
    let codes = "{.items[*].status.containerStatuses[0].state.terminated.exitCode}";
    assert_eq!(k.read("pods -l batch.kubernetes.io/job-completion-index=21", codes), "1 1");
    k.run("delete job hundred").succeeds();
}

#[test]
fn a_job_ends_when_too_many_of_its_indexes_fail_or_when_its_policy_says_so() {
    let Some(k) = kubectl("limits") else { return };
    k.apply(&job("many", "completions: 6\n  parallelism: 2\n  maxFailedIndexes: 1", "exit 3")).succeeds();
    k.apply(&job("fatal", "completions: 3\n  parallelism: 3", "[ $JOB_COMPLETION_INDEX != 2 ] || exit 9; sleep 86400"))
        .succeeds();
    k.wait("condition=failed", "job/many");
    assert_eq!(
        ended(&k, "many"),
        "MaxFailedIndexesExceeded: Job has exceeded the specified maximal number of failed indexes"
    );
    assert_eq!(k.read("job/many", "{.status.completedIndexes}"), "");
    k.wait("condition=failed", "job/fatal");
    let words = ended(&k, "fatal");
    let why = "failed with exit code 9 matching FailJob rule at index 2";
    assert!(words.starts_with("PodFailurePolicy: Container main for pod limits/fatal-2-"), "{words}");
    assert!(words.ends_with(why), "{words}");
    assert_eq!(k.read("job/fatal", "{.status.active}"), "", "the others were ended");
    let described = until("the event", || {
        Some(k.run("describe job fatal")).filter(|described| described.stdout().contains("Warning  PodFailurePolicy"))
    });
    described.has_row(&["Pods Statuses:", "0 Active (0 Ready) / 0 Succeeded / 3 Failed"]).contains(why);
    k.run("delete job many fatal").succeeds();
}

/// Why a Job failed.
fn ended(k: &Kubectl, job: &str) -> String {
    let path = "{range .status.conditions[?(@.type==\"Failed\")]}{.reason}: {.message}{end}";
    k.read(&format!("job/{job}"), path)
}
