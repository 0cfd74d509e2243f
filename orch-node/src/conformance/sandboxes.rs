//! Laws about sandboxes, images and restarts.

use super::{Fixture, Law};
use orch_runtime::node::container::{ContainerState, RuntimeError};

pub(super) fn laws() -> Vec<(&'static str, Law)> {
    vec![
        ("a sandbox is listed as it was made, and gone when removed", |f| Box::pin(listed(f))),
        ("stopping a sandbox kills its containers and keeps their exit codes", |f| Box::pin(stopped(f))),
        ("a new instance finds everything as it was", |f| Box::pin(adopted(f))),
        ("images are there once pulled", |f| Box::pin(images(f))),
        ("a runtime says what it is", |f| Box::pin(named(f))),
    ]
}

async fn listed(f: &Fixture) {
    let sandbox = f.sandbox("listed", &[("note", "kept")]).await;
    assert!(sandbox.ready && !sandbox.ips.is_empty());
    assert_eq!((sandbox.name.as_str(), sandbox.namespace.as_str()), ("listed", "laws"));
    assert_eq!(sandbox.labels.get("law").map(String::as_str), Some("listed"));
    assert_eq!(sandbox.annotations.get("note").map(String::as_str), Some("kept"));
    let other = f.sandbox("other", &[]).await;
    assert_ne!(sandbox.ips, other.ips, "every pod has its own address");
    f.remove(&other).await;
    assert!(f.runtime.list().await.unwrap().contains(&sandbox));
    f.remove(&sandbox).await;
    assert!(matches!(f.runtime.sandbox(&sandbox.id).await, Err(RuntimeError::NotFound(_))));
}

async fn stopped(f: &Fixture) {
    let sandbox = f.sandbox("stopped", &[]).await;
    let id = f.run(&sandbox, &["sleep", "1000"]).await;
    f.runtime.stop_sandbox(&sandbox.id).await.unwrap();
    f.runtime.stop_sandbox(&sandbox.id).await.expect("stopping what is stopped succeeds");
    assert!(!f.runtime.sandbox(&sandbox.id).await.unwrap().ready);
    assert_eq!(f.exit_code(&sandbox, &id).await, 137);
    f.remove(&sandbox).await;
}

async fn adopted(f: &Fixture) {
    let sandbox = f.sandbox("adopted", &[]).await;
    let id = f.run(&sandbox, &["sleep", "1000"]).await;
    let before = f.runtime.sandbox(&sandbox.id).await.unwrap();
    let other = (f.reopen)().await;
    assert_eq!(other.sandbox(&sandbox.id).await.unwrap(), before);
    assert!(matches!(f.container(&sandbox, &id).await.state, ContainerState::Running { .. }));
    other.stop_container(&id, std::time::Duration::from_secs(1)).await.unwrap();
    let found = other.sandbox(&sandbox.id).await.unwrap();
    assert!(matches!(found.containers[0].state, ContainerState::Exited { .. }));
    f.exit_code(&sandbox, &id).await;
    f.remove(&sandbox).await;
}

async fn images(f: &Fixture) {
    let image = f.runtime.pull_image(&f.image, None).await.unwrap();
    assert!(!image.id.is_empty());
    assert_eq!(f.runtime.image(&f.image).await.unwrap().map(|i| i.id), Some(image.id.clone()));
    assert!(f.runtime.images().await.unwrap().iter().any(|i| i.id == image.id));
    let refused = f.runtime.pull_image("not an image", None).await;
    assert!(matches!(refused, Err(RuntimeError::InvalidImageName { .. })), "{refused:?}");
}

async fn named(f: &Fixture) {
    let info = f.runtime.info().await.unwrap();
    assert!(!info.name.is_empty() && !info.version.is_empty());
}
