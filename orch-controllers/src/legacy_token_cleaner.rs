//! `legacy-serviceaccount-token-cleaner-controller`: takes away tokens that were made for service accounts of old and that
//! nobody has used for a year (`pkg/controller/serviceaccount/legacy_serviceaccount_token_cleaner.go`).
//!
//! It does nothing before uses of tokens have been tracked for that long, which the ConfigMap
//! `kube-apiserver-legacy-service-account-token-tracking` says.

use crate::{
    common::time::{plus_seconds, until},
    service_account_token::{account_name, is_of, is_token, mentions_type},
};
use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, ServiceAccount};
use orch_api::{Key, Object};
use orch_runtime::{Controller, Deletes, Plan, Target, View, Watches};
use orch_store::client::{DeleteOptions, Patch};
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Deletes tokens that nobody uses.
pub struct LegacyTokenCleaner;

/// A token that was made for an account.
pub struct World {
    secret: Arc<Secret>,
    /// Since when uses are tracked.
    tracked: Date,
    /// Whether a pod mounts it.
    mounted: bool,
}

const LAST_USED: &str = "kubernetes.io/legacy-token-last-used";
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
const TRACKING: &str = "kube-apiserver-legacy-service-account-token-tracking";
/// `--legacy-service-account-token-clean-up-period`
const PERIOD_SECONDS: i64 = 365 * 24 * 3600;
/// How often tokens are looked at.
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Controller for LegacyTokenCleaner {
    const NAME: &'static str = "legacy-serviceaccount-token-cleaner-controller";
    const ABOUT: &'static str = "Deletes tokens made for ServiceAccounts of old that nobody has used for a year.";
    const DELETES: Deletes = Deletes::Others("legacy tokens that nobody uses");
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Secret>()
            .only(|delta| delta.new.as_ref().is_some_and(mentions_type))
            .reads::<ServiceAccount>()
            .reads::<Pod>()
            .reads::<ConfigMap>()
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let secret: Arc<Secret> = view.get(key).filter(|s: &Arc<Secret>| is_token(s) && !s.is_deleting())?;
        let tracking: Arc<ConfigMap> = view.get(&Key::new("kube-system", TRACKING))?;
        let tracked: Date = tracking.data.as_ref()?.get("since")?.parse().ok()?;
        let account: Arc<ServiceAccount> = view.get(&Key::new(key.namespace.clone(), account_name(&secret)?))?;
        // One that the account does not list was made by somebody on purpose.
        let listed = account.secrets.iter().flatten().any(|s| s.name.as_deref() == Some(&*key.name));
        if !listed || !is_of(&secret, account.uid()) {
            return None;
        }
        let mounted = view.list::<Pod>(&key.namespace).iter().any(|pod| mounts(pod, &key.name));
        Some(World { secret, tracked, mounted })
    }

    fn plan(&self, world: &World, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        plan.requeue_within(DAY);
        // Uses are known by the day: the first whole one counts.
        let begin = world.tracked.saturating_add(1.days()).to_zoned(TimeZone::UTC).map(|z| z.timestamp());
        let begin = plus_seconds(begin.unwrap_or(Timestamp::MAX), PERIOD_SECONDS);
        if now < begin {
            plan.requeue_within(until(begin, now));
            return plan;
        }
        let secret = &*world.secret;
        let limit = plus_seconds(now, -PERIOD_SECONDS);
        let limit_day = day(limit);
        let created = secret.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |t| t.0);
        let label = |name: &str| secret.metadata.labels.as_ref().and_then(|l| l.get(name));
        let used_lately = label(LAST_USED).is_some_and(|used| used.parse::<Date>().is_err() || *used >= limit_day);
        if created >= limit || used_lately || world.mounted {
            return plan;
        }
        match label(INVALID_SINCE).filter(|since| since.parse::<Date>().is_ok()) {
            None => {
                let patch = json!({"metadata": {"uid": secret.uid(), "labels": {INVALID_SINCE: day(now)}}});
                plan.patch(Target::of(secret), None, Patch::Merge(patch));
            }
            Some(since) if *since >= limit_day => {}
            Some(_) => {
                let revision =
                    secret.metadata.resource_version.as_ref().and_then(|r| r.parse().ok()).map(orch_store::Revision);
                plan.delete_with(Target::of(secret), DeleteOptions { revision, ..DeleteOptions::default() });
            }
        }
        plan
    }
}

fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).date().to_string()
}

/// Whether a pod reads a secret: as a volume, in its environment, to pull images.
fn mounts(pod: &Pod, secret: &str) -> bool {
    let Some(spec) = &pod.spec else { return false };
    let is = |name: Option<&String>| name.is_some_and(|name| name == secret);
    let volumes = spec.volumes.iter().flatten().any(|volume| {
        let projected = volume.projected.iter().flat_map(|p| p.sources.iter().flatten());
        is(volume.secret.as_ref().and_then(|s| s.secret_name.as_ref()))
            || projected.into_iter().any(|source| source.secret.as_ref().is_some_and(|s| s.name == secret))
    });
    let pulls = spec.image_pull_secrets.iter().flatten().any(|reference| reference.name == secret);
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let read = containers.into_iter().any(|container| {
        let whole =
            container.env_from.iter().flatten().any(|e| e.secret_ref.as_ref().is_some_and(|s| s.name == secret));
        let keys = container.env.iter().flatten().any(|e| {
            let from = e.value_from.as_ref().and_then(|v| v.secret_key_ref.as_ref());
            from.is_some_and(|key| key.name == secret)
        });
        whole || keys
    });
    volumes || pulls || read
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixtures::{self, expect_plan, now},
        service_account_token::{ACCOUNT, TYPE},
    };
    use expect_test::{Expect, expect};
    use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Time};
    use orch_runtime::testing::Objects;

    /// A token two years old with these labels; uses are tracked since that day.
    #[track_caller]
    fn check(since: &str, labels: &[(&str, &str)], mounted: bool, expect: Expect) {
        let mut secret = Secret { metadata: fixtures::meta("default", "t", ""), ..Secret::default() };
        secret.metadata.creation_timestamp = Some(Time(plus_seconds(now(), -2 * PERIOD_SECONDS)));
        secret.type_ = Some(TYPE.into());
        let secret = fixtures::labelled(fixtures::annotated(secret, ACCOUNT, "robot"), labels);
        let listed = ObjectReference { name: Some("t".into()), ..ObjectReference::default() };
        let account = ServiceAccount {
            metadata: fixtures::meta("default", "robot", "u"),
            secrets: Some(vec![listed]),
            ..ServiceAccount::default()
        };
        let tracking = ConfigMap {
            metadata: fixtures::meta("kube-system", TRACKING, ""),
            data: Some(fixtures::labels(&[("since", since)])),
            ..ConfigMap::default()
        };
        let mut pod = fixtures::pod("a", "web");
        if mounted {
            let volume = json!([{"name": "v", "secret": {"secretName": "t"}}]);
            pod.spec.as_mut().unwrap().volumes = serde_json::from_value(volume).unwrap();
        }
        let objects =
            Objects::new(&LegacyTokenCleaner.watches()).with(&secret).with(&account).with(&tracking).with(&pod);
        let world = LegacyTokenCleaner.observe(&secret.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&LegacyTokenCleaner.plan(&world, now()), &expect);
    }

    #[test]
    fn a_token_that_nobody_uses_is_marked_and_goes_a_year_later() {
        check(
            "2024-01-01",
            &[],
            false,
            expect![[r#"
            patch Secret default/t {"metadata":{"labels":{"kubernetes.io/legacy-token-invalid-since":"2025-12-18"},"uid":"secrets-t"}}
            requeue after 86400s
        "#]],
        );
        check(
            "2024-01-01",
            &[(INVALID_SINCE, "2025-06-01")],
            false,
            expect![[r#"
            requeue after 86400s
        "#]],
        );
        check(
            "2024-01-01",
            &[(INVALID_SINCE, "2024-06-01")],
            false,
            expect![[r#"
            delete Secret default/t
            requeue after 86400s
        "#]],
        );
    }

    #[test]
    fn one_that_was_used_or_is_mounted_or_not_tracked_long_enough_stays() {
        check(
            "2024-01-01",
            &[(LAST_USED, "2025-06-01")],
            false,
            expect![[r#"
            requeue after 86400s
        "#]],
        );
        check(
            "2024-01-01",
            &[(LAST_USED, "some day")],
            false,
            expect![[r#"
            requeue after 86400s
        "#]],
        );
        check(
            "2024-01-01",
            &[],
            true,
            expect![[r#"
            requeue after 86400s
        "#]],
        );
        check(
            "2025-12-01",
            &[],
            false,
            expect![[r#"
            requeue after 86400s
        "#]],
        );
    }
}
