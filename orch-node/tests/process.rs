//! The process runtime against the laws of container runtimes. This program is its own shim, which is why it
//! has no test harness: run again as `shim …` it is the process beside a container.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)] // A test without a harness.

use orch_node::{
    ProcessRuntime,
    conformance::{Fixture, all},
    process::shim_main,
};
use orch_runtime::node::container::{ContainerConfig, ContainerRuntime, SandboxConfig};
use orch_store::Ambient;
use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|a| a == "shim") {
        return shim_main(args);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(laws());
    runtime.block_on(a_start_that_nobody_sees_the_end_of_leaves_no_process());
    println!("test a_start_that_nobody_sees_the_end_of_leaves_no_process ... ok");
    ExitCode::SUCCESS
}

fn open(state: &Path) -> Arc<dyn ContainerRuntime> {
    let shim = vec![std::env::current_exe().unwrap().display().to_string(), "shim".to_owned()];
    Arc::new(ProcessRuntime::open(state, shim, "127.200.0.0/16".parse().unwrap(), Ambient::system()).unwrap())
}

/// The agent ends at some moment of a start, and its successor removes the pod.
async fn a_start_that_nobody_sees_the_end_of_leaves_no_process() {
    let dir = tempfile::tempdir().unwrap();
    let seconds = (1_000_000 + std::process::id()).to_string();
    for millis in 0..25 {
        let first = open(dir.path());
        first.pull_image("host/shell:1", None).await.unwrap();
        let (uid, log_directory) = (millis.to_string(), dir.path().join("logs"));
        let pod = SandboxConfig { name: "pod".into(), uid, log_directory, ..SandboxConfig::default() };
        let sandbox = first.run_sandbox(pod).await.unwrap();
        let command = vec!["sleep".into(), seconds.clone()];
        let (name, image) = ("main".into(), "host/shell:1".into());
        let config =
            ContainerConfig { name, image, command, log_path: "main.log".into(), ..ContainerConfig::default() };
        let container = first.create_container(&sandbox, config).await.unwrap();
        let start = first.start_container(&container);
        let _ = tokio::time::timeout(Duration::from_millis(millis * 2), start).await;
        open(dir.path()).remove_sandbox(&sandbox).await.unwrap();
    }
    let ours = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        line.contains(&format!("sleep\0{seconds}")) || line.contains(&*dir.path().to_string_lossy())
    };
    let left = || {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok()).filter(|line| ours(line)).count()
    };
    for _ in 0..300 {
        if left() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} processes are left", left());
}

async fn laws() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let open = move || open(&state);
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
