//! Files that bring up Prometheus, Grafana, Jaeger and a collector with Compose.
//!
//! `render` writes them.
//! Invariant: ports are on loopback alone; no file has a password, and no account has a default
//! one.

use serde_json::{Value, json};

use super::promql::BucketForm;

/// Images of versions that fit together. Tags are pinned, so that a stack of today works tomorrow.
const PROMETHEUS: &str = "prom/prometheus:v3.5.0";
const GRAFANA: &str = "grafana/grafana:12.1.0";
const JAEGER: &str = "jaegertracing/jaeger:2.9.0";
const COLLECTOR: &str = "otel/opentelemetry-collector:0.130.0";

/// The id of the data source that the dashboard finds.
const SOURCE: &str = "manada-prometheus";

/// `prometheus.yml`: scrapes a run on this machine, and has the rules.
pub(super) fn prometheus() -> Value {
    json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": ["rules.yml"],
        "scrape_configs": [{
            "job_name": "manada",
            "static_configs": [{ "targets": ["localhost:9464", "host.docker.internal:9464"] }],
        }],
    })
}

/// `otel-collector.yml`: traces to Jaeger, metrics to Prometheus, logs to its own output.
pub(super) fn collector() -> Value {
    json!({
        "receivers": { "otlp": { "protocols": {
            "grpc": { "endpoint": "0.0.0.0:4317" },
            "http": { "endpoint": "0.0.0.0:4318" },
        } } },
        "processors": { "batch": {} },
        "exporters": {
            "otlp/jaeger": { "endpoint": "jaeger:4317", "tls": { "insecure": true } },
            "otlphttp/prometheus": { "endpoint": "http://prometheus:9090/api/v1/otlp" },
            "debug": { "verbosity": "basic" },
        },
        "service": { "pipelines": {
            "traces": pipeline("otlp/jaeger"),
            "metrics": pipeline("otlphttp/prometheus"),
            "logs": pipeline("debug"),
        } },
    })
}

/// From the receiver to one exporter.
fn pipeline(exporter: &str) -> Value {
    json!({ "receivers": ["otlp"], "processors": ["batch"], "exporters": [exporter] })
}

/// `grafana-datasources.yml`: Prometheus and Jaeger.
pub(super) fn data_sources() -> Value {
    let source = |name: &str, kind: &str, uid: &str, url: &str, is_default: bool| {
        json!({
            "name": name, "type": kind, "uid": uid, "url": url, "access": "proxy",
            "isDefault": is_default, "editable": false,
        })
    };
    json!({
        "apiVersion": 1,
        "datasources": [
            source("Prometheus", "prometheus", SOURCE, "http://prometheus:9090", true),
            source("Jaeger", "jaeger", "manada-jaeger", "http://jaeger:16686", false),
        ],
    })
}

/// `grafana-dashboards.yml`: where Grafana finds the dashboard.
pub(super) fn provider() -> Value {
    json!({
        "apiVersion": 1,
        "providers": [{
            "name": "manada", "type": "file", "allowUiUpdates": false,
            "options": { "path": "/var/lib/manada-dashboards" },
        }],
    })
}

/// `compose.yml`.
pub(super) fn compose(form: BucketForm) -> Value {
    let mut prometheus = vec![
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--storage.tsdb.retention.time=7d",
        "--web.enable-remote-write-receiver",
        "--web.enable-otlp-receiver",
    ];
    if form == BucketForm::Native {
        prometheus.push("--enable-feature=native-histograms");
    }
    let hardened = |mut service: Value, is_read_only: bool| {
        service["restart"] = json!("unless-stopped");
        service["security_opt"] = json!(["no-new-privileges:true"]);
        service["cap_drop"] = json!(["ALL"]);
        service["read_only"] = json!(is_read_only);
        service
    };
    json!({
        "services": {
            "prometheus": hardened(json!({
                "image": PROMETHEUS,
                "command": prometheus,
                "ports": ["127.0.0.1:9090:9090"],
                "extra_hosts": ["host.docker.internal:host-gateway"],
                "volumes": [
                    "./prometheus.yml:/etc/prometheus/prometheus.yml:ro",
                    "./rules.yml:/etc/prometheus/rules.yml:ro",
                    "prometheus-data:/prometheus",
                ],
            }), true),
            "grafana": hardened(json!({
                "image": GRAFANA,
                "ports": ["127.0.0.1:3000:3000"],
                "environment": {
                    "GF_AUTH_ANONYMOUS_ENABLED": "true",
                    "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
                    "GF_AUTH_DISABLE_LOGIN_FORM": "true",
                    "GF_AUTH_BASIC_ENABLED": "false",
                    "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
                    "GF_ANALYTICS_REPORTING_ENABLED": "false",
                },
                "volumes": [
                    "./grafana-datasources.yml:/etc/grafana/provisioning/datasources/manada.yml:ro",
                    "./grafana-dashboards.yml:/etc/grafana/provisioning/dashboards/manada.yml:ro",
                    "./grafana-dashboard.json:/var/lib/manada-dashboards/manada.json:ro",
                    "grafana-data:/var/lib/grafana",
                ],
                "depends_on": ["prometheus"],
            }), false),
            "jaeger": hardened(json!({
                "image": JAEGER,
                "environment": { "JAEGER_LISTEN_HOST": "0.0.0.0" },
                "ports": ["127.0.0.1:16686:16686"],
            }), true),
            "collector": hardened(json!({
                "image": COLLECTOR,
                "command": ["--config=/etc/otelcol/config.yaml"],
                "ports": ["127.0.0.1:4317:4317", "127.0.0.1:4318:4318"],
                "volumes": ["./otel-collector.yml:/etc/otelcol/config.yaml:ro"],
                "depends_on": ["jaeger", "prometheus"],
            }), true),
        },
        "volumes": { "prometheus-data": {}, "grafana-data": {} },
    })
}
