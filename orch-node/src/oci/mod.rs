//! The embedded runtime: containers by youki's libcontainer, in a small shim per pod that outlives us.
//!
//! ```text
//! agent ── OciRuntime ──(unix socket per pod)── shim ──(fork)── worker ──(libcontainer)── container
//!              │                                 │ holds network, IPC, host name; reaps; writes logs
//!              └── sandboxes/ID/sandbox.json, containers/ID/{container.json, state.json, bundle/, upper/}
//! ```
//!
//! The agent writes what should be, the shim writes what became of it (`state.json`); neither needs the
//! other alive to do so. A new agent over the same directory reads the records, connects to the shims and
//! goes on. When a shim itself is gone, what it ran is killed and written down as ended.

mod attach;
mod capabilities;
mod cgroup;
mod client;
mod create;
mod devices;
mod exec;
mod fds;
mod forward;
mod pod;
mod protocol;
mod runtime;
mod seccomp;
mod shim;
mod spec;
mod state;
mod terminal;
mod user;

pub use cgroup::remove_root as remove_cgroups;
pub use runtime::{OciRuntime, RuntimeOptions};
pub use shim::shim_main;
