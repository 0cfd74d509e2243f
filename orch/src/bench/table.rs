//! [`Row`] and [`Table`]: figures beside what was hoped for and what Kubernetes needs.

use std::fmt;

/// What a figure counts, and with that which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds: less is better.
    Milliseconds,
    /// Things in a second: more is better.
    PerSecond,
    /// Megabytes of 10^6 bytes: less is better.
    Megabytes,
    /// Bytes: less is better.
    Bytes,
    /// Hundredths of one processor core: less is better.
    Percent,
}

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// How much it is.
    pub value: f64,
    /// Of what.
    pub unit: Unit,
    /// The budget in the design, in the same unit.
    pub budget: Option<f64>,
    /// What Kubernetes 1.36 with etcd needs on such a machine, in the same unit.
    pub kubernetes: Option<f64>,
    /// Quantiles and circumstances.
    pub detail: String,
}

impl Row {
    /// A figure with nothing to compare it to.
    pub fn new(name: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self { name: name.into(), value, unit, budget: None, kubernetes: None, detail: String::new() }
    }

    /// With the budget in the design.
    #[must_use]
    pub fn budget(self, budget: f64) -> Self {
        Self { budget: Some(budget), ..self }
    }

    /// With what Kubernetes needs.
    #[must_use]
    pub fn kubernetes(self, kubernetes: f64) -> Self {
        Self { kubernetes: Some(kubernetes), ..self }
    }

    /// With quantiles and circumstances.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }

    /// How many times better than Kubernetes.
    pub fn ratio(&self) -> Option<f64> {
        let theirs = self.kubernetes?;
        let (good, bad) = if self.unit.more_is_better() { (self.value, theirs) } else { (theirs, self.value) };
        (bad > 0.0).then(|| good / bad)
    }

    /// Whether the budget is kept.
    pub fn within_budget(&self) -> Option<bool> {
        let budget = self.budget?;
        Some(if self.unit.more_is_better() { self.value >= budget } else { self.value <= budget })
    }
}

impl Unit {
    fn more_is_better(self) -> bool {
        self == Self::PerSecond
    }

    fn words(self, value: f64) -> String {
        let digits = if value != 0.0 && value < 1.0 {
            3
        } else if value < 100.0 {
            1
        } else {
            0
        };
        let word = match self {
            Self::Milliseconds => " ms",
            Self::PerSecond => "/s",
            Self::Megabytes => " MB",
            Self::Bytes => " B",
            Self::Percent => " %",
        };
        format!("{value:.digits$}{word}")
    }
}

/// Prints rows as they come, in columns of fixed width.
#[derive(Clone, Copy, Debug, Default)]
pub struct Table;

impl Table {
    /// The line above the rows.
    pub fn header(self) -> String {
        line(["", "measured", "budget", "Kubernetes", "ratio", "detail"].map(str::to_owned))
    }

    /// One row as a line. A budget that is not kept is marked with `!`.
    pub fn line(self, row: &Row) -> String {
        let mark = if row.within_budget() == Some(false) { " !" } else { "" };
        line([
            row.name.clone(),
            row.unit.words(row.value),
            row.budget.map_or_else(String::new, |b| row.unit.words(b) + mark),
            row.kubernetes.map_or_else(String::new, |k| row.unit.words(k)),
            row.ratio().map_or_else(String::new, |r| format!("{r:.1}x")),
            row.detail.clone(),
        ])
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Table.line(self))
    }
}

fn line([name, measured, budget, kubernetes, ratio, detail]: [String; 6]) -> String {
    let text = format!("{name:<52} {measured:>12} {budget:>12} {kubernetes:>11} {ratio:>7}  {detail}");
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_says_how_many_times_better() {
        let rate = Row::new("creates", 1000.0, Unit::PerSecond).kubernetes(250.0);
        assert_eq!(rate.ratio(), Some(4.0));
        let time = Row::new("start", 50.0, Unit::Milliseconds).kubernetes(100.0);
        assert_eq!(time.ratio(), Some(2.0));
        assert_eq!(Row::new("start", 50.0, Unit::Milliseconds).ratio(), None);
        assert_eq!(Row::new("idle", 0.0, Unit::Percent).kubernetes(5.0).ratio(), None);
    }

    #[test]
    fn a_missed_budget_is_marked() {
        let row = Row::new("start in process", 30.0, Unit::Milliseconds).budget(20.0).kubernetes(2900.0).detail("cold");
        assert_eq!(row.within_budget(), Some(false));
        let words = Table.line(&row).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words, "start in process 30.0 ms 20.0 ms ! 2900 ms 96.7x cold");
        assert_eq!(Row::new("rate", 9.0, Unit::PerSecond).budget(8.0).within_budget(), Some(true));
    }

    #[test]
    fn columns_stand_under_their_names() {
        let header = Table.header();
        let row = Table.line(&Row::new("x", 1.0, Unit::Bytes));
        assert_eq!(header.find("measured").map(|at| at + 8), row.find(" B").map(|at| at + 2));
    }
}
