//! `orch image`: the images of a data directory.

use super::{Failure, data_dir::DataDir, machine, runtime};
use clap::{Args, Subcommand};
use orch_node::image::{ImageStore, Puller, Registries, load_archive};
use std::{path::PathBuf, sync::Arc};

#[derive(Args)]
pub(super) struct Image {
    /// The cluster's data directory [default: as of `orch up`]
    #[arg(long, env = "ORCH_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Load the images of an OCI layout or of a `docker save` archive.
    Load {
        /// A tar file or a directory.
        path: PathBuf,
        /// A name for an archive that holds one image without a name.
        #[arg(long)]
        name: Option<String>,
    },
    /// Pull an image from a registry.
    Pull {
        /// Such as `registry.example/app:1.0`.
        reference: String,
    },
    /// List the images.
    Ls,
}

impl Image {
    pub(super) fn run(self) -> Result<(), Failure> {
        // Images may be added while the cluster runs: the store's files are written atomically.
        let path = self.data_dir.unwrap_or_else(DataDir::default_path);
        let store = Arc::new(ImageStore::open(machine::images_of(&path))?);
        match self.command {
            Command::Load { path, name } => {
                for image in load_archive(&store, &path, name.as_deref())? {
                    println!("{}", image.tags.join(" "));
                }
            }
            Command::Pull { reference } => {
                let puller = Puller::new(store, Registries::default());
                let image = runtime()?
                    .block_on(puller.pull(&reference, None, |done, all| eprintln!("layer {done} of {all}")))?;
                println!("{}", image.id);
            }
            Command::Ls => {
                for image in store.list()? {
                    let names = if image.tags.is_empty() { "<none>".to_owned() } else { image.tags.join(" ") };
                    println!("{:<60} {:>10} {}", names, size(image.size_bytes()), image.id);
                }
            }
        }
        Ok(())
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}
