//! Real containers on this machine. Needs root and cgroups: without them every test says that it was
//! skipped, or fails where `ORCH_REQUIRE_REAL=1` is set.
//!
//! The test program is also the shim and the program inside of the built-in image, so it has a `main` of
//! its own. Arguments that are no options choose tests by a part of their names.

#![allow(clippy::unwrap_used, clippy::expect_used)] // All of this program is tests.

mod adoption;
mod containers;
mod exec;
mod images;
mod laws;
mod node;

use futures::future::LocalBoxFuture;
use std::{
    panic::AssertUnwindSafe,
    process::ExitCode,
    time::{Duration, Instant},
};

/// A test: its name, and what it does.
type Test = (&'static str, fn() -> LocalBoxFuture<'static, ()>);

/// `tests![a::b, c::d]`: names as they are written.
macro_rules! tests {
    ($($test:path),* $(,)?) => {
        [$({
            fn run() -> LocalBoxFuture<'static, ()> {
                Box::pin($test())
            }
            (stringify!($test), run as fn() -> LocalBoxFuture<'static, ()>)
        }),*]
    };
}

fn all() -> Vec<Test> {
    let mut all: Vec<Test> = Vec::new();
    all.extend(tests![
        laws::the_laws_of_container_runtimes_hold,
        containers::a_container_runs_and_its_exit_code_is_kept,
        containers::what_a_container_prints_is_in_its_log,
        containers::a_log_is_reopened_after_it_was_renamed,
        containers::a_container_over_its_memory_is_killed_and_says_so,
        containers::stopping_sends_the_signal_and_waits_then_kills,
        containers::a_command_that_is_not_there_is_a_start_error,
        containers::user_environment_and_read_only_root_are_applied,
        containers::mounts_and_the_working_directory_are_there,
        containers::containers_of_a_pod_share_network_and_shared_memory,
        containers::containers_of_a_pod_can_share_processes,
        containers::stats_are_measured_and_capabilities_limited,
        containers::a_privileged_container_sees_devices,
        containers::mounts_propagate_as_asked,
        containers::a_pod_may_use_the_nodes_network_and_a_terminal,
        containers::removing_a_sandbox_leaves_nothing_behind,
        exec::output_error_and_exit_code_are_apart,
        exec::standard_input_reaches_the_command,
        exec::a_terminal_has_a_size_and_echoes,
        exec::a_dropped_session_kills_its_command,
        exec::a_port_on_the_pods_own_loopback_is_reached,
        adoption::a_new_agent_adopts_what_runs_and_learns_what_ended,
        adoption::a_shim_keeps_nothing_open_of_those_who_started_the_agent,
        adoption::nodes_of_a_machine_share_images_and_nothing_else,
        adoption::when_the_shim_is_killed_its_containers_are_ended,
        images::an_archive_made_by_skopeo_is_loaded_and_run,
        images::an_image_is_pulled_from_a_registry,
    ]);
    all
}

fn main() -> ExitCode {
    let mut args = std::env::args();
    if let Some(code) = orch_node::toolbox::dispatch(args.by_ref()) {
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("shim", rest)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        let code = orch_node::oci::shim_main(rest.iter().cloned());
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    let filters: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let tests: Vec<Test> = all().into_iter().filter(|(name, _)| chosen(name)).collect();
    if args.iter().any(|arg| arg == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    run(&tests)
}

fn run(tests: &[Test]) -> ExitCode {
    if let Some(reason) = node::missing() {
        println!("skipped: {reason} ({} tests of real containers)", tests.len());
        return ExitCode::from(u8::from(node::must_run()));
    }
    println!("\nrunning {} tests", tests.len());
    let failed: Vec<_> = tests.iter().filter(|test| !passes(test)).map(|(name, _)| *name).collect();
    println!("\ntest result: {} passed; {} failed", tests.len() - failed.len(), failed.len());
    failed.iter().for_each(|name| println!("    {name}"));
    ExitCode::from(u8::from(!failed.is_empty()))
}

#[allow(clippy::disallowed_methods)] // How long a test took, for people.
fn passes((name, test): &Test) -> bool {
    let started = Instant::now();
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        tokio.block_on(async {
            tokio::time::timeout(Duration::from_secs(90), test()).await.expect("the test took too long");
        });
        tokio.shutdown_background();
    }));
    let verdict = if result.is_ok() { "ok" } else { "FAILED" };
    println!("test {name} ... {verdict} ({} ms)", started.elapsed().as_millis());
    result.is_ok()
}
