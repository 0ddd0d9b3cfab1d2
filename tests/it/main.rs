//! Tests of the real program: against scripted servers, the built-in target and hostile files.
//! Each run lasts a second or two and only contacts 127.0.0.1.

mod addresses; // names with several addresses, and names without any
mod again; // a finished run shown, judged and written again
mod answers; // raw answers, good and hostile, and what must come of each
mod bodies; // bodies that are not what they claim, charsets, numbers with all their digits
mod bounds; // work, memory and numbers within their bounds
mod browser; // cookies, redirects, compressed answers
mod budgets; // memory that is bounded from within and from outside
mod builtin; // `manada target` as a process, and what it counted
mod chrome; // a real Chromium, driven over the WebDriver protocol
mod control; // live control: the socket, and who may use it
mod deaf; // targets that do not listen to the end, and long requests
mod ends; // signals, and what hangs at the end
mod exemplars; // failing exchanges, kept and sent again by curl
mod files; // which files a scenario may read
mod folders; // whose a folder is, and what a run writes in it
mod framing; // the same raw answers through our reader, byte by byte, and through reqwest
mod harness; // runs the program in a folder of its own, within bounds
mod hedges; // second attempts beside slow first ones
mod hit_flags; // what the flags of `hit` do, and spellings of other tools
mod http2; // HTTP/2 against nginx and against peers that break it
mod keys; // the keys of a terminal, and how they leave it
mod ledger; // what the generator says against what the target saw
mod link; // users with a slow link of their own
mod memory; // nothing grows with the number of requests
mod misbehave; // targets that do everything wrong
mod nginx; // a real nginx of our own
mod once; // `check --once`
mod outages; // a resilient client at a target that stands still, dies, refuses
mod page; // the report and the dashboard in a real browser
mod peer; // a raw TCP server that does what a script says
mod planning; // `plan`, `doctor` and `schema`
mod pools; // connections as the target sees them
mod population; // closed users and their connections, as a real server counts them
mod prometheus; // a real Prometheus of our own
mod reach; // stand-ins, sockets, sources, proxies, client certificates
mod report; // the folder and the document a run leaves behind
mod resilient; // what a client that holds back and tries again says of itself
mod retries; // storms, budgets, and what may be sent twice
mod rules; // rules that stop a run; environments and settings
mod safety; // where load may not go, and how much is too much
mod scenarios; // what is shipped, and what the language page shows
mod secrets; // what must show nowhere
mod seed; // same seed, same traffic, whatever the shards
mod signals; // Ctrl-C once and twice, SIGTERM
mod signing; // signatures of requests, tokens, and the id of the run
mod stale; // kept connections that the target closed
mod sums; // the sums that hold in every report
mod terminal; // a terminal of its own for the program
mod timing; // what is lateness of ours, and what the target's time
mod tls; // certificates good and bad
#[cfg(feature = "tui")]
mod tui; // the dashboard, and how it leaves the terminal
mod unprocessed; // streams of HTTP/2 that the target refuses or ends, and their reasons
mod verdicts; // what a dead or slow target means for thresholds
mod watching; // dials beside the run: the generator's, the target's
mod words; // wrong words, missing files, closed pipes
