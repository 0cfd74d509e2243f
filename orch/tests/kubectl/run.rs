//! [`Kubectl`]: a command line in a namespace of its own, and what is asserted of its [`Ran`] commands.

use crate::{
    cluster::Cluster,
    tools::{kubectls, skip},
};
use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// Runs a story with every kubectl there is, each in a new namespace of the cluster.
pub(crate) fn with_each(cluster: fn() -> &'static Cluster, name: &str, story: impl Fn(&Kubectl)) {
    let programs = kubectls();
    if programs.is_empty() {
        return skip("kubectl is not installed");
    }
    for (n, program) in programs.into_iter().enumerate() {
        let kubectl = Kubectl { program, kubeconfig: cluster().kubeconfig.clone(), namespace: format!("{name}-{n}") };
        println!("{} in {}", kubectl.program.display(), kubectl.namespace);
        Kubectl { namespace: String::new(), ..kubectl.clone() }
            .run(&format!("create namespace {}", kubectl.namespace))
            .succeeds();
        // Pods need the account that a controller makes.
        kubectl.run("wait --for=create serviceaccount/default --timeout=30s").succeeds();
        story(&kubectl);
    }
}

/// kubectl in a namespace.
#[derive(Clone)]
pub(crate) struct Kubectl {
    program: PathBuf,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) namespace: String,
}

/// What a command did.
pub(crate) struct Ran {
    line: String,
    output: Output,
}

impl Kubectl {
    /// Runs a line whose words have one space between them.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.with_input(line, "")
    }

    /// The same, with something on its standard input.
    pub(crate) fn with_input(&self, line: &str, input: &str) -> Ran {
        let mut child = self.command(&line.split(' ').collect::<Vec<_>>());
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may end without having read all.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ran { line: line.to_owned(), output: child.wait_with_output().unwrap() }
    }

    /// Applies manifests.
    pub(crate) fn apply(&self, manifests: &str) -> Ran {
        self.with_input("apply -f -", manifests)
    }

    /// A command to be run by the caller.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        if !self.namespace.is_empty() {
            command.args(["--namespace", &self.namespace]);
        }
        command.args(words);
        command
    }
}

impl Ran {
    /// What it printed.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// What it printed, and complained about.
    pub(crate) fn all(&self) -> String {
        self.stdout() + &String::from_utf8_lossy(&self.output.stderr)
    }

    #[track_caller]
    pub(crate) fn succeeds(&self) -> &Self {
        assert!(self.output.status.success(), "kubectl {}: {}", self.line, self.all());
        self
    }

    #[track_caller]
    pub(crate) fn prints(&self, expected: &str) {
        self.succeeds();
        assert_eq!(self.stdout(), expected, "kubectl {}", self.line);
    }

    /// Prints these words, in this order.
    #[track_caller]
    pub(crate) fn contains(&self, words: &str) -> &Self {
        self.succeeds();
        assert!(self.all().contains(words), "kubectl {}: no {words:?} in {}", self.line, self.all());
        self
    }

    /// Prints a line with these columns, whatever space is between them. `*` stands for any column.
    #[track_caller]
    pub(crate) fn has_row(&self, columns: &[&str]) -> &Self {
        self.succeeds();
        let fits = |line: &str| {
            let found: Vec<&str> = line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
            found.len() == columns.len() && found.iter().zip(columns).all(|(f, c)| *c == "*" || f == c)
        };
        assert!(self.all().lines().any(fits), "kubectl {}: no row {columns:?} in\n{}", self.line, self.all());
        self
    }

    #[track_caller]
    pub(crate) fn lacks(&self, words: &str) -> &Self {
        self.succeeds();
        assert!(!self.all().contains(words), "kubectl {}: {words:?} in {}", self.line, self.all());
        self
    }

    #[track_caller]
    pub(crate) fn fails(&self, words: &str) -> &Self {
        assert!(!self.output.status.success(), "kubectl {} succeeded: {}", self.line, self.all());
        assert!(self.all().contains(words), "kubectl {}: no {words:?} in {}", self.line, self.all());
        self
    }
}
