//! How much of Kubernetes' conformance suite is ported: `docs/conformance.md`, made from the tests of the workspace.
//!
//! A test that stands for one of the suite carries that one's whole name in its doc comment, up to `[Conformance]`.
//! `conformance.tsv` lists the names of 1.37 (`test/conformance/testdata/conformance.yaml`), each with a letter for what
//! it needs.

use expect_test::expect_file;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

const SUITE: &str = include_str!("conformance.tsv");
const MARK: &str = "[Conformance]";

/// The letters, and what a test of that class needs.
const CLASSES: [(char, &str); 7] = [
    ('A', "the API server alone"),
    ('W', "webhooks"),
    ('T', "controllers and a simulated node"),
    ('S', "the scheduler"),
    ('K', "kubectl"),
    ('N', "real containers"),
    ('P', "the pod network"),
];

#[test]
fn the_table_of_ported_conformance_tests_is_current() {
    let suite: BTreeMap<&str, char> = SUITE.lines().filter_map(row).collect();
    let (ported, strangers) = names(&suite, &workspace());
    assert!(strangers.is_empty(), "no tests of the suite are called\n{strangers:#?}");
    expect_file![workspace().join("docs/conformance.md")].assert_eq(&table(&suite, &ported));
}

fn row(line: &str) -> Option<(&str, char)> {
    let (class, name) = line.split_once('\t')?;
    Some((name.trim(), class.chars().next()?))
}

fn table(suite: &BTreeMap<&str, char>, ported: &BTreeSet<&str>) -> String {
    let is_ported = |name: &str| ported.contains(name);
    let mut out = format!(
        "# Conformance\n\nMade by `orch/tests/tree/conformance.rs` from the names in the doc comments of the tests \
         (`UPDATE_EXPECT=1` writes it). A test that is listed as ported runs in `cargo test`, and passes; those of class K \
         run where there is a kubectl.\n\n\
         **{} of {}** tests of the conformance suite of Kubernetes 1.37 are ported.\n\n\
         | class | needs | ported | of |\n| --- | --- | --- | --- |\n",
        ported.len(),
        suite.len()
    );
    let of = |class: char| suite.iter().filter(move |(_, c)| **c == class).map(|(name, _)| *name);
    for (class, needs) in CLASSES {
        let count = of(class).filter(|name| is_ported(name)).count();
        let _ = writeln!(out, "| {class} | {needs} | {count} | {} |", of(class).count());
    }
    for (class, needs) in CLASSES {
        let _ = writeln!(out, "\n## {class}: {needs}\n");
        for name in of(class) {
            let _ = writeln!(out, "- [{}] {}", if is_ported(name) { 'x' } else { ' ' }, plain(name));
        }
    }
    out
}

/// A name without the marks that every name has.
fn plain(name: &str) -> String {
    name.replace(MARK, "").split_whitespace().collect::<Vec<_>>().join(" ").replace('<', "\\<")
}

/// The names of the suite in doc comments of Rust files, and what looks like one and is none. A name may go on in the
/// next lines of its comment.
fn names<'s>(suite: &BTreeMap<&'s str, char>, root: &Path) -> (BTreeSet<&'s str>, Vec<String>) {
    let (mut found, mut strangers) = (BTreeSet::new(), Vec::new());
    for file in rust_files(root) {
        let text = fs::read_to_string(&file).unwrap();
        let mut comment = String::new();
        for line in text.lines().map(str::trim).chain([""]) {
            match line.strip_prefix("///") {
                Some(words) => comment = format!("{comment} {}", words.trim()),
                None => {
                    for words in candidates(&std::mem::take(&mut comment)) {
                        match longest_prefix(suite, words) {
                            Some(name) => drop(found.insert(name)),
                            None => strangers.push(format!("{}: {words}", file.display())),
                        }
                    }
                }
            }
        }
    }
    (found, strangers)
}

/// What may be a name: it begins with `[sig-`, has the mark, and goes on until the next one begins.
fn candidates(comment: &str) -> impl Iterator<Item = &str> {
    let starts: Vec<usize> = comment.match_indices("[sig-").map(|(at, _)| at).chain([comment.len()]).collect();
    let pieces: Vec<&str> = starts.windows(2).filter_map(|ends| comment.get(ends[0]..ends[1])).collect();
    pieces.into_iter().filter(|words| words.contains(MARK))
}

/// Some names go on after the mark, so the longest that fits is meant.
fn longest_prefix<'s>(suite: &BTreeMap<&'s str, char>, words: &str) -> Option<&'s str> {
    suite.keys().filter(|name| words.starts_with(**name)).max_by_key(|name| name.len()).copied()
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.') || name == "target");
        if path.is_dir() && !hidden {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tree/conformance.rs")
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn a_name_is_found_with_the_marks_behind_it() {
    let suite = BTreeMap::from([("[sig-a] X [Conformance]", 'A'), ("[sig-a] X [Conformance] [Serial]", 'A')]);
    let found: Vec<_> =
        candidates("As [sig-a] X [Conformance] [Serial], and [sig-a] X [Conformance]. [sig-a] no mark.")
            .map(|words| longest_prefix(&suite, words))
            .collect();
    assert_eq!(found, [Some("[sig-a] X [Conformance] [Serial]"), Some("[sig-a] X [Conformance]")]);
}
