use super::*;
use crate::conformance::{self, Fixture};

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
