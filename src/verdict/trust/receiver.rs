//! Whether the generator read the messages of streams in time.
//!
//! `Trust` runs this check.
//! Invariant: messages that were read in time have no effect, however many there are and however
//! late the target sent them.

use super::checks::check_saturation;
use super::effects::RECEIVED_LATE;
use super::lateness::{ABOVE, judged_quantile, quantile_name};
use super::reason::{RECEIVER, TrustContext, TrustLevel, TrustReason};
use crate::stats::delta::LostStarts;
use crate::stats::latency::rank;
use crate::stats::{Latency, Snapshot};

/// Checks how late the generator read messages that had arrived.
pub(super) fn check_receiver(snapshot: &Snapshot, context: &TrustContext) -> Option<TrustReason> {
    let lag = &snapshot.measured.receive_lag;
    let quantile = judged_quantile(lag.count());
    let observed = lag.at_rank(rank(quantile, lag.count())) as f64;
    let times = times(snapshot).quantile(quantile).map_or(0.0, |time| time.us as f64);
    let [degraded, no] = RECEIVER.map(|(us, share)| (share * times).max(us));
    // Users that send as fast as they can keep the generator busy: that is `generator_bound`.
    let is_bound =
        context.unthrottled.iter().all(|is_it| *is_it) && check_saturation(snapshot).is_some();
    let (level, limit) = match observed {
        _ if observed > no && lag.count() >= 2 * ABOVE && !is_bound => (TrustLevel::No, no),
        _ if observed > degraded => (TrustLevel::Degraded, degraded),
        _ => return None,
    };
    Some(TrustReason {
        check: "receiver_bound",
        level,
        observed,
        limit,
        unit: "us",
        effects: RECEIVED_LATE,
        hint: format!(
            "the generator read messages late ({}): use more cores (--shards), fewer streams or \
             fewer messages per second",
            quantile_name(quantile, "messages")
        ),
    })
}

/// The times that late reading is compared with: of deliveries, or without stamps of the responses
/// that messages ended.
fn times(snapshot: &Snapshot) -> Latency {
    let measured = &snapshot.measured;
    let deliveries = measured.messages(|_| true).delivery_of_all();
    if deliveries.count() > 0 {
        return deliveries;
    }
    let is_received = |step: crate::ids::StepId| {
        let window = measured.steps[step].as_ref().and_then(|step| step.messages.as_ref());
        window.is_some_and(|messages| messages.counts.received > 0)
    };
    measured.response(is_received, LostStarts::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{RunOffset, Time};
    use crate::ids::StepId;
    use crate::stats::sample::SeriesLayout;
    use crate::stats::{Gauges, Recorder, Tally};

    const MS: u64 = 1_000_000;

    /// A run with messages between ticks of these lateness: `(messages, late_ms)`, each message
    /// delivered after `delivery_ms`.
    fn run(ticks: &[(u64, u64)], delivery_ms: u64) -> Snapshot {
        let shape = SeriesLayout { workloads: 1, checks: vec![0], ..SeriesLayout::default() };
        let mut recorder = Recorder::new(shape.clone(), 0, Time(0));
        for (number, (messages, late_ms)) in (1u64..).zip(ticks) {
            let at = RunOffset::from_ns(number * 5 * MS);
            for _ in 0..*messages {
                recorder.count_receipt();
                let window = recorder.messages(StepId::default(), at);
                window.delivery.record_response(delivery_ms * MS);
            }
            recorder.note_loop(Time(at.ns()), at, late_ms * MS);
        }
        let delta = recorder.take_interval(Gauges::default(), Time(1_000 * MS));
        let mut tally = Tally::new(&shape, 1, vec![true]);
        tally.absorb(&delta);
        tally.snapshot(None)
    }

    fn level(snapshot: &Snapshot) -> Option<TrustLevel> {
        let context = TrustContext {
            scheduled: vec![false],
            workload_of: vec![crate::ids::WorkloadId::default()],
            has_unpaced: true,
            unthrottled: vec![false],
        };
        check_receiver(snapshot, &context).map(|reason| reason.level)
    }

    #[test]
    fn messages_that_were_read_late_cost_trust() {
        use TrustLevel::{Degraded, No};
        // A quiet loop, and one late tick without messages.
        assert_eq!(level(&run(&[(500, 0), (0, 900), (0, 0), (500, 0)], 1)), None);
        // One message of a hundred is below p99 at a thousand messages.
        assert_eq!(level(&run(&[(990, 0), (0, 0), (9, 50)], 1)), None);
        assert_eq!(level(&run(&[(985, 0), (0, 0), (15, 3)], 1)), Some(Degraded));
        assert_eq!(level(&run(&[(985, 0), (0, 0), (15, 50)], 1)), Some(No));
        // A share of slow deliveries: 5 % and 25 %.
        assert_eq!(level(&run(&[(1_000, 50)], 2_000)), None);
        assert_eq!(level(&run(&[(1_000, 50)], 500)), Some(Degraded));
        assert_eq!(level(&run(&[(1_000, 50)], 190)), Some(No));
        // Few messages only degrade.
        assert_eq!(level(&run(&[(19, 900)], 1)), Some(Degraded));
        assert_eq!(level(&run(&[], 1)), None);
    }

    #[test]
    fn slow_target_is_no_late_reading() {
        assert_eq!(level(&run(&[(1_000, 0), (1_000, 1)], 60_000)), None);
    }
}
