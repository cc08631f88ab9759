//! The figures as metrics for Prometheus.

use std::net::SocketAddr;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_util::MetricKindMask;

use crate::failure::Failure;

/// Looks after which an array that was not seen any more is left out.
const FORGOTTEN_AFTER: u32 = 3;

/// Serves what is published as metrics under this address, from now on until the program ends.
pub fn install(address: SocketAddr, every: Duration) -> Result<(), Failure> {
    let forgotten_after = every.saturating_mul(FORGOTTEN_AFTER).saturating_add(Duration::from_secs(1));
    PrometheusBuilder::new()
        .with_http_listener(address)
        // Arrays that were removed are not set any more.
        .idle_timeout(MetricKindMask::GAUGE, Some(forgotten_after))
        .install()
        .map_err(|error| Failure::Exporter(address, error.to_string()))
}
