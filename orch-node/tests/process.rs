//! The process runtime against the laws of container runtimes. This program is its own shim, which is why it
//! has no test harness: run again as `shim …` it is the process beside a container.

#![allow(clippy::unwrap_used)] // A test without a harness.

use orch_node::{
    ProcessRuntime,
    conformance::{Fixture, all},
    process::shim_main,
};
use orch_runtime::node::container::ContainerRuntime;
use orch_store::Ambient;
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "shim") {
        return shim_main(args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(laws());
    ExitCode::SUCCESS
}

async fn laws() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let open = move || -> Arc<dyn ContainerRuntime> {
        let shim = vec![std::env::current_exe().unwrap().display().to_string(), "shim".to_owned()];
        Arc::new(ProcessRuntime::open(&state, shim, "127.200.0.0/16".parse().unwrap(), Ambient::system()).unwrap())
    };
    let fixture = Fixture {
        runtime: open(),
        reopen: Box::new(move || {
            let opened = open();
            Box::pin(async move { opened })
        }),
        image: "host/shell:1".into(),
        command,
        logs: dir.path().join("logs"),
        real: true,
    };
    for (name, law) in all() {
        law(&fixture).await;
        println!("test {name} ... ok");
    }
}

fn command(words: &[&str]) -> Vec<String> {
    match words {
        ["exit", code] => vec!["sh".into(), "-c".into(), format!("exit {code}")],
        words => words.iter().map(|w| (*w).to_owned()).collect(),
    }
}
