//! `token-cleaner-controller`: deletes bootstrap tokens that have ended (`pkg/controller/bootstrap/tokencleaner.go`).

use super::{
    NAMESPACE,
    token::{expires, is_token},
};
use crate::common::time::until;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use orch_api::{Key, Object};
use orch_runtime::{Controller, Deletes, Plan, View, Watches};
use std::sync::Arc;

/// Deletes tokens that have ended.
pub struct TokenCleaner;

impl Controller for TokenCleaner {
    const NAME: &'static str = "token-cleaner-controller";
    const ABOUT: &'static str = "Deletes bootstrap tokens that have expired.";
    const DELETES: Deletes = Deletes::Others("bootstrap tokens that have expired");
    type World = Arc<Secret>;

    fn watches(&self) -> Watches {
        Watches::root::<Secret>().only(|delta| delta.new.as_ref().is_some_and(|new| &*new.key.namespace == NAMESPACE))
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<Arc<Secret>> {
        let secret: Arc<Secret> = view.get(key).filter(|_| &*key.namespace == NAMESPACE)?;
        (is_token(&secret) && !secret.is_deleting()).then_some(secret)
    }

    fn plan(&self, secret: &Arc<Secret>, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        match expires(secret) {
            None => {}
            Some(end) if end <= now => plan.delete(&**secret),
            Some(end) => plan.requeue_within(until(end, now)),
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::{super::TOKEN, *};
    use crate::fixtures::{self, expect_plan, now};
    use expect_test::{Expect, expect};
    use k8s_openapi::ByteString;
    use orch_runtime::testing::Objects;

    #[track_caller]
    fn check(expiration: Option<&str>, expect: Expect) {
        let mut secret =
            Secret { metadata: fixtures::meta(NAMESPACE, "bootstrap-token-abcdef", ""), ..Secret::default() };
        secret.type_ = Some(TOKEN.into());
        let entry = |text: &str| ("expiration".to_owned(), ByteString(text.as_bytes().to_vec()));
        secret.data = expiration.map(|text| [entry(text)].into());
        let objects = Objects::new(&TokenCleaner.watches()).with(&secret);
        let world = TokenCleaner.observe(&secret.key(), &View::fixed(&objects)).unwrap();
        expect_plan(&TokenCleaner.plan(&world, now()), &expect);
    }

    #[test]
    fn a_token_goes_when_it_has_ended() {
        check(None, expect![[""]]);
        check(
            Some("2026-01-01T00:00:00Z"),
            expect![[r#"
            requeue after 1209600s
        "#]],
        );
        check(
            Some("2025-01-01T00:00:00Z"),
            expect![[r#"
            delete Secret kube-system/bootstrap-token-abcdef
        "#]],
        );
        check(
            Some("whenever"),
            expect![[r#"
            delete Secret kube-system/bootstrap-token-abcdef
        "#]],
        );
    }
}
