//! One token stream, from its head to its end.
//!
//! `connection` serves it between two requests.
//! Invariant: chunk k is due at an absolute time, the sum of the draws before it; being late moves
//! no other. A stream is counted as opened and as closed exactly once: `finished` after its end,
//! `cancelled` if the client closes before, `fault` if its settings end it early.

use std::future::poll_fn;
use std::io::{self, Write};
use std::sync::Arc;
use std::task::Poll;
use std::time::UNIX_EPOCH;

use tokio::io::AsyncWriteExt;

use super::super::reply::{MediaType, Response};
use super::super::shared::ServerShared;
use super::super::socket::ClientSocket;
use super::super::streams::counts::{ServerStreamCount, StreamClose};
use super::super::streams::pieces::{LAST_CHUNK, chunk_into, write_pieces};
use super::dialect::TokenDialect;
use super::event_writer::TokenUsage;
use super::parts::{TokenKind, TokenParts};
use super::request::TokenRequest;
use super::settings::TokenSettings;
use crate::clock::{self, Time, Timer};
use crate::seed::{Rng, Stream};

/// The part of [`Stream::Target`] that token streams are drawn from.
const PART: u64 = 2;

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenEnd {
    Finished,
    /// The client has closed.
    Cancelled,
    /// By an error, as the settings say; the body has its regular end.
    Failed,
    /// Within an event, as the settings say.
    Broken,
}

/// A stream that is counted as open. Dropping it without an end counts it as cancelled.
struct OpenTokenStream {
    shared: Arc<ServerShared>,
    close: StreamClose,
}

impl Drop for OpenTokenStream {
    fn drop(&mut self) {
        self.shared.counts.streams.close(self.close);
    }
}

/// A stream on its way.
struct TokenSession<'s> {
    socket: &'s mut ClientSocket,
    shared: Arc<ServerShared>,
    settings: TokenSettings,
    dialect: TokenDialect,
    rng: Rng,
    timer: Timer,
    is_chunked: bool,
    /// Rendered and not yet written.
    events: Vec<u8>,
    /// How many events that is, and tokens.
    waiting: (u64, u64),
    usage: TokenUsage,
    /// The number of tokens of the whole stream.
    tokens: u64,
    /// Whether that is fewer than the law said.
    is_cut: bool,
    /// When the next chunk is due.
    due: Time,
    /// When the last chunk that is rendered was due.
    rendered_due: Time,
    has_written_tokens: bool,
}

/// Serves a response; returns whether the connection can be used for another request.
pub(in crate::testserver) async fn serve(
    socket: &mut ClientSocket,
    request: TokenRequest,
    is_old: bool,
) -> io::Result<bool> {
    let started = clock::now();
    let shared = Arc::clone(&socket.local.shared);
    let number = shared.next_token_stream();
    let mut rng = shared.seed.rng(Stream::Target, PART, number);
    let laws = &request.settings.laws;
    let (drawn, first) = (laws.tokens.sample(&mut rng), laws.first.sample(&mut rng));
    let limit = request.max_tokens.unwrap_or(u64::MAX);
    let tokens = if request.ignores_eos && limit < u64::MAX { limit } else { drawn.min(limit) };
    let parts = TokenParts::new(tokens, request.settings.reasoning, request.settings.tool);
    let created = clock::wall().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let dialect = TokenDialect::new(&request, number, created, parts);
    shared.counts.streams.open();
    let mut open = OpenTokenStream { shared: Arc::clone(&shared), close: StreamClose::Cancelled };
    let truth = format!(
        "manada-stream: {number}\r\nmanada-tokens: {tokens}\r\nmanada-first-us: {}\r\n",
        first.as_micros()
    );
    let mut session = TokenSession {
        socket,
        shared,
        settings: request.settings,
        dialect,
        rng,
        timer: Timer::new(),
        is_chunked: !is_old,
        events: Vec::new(),
        waiting: (0, 0),
        usage: TokenUsage { prompt: request.prompt_tokens, completion: 0 },
        tokens,
        is_cut: tokens < drawn,
        due: started + first,
        rendered_due: started + first,
        has_written_tokens: false,
    };
    let end = if request.is_streamed {
        session.stream(&truth).await?
    } else {
        session.document(&truth).await?
    };
    open.close = match end {
        TokenEnd::Finished => StreamClose::Finished,
        TokenEnd::Cancelled => StreamClose::Cancelled,
        TokenEnd::Failed | TokenEnd::Broken => StreamClose::Fault,
    };
    Ok(matches!(end, TokenEnd::Finished | TokenEnd::Failed) && !is_old)
}

impl TokenSession<'_> {
    /// Sends the tokens as events.
    async fn stream(&mut self, truth: &str) -> io::Result<TokenEnd> {
        let framing =
            if self.is_chunked { "transfer-encoding: chunked" } else { "connection: close" };
        // Writing into memory cannot fail.
        let _ = write!(
            self.socket.output,
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n\
             {framing}\r\n{truth}\r\n"
        );
        self.socket.flush().await?;
        if self.settings.is_role_early {
            self.waiting.0 += self.dialect.open(self.usage.prompt, &mut self.events);
            self.write().await?;
        }
        let mut piece = String::new();
        loop {
            let sent = self.usage.completion;
            if let Some(end) = self.fault_at(sent).await? {
                return Ok(end);
            }
            let is_stalled = self.settings.stall_after == Some(sent);
            if (sent < self.tokens || is_stalled) && !self.wait().await? {
                return Ok(TokenEnd::Cancelled);
            }
            if sent >= self.tokens {
                break;
            }
            if sent == 0 && !self.settings.is_role_early {
                self.waiting.0 += self.dialect.open(self.usage.prompt, &mut self.events);
            }
            self.append_chunk(&mut piece);
            if self.waiting.0 >= self.settings.per_write {
                self.write().await?;
            }
            self.due = self.due + self.settings.laws.gap.sample(&mut self.rng);
        }
        self.waiting.0 += self.dialect.finish(self.is_cut, self.usage, &mut self.events);
        if self.settings.has_done {
            self.waiting.0 += 1;
            self.dialect.done(self.is_cut, self.usage, &mut self.events);
        }
        self.write().await?;
        if self.is_chunked {
            self.socket.stream.write_all(LAST_CHUNK).await?;
        }
        Ok(TokenEnd::Finished)
    }

    /// Appends the next chunk of tokens; it ends where a fault, a part or the stream does.
    fn append_chunk(&mut self, piece: &mut String) {
        let sent = self.usage.completion;
        let Self { settings, dialect, waiting, events, .. } = self;
        let kind = dialect.parts().kind_of(sent);
        let range = dialect.parts().range(kind);
        let faults = [settings.eof_after, settings.error_after, settings.stall_after];
        let stops = faults.into_iter().flatten().chain([range.end]);
        let stop = stops.filter(|stop| *stop > sent).min().unwrap_or(self.tokens);
        let to = stop.min(sent + settings.per_chunk);
        if sent == range.start && sent > 0 {
            waiting.0 += dialect.end(dialect.parts().kind_of(sent - 1), events);
            waiting.0 += dialect.begin(kind, events);
        }
        dialect.tokens(kind, sent..to, piece, events);
        self.rendered_due = self.due;
        waiting.0 += 1;
        waiting.1 += to - sent;
        self.usage.completion = to;
    }

    /// Does what the settings say about this many tokens; `None` if the stream goes on.
    async fn fault_at(&mut self, sent: u64) -> io::Result<Option<TokenEnd>> {
        if self.settings.stall_after == Some(sent) {
            self.write().await?;
            self.due = match self.settings.stall {
                Some(stall) => self.due + stall,
                None => Time::NEVER,
            };
        }
        if self.settings.error_after == Some(sent) {
            if !self.wait().await? {
                return Ok(Some(TokenEnd::Cancelled));
            }
            self.dialect.error(&mut self.events);
            self.waiting.0 += 1;
            self.write().await?;
            if self.is_chunked {
                self.socket.stream.write_all(LAST_CHUNK).await?;
            }
            return Ok(Some(TokenEnd::Failed));
        }
        if self.settings.eof_after == Some(sent) {
            if !self.wait().await? {
                return Ok(Some(TokenEnd::Cancelled));
            }
            self.write().await?;
            self.dialect.piece(TokenKind::Text, "half", &mut self.events);
            self.events.truncate(self.events.len() / 2);
            self.write().await?;
            return Ok(Some(TokenEnd::Broken));
        }
        Ok(None)
    }

    /// Sends all tokens in one document, when the last one is due.
    async fn document(&mut self, truth: &str) -> io::Result<TokenEnd> {
        let chunks = self.tokens.div_ceil(self.settings.per_chunk);
        for _ in 1..chunks {
            self.due = self.due + self.settings.laws.gap.sample(&mut self.rng);
        }
        self.settings.keep_alive = None;
        if !self.wait().await? {
            return Ok(TokenEnd::Cancelled);
        }
        self.usage.completion = self.tokens;
        let mut reply = Response::new();
        reply.reset(MediaType::Json);
        reply.json(&self.dialect.document(self.is_cut, self.usage));
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{truth}\r\n",
            reply.body.len()
        );
        self.socket.output.extend_from_slice(head.as_bytes());
        self.socket.output.extend_from_slice(&reply.body);
        self.socket.flush().await?;
        self.shared.counts.streams.add(ServerStreamCount::Tokens, self.tokens);
        Ok(TokenEnd::Finished)
    }

    /// Waits until the next chunk is due; returns false if the client closed before.
    async fn wait(&mut self) -> io::Result<bool> {
        while self.due > clock::now() {
            let silent = self.settings.keep_alive.map_or(Time::NEVER, |s| clock::now() + s);
            if self.due.min(silent) < Time::NEVER {
                self.timer.set(self.due.min(silent));
            } else {
                self.timer.clear();
            }
            let here = poll_fn(|cx| match self.socket.poll_closed(cx) {
                Poll::Ready(end) => Poll::Ready(end.map(|()| false)),
                Poll::Pending => self.timer.poll(cx).map(|()| Ok(true)),
            });
            if !here.await? {
                return Ok(false);
            }
            if silent < self.due {
                self.write().await?;
                self.dialect.comment(&mut self.events);
                self.write().await?;
            }
        }
        Ok(true)
    }

    /// Writes what has been rendered; fails if the client is gone.
    async fn write(&mut self) -> io::Result<()> {
        if self.events.is_empty() {
            return Ok(());
        }
        if self.settings.is_split {
            write_pieces(&mut self.socket.stream, &self.events, self.is_chunked).await?;
        } else if self.is_chunked {
            chunk_into(&self.events, &mut self.socket.output);
            self.socket.flush().await?;
        } else {
            self.socket.stream.write_all(&self.events).await?;
        }
        let (events, tokens) = std::mem::take(&mut self.waiting);
        if tokens > 0 && !self.has_written_tokens {
            self.has_written_tokens = true;
            self.shared.counts.streams.first_late.record(clock::now() - self.rendered_due);
        }
        self.shared.counts.streams.add(ServerStreamCount::Sent, events);
        self.shared.counts.streams.add(ServerStreamCount::Tokens, tokens);
        self.events.clear();
        Ok(())
    }
}
