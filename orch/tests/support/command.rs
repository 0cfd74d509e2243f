//! [`Kubectl`]: a command line in a namespace of its own, and what is asserted of its [`Ran`] commands.

use std::{
    ffi::OsString,
    io::Write,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// kubectl in a namespace.
#[derive(Clone)]
pub(crate) struct Kubectl {
    /// The program, after what starts it elsewhere than here.
    program: Vec<OsString>,
    pub(crate) kubeconfig: PathBuf,
    pub(crate) namespace: String,
    websocket: bool,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) line: String,
    pub(crate) output: Output,
}

#[allow(dead_code)] // Each test program uses some of these.
impl Kubectl {
    /// A kubectl that speaks to a cluster, in a new namespace of it that takes pods.
    pub(crate) fn in_new_namespace<W: Into<OsString>>(
        program: impl IntoIterator<Item = W>,
        kubeconfig: PathBuf,
        namespace: &str,
    ) -> Self {
        let program = program.into_iter().map(Into::into).collect();
        let anywhere = Self { program, kubeconfig, namespace: String::new(), websocket: true };
        anywhere.run(&format!("create namespace {namespace}")).succeeds();
        let kubectl = Self { namespace: namespace.to_owned(), ..anywhere };
        // Pods need the account that a controller makes.
        kubectl.run("wait --for=create serviceaccount/default --timeout=60s").succeeds();
        kubectl
    }

    /// Runs a line whose words have one space between them.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.with_input(line, "")
    }

    /// The same, with something on its standard input.
    pub(crate) fn with_input(&self, line: &str, input: &str) -> Ran {
        self.args(&line.split(' ').collect::<Vec<_>>(), input.as_bytes())
    }

    /// Runs a command whose arguments may have spaces in them. It need not read all of its input.
    pub(crate) fn args(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut child = self.start(args, Stdio::piped());
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap()
        });
        Ran { line: args.join(" "), output }
    }

    /// Starts a command.
    pub(crate) fn start(&self, args: &[&str], stdin: Stdio) -> Child {
        self.command(args).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// The same with WebSocket, or with SPDY, for what has streams.
    pub(crate) fn speaking(&self, websocket: bool) -> Self {
        Self { websocket, ..self.clone() }
    }

    /// Runs a line again and again until it prints these words, for what a controller will have done after a while.
    #[track_caller]
    pub(crate) fn until(&self, line: &str, words: &str) -> Ran {
        let end = Instant::now() + Duration::from_secs(120);
        loop {
            let ran = self.run(line);
            if ran.output.status.success() && ran.all().contains(words) {
                return ran;
            }
            assert!(Instant::now() < end, "kubectl {line}: still no {words:?} in {}", ran.all());
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Applies manifests.
    pub(crate) fn apply(&self, manifests: &str) -> Ran {
        self.with_input("apply -f -", manifests)
    }

    /// A command to be run by the caller.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut program = self.program.iter();
        let mut command = Command::new(program.next().unwrap());
        command.args(program);
        let websocket = self.websocket.to_string();
        command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", &websocket).env("KUBECTL_PORT_FORWARD_WEBSOCKETS", &websocket);
        command.arg("--kubeconfig").arg(&self.kubeconfig);
        if !self.namespace.is_empty() {
            command.args(["--namespace", &self.namespace]);
        }
        command.args(words);
        command
    }
}

#[allow(dead_code)]
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
