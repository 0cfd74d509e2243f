//! `serviceaccount-token-controller`: fills in secrets that ask for a token of a service account, and deletes those whose
//! account is gone (`pkg/controller/serviceaccount/tokens_controller.go`).
//!
//! The token is asked of the API server, bound to the secret and as long-lived as it can be: it ends with the secret.

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::core::v1::{Secret, ServiceAccount},
};
use orch_api::{Key, Object, StatusError};
use orch_runtime::{Controller, Deletes, Error, Plan, View, Watches};
use orch_store::{Client, ClientExt, Stored, client::WriteOptions, informer::Delta};
use serde_json::{Value, json};
use std::sync::Arc;

/// Fills in token secrets.
pub struct ServiceAccountTokenController {
    /// The CA certificates of the API server, in PEM.
    pub ca: Arc<str>,
}

/// The type of secrets that hold such tokens.
pub(crate) const TYPE: &str = "kubernetes.io/service-account-token";
/// The annotation that names the account.
pub(crate) const ACCOUNT: &str = "kubernetes.io/service-account.name";
/// The annotation with the account's UID.
pub(crate) const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";
/// The longest time that a token may be asked for.
const SECONDS: i64 = 1 << 32;

/// A token secret and its account, or the accounts that list a secret which is gone.
pub enum World {
    /// The secret is there.
    There(Token),
    /// It is not; these list it.
    Gone {
        /// The secret's name.
        name: Arc<str>,
        /// The accounts.
        accounts: Vec<Arc<ServiceAccount>>,
    },
}

/// A token secret and its account.
pub struct Token {
    secret: Arc<Secret>,
    /// The UID of the account; `None` when there is no such account.
    account: Option<String>,
    token: Option<String>,
}

impl Controller for ServiceAccountTokenController {
    const NAME: &'static str = "serviceaccount-token-controller";
    const ABOUT: &'static str = "Fills in Secrets that ask for a token of a ServiceAccount.";
    const DELETES: Deletes = Deletes::Others("token secrets of ServiceAccounts that are gone");
    type World = World;

    fn watches(&self) -> Watches {
        Watches::root::<Secret>()
            .only(|delta| delta.new.as_ref().or(delta.old.as_ref()).is_some_and(mentions_type))
            .maps::<ServiceAccount>(secrets_of_account)
            .only(|delta| {
                let uid = |stored: &Option<Arc<Stored>>| stored.as_ref().map(|s| s.meta.uid.clone());
                uid(&delta.old) != uid(&delta.new)
            })
    }

    fn observe(&self, key: &Key, view: &View<'_>) -> Option<World> {
        let Some(secret) = view.get::<Secret>(key) else { return listing(key, view) };
        if !is_token(&secret) || secret.is_deleting() {
            return None;
        }
        let name = account_name(&secret)?;
        let account = view.stored(&ServiceAccount::gvr(), &Key::new(key.namespace.clone(), name));
        let account = account.map(|a| a.meta.uid.to_string()).filter(|uid| is_of(&secret, uid));
        Some(World::There(Token { secret, account, token: None }))
    }

    fn gather<'a>(&'a self, world: World, client: &'a dyn Client) -> BoxFuture<'a, Result<World, Error>> {
        Box::pin(async move {
            let World::There(mut world) = world else { return Ok(world) };
            let Some(name) = account_name(&world.secret) else { return Ok(World::There(world)) };
            let key = Key::new(world.secret.key().namespace, name);
            if world.account.is_none() {
                // The cache may not know it yet, and what is deleted for that is lost.
                let live = client.find::<ServiceAccount>(&key).await?;
                world.account = live.map(|a| a.uid().to_owned()).filter(|uid| is_of(&world.secret, uid));
            }
            if world.account.is_some() && entry(&world.secret, "token").is_none() {
                world.token = Some(token(&key, &world.secret, client).await?);
            }
            Ok(World::There(world))
        })
    }

    fn plan(&self, world: &World, _now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        let world = match world {
            World::There(world) => world,
            World::Gone { name, accounts } => {
                accounts.iter().for_each(|account| forget(account, name, &mut plan));
                return plan;
            }
        };
        let Some(uid) = &world.account else {
            plan.delete(&*world.secret);
            return plan;
        };
        let mut new = (*world.secret).clone();
        let namespace = world.secret.key().namespace;
        let data = new.data.get_or_insert_default();
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let before = data.clone();
        if !self.ca.is_empty() {
            data.insert("ca.crt".into(), bytes(&self.ca));
        }
        if entry(&world.secret, "namespace").is_none() {
            data.insert("namespace".into(), bytes(&namespace));
        }
        if let Some(token) = &world.token {
            data.insert("token".into(), bytes(token));
        }
        if *data != before {
            let annotations = new.metadata.annotations.get_or_insert_default();
            annotations.insert(ACCOUNT_UID.into(), uid.clone());
            plan.update(&*world.secret, &new);
        }
        plan
    }
}

/// The accounts that list a secret that is not there (`removeSecretReference`).
fn listing(key: &Key, view: &View<'_>) -> Option<World> {
    let lists = |account: &Arc<ServiceAccount>| {
        account.secrets.iter().flatten().any(|secret| secret.name.as_deref() == Some(&*key.name))
    };
    let accounts: Vec<_> = view.list::<ServiceAccount>(&key.namespace).into_iter().filter(lists).collect();
    (!accounts.is_empty()).then(|| World::Gone { name: key.name.clone(), accounts })
}

fn forget(account: &ServiceAccount, secret: &str, plan: &mut Plan) {
    let mut new = account.clone();
    let listed = new.secrets.take().unwrap_or_default();
    let left: Vec<_> = listed.into_iter().filter(|listed| listed.name.as_deref() != Some(secret)).collect();
    new.secrets = (!left.is_empty()).then_some(left);
    plan.update(account, &new);
}

async fn token(account: &Key, secret: &Secret, client: &dyn Client) -> Result<String, StatusError> {
    let bound = json!({"apiVersion": "v1", "kind": "Secret", "name": &*secret.key().name, "uid": secret.uid()});
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "metadata": {"name": &*account.name, "namespace": &*account.namespace},
        "spec": {"audiences": [], "expirationSeconds": SECONDS, "boundObjectRef": bound}});
    let gvr = ServiceAccount::gvr();
    let answer = client.create(&gvr, account, Some("token"), request, &WriteOptions::default()).await?;
    let answer: Value = answer.parse().map_err(StatusError::internal)?;
    let token = answer.pointer("/status/token").and_then(Value::as_str);
    token.map(str::to_owned).ok_or_else(|| StatusError::internal("the answer has no token"))
}

pub(crate) fn is_token(secret: &Secret) -> bool {
    secret.type_.as_deref() == Some(TYPE)
}

/// The account that a token secret is for.
pub(crate) fn account_name(secret: &Secret) -> Option<&str> {
    let annotations = secret.metadata.annotations.as_ref()?;
    annotations.get(ACCOUNT).map(String::as_str).filter(|name| !name.is_empty())
}

/// Whether a secret is for the account of that UID: one that names none takes whoever has the name.
pub(crate) fn is_of(secret: &Secret, uid: &str) -> bool {
    let named = secret.metadata.annotations.as_ref().and_then(|a| a.get(ACCOUNT_UID));
    named.is_none_or(|named| named.is_empty() || named == uid)
}

fn entry<'a>(secret: &'a Secret, name: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(name).map(|bytes| &*bytes.0).filter(|bytes| !bytes.is_empty())
}

/// Whether the JSON of a secret has the type in it: cheaper than to decode all secrets.
pub(crate) fn mentions_type(stored: &Arc<Stored>) -> bool {
    std::str::from_utf8(&stored.json).is_ok_and(|json| json.contains(TYPE))
}

fn secrets_of_account(delta: &Delta, view: &View<'_>) -> Vec<Key> {
    let Some(account) = delta.new.as_ref().or(delta.old.as_ref()) else { return Vec::new() };
    let all = view.list_stored(&Secret::gvr(), &account.key.namespace);
    let tokens = all.iter().filter(|s| mentions_type(s)).filter_map(|s| s.decode::<Secret>().ok());
    tokens.filter(|s| account_name(s) == Some(&*account.key.name)).map(|s| s.key()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, expect_plan, now};
    use expect_test::{Expect, expect};
    use k8s_openapi::api::core::v1::ObjectReference;
    use orch_runtime::testing::Objects;

    #[track_caller]
    fn check(account: Option<&str>, token: Option<&str>, named: Option<&str>, expect: Expect) {
        let controller = ServiceAccountTokenController { ca: "PEM".into() };
        let mut secret = Secret { metadata: fixtures::meta("default", "t", ""), ..Secret::default() };
        secret.type_ = Some(TYPE.into());
        secret = fixtures::annotated(secret, ACCOUNT, "robot");
        if let Some(uid) = named {
            secret = fixtures::annotated(secret, ACCOUNT_UID, uid);
        }
        let mut objects = Objects::new(&controller.watches()).with(&secret);
        if let Some(uid) = account {
            let metadata = fixtures::meta("default", "robot", uid);
            objects.insert(&ServiceAccount { metadata, ..ServiceAccount::default() });
        }
        let Some(World::There(mut world)) = controller.observe(&secret.key(), &View::fixed(&objects)) else { panic!() };
        world.token = token.map(str::to_owned);
        let plan = controller.plan(&World::There(world), now());
        expect_plan(&plan, &expect);
        objects.apply(&plan, now());
        if let Some(world) = controller.observe(&secret.key(), &View::fixed(&objects)) {
            assert!(controller.plan(&world, now()).is_empty());
        }
    }

    #[test]
    fn a_secret_that_asks_for_a_token_is_filled_in() {
        check(
            Some("u1"),
            Some("JWT"),
            None,
            expect![[r#"
            update Secret default/t data.ca.crt=UEVN data.namespace=ZGVmYXVsdA== data.token=SldU metadata.annotations.kubernetes.io/service-account.uid=u1
        "#]],
        );
    }

    #[test]
    fn an_account_lists_no_secret_that_is_gone() {
        let controller = ServiceAccountTokenController { ca: "PEM".into() };
        let listed = |names: &[&str]| {
            let of = |name: &&str| ObjectReference { name: Some((*name).into()), ..ObjectReference::default() };
            ServiceAccount {
                metadata: fixtures::meta("default", "robot", "u1"),
                secrets: Some(names.iter().map(of).collect()),
                ..ServiceAccount::default()
            }
        };
        let check = |account: &ServiceAccount, expect: Expect| {
            let objects = Objects::new(&controller.watches()).with(account);
            let world = controller.observe(&Key::new("default", "t"), &View::fixed(&objects));
            expect_plan(&world.map(|world| controller.plan(&world, now())).unwrap_or_default(), &expect);
        };
        check(
            &listed(&["t", "other"]),
            expect![[r#"
                update ServiceAccount default/robot -secrets[t]
            "#]],
        );
        check(
            &listed(&["t"]),
            expect![[r#"
            update ServiceAccount default/robot -secrets
        "#]],
        );
        check(&listed(&["other"]), expect![[""]]);
    }

    #[test]
    fn a_secret_of_nobody_goes() {
        check(
            None,
            None,
            None,
            expect![[r#"
            delete Secret default/t
        "#]],
        );
        check(
            Some("u2"),
            None,
            Some("u1"),
            expect![[r#"
            delete Secret default/t
        "#]],
        );
    }
}
