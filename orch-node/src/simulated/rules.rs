//! How simulated pods behave.

use std::{collections::BTreeMap, time::Duration};

/// How long things take and what goes wrong, for all pods; pods say otherwise by annotation:
///
/// | annotation | meaning |
/// | --- | --- |
/// | `simulated.orch.dev/run` | containers end by themselves after so many seconds |
/// | `simulated.orch.dev/exit-code` | … with this code |
/// | `simulated.orch.dev/exit-reason` | … for this reason, such as `OOMKilled` |
/// | `simulated.orch.dev/start` | starting a container takes so many seconds |
/// | `simulated.orch.dev/stop` | containers take so many seconds to stop |
/// | `simulated.orch.dev/ready-after` | probes fail until so many seconds after the start |
/// | `simulated.orch.dev/unhealthy-after` | probes fail from so many seconds after the start |
/// | `simulated.orch.dev/flip-every` | probes succeed for so many seconds, then fail for as long, and so on |
/// | `simulated.orch.dev/cpu` | containers use so much CPU: a quantity, such as `250m` |
/// | `simulated.orch.dev/memory` | … so much memory: a quantity, such as `64Mi` |
/// | `simulated.orch.dev/start-error` | containers cannot be started; the value is the message |
///
/// With `.CONTAINER` behind the name an annotation is about one container. Seconds may have a fraction.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Pulling an image for the first time.
    pub pull_time: Duration,
    /// Times vary by up to this part of themselves (0.5: up to half as long again), drawn from the node's chance.
    pub jitter: f64,
    /// Images that no registry has (part of the name) and why.
    pub missing_images: Vec<(String, String)>,
    /// Making a sandbox.
    pub sandbox_time: Duration,
    /// What containers do unless their pod says otherwise.
    pub containers: ContainerRules,
}

/// What a container does.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerRules {
    /// From start to running.
    pub start_time: Duration,
    /// From running to its end; `None` for ever.
    pub run_time: Option<Duration>,
    /// Its exit code then.
    pub exit_code: i32,
    /// Its reason then; by the exit code when empty.
    pub exit_reason: String,
    /// From the stop signal to its end.
    pub stop_time: Duration,
    /// Its exit code after the stop signal.
    pub stop_exit_code: i32,
    /// Probes fail until then, counted from the start.
    pub ready_after: Duration,
    /// Probes fail from then on, counted from the start.
    pub unhealthy_after: Option<Duration>,
    /// Probes succeed for so long, then fail for as long, and so on.
    pub flip_every: Option<Duration>,
    /// Thousandths of a CPU that it uses.
    pub cpu_millis: u64,
    /// Bytes of memory that it uses.
    pub memory_bytes: u64,
    /// Why it cannot be started.
    pub start_error: Option<String>,
}

impl Default for Rules {
    /// Times as a quick node has them, and nothing goes wrong.
    fn default() -> Self {
        Self {
            pull_time: Duration::from_millis(500),
            jitter: 0.0,
            missing_images: Vec::new(),
            sandbox_time: Duration::from_millis(50),
            containers: ContainerRules::default(),
        }
    }
}

impl Rules {
    /// Everything takes no time.
    pub fn instant() -> Self {
        Self {
            pull_time: Duration::ZERO,
            jitter: 0.0,
            missing_images: Vec::new(),
            sandbox_time: Duration::ZERO,
            containers: ContainerRules {
                start_time: Duration::ZERO,
                stop_time: Duration::ZERO,
                ..ContainerRules::default()
            },
        }
    }

    /// The rules of one container, by its pod's annotations.
    pub fn of(&self, annotations: &BTreeMap<String, String>, container: &str) -> ContainerRules {
        let text = |name: &str| {
            let own = annotations.get(&format!("simulated.orch.dev/{name}.{container}"));
            own.or_else(|| annotations.get(&format!("simulated.orch.dev/{name}"))).cloned()
        };
        let seconds = |name: &str| {
            let value: f64 = text(name)?.parse().ok()?;
            Duration::try_from_secs_f64(value).ok()
        };
        let amount = |name: &str, unit: fn(orch_api::quantity::Quantity) -> i64| {
            u64::try_from(unit(orch_api::quantity::Quantity::parse(&text(name)?).ok()?)).ok()
        };
        let base = self.containers.clone();
        ContainerRules {
            start_time: seconds("start").unwrap_or(base.start_time),
            run_time: seconds("run").or(base.run_time),
            exit_code: text("exit-code").and_then(|t| t.parse().ok()).unwrap_or(base.exit_code),
            exit_reason: text("exit-reason").unwrap_or(base.exit_reason),
            stop_time: seconds("stop").unwrap_or(base.stop_time),
            ready_after: seconds("ready-after").unwrap_or(base.ready_after),
            unhealthy_after: seconds("unhealthy-after").or(base.unhealthy_after),
            flip_every: seconds("flip-every").or(base.flip_every),
            cpu_millis: amount("cpu", orch_api::quantity::Quantity::millis).unwrap_or(base.cpu_millis),
            memory_bytes: amount("memory", orch_api::quantity::Quantity::value).unwrap_or(base.memory_bytes),
            start_error: text("start-error").or(base.start_error),
            ..base
        }
    }
}

impl Default for ContainerRules {
    fn default() -> Self {
        Self {
            start_time: Duration::from_millis(50),
            run_time: None,
            exit_code: 0,
            exit_reason: String::new(),
            stop_time: Duration::from_millis(50),
            stop_exit_code: 143,
            ready_after: Duration::ZERO,
            unhealthy_after: None,
            flip_every: None,
            cpu_millis: 10,
            memory_bytes: 16 << 20,
            start_error: None,
        }
    }
}

/// What is wrong with a node for a while, as faults want it. Nothing is, to begin with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Why no image can be pulled.
    pub pulls: Option<String>,
    /// Whether all probes fail.
    pub probes: bool,
    /// Why no container can be started.
    pub starts: Option<String>,
}

/// What a command prints and returns: `echo`, `true`, `false` and `exit N` (also behind `sh -c` and the
/// toolbox) do as they are told; everything else succeeds silently.
pub(super) fn exec(command: &[String]) -> (String, i32) {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["sh" | "/bin/sh", "-c", script] => exec(&script.split_whitespace().map(str::to_owned).collect::<Vec<_>>()),
        ["orch", "toolbox", rest @ ..] => exec(&rest.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()),
        ["echo", rest @ ..] => (format!("{}\n", rest.join(" ")), 0),
        ["false"] => (String::new(), 1),
        ["exit", code] => (String::new(), code.parse().unwrap_or(2)),
        _ => (String::new(), 0),
    }
}
