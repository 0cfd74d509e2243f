//! What the runtime remembers: sandboxes, containers and what runs in them.

use k8s_openapi::jiff::Timestamp;
use orch::{
    node::book::Book,
    runtime::node::container::{ContainerConfig, RuntimeError, SandboxConfig},
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};
use tokio::{io::DuplexStream, sync::broadcast, task::AbortHandle};

#[derive(Default)]
pub(crate) struct State {
    /// The containers with what they are made of.
    pub(crate) book: Book<ContainerConfig>,
    pub(crate) running: BTreeMap<String, Running>,
    pub(crate) pulled: bool,
    made: u32,
}

/// A function that runs.
pub(crate) struct Running {
    pub(crate) task: AbortHandle,
    /// The end of its standard input, until somebody takes it for good.
    pub(crate) input: Option<Arc<Mutex<DuplexStream>>>,
    pub(crate) output: broadcast::Sender<Vec<u8>>,
}

impl State {
    pub(crate) fn run_sandbox(&mut self, config: SandboxConfig, now: Timestamp) -> String {
        let made = &mut self.made;
        self.book.run_sandbox(config, now, |config| {
            *made += 1;
            let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a63_0000 + *made));
            (format!("sandbox-{made}"), if config.host_network { Vec::new() } else { vec![address] })
        })
    }

    pub(crate) fn stop_sandbox(&mut self, id: &str, now: Timestamp) {
        for container in self.book.sandbox(id).into_iter().flat_map(|sandbox| &sandbox.containers) {
            abort(&mut self.running, &container.id);
        }
        self.book.stop_sandbox(id, now);
    }

    pub(crate) fn remove_sandbox(&mut self, id: &str, now: Timestamp) {
        self.stop_sandbox(id, now);
        self.book.remove_sandbox(id, now);
    }

    pub(crate) fn create(
        &mut self,
        sandbox: &str,
        config: ContainerConfig,
        now: Timestamp,
    ) -> Result<String, RuntimeError> {
        let made = &mut self.made;
        self.book.create(sandbox, config, now, |_, config| {
            *made += 1;
            (format!("function-{made}"), super::runtime::IMAGE_ID.into(), config.clone())
        })
    }

    /// The container ends with this code, unless it has ended already.
    pub(crate) fn end(&mut self, container: &str, exit_code: i32, now: Timestamp) {
        abort(&mut self.running, container);
        self.book.exit(container, exit_code, "", now);
    }

    pub(crate) fn remove_container(&mut self, container: &str, now: Timestamp) {
        self.end(container, 137, now);
        self.book.remove_container(container);
    }
}

fn abort(running: &mut BTreeMap<String, Running>, container: &str) {
    if let Some(running) = running.remove(container) {
        running.task.abort();
    }
}
