//! When a Submit is due. The only difference between the two loops.

use super::Plan;

/// When each Submit of each connection is due.
pub(super) struct Schedule {
    /// Nanoseconds between two Submits of the whole load; none in a closed loop.
    interval: Option<f64>,
    connections: f64,
}

impl Schedule {
    pub(super) fn new(plan: &Plan) -> Schedule {
        Schedule {
            interval: plan.rate.map(|rate| 1e9 / rate),
            connections: plan.connections as f64,
        }
    }

    /// When Submit `nth` (from 0) of connection `number` (from 0) is due, in nanoseconds since the load began. In a closed
    /// loop that is whenever there is room for it: `now`.
    pub(super) fn due(&self, number: usize, nth: u64, now: u64) -> u64 {
        match self.interval {
            None => now,
            // Connections take turns, so that the load is even at any instant.
            Some(interval) => ((nth as f64 * self.connections + number as f64) * interval) as u64,
        }
    }

    /// Whether Submits are due at some time rather than when there is room.
    pub(super) fn is_open(&self) -> bool {
        self.interval.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_spreads_its_submits_evenly() {
        let schedule = Schedule {
            interval: Some(1e9 / 1000.0),
            connections: 2.0,
        };
        let due = |number, nth| schedule.due(number, nth, 7);
        assert_eq!(
            [due(0, 0), due(1, 0), due(0, 1), due(1, 1)],
            [0, 1_000_000, 2_000_000, 3_000_000]
        );
        assert_eq!(due(1, 5_000_000), 10_000_001_000_000);
    }

    #[test]
    fn a_closed_loop_sends_at_once() {
        let schedule = Schedule {
            interval: None,
            connections: 2.0,
        };
        assert_eq!(schedule.due(1, 1000, 7), 7);
    }
}
