//! `orch sim`: looks for mistakes in controllers, in a simulated cluster, until it finds one or the time is up.

use super::Failure;
use crate::sim::{Case, Scenario, enumerate, explore, scenarios};
use clap::Args;
use std::time::{Duration, Instant};

/// Look for mistakes of the controllers in a simulated cluster, with faults, under virtual time.
#[derive(Args)]
pub(super) struct Sim {
    /// For how many minutes.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// The first seed; each run takes the next one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only this scenario.
    #[arg(long)]
    scenario: Option<String>,
    /// Only scenarios that put this controller to the test; all perturbations of it are enumerated first.
    #[arg(long)]
    controller: Option<String>,
    /// Run one case again: its line of JSON, or a file with it. Prints the whole history.
    #[arg(long, value_name = "CASE")]
    replay: Option<String>,
    /// List the scenarios.
    #[arg(long)]
    list: bool,
}

impl Sim {
    pub(super) fn run(self) -> Result<(), Failure> {
        if let Some(case) = &self.replay {
            return replay(&Case::read(case)?);
        }
        let chosen = self.chosen()?;
        if self.list {
            for scenario in chosen {
                println!("{:<10} {} ({})", scenario.name, scenario.about, scenario.controllers.join(", "));
            }
            return Ok(());
        }
        let until = now() + Duration::try_from_secs_f64(self.minutes * 60.0)?;
        let mut progress = Progress { runs: 0, elapsed: Duration::ZERO, begun: now(), said: now() };
        if let Some(controller) = &self.controller {
            for scenario in &chosen {
                let done = enumerate(scenario, controller, self.seed, usize::MAX);
                progress.add(done.runs, done.elapsed);
                if let Some(failed) = done.failed.first() {
                    return Err(failed.to_string().into());
                }
            }
        }
        for seed in self.seed.. {
            for scenario in &chosen {
                if now() > until {
                    progress.say();
                    return Ok(());
                }
                let done = explore(scenario, seed);
                progress.add(done.runs, done.elapsed);
                if let Some(failed) = done.failed {
                    return Err(failed.to_string().into());
                }
            }
        }
        Ok(())
    }

    fn chosen(&self) -> Result<Vec<Scenario>, Failure> {
        let mut all = scenarios::all();
        all.retain(|each| self.scenario.as_ref().is_none_or(|name| each.name == *name));
        all.retain(|each| self.controller.as_ref().is_none_or(|name| each.controllers.contains(name)));
        if all.is_empty() {
            return Err("there is no such scenario; `orch sim --list` has them".into());
        }
        Ok(all)
    }
}

fn replay(case: &Case) -> Result<(), Failure> {
    let scenario = case.scenario().ok_or("the scenario of the case is not a built-in one")?;
    let (outcome, failures) = scenario.judge(case);
    print!("{}", outcome.history);
    println!("fingerprint {:016x}", outcome.history.fingerprint());
    if failures.is_empty() {
        println!("nothing is wrong");
        return Ok(());
    }
    Err(scenario.failed(case, &outcome, failures).to_string().into())
}

/// How far it is, said every ten seconds.
struct Progress {
    runs: usize,
    elapsed: Duration,
    begun: Instant,
    said: Instant,
}

impl Progress {
    fn add(&mut self, runs: usize, elapsed: Duration) {
        self.runs += runs;
        self.elapsed += elapsed;
        if self.said.elapsed() > Duration::from_secs(10) {
            self.say();
        }
    }

    fn say(&mut self) {
        self.said = now();
        let (runs, virtual_minutes) = (self.runs, self.elapsed.as_secs() / 60);
        println!(
            "{runs} runs, {virtual_minutes} virtual minutes in {:.0} s, nothing wrong",
            self.begun.elapsed().as_secs_f64()
        );
    }
}

#[allow(clippy::disallowed_methods)] // For how long to go on is the one thing that real time decides.
fn now() -> Instant {
    Instant::now()
}
