//! Measurements: samples, the histograms that hold them, and their exact merge.
//!
//! `engine` records, `run` absorbs, `verdict`, `report` and `sinks` read.
//! Invariant: merging is exact and independent of order; a percentile is never averaged.

pub mod addresses;
pub mod caches;
pub mod call_record;
mod cause;
pub mod contents;
pub mod counts;
pub mod cpu_intervals;
pub mod delta;
pub mod delta_sum;
pub mod exemplar;
pub mod heat;
pub mod histogram;
mod kind;
pub mod latency;
pub mod messages;
pub mod monitor;
mod named;
pub mod outcome;
pub mod own_delay;
mod part;
pub mod pool;
pub mod process_times;
mod receive_lag;
pub mod recorder;
pub mod resilience_snapshot;
pub mod run_usage;
pub mod sample;
pub mod seconds;
pub mod shift;
pub mod snapshot;
pub mod stall;
pub mod state_change;
mod step_window;
pub mod tally;
pub mod timeline;
pub mod trace_ids;
pub mod traced_calls;
pub mod unfinished;
pub mod user_levels;

pub use addresses::{AddressUse, Addresses};
pub use call_record::{CallRecord, CallSampling, IterationRecord, KeptCalls};
pub use counts::{Attempts, Calls, Connections, Departures, FirstStart, Gauges, Iterations};
pub use cpu_intervals::{CpuInterval, CpuIntervals};
pub use delta::{Delta, Window};
pub use delta_sum::{DeltaSum, SeriesSum, TimeSum};
pub use heat::HeatColumn;
pub use histogram::Histogram;
pub use latency::{Latency, Quantile, Untimed};
pub use messages::{Backlog, HeldStreams, MessageCounts, MessageTime, MessageWindow, StreamCounts};
pub use monitor::{Monitor, MonitorOwner, MonitorUnit};
pub use outcome::{
    AttemptOutcome, AttemptPhase, BlockCause, CallResult, FailureKind, GeneratorError,
};
pub use own_delay::{Delayed, OwnDelay};
pub use pool::PoolUse;
pub use process_times::ProcessFigures;
pub use recorder::Recorder;
pub use resilience_snapshot::{BreakerUse, ResilienceSnapshot};
pub use sample::{Exchange, Sample, SeriesLayout};
pub use seconds::{CompletedSecond, Seconds};
pub use snapshot::{Recovery, Snapshot, StreamsSnapshot};
pub use state_change::{
    BreakerState, BreakerSwitch, Change, ChangeCause, ChangeKind, ChangeSubject, ControlOrigin,
    DegradationLevel, HealthFigure, LoadOverride, MemoryRelief, OverrideBase, Priority, Remedy,
    StateChange, StateChanges, TransitionCause,
};
pub use tally::Tally;
pub use timeline::{GaugeSample, Point, Timeline};
pub use trace_ids::{IterationId, TraceIds};
pub use traced_calls::{TraceSelection, TracedCalls};
pub use unfinished::Unfinished;
pub use user_levels::WorstUsers;
