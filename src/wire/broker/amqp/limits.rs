//! What a connection agreed on with its broker when it logged in.
//!
//! `framed::amqp_login` makes it, the connection keeps it, `session` obeys it.
//! Invariant: the largest frame is at least 4 KiB and at most [`MAX_FRAME`].

/// The longest frame that is accepted and sent, bytes: the default of RabbitMQ.
pub(in crate::wire) const MAX_FRAME: usize = 128 << 10;

/// The longest frame that every broker takes (§4.2.3 of the specification, `frame-min-size`).
const MIN_FRAME: usize = 4 << 10;

/// What a connection agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct AmqpLimits {
    /// The longest frame, with header and end, bytes.
    pub(in crate::wire) frame_max: usize,
    /// The interval of heartbeats, s; 0: none.
    pub(in crate::wire) heartbeat: u16,
    /// The largest number of a channel; 0: any.
    pub(in crate::wire) channel_max: u16,
}

impl AmqpLimits {
    /// The limits that are agreed on with a broker that proposes these; 0 is without a limit.
    pub(in crate::wire) fn agreed(channel_max: u16, frame_max: u32, heartbeat: u16) -> Self {
        let frame_max = match frame_max as usize {
            0 => MAX_FRAME,
            proposed => proposed.clamp(MIN_FRAME, MAX_FRAME),
        };
        Self { frame_max, heartbeat, channel_max }
    }
}

impl Default for AmqpLimits {
    fn default() -> Self {
        Self::agreed(0, 0, 0)
    }
}
