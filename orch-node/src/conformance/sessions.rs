//! Laws about commands in running containers.

use super::{Fixture, Law};
use orch_runtime::node::container::{AttachRequest, ContainerState, ExecRequest, ExecSession};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) fn laws() -> Vec<(&'static str, Law)> {
    vec![
        ("a command's output and exit code come back", |f| Box::pin(output(f))),
        ("a command reads its standard input to the end", |f| Box::pin(input(f))),
        ("nothing runs in a container that does not", |f| Box::pin(ended(f))),
        ("who is attached sees output and the end, and input ends with the first who had it", |f| {
            Box::pin(attached(f))
        }),
        ("a terminal is shared by all who are attached, and outlives them", |f| Box::pin(terminal(f))),
        ("a port that nobody listens on refuses connections", |f| Box::pin(refused(f))),
    ]
}

async fn output(f: &Fixture) {
    let sandbox = f.sandbox("output", &[]).await;
    let id = f.run(&sandbox, &["sleep", "1000"]).await;
    for (command, text, code) in [(vec!["echo", "hi"], "hi\n", 0), (vec!["exit", "3"], "", 3)] {
        let request = ExecRequest { command: (f.command)(&command), ..ExecRequest::default() };
        let mut session = f.runtime.exec(&id, request).await.unwrap();
        let mut out = String::new();
        session.stdout.read_to_string(&mut out).await.unwrap();
        assert_eq!((out.as_str(), session.exit.await.unwrap()), (text, code));
    }
    f.remove(&sandbox).await;
}

async fn input(f: &Fixture) {
    let sandbox = f.sandbox("input", &[]).await;
    let id = f.run(&sandbox, &["sleep", "1000"]).await;
    let request = ExecRequest { command: (f.command)(&["cat"]), stdin: true, ..ExecRequest::default() };
    let mut session = f.runtime.exec(&id, request).await.unwrap();
    let mut stdin = session.stdin.take().unwrap();
    stdin.write_all(b"some text").await.unwrap();
    stdin.shutdown().await.unwrap();
    drop(stdin);
    let mut out = String::new();
    session.stdout.read_to_string(&mut out).await.unwrap();
    assert_eq!((out.as_str(), session.exit.await.unwrap()), ("some text", 0));
    f.remove(&sandbox).await;
}

async fn ended(f: &Fixture) {
    let sandbox = f.sandbox("ended", &[]).await;
    let id = f.create(&sandbox, 0, &["sleep", "1000"]).await;
    let request = ExecRequest { command: (f.command)(&["echo"]), ..ExecRequest::default() };
    assert!(f.runtime.exec(&id, request).await.is_err());
    f.remove(&sandbox).await;
}

async fn attach(f: &Fixture, id: &str, stdin: bool) -> ExecSession {
    f.runtime.attach(id, AttachRequest { stdin }).await.unwrap()
}

async fn attached(f: &Fixture) {
    let sandbox = f.sandbox("attached", &[("simulated.orch.dev/run", "0.1")]).await;
    let id = f.create_with(&sandbox, 0, &["cat"], |c| (c.stdin, c.stdin_once) = (true, true)).await;
    assert!(f.runtime.attach(&id, AttachRequest::default()).await.is_err(), "it does not run yet");
    f.runtime.start_container(&id).await.unwrap();
    let (mut watcher, mut typist) = (attach(f, &id, false).await, attach(f, &id, true).await);
    assert!(watcher.stdin.is_none());
    let mut stdin = typist.stdin.take().unwrap();
    stdin.write_all(b"typed").await.unwrap();
    drop(stdin);
    for session in [&mut watcher, &mut typist] {
        let (mut out, mut code) = (String::new(), &mut session.exit);
        let (read, ended) = tokio::join!(session.stdout.read_to_string(&mut out), &mut code);
        read.unwrap();
        ended.unwrap();
        if f.real {
            assert_eq!(out, "typed", "output comes as it is, whole lines or not");
        }
    }
    assert_eq!(f.exit_code(&sandbox, &id).await, 0);
    assert!(f.runtime.attach(&id, AttachRequest::default()).await.is_err(), "it has ended");
    f.remove(&sandbox).await;
}

async fn terminal(f: &Fixture) {
    if !f.real {
        return;
    }
    let sandbox = f.sandbox("terminal", &[]).await;
    let id = f.create_with(&sandbox, 0, &["cat"], |c| (c.stdin, c.stdin_once, c.tty) = (true, true, true)).await;
    f.runtime.start_container(&id).await.unwrap();
    for word in ["one", "two"] {
        let mut session = attach(f, &id, true).await;
        assert!(session.stderr.is_none() && session.ends_with_stdin);
        session.resize.as_ref().unwrap().send((100, 30)).await.unwrap();
        session.stdin.as_mut().unwrap().write_all(format!("{word}\n").as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        // Once by the terminal, once by the command.
        while String::from_utf8_lossy(&seen).matches(word).count() < 2 {
            assert_ne!(session.stdout.read_buf(&mut seen).await.unwrap(), 0);
        }
        drop(session);
        let state = f.container(&sandbox, &id).await.state;
        assert!(matches!(state, ContainerState::Running { .. }), "{state:?}");
    }
    let mut last = attach(f, &id, true).await;
    last.stdin.as_mut().unwrap().write_all(b"\x04").await.unwrap();
    let mut rest = Vec::new();
    let (read, code) = tokio::join!(last.stdout.read_to_end(&mut rest), last.exit);
    read.unwrap();
    code.unwrap();
    f.remove(&sandbox).await;
}

async fn refused(f: &Fixture) {
    let sandbox = f.sandbox("refused", &[]).await;
    f.run(&sandbox, &["sleep", "1000"]).await;
    let error = f.runtime.port_forward(&sandbox.id, 9).await.err().unwrap().to_string();
    assert!(!f.real || error.contains("connection refused"), "{error}");
    assert!(error.contains('9'), "the error names the port: {error}");
    f.remove(&sandbox).await;
}
