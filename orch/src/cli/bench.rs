//! `orch bench`: what this machine makes of orch, or of any Kubernetes API server.

use super::{Failure, runtime, up};
use crate::bench::{self, GROUPS, Table};
use clap::{Args, builder::PossibleValuesParser};
use std::path::PathBuf;

#[derive(Args)]
pub(super) struct Bench {
    /// Measure the API server of this kubeconfig. It should have no other load; what is created there is removed
    /// again. Without it orch starts what it measures.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Only these figures. Can be given several times.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(GROUPS))]
    only: Vec<String>,
}

impl Bench {
    pub(super) fn run(self) -> Result<(), Failure> {
        if cfg!(debug_assertions) {
            eprintln!("orch: this is a debug build; its figures say little");
        }
        println!("{}", Table.header());
        let mut show = |row| println!("{row}");
        runtime()?.block_on(async {
            // What was started ends with the future, also when a signal ends it.
            tokio::select! {
                done = bench::run(self.kubeconfig.as_deref(), &self.only, &mut show) => done,
                ended = up::end_signal() => ended.and(Err("interrupted".into())),
            }
        })
    }
}
