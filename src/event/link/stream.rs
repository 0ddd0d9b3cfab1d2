//! Writes and reads the messages of a link.
//!
//! Invariant: a message is whole or an error; a link that ends between two messages has ended.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::marker::PhantomData;

use super::messages::{self, LinkMessage, max_length};
use crate::event::packed::Shape;
use crate::event::packed::frame::{Deflater, FrameError, Inflater, checksum};
use crate::event::record::max_delta;
use crate::stats::sample::SeriesLayout;

/// Why a link cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The pipe failed, or a frame is damaged.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The other side is another build.
    #[error(
        "the other process is another build of manada: it sent `{found}`, expected `{expected}`"
    )]
    OtherBuild {
        /// Its first line.
        found: String,
        /// The first line of this build.
        expected: String,
    },
    /// A message is not valid.
    #[error("a message that cannot be read")]
    Malformed,
}

impl LinkError {
    /// Whether the link ended before its first line.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::OtherBuild { found, .. } if found.is_empty())
    }
}

/// The longest first line, bytes.
const MAX_LINE: u64 = 128;

/// The first line of a link.
fn first_line() -> String {
    let mut shape = Shape::default();
    messages::describe(&mut shape);
    let (version, hash) = (env!("CARGO_PKG_VERSION"), checksum(shape.as_str().as_bytes()));
    format!("manada link {version} shapes {hash:08x}\n")
}

/// Writes messages.
pub struct LinkWriter<W: Write, M> {
    out: W,
    deflater: Deflater,
    value: Vec<u8>,
    messages: PhantomData<M>,
}

impl<W: Write, M: LinkMessage> LinkWriter<W, M> {
    /// Writes the first line.
    ///
    /// # Errors
    /// If the pipe is closed.
    pub fn new(mut out: W) -> io::Result<Self> {
        out.write_all(first_line().as_bytes())?;
        out.flush()?;
        Ok(Self { out, deflater: Deflater::default(), value: Vec::new(), messages: PhantomData })
    }

    /// Writes a message and flushes.
    ///
    /// # Errors
    /// If the pipe is closed.
    pub fn send(&mut self, message: &M) -> io::Result<()> {
        self.value.clear();
        message.write(&mut self.value);
        self.deflater.write(&mut self.out, message.kind(), &self.value)?;
        self.out.flush()
    }
}

/// Reads messages.
pub struct LinkReader<R: Read, M> {
    from: BufReader<R>,
    inflater: Inflater,
    /// Maximum length of a delta, bytes; zero if none may come.
    max_delta: usize,
    messages: PhantomData<M>,
}

impl<R: Read, M: LinkMessage> LinkReader<R, M> {
    /// Reads the first line; `layout` is that of deltas, if any may come.
    ///
    /// # Errors
    /// If the pipe is closed, or the other side is another build.
    pub fn new(from: R, layout: Option<&SeriesLayout>) -> Result<Self, LinkError> {
        let mut from = BufReader::new(from);
        let mut found = Vec::new();
        from.by_ref()
            .take(MAX_LINE)
            .read_until(b'\n', &mut found)
            .map_err(FrameError::Unreadable)?;
        let expected = first_line();
        if found != expected.as_bytes() {
            let found = String::from_utf8_lossy(&found).trim().to_owned();
            return Err(LinkError::OtherBuild { found, expected: expected.trim().to_owned() });
        }
        let max_delta = layout.map_or(0, max_delta);
        Ok(Self { from, inflater: Inflater::default(), max_delta, messages: PhantomData })
    }

    /// Returns the next message; `None` at the end of the link.
    ///
    /// # Errors
    /// If a message is damaged or not valid.
    pub fn receive(&mut self) -> Result<Option<M>, LinkError> {
        let most = self.max_delta;
        let frame = self.inflater.read(&mut self.from, |kind| max_length(kind, most))?;
        let Some((kind, value)) = frame else { return Ok(None) };
        M::read(value).filter(|read| read.kind() == kind).map(Some).ok_or(LinkError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FromWorker, ToWorker, WorkerEnd};
    use super::*;
    use crate::clock::{RunOffset, Time};
    use crate::event::{Adoption, LoadLease, Order, ScheduleChange, ShardCommand};
    use crate::ids::{StepId, WorkloadId};
    use crate::plan::LoadOverride;
    use crate::stats::Delta;

    fn sent(messages: &[ToWorker]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = LinkWriter::new(&mut bytes).unwrap();
        messages.iter().for_each(|message| writer.send(message).unwrap());
        bytes
    }

    fn commands(bytes: &[u8]) -> Vec<ShardCommand> {
        let mut reader = LinkReader::<_, ToWorker>::new(bytes, None).unwrap();
        let mut all = Vec::new();
        while let Some(message) = reader.receive().unwrap() {
            match message {
                ToWorker::Command { command } => all.push(command),
                other => panic!("{other:?}"),
            }
        }
        all
    }

    #[test]
    fn commands_arrive_as_they_were_sent() {
        let change = ScheduleChange {
            workload: WorkloadId::new(1),
            at: RunOffset::from_ns(5_000_000_000),
            load: LoadOverride { permille: 1_500, ..LoadOverride::PLANNED },
        };
        let all = [
            ShardCommand::Drain,
            ShardCommand::Cancel,
            ShardCommand::Order(Order::Mute(StepId::new(3), true)),
            ShardCommand::Order(Order::TrimMemory),
            ShardCommand::ChangeSchedule(vec![change]),
            ShardCommand::Adopt(Adoption {
                from: RunOffset::from_ns(7),
                slots: vec![(0, 4_095), (4_095, 0)],
            }),
            ShardCommand::Release(RunOffset::from_ns(8)),
            ShardCommand::Lease(LoadLease {
                since: RunOffset::from_ns(1),
                horizon: RunOffset::from_ns(9),
                end: RunOffset::NEVER,
                until: Time(5),
            }),
        ];
        let messages: Vec<ToWorker> =
            all.iter().map(|command| ToWorker::Command { command: command.clone() }).collect();
        let bytes = sent(&messages);
        assert_eq!(commands(&bytes), all);
        // A link that breaks within a message has only the messages before it.
        assert_eq!(commands(&bytes[..bytes.len() - 1]), all[..7]);
    }

    #[test]
    fn other_builds_and_other_messages_are_refused() {
        let bytes = sent(&[ToWorker::Start { start: Time(7) }]);
        let mut other = bytes.clone();
        other[12] ^= 1;
        let refused = LinkReader::<_, ToWorker>::new(&other[..], None).map(drop).unwrap_err();
        assert!(matches!(refused, LinkError::OtherBuild { .. }), "{refused}");
        // A command where a delta or an end is expected.
        let mut reader = LinkReader::<_, FromWorker>::new(&bytes[..], None).unwrap();
        assert!(reader.receive().is_err());
        // A delta where none may come.
        let (mut bytes, shape) = (Vec::new(), SeriesLayout::default());
        let mut writer = LinkWriter::new(&mut bytes).unwrap();
        writer.send(&FromWorker::Delta { delta: Box::new(Delta::new(&shape, 0)) }).unwrap();
        writer.send(&FromWorker::Ended { end: WorkerEnd::default() }).unwrap();
        let mut reader = LinkReader::<_, FromWorker>::new(&bytes[..], None).unwrap();
        assert!(matches!(reader.receive(), Err(LinkError::Frame(FrameError::Damaged(_)))));
        let mut reader = LinkReader::<_, FromWorker>::new(&bytes[..], Some(&shape)).unwrap();
        assert!(matches!(reader.receive(), Ok(Some(FromWorker::Delta { .. }))));
        assert!(matches!(reader.receive(), Ok(Some(FromWorker::Ended { .. }))));
        assert!(matches!(reader.receive(), Ok(None)));
    }
}
