//! `manada target`: serves the built-in target in the foreground, or as a child process of a run.
//!
//! `mod` passes the arguments; `testserver::process` starts it and reads its first line.
//! Invariant: the line with the address is printed after it listens.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::TypedValueParser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::clock;
use crate::curve::Distribution;
use crate::exit::ExitStatus;
use crate::host;
use crate::seed::Seed;
use crate::testserver::process::LISTENING;
use crate::testserver::{
    self, ConnectionLimits, DEFAULT_CHANNEL_SECRET, FaultShare, RequestRateLimit, ServerStall,
    TestServerConfig, TokenCounts, TokenLaws,
};
use crate::units::Rate;

/// Arguments of `manada target`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "Examples:\n  \
    manada target --latency exponential:5ms --servers 1\n  \
    manada target --fail 1%:503 --fail 0.1%:reset --stall 2s@20s --log arrivals.csv\n\n\
    GET /stats returns its counts; POST /stall?for=2s stalls it now.\n\n\
    Streams, with settings in their query: WebSocket at /ws/echo, /ws/channel/NAME, /ws/app and\n\
    /ws/events; events at /sse/NAME, published at /publish/NAME; tokens at /v1/chat/completions,\n\
    /v1/completions, /v1/responses and /v1/messages. The book describes them in \"Streams of the\n\
    built-in test server\".")]
pub(crate) struct Args {
    /// Address to listen on
    ///
    /// Port 0 takes a free port, which is printed.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Allow an address that other machines can reach
    #[arg(long)]
    allow_remote: bool,
    /// Service time, e.g. 5ms or exponential:5ms
    ///
    /// A distribution of durations: 5ms, exponential:5ms, lognormal:5ms,0.5, normal:5ms,1ms,
    /// uniform:1ms,5ms, pareto:1ms,2.5, gamma:5ms,2, weibull:5ms,1.5, bimodal:1ms,50ms,5% or
    /// empirical:FILE,COLUMN; optionally followed by ,min=1ms and ,max=30ms.
    #[arg(long, value_name = "TIME", value_parser = Distribution::parse_compact)]
    latency: Option<Distribution>,
    /// Requests served at once; others queue
    ///
    /// Default: no limit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    servers: Option<u32>,
    /// Fault of some requests, e.g. 1%:503; repeatable
    ///
    /// FAULT is a status, `reset` (resets the connection), `hang` (never responds) or `close`
    /// (closes the connection before the end of the body).
    #[arg(long, value_name = "SHARE:FAULT")]
    fail: Vec<FaultShare>,
    /// Stall of all requests, e.g. 2s@20s; repeatable
    ///
    /// WHEN counts from the first request: 2s@20s stalls for 2 s, 20 s after it.
    #[arg(long, value_name = "LENGTH@WHEN")]
    stall: Vec<ServerStall>,
    /// Log every request to this CSV file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    #[command(flatten)]
    tokens: Box<TokenArgs>,
    /// Share channels with other instances through this Redis, e.g. redis://127.0.0.1:6379
    #[cfg(feature = "redis")]
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// Connections with a stream, in all; more get 503
    #[arg(long, value_name = "N")]
    max_connections: Option<u64>,
    /// Connections with a stream, from one address; more get 429
    #[arg(long, value_name = "N")]
    max_per_address: Option<u64>,
    /// Apply the limits of connections to every request
    #[arg(long, hide_short_help = true)]
    limit_requests: bool,
    /// Requests per second from one address, e.g. 20/s; more get 429
    #[arg(long, value_name = "N/s", value_parser = super::args::rate, hide_short_help = true)]
    rate_limit: Option<Rate>,
    /// Requests from one address that --rate-limit admits at once after a pause
    #[arg(long, value_name = "N", default_value_t = 1, requires = "rate_limit",
        value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    rate_burst: u32,
    /// Key of the tokens of private channels
    #[arg(long, value_name = "TEXT", default_value = DEFAULT_CHANNEL_SECRET)]
    channel_secret: String,
    /// Random seed, e.g. 42 (default: random)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64)
        .try_map(|n| Seed::new(n).ok_or("expected a whole number below 2^53")))]
    seed: Option<Seed>,
    /// Number of server threads
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Exit when standard input is closed
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

/// The laws of token streams.
#[derive(Debug, clap::Args)]
struct TokenArgs {
    /// Time from a request to the first token of its stream, e.g. lognormal:300ms,0.4
    ///
    /// Of all four APIs, such as /v1/chat/completions; a distribution as for --latency.
    #[arg(long, value_name = "TIME", default_value = "100ms",
        value_parser = Distribution::parse_compact)]
    token_first: Distribution,
    /// Time between two tokens of a stream, e.g. exponential:20ms
    #[arg(long, value_name = "TIME", default_value = "10ms",
        value_parser = Distribution::parse_compact)]
    token_gap: Distribution,
    /// Number of tokens of a stream, e.g. uniform:50,300
    ///
    /// 128, uniform:50,300, normal:128,20 or exponential:128.
    #[arg(long, value_name = "COUNT", default_value = "128")]
    tokens: TokenCounts,
}

/// Serves until a signal or the end of its parent, which is its normal exit.
pub(crate) fn run(args: Args) -> ExitStatus {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        return usage_error(&format!(
            "{} can be reached from other machines; add --allow-remote to permit it",
            args.listen
        ));
    }
    if args.fail.iter().map(|failure| failure.share).sum::<f64>() > 1.0 + 1e-9 {
        return usage_error("the shares of --fail add up to more than 100%");
    }
    match serve(args) {
        Ok(()) => ExitStatus::Pass,
        Err(error) => {
            print_error(&error.to_string());
            ExitStatus::Broken
        }
    }
}

fn serve(args: Args) -> io::Result<()> {
    host::raise_descriptors();
    let listener = testserver::bind(args.listen)
        .map_err(|error| io::Error::other(format!("cannot listen on {}: {error}", args.listen)))?;
    let address = listener.local_addr()?;
    let config = TestServerConfig {
        latency: args.latency,
        servers: args.servers,
        fail: args.fail,
        stalls: args.stall,
        log: args.log,
        #[cfg(feature = "redis")]
        redis: args.redis,
        #[cfg(not(feature = "redis"))]
        redis: None,
        limits: ConnectionLimits {
            total: args.max_connections,
            per_address: args.max_per_address,
            for_requests: args.limit_requests,
        },
        rate_limit: args.rate_limit.map(|rate| RequestRateLimit { rate, burst: args.rate_burst }),
        tokens: TokenLaws {
            first: args.tokens.token_first,
            gap: args.tokens.token_gap,
            tokens: args.tokens.tokens,
        },
        channel_secret: args.channel_secret,
        seed: args.seed.unwrap_or_else(Seed::draw),
        threads: usize::from(args.threads),
    };
    clock::block_on(async {
        // Before the address is printed, because its reader may send a signal at once.
        let stop = stop_signal(args.until_stdin_closes)?;
        let mut out = anstream::stdout();
        writeln!(out, "{LISTENING}{address}").and_then(|()| out.flush())?;
        testserver::serve(listener, config, stop).await
    })?
}

/// Returns a future that is ready on SIGINT, SIGTERM or, if requested, at the end of standard
/// input.
fn stop_signal(stdin_too: bool) -> io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let (ended, stdin_end) = oneshot::channel();
    // Kept alive without a reader thread, because dropping it would signal the end of standard
    // input.
    let mut keep_alive = Some(ended);
    if stdin_too && let Some(ended) = keep_alive.take() {
        // A thread, because a read of standard input cannot be cancelled. It ends with the
        // process.
        let reader = std::thread::Builder::new().name("stdin".to_owned());
        reader.spawn(move || {
            let mut ignored = [0; 256];
            while !matches!(io::stdin().lock().read(&mut ignored), Ok(0) | Err(_)) {}
            let _ = ended.send(());
        })?;
    }
    Ok(async move {
        let _keep_alive = keep_alive;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = stdin_end => {}
        }
    })
}

fn usage_error(message: &str) -> ExitStatus {
    print_error(message);
    ExitStatus::Usage
}

fn print_error(message: &str) {
    let _ = writeln!(anstream::stderr(), "error: {message}");
}
