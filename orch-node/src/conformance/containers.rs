//! Laws about containers.

use super::{Fixture, Law};
use crate::logs::parse;
use orch_runtime::node::container::{AttachRequest, ContainerConfig, ContainerState, RuntimeError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) fn laws() -> Vec<(&'static str, Law)> {
    vec![
        ("a container runs once it is started, and not before", |f| Box::pin(started(f))),
        ("exit codes are kept until the container is removed", |f| Box::pin(exits(f))),
        ("a stop ends a container within its grace", |f| Box::pin(stops(f))),
        ("logs are written in CRI format", |f| Box::pin(logs(f))),
        ("what cannot start says why and counts as ended", |f| Box::pin(missing(f))),
        ("what is unknown is not found", |f| Box::pin(unknown(f))),
    ]
}

async fn started(f: &Fixture) {
    let sandbox = f.sandbox("started", &[]).await;
    let id = f.create(&sandbox, 0, &["sleep", "1000"]).await;
    assert_eq!(f.create(&sandbox, 0, &["sleep", "1000"]).await, id, "creating the same attempt is idempotent");
    assert_eq!(f.container(&sandbox, &id).await.state, ContainerState::Created);
    f.runtime.start_container(&id).await.unwrap();
    f.runtime.start_container(&id).await.expect("starting what runs succeeds");
    let container = f.container(&sandbox, &id).await;
    assert!(matches!(container.state, ContainerState::Running { .. }));
    assert_eq!((container.name.as_str(), container.image.as_str()), ("main", f.image.as_str()));
    assert_eq!(container.labels.get("law").map(String::as_str), Some("main"));
    assert!(!container.image_id.is_empty() && container.log_path.starts_with(&f.logs));
    f.runtime.stats(&id).await.unwrap();
    f.remove(&sandbox).await;
}

async fn exits(f: &Fixture) {
    for code in ["0", "3"] {
        let rules = [("simulated.orch.dev/run", "0.05"), ("simulated.orch.dev/exit-code", code)];
        let sandbox = f.sandbox(&format!("exits-{code}"), &rules).await;
        let id = f.run(&sandbox, &["exit", code]).await;
        assert_eq!(f.exit_code(&sandbox, &id).await.to_string(), code);
        let ContainerState::Exited { reason, started_at, finished_at, .. } = f.container(&sandbox, &id).await.state
        else {
            panic!("it has ended");
        };
        assert_eq!(reason, if code == "0" { "Completed" } else { "Error" });
        assert!(started_at <= finished_at);
        let again = f.create(&sandbox, 1, &["sleep", "1000"]).await;
        assert_ne!(id, again, "every attempt has an id of its own");
        f.runtime.remove_container(&id).await.unwrap();
        f.runtime.remove_container(&id).await.expect("removing what is gone succeeds");
        let left = f.runtime.sandbox(&sandbox.id).await.unwrap().containers;
        assert_eq!(left.into_iter().map(|c| c.id).collect::<Vec<_>>(), [again]);
        f.remove(&sandbox).await;
    }
}

async fn stops(f: &Fixture) {
    let sandbox = f.sandbox("stops", &[]).await;
    let id = f.create_with(&sandbox, 0, &["cat"], |c| c.stdin = true).await;
    f.runtime.start_container(&id).await.unwrap();
    if f.real {
        // The kernel drops a signal that the first process of a container does not handle yet: wait until it answers.
        let mut session = f.runtime.attach(&id, AttachRequest { stdin: true }).await.unwrap();
        session.stdin.as_mut().unwrap().write_all(b"up").await.unwrap();
        session.stdout.read_exact(&mut [0; 2]).await.unwrap();
    }
    let begun = tokio::time::Instant::now();
    f.runtime.stop_container(&id, Duration::from_secs(10)).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(9), "SIGTERM is enough for it");
    assert_eq!(f.exit_code(&sandbox, &id).await, 143);
    f.runtime.stop_container(&id, Duration::ZERO).await.expect("stopping what is stopped succeeds");
    f.remove(&sandbox).await;
}

async fn logs(f: &Fixture) {
    if !f.real {
        return;
    }
    let sandbox = f.sandbox("logs", &[]).await;
    let id = f.run(&sandbox, &["echo", "one", "line"]).await;
    assert_eq!(f.exit_code(&sandbox, &id).await, 0);
    let container = f.container(&sandbox, &id).await;
    let text = std::fs::read(&container.log_path).unwrap();
    let lines: Vec<_> = text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| parse(l).unwrap()).collect();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].text, lines[0].stderr, lines[0].partial), (&b"one line"[..], false, false));
    f.remove(&sandbox).await;
}

async fn missing(f: &Fixture) {
    let sandbox = f.sandbox("missing", &[("simulated.orch.dev/start-error", "no such program")]).await;
    let config = ContainerConfig {
        name: "main".into(),
        image: f.image.clone(),
        command: vec!["/no/such/program".into()],
        log_path: "main/0.log".into(),
        ..ContainerConfig::default()
    };
    f.runtime.pull_image(&f.image, None).await.unwrap();
    let id = match f.runtime.create_container(&sandbox.id, config).await {
        Ok(id) => id,
        Err(error) => {
            assert!(matches!(error, RuntimeError::Create(_)), "{error:?}");
            return f.remove(&sandbox).await;
        }
    };
    let refused = f.runtime.start_container(&id).await;
    assert!(matches!(refused, Err(RuntimeError::Start(_))), "{refused:?}");
    assert_eq!(f.exit_code(&sandbox, &id).await, 128);
    f.remove(&sandbox).await;
}

async fn unknown(f: &Fixture) {
    let not_found = |e: RuntimeError| assert!(matches!(e, RuntimeError::NotFound(_)), "{e:?}");
    not_found(f.runtime.sandbox("nope").await.unwrap_err());
    not_found(f.runtime.start_container("nope").await.unwrap_err());
    not_found(f.runtime.stats("nope").await.unwrap_err());
    not_found(f.runtime.exec("nope", Default::default()).await.err().unwrap());
    f.runtime.stop_container("nope", Duration::ZERO).await.unwrap();
    f.runtime.remove_container("nope").await.unwrap();
    f.runtime.stop_sandbox("nope").await.unwrap();
}
