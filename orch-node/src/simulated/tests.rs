use super::*;
use crate::{
    agent::tests::{World, key},
    conformance::{self, Fixture},
};

fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_laws_of_container_runtimes_hold() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = SimulatedRuntime::new(Rules::default(), [10, 244, 0, 0].into(), Ambient::seeded(1));
    let again = runtime.clone();
    let fixture = Fixture {
        runtime: Arc::new(runtime),
        reopen: Box::new(move || {
            let opened: Arc<dyn ContainerRuntime> = Arc::new(again.clone());
            Box::pin(async move { opened })
        }),
        image: "app:1".into(),
        command,
        logs: dir.path().to_owned(),
        real: false,
    };
    conformance::run(&fixture).await;
}

#[tokio::test(start_paused = true)]
async fn pods_meet_the_fate_that_every_runtime_gives_them() {
    for case in conformance::pods::all("app:1", command) {
        let world = World::new(Rules::default()).await;
        world.create(case.pod["spec"].clone(), case.pod["metadata"]["annotations"].clone());
        let phase = |p: &k8s_openapi::api::core::v1::Pod| p.status.as_ref().unwrap().phase.clone().unwrap_or_default();
        let pod = world.until(case.name, |p| phase(p) == case.phase).await;
        let status = &pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0];
        let ended = status.state.as_ref().and_then(|s| s.terminated.as_ref()).map(|t| t.exit_code);
        assert_eq!(ended, case.exit_code, "{}", case.name);
        assert_eq!(world.pod().await.unwrap().metadata.name.as_deref(), Some(&*key().name));
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_history() {
    let run = || async {
        let world = World::new(Rules::default()).await;
        let spec = serde_json::json!({"containers": [{"name": "main", "image": "app:1"}]});
        world.create(spec, serde_json::json!({"simulated.orch.dev/run": "1"}));
        tokio::time::sleep(Duration::from_secs(120)).await;
        (world.pod().await.unwrap().status, world.events().await)
    };
    assert_eq!(run().await, run().await);
}
