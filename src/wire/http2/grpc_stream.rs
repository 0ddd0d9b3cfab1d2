//! A call of gRPC as a stream: messages both ways until the trailers come.
//!
//! `Wire::open_stream` makes it; `engine::streams` polls it through `MessageStream`. Its messages
//! are JSON for the engine, and Protocol Buffers on the wire.
//! Invariant: no more is handed to h2 than the target's windows allow; a message that is received
//! is bounded before and after it is unpacked, and nothing is kept of it once it was handed on.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream};

use crate::clock::{self, Timer};
use crate::grpc::frame::{self, GunzipError};
use crate::grpc::{GrpcCall, MessageFrameError, MessageReader, MessageType, status};
use crate::stats::FailureKind;
use crate::wire::body::bodies::CapturedBody;
use crate::wire::http1::limits::MAX_HEAD;
use crate::wire::http2::connection::HeldConnection;
use crate::wire::http2::grpc_call::OpenedCall;
use crate::wire::http2::grpc_response::{is_grpc, is_gzip, needs_no_more, status_of};
use crate::wire::http2::message::head_length;
use crate::wire::message_stream::{
    Message, MessageKind, MessageStream, ReceiveMessage, StreamEnd, StreamSettings, Traffic,
};

/// How long a reset may take to be handed to the kernel, ns.
const RESET_NS: u64 = 1_000_000_000;

/// A call of gRPC that is open.
#[derive(Debug)]
pub(in crate::wire) struct GrpcStream {
    call: Box<OpenedCall>,
    reply: Option<StreamedReply>,
    /// Frames that wait for the target's windows, and their length.
    queue: VecDeque<Bytes>,
    queued: usize,
    /// Bytes of the connection that the kernel has once it has all that h2 has.
    handed: u64,
    requests: RequestSide,
    /// Whether our side ended the messages, with those of the target to follow.
    has_finished: bool,
    input: MessageType,
    output: MessageType,
    is_compressed: bool,
    is_server_streaming: bool,
    max_message: u64,
    phase: CallPhase,
    /// The message of the status that the call ended with.
    end_text: Option<Vec<u8>>,
    timer: Timer,
    connection: HeldConnection,
}

/// A response whose head has come.
#[derive(Debug)]
struct StreamedReply {
    http: u16,
    is_grpc: bool,
    is_gzip: bool,
    /// The status in the head, of a response without trailers.
    head_status: Option<u16>,
    head_text: Option<Vec<u8>>,
    data: RecvStream,
    reader: MessageReader,
    /// The beginning of a message whose end has not come.
    carry: CapturedBody,
    /// Messages so far; of a response of another protocol bytes.
    received: u64,
    has_data_end: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestSide {
    Open,
    /// What is queued is the last.
    Finishing,
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallPhase {
    Open,
    /// To be cancelled.
    Unwanted,
    /// Cancelled when the kernel had this many bytes of the connection.
    Reset(u64),
}

impl GrpcStream {
    pub(in crate::wire) fn new(
        (connection, call): (HeldConnection, Box<OpenedCall>),
        plan: &GrpcCall,
        settings: &StreamSettings,
    ) -> Self {
        let method = &plan.method;
        let requests =
            if method.is_client_streaming { RequestSide::Open } else { RequestSide::Finished };
        Self {
            call,
            reply: None,
            queue: VecDeque::new(),
            queued: 0,
            handed: 0,
            requests,
            has_finished: false,
            input: method.input.clone(),
            output: method.output.clone(),
            is_compressed: plan.is_compressed,
            is_server_streaming: method.is_server_streaming,
            max_message: settings.max_message,
            phase: CallPhase::Open,
            end_text: None,
            timer: Timer::new(),
            connection,
        }
    }

    /// Hands on what has come; ready with the status at the end of the response.
    fn poll_reply(
        &mut self,
        cx: &mut Context<'_>,
        receive: ReceiveMessage<'_>,
    ) -> Poll<Result<u16, FailureKind>> {
        if self.reply.is_none() {
            let head = ready!(self.call.poll_response(cx));
            let head = head.map_err(|error| error.kind(|error| self.connection.kind_of(error)))?;
            self.reply = Some(StreamedReply::new(head, self.max_message)?);
        }
        let Self { reply: Some(reply), connection, output, .. } = self else {
            return Poll::Pending;
        };
        while !reply.has_data_end {
            match ready!(reply.data.poll_data(cx)) {
                Some(Ok(piece)) => {
                    reply.take(connection, output, (&piece, self.max_message), receive)?;
                    let _ = reply.data.flow_control().release_capacity(piece.len());
                }
                Some(Err(error)) if !needs_no_more(&error) => {
                    return Poll::Ready(Err(connection.kind_of(&error)));
                }
                _ => reply.has_data_end = true,
            }
        }
        let trailers = match ready!(reply.data.poll_trailers(cx)) {
            Err(error) if !needs_no_more(&error) => {
                return Poll::Ready(Err(connection.kind_of(&error)));
            }
            trailers => trailers.ok().flatten(),
        };
        let status = match &trailers {
            Some(trailers) if head_length(trailers) > MAX_HEAD => {
                return Poll::Ready(Err(FailureKind::HeadTooLarge));
            }
            Some(trailers) => status_of(trailers, reply.http, reply.is_grpc),
            None => reply.head_status,
        };
        let status = status.ok_or(FailureKind::BadReply)?;
        let text = trailers.as_ref().and_then(|trailers| trailers.get("grpc-message"));
        let text = text.map(|text| status::message(text.as_bytes()));
        self.end_text = text.or_else(|| reply.head_text.take());
        let is_whole = reply.is_grpc
            && reply.reader.is_between_messages()
            && (self.is_server_streaming || reply.received == 1);
        if status::is_ok(status) && !is_whole {
            return Poll::Ready(Err(FailureKind::BadReply));
        }
        Poll::Ready(Ok(status))
    }

    /// Hands queued frames to h2 as far as the windows allow.
    fn poll_queue(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), FailureKind>> {
        let requests = &mut self.call.requests;
        while let Some(front) = self.queue.front_mut() {
            requests.reserve_capacity(front.len());
            let room = requests.capacity().min(front.len());
            if room == 0 {
                match ready!(requests.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Poll::Ready(Err(self.connection.kind_of(&error))),
                    None => return Poll::Ready(Err(FailureKind::Closed)),
                }
            }
            let piece = front.split_to(room);
            if front.is_empty() {
                self.queue.pop_front();
            }
            self.queued -= room;
            self.handed = self.connection.traffic.hand_over(room);
            requests.send_data(piece, false).map_err(|error| self.connection.kind_of(&error))?;
        }
        if self.requests == RequestSide::Finishing {
            self.requests = RequestSide::Finished;
            self.handed = self.connection.traffic.hand_over(1);
            requests
                .send_data(Bytes::new(), true)
                .map_err(|error| self.connection.kind_of(&error))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready once the kernel has the reset, or cannot take it.
    fn poll_reset(&self, cx: &Context<'_>, before: u64) -> Poll<StreamEnd> {
        let is_sent = self.connection.traffic.poll_sent(cx, before).is_ready();
        if is_sent || self.timer.poll(cx).is_ready() {
            return Poll::Ready(StreamEnd { is_ours: true, code: None, failure: None });
        }
        Poll::Pending
    }

    const fn end(&self, ended: Result<u16, FailureKind>) -> StreamEnd {
        let is_ours = self.has_finished || !matches!(self.phase, CallPhase::Open);
        match ended {
            Ok(status) => StreamEnd { is_ours, code: Some(status), failure: None },
            Err(kind) => {
                let is_limit =
                    matches!(kind, FailureKind::MessageTooLarge | FailureKind::NoRoomForMessage);
                StreamEnd { is_ours: is_ours || is_limit, code: None, failure: Some(kind) }
            }
        }
    }
}

impl StreamedReply {
    fn new(head: http::Response<RecvStream>, max: u64) -> Result<Self, FailureKind> {
        let (head, data) = head.into_parts();
        if head_length(&head.headers) > MAX_HEAD {
            return Err(FailureKind::HeadTooLarge);
        }
        let http = head.status.as_u16();
        let is_grpc = http == 200 && is_grpc(&head.headers);
        Ok(Self {
            http,
            is_grpc,
            is_gzip: head.headers.get("grpc-encoding").is_some_and(is_gzip),
            head_status: status_of(&head.headers, http, is_grpc),
            head_text: head
                .headers
                .get("grpc-message")
                .map(|text| status::message(text.as_bytes())),
            data,
            reader: MessageReader::new(max),
            carry: CapturedBody::default(),
            received: 0,
            has_data_end: false,
        })
    }

    /// Takes data of the response, and hands on the messages that it completes.
    fn take(
        &mut self,
        connection: &HeldConnection,
        output: &MessageType,
        (mut data, max): (&[u8], u64),
        receive: ReceiveMessage<'_>,
    ) -> Result<(), FailureKind> {
        if !self.is_grpc {
            self.received += data.len() as u64;
            return if self.received > max { Err(FailureKind::BodyTooLarge) } else { Ok(()) };
        }
        // The connection's task read it: what this task did meanwhile does not count.
        let at = connection.traffic.last_read.get();
        loop {
            let piece = self.reader.next(&mut data).map_err(|error| match error {
                MessageFrameError::TooLarge => FailureKind::MessageTooLarge,
                MessageFrameError::BadFlag => FailureKind::BadReply,
            })?;
            let Some(piece) = piece else { return Ok(()) };
            let full = |_| FailureKind::NoRoomForMessage;
            if !piece.is_last || !self.carry.is_empty() {
                self.carry.push(piece.data).map_err(full)?;
            }
            if !piece.is_last {
                continue;
            }
            let whole = std::mem::take(&mut self.carry);
            let message = if whole.is_empty() { piece.data } else { &whole };
            let unpacked;
            let message = match piece.is_compressed {
                true if !self.is_gzip => return Err(FailureKind::BadReply),
                true => {
                    unpacked = frame::gunzip(message, max).map_err(|error| match error {
                        GunzipError::TooLarge => FailureKind::MessageTooLarge,
                        GunzipError::Damaged => FailureKind::BadReply,
                    })?;
                    &unpacked
                }
                false => message,
            };
            let json = output.to_json(message).map_err(|_| FailureKind::BadReply)?;
            self.received += 1;
            receive(at, Message::new(MessageKind::Text, &json));
        }
    }
}

impl MessageStream for GrpcStream {
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        _: &mut [u8],
        receive: ReceiveMessage<'_>,
    ) -> Poll<StreamEnd> {
        if let CallPhase::Reset(before) = self.phase {
            return self.poll_reset(cx, before);
        }
        if let Poll::Ready(ended) = self.poll_reply(cx, receive) {
            return Poll::Ready(self.end(ended));
        }
        if self.phase == CallPhase::Unwanted {
            let before = self.connection.traffic.hand_over(0);
            self.phase = CallPhase::Reset(before);
            self.call.requests.send_reset(Reason::CANCEL);
            self.timer.set(clock::now().after(RESET_NS));
            return self.poll_reset(cx, before);
        }
        Poll::Pending
    }

    fn send(&mut self, message: Message<'_>) -> bool {
        if self.requests != RequestSide::Open || self.phase != CallPhase::Open {
            return false;
        }
        let mut bytes = Vec::new();
        match message.kind {
            // Encoded already.
            MessageKind::Binary => frame::write(message.payload, self.is_compressed, &mut bytes),
            MessageKind::Text => {
                let Ok(encoded) = self.input.encode(message.payload) else { return false };
                frame::write(&encoded, self.is_compressed, &mut bytes);
            }
        }
        self.queued += bytes.len();
        self.queue.push_back(bytes.into());
        true
    }

    fn finish(&mut self) -> bool {
        if self.requests == RequestSide::Open {
            self.requests = RequestSide::Finishing;
            self.has_finished = true;
        }
        true
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamEnd>> {
        if self.phase != CallPhase::Open {
            return Poll::Ready(Ok(()));
        }
        if let Err(kind) = ready!(self.poll_queue(cx)) {
            return Poll::Ready(Err(self.end(Err(kind))));
        }
        match self.handed.checked_sub(1) {
            Some(before) => self.connection.traffic.poll_sent(cx, before).map(Ok),
            None => Poll::Ready(Ok(())),
        }
    }

    fn queued(&self) -> usize {
        let under_way = self.handed.saturating_sub(self.connection.traffic.sent.get());
        self.queued + usize::try_from(under_way).unwrap_or(usize::MAX)
    }

    fn close(&mut self, _: u16, _: &str) {
        if self.phase == CallPhase::Open {
            self.phase = CallPhase::Unwanted;
        }
    }

    fn take_end_text(&mut self) -> Option<Vec<u8>> {
        self.end_text.take()
    }

    fn take_traffic(&mut self) -> Traffic {
        let (sent, received) = self.connection.traffic.take();
        Traffic { sent, received }
    }
}
