use super::*;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use orch_api::Object;
use orch_store::{Ambient, ClientExt, backend::MemoryBackend, testing::BareClient};

fn map(name: &str) -> ConfigMap {
    let metadata = ObjectMeta { name: Some(name.into()), namespace: Some("default".into()), ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}

/// Performs a plan where `taken` is there already, and says what else is there then.
async fn made(plan: &Plan) -> (Vec<String>, bool) {
    let ambient = Ambient::seeded(1);
    let client: Arc<dyn Client> = Arc::new(BareClient::new(Arc::new(MemoryBackend::new()), ambient.clone()));
    client.add(&map("taken")).await.unwrap();
    let executor = Executor::new(client.clone(), Recorder::new(client.clone(), &ambient, "test"), "test");
    let performed = executor.perform(plan, &Journal::default()).await;
    let all = client.list(&ConfigMap::gvr(), &ListOptions::default()).await.unwrap();
    let names = all.items.iter().map(|object| object.key.name.to_string()).filter(|name| name != "taken");
    (names.collect(), performed.error.is_some())
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_its_branch_and_no_other() {
    let mut plan = Plan::default();
    plan.create(&map("trunk"));
    plan.branch();
    plan.create(&map("taken"));
    plan.delete(&map("trunk"));
    plan.branch();
    plan.create(&map("other"));
    assert_eq!(made(&plan).await, (vec!["other".to_owned(), "trunk".to_owned()], true));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_after_a_refusal_on_which_all_depends() {
    let mut plan = Plan::default();
    plan.create(&map("taken"));
    plan.branch();
    plan.create(&map("other"));
    assert_eq!(made(&plan).await, (Vec::new(), true));
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_is_appended_keeps_its_branches() {
    let (mut plan, mut more) = (Plan::default(), Plan::default());
    plan.create(&map("trunk"));
    more.branch();
    more.create(&map("taken"));
    more.branch();
    more.create(&map("other"));
    plan.append(more);
    assert_eq!(made(&plan).await, (vec!["other".to_owned(), "trunk".to_owned()], true));
}
