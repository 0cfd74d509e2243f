//! The pod network, the service proxies and the cluster DNS with the kernel's real parts.
//!
//! Everything happens in network namespaces of this program's own: it leaves the machine's network before its
//! first thread starts, and its pods are namespaces that end with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, unreachable_pub)] // All of this program is tests.

mod bridge;
mod dns;
mod service;
mod upkeep;
mod userspace;
mod world;

use nix::sched::{CloneFlags, unshare};
use std::process::ExitCode;
use world::World;

fn main() -> ExitCode {
    let own_network = nix::unistd::geteuid().is_root() && unshare(CloneFlags::CLONE_NEWNET).is_ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        // These need nothing but loopback.
        if own_network {
            world::start_loopback().await;
        }
        userspace::all().await;
        dns::all().await;
        let capabilities = orch_node::net::detect().await;
        println!("{capabilities}");
        if own_network && capabilities.choice() == orch_node::net::Choice::Bridge {
            let world = World::open().await;
            bridge::all(&world).await;
            for hooks in [true, false] {
                service::all(&world, hooks).await;
            }
            upkeep::all(&world).await;
            return ExitCode::SUCCESS;
        }
        println!("skipped: bridge and nftables: {capabilities}");
        if std::env::var_os("ORCH_REQUIRE_REAL").is_some_and(|v| v == "1") {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    })
}

/// Runs one test after the other; the first that panics ends the program.
#[macro_export]
macro_rules! run {
    ($($test:ident($($argument:expr),*)),* $(,)?) => {
        $(
            $test($($argument),*).await;
            println!("test {} ... ok", stringify!($test));
        )*
    };
}
