//! The node: what runs pods. Container runtimes, images and the pod network.

pub mod image;
pub mod net;
pub mod oci;
pub mod toolbox;
