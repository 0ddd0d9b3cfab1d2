//! Tests of the real program: against scripted servers, the built-in target and hostile files.
//! Each run lasts a second or two and only contacts 127.0.0.1.

mod abort_and_overrides; // thresholds that stop a run; environments and settings
mod addresses; // names with several addresses, or none
#[cfg(feature = "postgres")]
mod amqp_steps; // steps at a real RabbitMQ
mod arrival_log; // the log of the built-in target
mod backends;
mod bodies; // wrong codings, charsets, numbers with all their digits
mod book; // examples of the documentation
mod book_pages; // their blocks of code
mod bounds; // limits of work, memory and numbers
mod browser; // cookies, redirects, compressed responses
mod budgets; // memory budgets
mod builtin; // `manada target` as a process, and its counts
#[cfg(all(feature = "redis", feature = "postgres"))]
mod cached_logins; // caches in real stores
#[cfg(all(feature = "redis", feature = "postgres"))]
mod channels; // channels of a real Redis and a real PostgreSQL
mod chrome; // a real Chromium, driven over the WebDriver protocol
mod command_line; // invalid arguments, missing files, closed pipes
mod control; // live control: the socket, and who may use it
mod dashboards; // files for Prometheus and Grafana, and their own tools
mod dry_run; // dry runs: `check --once`
mod elasticsearch; // documents at a strict fake of the bulk API, and at wrong receivers
mod ends; // all ways to end
mod exemplars; // failing exchanges, and their curl commands
mod files; // which files a scenario may read
#[cfg(feature = "redis")]
mod fleet; // runs on agents over a real Redis
#[cfg(feature = "redis")]
mod fleet_bus; // the bus of a fleet on a real Redis
#[cfg(feature = "redis")]
mod fleet_input; // fleets that are set up wrongly, and plans that an agent does not run
#[cfg(feature = "redis")]
mod fleet_resume; // coordinators that die, and journals of agents
mod folders; // run folders, and the files in them
mod framing; // the same raw answers through our reader, byte by byte, and through reqwest
#[cfg(feature = "grpc")]
mod grpc_peers; // calls of gRPC at peers that no good server is
#[cfg(feature = "grpc")]
mod grpc_pools; // calls of several users on a connection of HTTP/2
#[cfg(feature = "grpc")]
mod grpc_reflection; // methods that a server tells
#[cfg(feature = "grpc")]
mod grpc_steps; // calls of gRPC at a real server
#[cfg(feature = "grpc")]
mod grpc_streams; // streams of gRPC at a real server
mod harness; // runs the program in its own folder, within limits
mod hedges; // second attempts next to slow first ones
#[cfg(feature = "history")]
mod history; // the run history in a file
#[cfg(feature = "postgres")]
mod history_postgres; // the run history in a real PostgreSQL
mod hit_flags; // flags of `hit`, and spellings of other tools
mod hit_streams; // streams of `hit`: WebSockets, listeners, responses in pieces
mod http2; // HTTP/2 with nginx and with misbehaving peers
mod influx; // line protocol at a real InfluxDB, and at strict and wrong receivers
#[cfg(feature = "redis")]
mod instances; // several built-in targets that share channels through a real Redis
mod kafka_groups; // consumer groups of Kafka
mod kafka_steps; // steps at a real broker of Kafka's protocol, and at a mock cluster
mod kafka_transactions; // transactions of Kafka at real peers
mod keys; // terminal keys
mod kubernetes; // objects of Kubernetes, and their published schemas
mod ledger; // the generator's counts against the target's
mod line_protocol; // a strict parser of line protocol
mod line_steps;
mod link; // users with a slow emulated link
mod logs; // logs of runs
mod memory; // memory does not grow with the number of requests
mod metrics; // metrics at real receivers, and at receivers in trouble
mod misbehave; // misbehaving targets
mod monitors; // monitors: the generator's and the target's figures
mod mosquitto; // a real broker of MQTT
#[cfg(feature = "postgres")]
mod mqtt_rabbitmq; // the same steps at a real RabbitMQ
mod mqtt_steps; // steps at it
mod nchan; // streams with a real nginx and nchan
mod nginx; // a real nginx
mod otlp; // OpenTelemetry at real receivers, and at receivers in trouble
mod otlp_receivers; // receivers of OpenTelemetry that others wrote
mod outages; // a resilient client at a target that stalls, dies, refuses
mod page; // the report and the dashboard in a real browser
mod peer; // a scripted TCP server
mod planning; // `plan`, `doctor` and `schema`
mod pools; // connections as the target sees them
mod population; // closed users and their connections, counted by a real server
mod prediction; // users that live control is likely to add are connected ahead
mod probe_limits; // `probe-limits` against real limiters
mod processes; // a run on several processes
mod prometheus; // a real Prometheus
mod proxies; // responses of a cache, and compressed ones, of a real nginx
#[cfg(feature = "postgres")]
mod rabbitmq; // a real RabbitMQ
mod raw_responses; // raw responses and what readers make of them
mod real_servers;
mod reconnects; // waits before event streams are opened again
mod records; // records of earlier versions
#[cfg(feature = "redis")]
mod redis_cluster; // a cluster of real nodes
mod redis_steps;
mod redis_streams; // its streams and consumer groups
mod replay; // `report`: finished runs, judged and exported again
mod report; // the folder and the document of a run
mod resilient; // the reports of a resilient client
mod retries; // retry storms, budgets, idempotent requests
mod safety; // safety limits
mod samples; // calls one by one
mod sandbox; // `--sandbox`: what works in it, and what does not
mod sanitize; // rules for columns of data
mod scenarios; // shipped scenarios, and examples of the language page
#[cfg(feature = "schedule")]
mod schedule; // runs at times, on one machine and on several
mod secrets; // secrets appear in no output
mod seed; // the same seed gives the same traffic
mod shift;
mod signals; // Ctrl-C once and twice, SIGTERM
mod signing; // signatures of requests, tokens, and the id of the run
#[cfg(feature = "postgres")]
mod sql_copy; // rows that are copied into a real PostgreSQL
#[cfg(feature = "postgres")]
mod sql_steps; // steps that call a real PostgreSQL
#[cfg(feature = "postgres")]
mod sql_times; // times of its rows, and a restart in mid-run
#[cfg(feature = "postgres")]
mod sql_transactions; // transactions at it
mod stale; // kept connections that the target closed
mod statsd; // datagrams of StatsD
mod subprotocols; // archetypes of protocols over WebSocket at real servers
mod sums; // the sums that hold in every report
mod tansu; // a broker of Kafka's protocol, and another client
mod terminal; // a terminal for the program
mod timing; // attribution of time
mod tls; // valid and invalid certificates
mod tokens; // token streams in the words of all APIs
mod trace_links; // exemplars and links to traces
mod traces; // spans at a receiver of OpenTelemetry
mod transport; // other addresses, sockets, sources, proxies, client certificates
#[cfg(feature = "tui")]
mod tui; // the dashboard, and how it restores the terminal
mod unprocessed; // HTTP/2 streams that the target refuses or ends
mod unread_requests; // targets that do not read long requests
mod usage; // what a run used, its ceilings, and its cost
mod verdicts; // dead and slow targets against thresholds
