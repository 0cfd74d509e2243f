//! Programs that answer one question each: see the folder `examples/`. Here is what several of them share: one operator,
//! written twice, and the story that both must pass.
//!
//! ```text
//! site: the kind, and what it wants ─┬─► operator_kube: on kube-rs alone   ─┬─► scenario, told by a User:
//!                                    └─► operator_orch: on orch-runtime    ─┘   in process, or with kubectl
//! ```

/// The code of the guides is compiled and run as documentation tests.
#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../docs/write-a-controller.md")]
    mod write_a_controller {}
    #[doc = include_str!("../../docs/test-a-controller.md")]
    mod test_a_controller {}
    #[doc = include_str!("../../docs/coming-from-kube-rs.md")]
    mod from_kube_rs {}
    #[doc = include_str!("../../docs/coming-from-controller-runtime.md")]
    mod from_controller_runtime {}
}

pub mod operator_kube;
pub mod operator_orch;
pub mod scenario;
pub mod site;
