//! `orch down`: stops and removes every pod of a data directory, and what the network made.

use super::{
    Failure,
    data_dir::DataDir,
    machine::{self, RuntimeKind},
    runtime,
};
use clap::Args;
use orch_node::oci::remove_cgroups;
use orch_runtime::node::container::ContainerRuntime;
use orch_store::Ambient;
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Down {
    /// The cluster's data directory [default: as of `orch up`]
    #[arg(long, env = "ORCH_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl Down {
    pub(super) fn run(self) -> Result<(), Failure> {
        runtime()?.block_on(async {
            let data = DataDir::open(&self.data_dir.unwrap_or_else(DataDir::default_path))?;
            let ambient = Ambient::system();
            let mut removed = 0;
            for kind in kinds(&data) {
                for node in machine::open(kind, data.nodes(), &data, &ambient).await?.nodes() {
                    removed += remove_all(&*node.runtime).await?;
                }
            }
            machine::remove_network(&data, &ambient).await?;
            for number in 1..=data.nodes() {
                remove_cgroups(&data.tag_of(number))?;
            }
            println!("{removed} pod(s) removed");
            ambient.tasks.stop().await;
            Ok(())
        })
    }
}

/// The runtimes that have left something in the directory.
fn kinds(data: &DataDir) -> Vec<RuntimeKind> {
    let mut kinds = Vec::new();
    if machine::sandboxes_of(data, 1).exists() {
        kinds.push(RuntimeKind::Oci);
    }
    if machine::processes_of(data, 1).exists() {
        kinds.push(RuntimeKind::Process);
    }
    kinds
}

async fn remove_all(runtime: &dyn ContainerRuntime) -> Result<usize, Failure> {
    let sandboxes = runtime.list().await?;
    for sandbox in &sandboxes {
        runtime.stop_sandbox(&sandbox.id).await?;
        runtime.remove_sandbox(&sandbox.id).await?;
    }
    Ok(sandboxes.len())
}
