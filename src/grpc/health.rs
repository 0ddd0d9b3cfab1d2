//! The health service of gRPC, whose methods are known without a file.
//!
//! `scenario` looks a method up here if its service has no such one.
//! Invariant: it is compiled once, on first use.

use std::path::PathBuf;
use std::sync::OnceLock;

use super::schema::Schema;

/// The package and name of the service, and what follows them.
const PREFIX: &str = "grpc.health.v1.Health/";

/// The service, as its specification defines it.
const SOURCE: &str = r#"
syntax = "proto3";
package grpc.health.v1;

message HealthCheckRequest { string service = 1; }

message HealthCheckResponse {
  enum ServingStatus { UNKNOWN = 0; SERVING = 1; NOT_SERVING = 2; SERVICE_UNKNOWN = 3; }
  ServingStatus status = 1;
}

service Health {
  rpc Check(HealthCheckRequest) returns (HealthCheckResponse);
  rpc Watch(HealthCheckRequest) returns (stream HealthCheckResponse);
}
"#;

/// The schema of a method's service; `None` if it is not the health service.
pub(super) fn schema_of(method: &str) -> Option<&'static Schema> {
    static SCHEMA: OnceLock<Option<Schema>> = OnceLock::new();
    let compile = || {
        let names = ["grpc/health/v1/health.proto".to_owned()];
        let read = Box::new(|_: &_| Ok(Some(SOURCE.as_bytes().to_vec())));
        Schema::compile(&names, &[PathBuf::new()], read).ok()
    };
    method.starts_with(PREFIX).then(|| SCHEMA.get_or_init(compile).as_ref())?
}

#[cfg(all(test, feature = "grpc"))]
mod tests {
    use super::*;

    #[test]
    fn its_methods_are_known_and_no_others() {
        let names = schema_of("grpc.health.v1.Health/Check").unwrap().method_names();
        assert_eq!(names, ["grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"]);
        assert!(schema_of("shop.v1.Cart/Add").is_none());
    }
}
