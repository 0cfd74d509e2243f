//! What makes pods, but for Jobs.

use super::*;

fn deployment(spec: Value) -> Value {
    let template = json!({
        "metadata": {"labels": {"app": "a"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let mut object = json!({"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": template}});
    merge(&mut object["spec"], spec);
    object
}

#[test]
fn a_deployment_selects_its_own_pods_and_keeps_its_selector() {
    check("Deployment", deployment(json!({})), &[]);
    check(
        "Deployment",
        deployment(json!({"selector": {"matchLabels": {"app": "b"}}, "replicas": -1})),
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`",
        ],
    );
    check(
        "Deployment",
        deployment(json!({"selector": null})),
        &[
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`",
        ],
    );
    check_update(
        "Deployment",
        deployment(json!({})),
        json!({"spec": {"selector": {"matchLabels": {"app": "a", "b": "c"}}, "template": {"metadata": {"labels": {"b": "c"}}}}}),
        &["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"a\",\"b\":\"c\"}}: field is immutable"],
    );
}

#[test]
fn a_rolling_update_moves() {
    check(
        "Deployment",
        deployment(
            json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}),
        ),
        &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"],
    );
    check(
        "Deployment",
        deployment(json!({"template": {"spec": {"restartPolicy": "Never"}}})),
        &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
    );
}

#[test]
fn few_fields_of_a_stateful_set_change() {
    let object = || {
        deployment(json!({"serviceName": "s", "volumeClaimTemplates": [{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }], "template": {"spec": {"containers": [
        {"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}]}}}))
    };
    check("StatefulSet", object(), &[]);
    check_update("StatefulSet", object(), json!({"spec": {"replicas": 3}}), &[]);
    check_update(
        "StatefulSet",
        object(),
        json!({"spec": {"serviceName": "t"}}),
        &[
            "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ],
    );
}

#[test]
fn a_zone_is_one_of_the_database() {
    let cron = |schedule: &str, zone: &str| {
        json!({"spec": {"schedule": schedule, "timeZone": zone, "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}})
    };
    check("CronJob", cron("0 3 * * *", "Europe/Zurich"), &[]);
    check(
        "CronJob",
        cron("TZ=Europe/Zurich 0 3 * * *", "Atlantis/Capital"),
        &[
            "spec.schedule: Invalid value: \"TZ=Europe/Zurich 0 3 * * *\": cannot use TZ or CRON_TZ in schedule, use timeZone field instead",
            "spec.timeZone: Invalid value: \"Atlantis/Capital\": unknown time zone Atlantis/Capital",
        ],
    );
    check(
        "CronJob",
        cron("0 3 * * *", "local"),
        &[
            "spec.timeZone: Invalid value: \"local\": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
            "spec.timeZone: Invalid value: \"local\": unknown time zone local",
        ],
    );
}

#[test]
fn a_cron_job_has_a_schedule() {
    let object = json!({"spec": {"schedule": "* * * *", "timeZone": "", "jobTemplate": {"spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}}});
    check(
        "CronJob",
        object,
        &[
            "spec.schedule: Invalid value: \"* * * *\": expected exactly 5 fields, found 4: [* * * *]",
            "spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string",
        ],
    );
}

#[test]
fn an_autoscaler_has_a_range_and_a_target() {
    check(
        "HorizontalPodAutoscaler",
        json!({"spec": {"minReplicas": 3, "maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "", "apiVersion": "apps/v1"}}}),
        &[
            "spec.maxReplicas: Invalid value: 2: must be greater than or equal to `minReplicas`",
            "spec.scaleTargetRef.name: Required value",
        ],
    );
}
