//! kubectl drives the controllers of workloads over real containers: a cluster of three nodes of this machine, which the
//! stories share, each in a namespace of its own.

mod autoscale;
mod cascade;
mod cron;
mod daemons;
mod drain;
mod jobs;
mod rollouts;
mod watch;

use crate::{
    cluster::ORCH,
    command::Kubectl,
    image::Image,
    namespaces::need,
    shared::Cluster,
    tools::{kubectls, skip},
};
use std::{
    path::Path,
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// Waiting is for states, so that how long it takes on a loaded machine does not matter.
const PATIENCE: Duration = Duration::from_secs(300);
const BUSYBOX: &str = "/bin/busybox";
/// Debian's busybox in two versions: `/version` says which one it is. Arguments are a script.
const IMAGES: [&str; 2] = ["shop.test/busybox:1", "shop.test/busybox:2"];
/// Ends at once when it is told to.
const SLEEP: &str = "trap 'exit 0' TERM; sleep 86400 & wait";

/// The newest kubectl in a new namespace of the cluster, unless something is missing.
fn kubectl(namespace: &str) -> Option<Kubectl> {
    if !nix::unistd::geteuid().is_root() {
        skip("not root");
        return None;
    }
    if !need(&["unshare", "nsenter", "ip", "nft", "busybox", "kubectl", "ldd"]) {
        return None;
    }
    let cluster = three_nodes();
    let program = kubectls().pop().unwrap().into_os_string();
    let network = format!("--net={}", cluster.network().display());
    let words = ["nsenter".into(), network.into(), program];
    Some(Kubectl::in_new_namespace(words, cluster.kubeconfig.clone(), namespace))
}

/// Three nodes with real containers, in a network of their own.
fn three_nodes() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let inside = "ip link set lo up && exec \"$0\" \"$@\"";
        let launcher = ["unshare", "--net", "--mount", "--propagation", "shared", "sh", "-c", inside];
        Cluster::launch(&launcher, &["--runtime", "oci", "--nodes", "3"], load_images)
    })
}

fn load_images(data: &Path) {
    let layouts = tempfile::tempdir().unwrap();
    for (n, name) in IMAGES.into_iter().enumerate() {
        let version = (n + 1).to_string();
        let files = [("/version", version.as_str()), ("/etc/passwd", "root:x:0:0::/:\n")];
        let entrypoint = [BUSYBOX, "sh", "-c"];
        let image = Image {
            programs: &[BUSYBOX],
            files: &files,
            directories: &["/tmp"],
            entrypoint: &entrypoint,
            stop_signal: None,
        };
        let layout = image.write(layouts.path(), &version);
        let mut load = Command::new(ORCH);
        load.args(["image", "load", "--name", name, "--data-dir"]).arg(data).arg(layout);
        let output = load.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// Asks until the answer is there.
#[track_caller]
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{what} never came");
}

impl Kubectl {
    /// Waits for something to be so.
    #[track_caller]
    fn wait(&self, condition: &str, what: &str) {
        let line = format!("wait --for={condition} {what} --timeout={}s", PATIENCE.as_secs());
        self.run(&line).succeeds();
    }

    /// What a path of an object, or of objects, leads to.
    #[track_caller]
    fn read(&self, what: &str, path: &str) -> String {
        let output = format!("jsonpath={path}");
        let words: Vec<_> = ["get"].into_iter().chain(what.split(' ')).chain(["-o", &output]).collect();
        self.args(&words, b"").succeeds().stdout()
    }

    /// The names of objects, each with its resource.
    #[track_caller]
    fn names(&self, what: &str) -> Vec<String> {
        self.run(&format!("get {what} -o name")).succeeds().stdout().lines().map(str::to_owned).collect()
    }

    /// Waits until a rollout is complete, which is said in these words.
    #[track_caller]
    fn rolled_out(&self, what: &str, words: &str) {
        self.run(&format!("rollout status {what} --timeout={}s", PATIENCE.as_secs())).contains(words);
    }
}
