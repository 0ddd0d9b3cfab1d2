//! Steps of MQTT at a real RabbitMQ, over TCP and over WebSocket: counts equal to the broker's own.

use std::net::TcpStream;

use crate::harness::{Manada, count};
use crate::instances::wait_until;
use crate::rabbitmq::RabbitMq;

#[test]
fn rabbitmq_counts_the_messages_of_both_of_its_plugins() {
    let broker = RabbitMq::start();
    // MQTT topics are routing keys of this exchange.
    let routed = |name: &str| {
        let exchange = broker.get("/api/exchanges/%2F/amq.topic");
        exchange["message_stats"][name].as_u64().unwrap_or(0)
    };
    let mut before = 0;
    for url in [
        format!("mqtt://guest:guest@{}", broker.mqtt),
        format!("mqtt+ws://guest:guest@{}/ws", broker.web_mqtt),
    ] {
        let text = format!(
            "
scenario: devices
services: {{ iot: {{ url: '{url}', mqtt: {{ version: '3.1.1' }} }} }}
archetypes:
  device:
    on_start: [ {{ open: true }} ]
    flow:
      - send: state/{{{{ user.number }}}}
        qos: 1
        json: {{ v: '{{{{ alnum(3000) }}}}' }}
        stamp: true
        channel: states
        timeout: 30s
        name: said
  hub:
    on_start:
      - {{ open: true }}
      - {{ listen: state/+, qos: 1, stamp: true, channel: states, name: heard }}
    flow: [ {{ pause: 100ms }} ]
workloads:
  hubs: {{ archetypes: {{ hub: 1 }}, users: 2, duration: 8s }}
  devices: {{ archetypes: {{ device: 1 }}, users: 4, start: 1s, iterations: 200 }}
thresholds: [ errors == 0% ]
"
        );
        let done = Manada::run(&text, &[]).go();
        let report = done.report(0);
        let row = |step: &str| {
            let steps = report["steps"].as_array().unwrap();
            let row = steps.iter().find(|row| row["name"] == step).unwrap();
            row["messages"]["counts"].clone()
        };
        let (said, heard) = (row("said"), row("heard"));
        assert_eq!(count(&said, "sent"), 200, "{url}: {done}");
        assert_eq!(count(&said, "confirmed"), 200, "{url}: {done}");
        // Each hub is due each message.
        assert_eq!(count(&heard, "due"), 400, "{url}: {done}");
        assert_eq!(count(&heard, "delivered"), 400, "{url}: {done}");
        assert_eq!(count(&heard, "lost") + count(&heard, "duplicated"), 0, "{url}: {done}");
        assert_eq!(report["status"]["mqtt OK"], 6 + 2 + 200, "{url}: {done}");
        // The handshake of WebSocket is the login of a connection; over TCP it has none.
        let logins = if url.starts_with("mqtt+ws") { 6 } else { 0 };
        assert_eq!(count(&report, "phases_us.login.count"), logins, "{url}: {done}");
        // It publishes its counts every few seconds.
        wait_until("all are counted", || routed("publish_in") >= before + 200);
        wait_until("all deliveries are counted", || routed("publish_out") >= 2 * before + 400);
        assert_eq!((routed("publish_in"), routed("publish_out")), (before + 200, 2 * before + 400));
        before += 200;
    }
    refusals_have_their_error(&broker);
}

/// The port of WebSocket without its handshake, and another path than that of the plugin.
fn refusals_have_their_error(broker: &RabbitMq) {
    assert!(TcpStream::connect(broker.web_mqtt).is_ok());
    for url in [
        format!("mqtt://guest:guest@{}", broker.web_mqtt),
        format!("mqtt+ws://guest:guest@{}/mqtt", broker.web_mqtt),
    ] {
        let text = format!(
            "
scenario: refused
services: {{ iot: {{ url: '{url}', mqtt: {{ version: '3.1.1' }} }} }}
workloads: {{ w: {{ users: 1, iterations: 1, archetypes: {{ device: 1 }} }} }}
archetypes: {{ device: {{ flow: [ {{ open: true }} ] }} }}
thresholds: [ 'errors <= 100%' ]
"
        );
        let done = Manada::run(&text, &[]).go();
        let report = done.report(4);
        assert_eq!(report["errors"].as_array().unwrap().len(), 1, "{url}: {done}");
        assert_eq!(count(&report, "calls.ok"), 0, "{url}: {done}");
    }
}
