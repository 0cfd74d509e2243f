//! `orch image`: the images of a data directory.

use super::{Failure, data_dir::DataDir, machine, runtime};
use clap::{Args, Subcommand};
use orch_node::image::{ImageRecord, ImageStore, Puller, Registries, load_archive};
use std::{
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

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
        let lines = match self.command {
            Command::Load { path, name } => {
                load_archive(&store, &path, name.as_deref())?.iter().map(|image| told("loaded", image)).collect()
            }
            Command::Pull { reference } => {
                let puller = Puller::new(store, Registries::default());
                let progress = |done, all| drop(writeln!(io::stderr(), "orch: {done} of {all} layers are here"));
                let image = runtime()?.block_on(puller.pull(&reference, None, progress))?;
                vec![told("pulled", &image)]
            }
            Command::Ls => table(&store.list()?),
        };
        let mut out = io::stdout();
        for line in lines {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// `loaded example.test/app:1 (12 MB)`
fn told(what: &str, image: &ImageRecord) -> String {
    format!("{what} {} ({})", names(image), size(image.size_bytes()))
}

/// The images with a head line, the columns as wide as they must be.
fn table(images: &[ImageRecord]) -> Vec<String> {
    let row = |image: &ImageRecord| {
        let digits = image.id.trim_start_matches("sha256:");
        [names(image), size(image.size_bytes()), digits.get(..12).unwrap_or(digits).to_owned()]
    };
    let rows: Vec<[String; 3]> =
        std::iter::once(["IMAGE", "SIZE", "ID"].map(str::to_owned)).chain(images.iter().map(row)).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    rows.iter().map(|[name, size, id]| format!("{name:<first$}   {size:>second$}   {id}")).collect()
}

fn names(image: &ImageRecord) -> String {
    match (&image.tags[..], &image.digests[..]) {
        ([], []) => image.id.clone(),
        ([], digests) => digests.join(" "),
        (tags, _) => tags.join(" "),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_listed_in_columns() {
        let image = |name: &str, id: &str| ImageRecord {
            id: format!("sha256:{id}"),
            tags: vec![name.into()],
            ..ImageRecord::default()
        };
        let images = [image("a.test/b:1", "0123456789abcdef"), image("c:2", "fedcba9876543210")];
        assert_eq!(
            table(&images),
            ["IMAGE        SIZE   ID", "a.test/b:1   0 kB   0123456789ab", "c:2          0 kB   fedcba987654",]
        );
    }
}
