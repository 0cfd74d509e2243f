//! How fast virtual time is.

#![allow(clippy::disallowed_methods)] // Real time is what is measured.

use super::determinism::deployment;
use orch::sim::{Patience, Sim};
use std::time::{Duration, Instant};

#[test]
#[ignore = "measures; run it with --release -- --ignored --nocapture"]
fn a_hundred_nodes_with_a_thousand_pods() {
    let begun = Instant::now();
    let patience = Patience { quiet: Duration::from_secs(400), ..Patience::default() };
    let outcome = Sim::new(1).nodes(100).patience(patience).most_writes(100_000).run(async |world| {
        let started = begun.elapsed();
        world.put(deployment(1000, "app:1")).await?;
        world.settle().await?;
        println!("started in {started:.2?}, a thousand pods run after {:.2?}", begun.elapsed());
        let (real, virtually) = (Instant::now(), Duration::from_secs(600));
        world.sleep(virtually).await;
        println!("{:.0} virtual seconds per second at rest", virtually.as_secs_f64() / real.elapsed().as_secs_f64());
        Ok(())
    });
    let factor = outcome.elapsed.as_secs_f64() / begun.elapsed().as_secs_f64();
    println!("{:.0} virtual seconds per second in all; {} lines of history", factor, outcome.history.lines().len());
    outcome.assert();
}
