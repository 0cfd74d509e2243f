//! Definitions that others wrote, through kubectl: the directories of `ORCH_CRDS` (paths with `:` between them).

use crate::{cluster::simulated, run::with_each, tools::skip};
use std::path::{Path, PathBuf};

/// The files of a directory of `ORCH_CRDS` that has one of that name; `None` where none has.
fn file(name: &str) -> Option<PathBuf> {
    let roots = std::env::var_os("ORCH_CRDS")?;
    let found: Vec<PathBuf> = std::env::split_paths(&roots).map(|root| root.join(name)).collect();
    found.into_iter().find(|path| path.is_file())
}

/// A file as an argument.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn definitions_of_others_are_applied_explained_and_their_samples_checked() {
    let samples = [
        ("certificates.cert-manager.io.yaml", "certificates", "cert.yaml"),
        ("servicemonitors.monitoring.coreos.com.yaml", "servicemonitors", "servicemon.yaml"),
        ("podmonitors.monitoring.coreos.com.yaml", "podmonitors", "podmon.yaml"),
        ("prometheusrules.monitoring.coreos.com.yaml", "prometheusrules", "pr.yaml"),
        ("httproute-crd.yaml", "httproutes", "httproute.yaml"),
    ];
    let found: Option<Vec<(PathBuf, &str, PathBuf)>> =
        samples.iter().map(|(crd, plural, sample)| Some((file(crd)?, *plural, file(sample)?))).collect();
    let Some(found) = found else {
        return skip("ORCH_CRDS names no directory with the definitions and samples of the crate kopium");
    };
    with_each(simulated, "crds", |k| {
        for (definition, plural, sample) in &found {
            k.run(&format!("apply --server-side -f {}", shown(definition))).contains("serverside-applied");
            k.run(&format!("wait --for=condition=Established --timeout=30s -f {}", shown(definition))).succeeds();
            k.run(&format!("explain {plural} --recursive")).contains("FIELDS:").contains("  spec\t<");
            k.run(&format!("explain {plural}.spec --output=plaintext-openapiv2")).contains("FIELDS:");
            k.run(&format!("apply --server-side -f {}", shown(sample))).contains("serverside-applied");
            k.run(&format!("apply -f {} --dry-run=server", shown(sample))).succeeds();
            k.run(&format!("get {plural}")).contains("gen");
        }
        k.run("explain certificates.spec.issuerRef").contains("name\t<string> -required-");
        k.run("explain httproutes.spec.rules.matches").contains("FIELD: matches <[]Object>");
        k.with_input(
            "apply -f -",
            r#"{"apiVersion":"cert-manager.io/v1","kind":"Certificate","metadata":{"name":"bad"},
                "spec":{"secretName":"s","dnsNames":"a.b","issuerRef":{"name":"i"}}}"#,
        )
        .fails("spec.dnsNames: Invalid value: \"string\": spec.dnsNames in body must be of type array: \"string\"");
        k.with_input(
            "apply -f -",
            r#"{"apiVersion":"cert-manager.io/v1","kind":"Certificate","metadata":{"name":"bad"},"spec":{"secretNam":"s"}}"#,
        )
        .fails("unknown field \"spec.secretNam\"");
    });
}
