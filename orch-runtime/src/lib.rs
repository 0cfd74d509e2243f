//! The reconcile-loop runtime, and the plug-point traits of scheduler and node.

pub mod node;
