//! Figures as metrics of the `metrics` facade.

use std::time::SystemTime;

use metrics::{Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use super::figures::Figures;
use super::worker::{Pass, Seen};
use crate::ops::dynamic::Number;

/// Describes all metrics to the recorder, so that an exporter can tell what they mean. To be called after one was installed.
pub fn describe_metrics() {
    describe_gauge!("ndpool_array_mean", "Mean of the elements");
    describe_gauge!("ndpool_array_std", "Standard deviation of the elements");
    describe_gauge!("ndpool_array_min", "Smallest element");
    describe_gauge!("ndpool_array_max", "Largest element");
    describe_gauge!("ndpool_array_elements", Unit::Count, "Number of elements");
    describe_gauge!("ndpool_array_nans", Unit::Count, "Number of elements that are NaN");
    describe_gauge!("ndpool_array_version", Unit::Count, "Version that was looked at last");
    describe_gauge!("ndpool_array_age_seconds", Unit::Seconds, "Time since that version was written");
    describe_gauge!("ndpool_server_up", "1 if a server has the name, 0 if none has");
    describe_counter!("ndpool_analytics_passes_total", Unit::Count, "Looks at everything that is published");
    describe_counter!("ndpool_analytics_errors_total", Unit::Count, "Arrays that could not be looked at");
    describe_histogram!("ndpool_analytics_pass_seconds", Unit::Seconds, "Time that a look took");
}

impl Pass {
    /// Sets the metrics to what was found: see the [table](super#metrics). Without a recorder that costs nothing.
    pub fn publish(&self) {
        let server = &self.server;
        gauge!("ndpool_server_up", "server" => server.clone()).set(f64::from(u8::from(self.is_alive)));
        counter!("ndpool_analytics_passes_total", "server" => server.clone()).increment(1);
        counter!("ndpool_analytics_errors_total", "server" => server.clone())
            .increment(self.failed.len() as u64);
        histogram!("ndpool_analytics_pass_seconds", "server" => server.clone()).record(self.took);
        let now = SystemTime::now();
        for seen in &self.seen {
            seen.publish(server, now);
        }
    }
}

impl Seen {
    fn publish(&self, server: &str, now: SystemTime) {
        let mut labels =
            vec![Label::new("server", server.to_owned()), Label::new("array", self.item.clone())];
        if let Some(column) = &self.column {
            labels.push(Label::new("column", column.clone()));
        }
        let set = |name: &'static str, value: Option<f64>| {
            if let Some(value) = value {
                gauge!(name, labels.iter()).set(value);
            }
        };
        let age = self.written.and_then(|written| now.duration_since(written).ok());
        set("ndpool_array_version", Some(self.version as f64));
        set("ndpool_array_age_seconds", age.map(|age| age.as_secs_f64()));
        set("ndpool_array_elements", Some(self.shape.iter().product::<usize>() as f64));
        if let Some(Figures { nan_count, mean, std, min, max, .. }) = self.figures {
            set("ndpool_array_nans", Some(nan_count as f64));
            set("ndpool_array_mean", real(mean));
            set("ndpool_array_std", real(std));
            set("ndpool_array_min", real(min));
            set("ndpool_array_max", real(max));
        }
    }
}

/// A number as a gauge has it, rounded if need be; a complex one does not fit.
fn real(number: Number) -> Option<f64> {
    match number {
        Number::Float32(x) => Some(x.into()),
        Number::Float(x) => Some(x),
        Number::Int(x) => Some(x as f64),
        Number::UInt(x) => Some(x as f64),
        Number::Bool(x) => Some(u8::from(x).into()),
        Number::Complex32(..) | Number::Complex(..) => None,
    }
}
