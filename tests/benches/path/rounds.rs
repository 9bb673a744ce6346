//! Servers in turn, several times over, and what the rounds agree on.

use crate::load::{Load, Sample};
use crate::servers::Server;

pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) milliseconds: u64,
}

/// The samples of some servers under some load: one list for each server, one sample for each round.
pub(crate) struct Rounds {
    samples: Vec<Vec<Sample>>,
}

impl Settings {
    /// Puts its load on each server in turn. The order changes from round to round, so that none is always the first.
    pub(crate) fn take_turns(&self, servers: &[(&Server, Load)]) -> Rounds {
        let mut samples = vec![Vec::new(); servers.len()];
        for round in 0..self.rounds {
            for turn in 0..servers.len() {
                let which = (turn + round) % servers.len();
                let (server, load) = &servers[which];
                samples[which].push(load.run(server, self.milliseconds));
            }
        }
        Rounds { samples }
    }
}

impl Rounds {
    /// The median of a figure of one server.
    pub(crate) fn median(&self, server: usize, figure: fn(&Sample) -> f64) -> f64 {
        Estimate::of(self.samples[server].iter().map(figure)).median
    }

    /// A figure of one server over that of another, round by round.
    pub(crate) fn ratio(&self, server: usize, other: usize, figure: fn(&Sample) -> f64) -> Estimate {
        let pairs = self.samples[server].iter().zip(&self.samples[other]);
        Estimate::of(pairs.map(|(own, other)| figure(own) / figure(other)))
    }
}

/// A median, and between what it lies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estimate {
    pub(crate) median: f64,
    /// The bounds that the true median is within, nineteen times of twenty: order statistics, which assume nothing of the
    /// distribution.
    low: f64,
    high: f64,
}

impl Estimate {
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Estimate {
        let mut values: Vec<f64> = values.collect();
        values.sort_unstable_by(f64::total_cmp);
        let (count, half) = (values.len(), values.len() / 2);
        let median = match count % 2 {
            1 => values[half],
            _ => (values[half - 1] + values[half]) / 2.0,
        };
        let outside = left_out(count);
        Estimate {
            median,
            low: values[outside],
            high: values[count - 1 - outside],
        }
    }

    /// What can be said of an aim: at most this much.
    pub(crate) fn at_most(&self, aim: f64) -> String {
        self.verdict(self.high <= aim, self.low > aim, &format!("at most {aim}"))
    }

    /// What can be said of an aim: at least this much.
    pub(crate) fn at_least(&self, aim: f64) -> String {
        self.verdict(self.low >= aim, self.high < aim, &format!("at least {aim}"))
    }

    fn verdict(&self, is_met: bool, is_missed: bool, aim: &str) -> String {
        match (is_met, is_missed) {
            (true, _) => format!("{aim}: met"),
            (_, true) => format!("{aim}: MISSED"),
            _ => format!("{aim}: too noisy to tell"),
        }
    }

    pub(crate) fn show(&self) -> String {
        format!("{:.3} ({:.2} to {:.2})", self.median, self.low, self.high)
    }
}

/// How many of so many sorted values may be left out at each end, so that the median of what they are drawn from is between
/// the rest in at least 95 of 100 cases: each value is below it or above with even chances.
fn left_out(count: usize) -> usize {
    let all = 0.5_f64.powi(i32::try_from(count).unwrap());
    let (mut ways, mut sum) = (1.0, 0.0);
    for outside in 0..count / 2 {
        sum += ways * all; // the chance that no more than `outside` are below
        if 2.0 * sum > 0.05 {
            return outside.saturating_sub(1);
        }
        ways = ways * (count - outside) as f64 / (outside + 1) as f64;
    }
    0
}
