//! Laws about commands in running containers.

use super::{Fixture, Law};
use orch_runtime::node::container::ExecRequest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub(super) fn laws() -> Vec<(&'static str, Law)> {
    vec![
        ("a command's output and exit code come back", |f| Box::pin(output(f))),
        ("a command reads its standard input to the end", |f| Box::pin(input(f))),
        ("nothing runs in a container that does not", |f| Box::pin(ended(f))),
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
