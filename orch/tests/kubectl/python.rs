//! The official Python client, by the script beside this file.

use crate::{
    cluster::processes,
    run::with_each,
    tools::{python, skip},
};
use std::process::Command;

#[test]
fn the_python_client_creates_lists_watches_patches_executes_reads_logs_and_deletes() {
    let Some(python) = python() else { return skip("Python's package `kubernetes` is not installed (ORCH_PYTHON)") };
    with_each(processes, "python", |k| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kubectl/client.py");
        let output = Command::new(&python).arg(script).arg(&k.kubeconfig).arg(&k.namespace).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{out}{err}");
        assert!(out.ends_with("done\n"), "{out}{err}");
    });
}
