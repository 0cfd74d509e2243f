//! Images: a store of unpacked layers, and the ways an image gets into it (a registry, an archive, or
//! the node's own executable).

mod archive;
mod builtin;
mod config;
mod elf;
mod error;
mod flat;
mod layer;
mod pull;
mod reference;
mod store;

pub use archive::load_archive;
pub use builtin::{TOOLBOX_IMAGE, build_toolbox, remove_old_toolboxes};
pub use config::ImageConfig;
pub use error::ImageError;
pub use flat::flatten;
pub use pull::{Puller, Registries};
pub use reference::normalize;
pub use store::{ImageRecord, ImageStore, LayerRecord, NewImage};
