//! Counters in the Prometheus text format. Every label value is known when the
//! program starts, so memory is bounded, counting is one atomic addition, and nothing
//! grows while nobody scrapes.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::http::{Method, StatusCode};

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
/// Upper bounds in microseconds, with their text in seconds.
const BUCKETS: [(u64, &str); 12] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (5_000_000, "5"),
    (30_000_000, "30"),
];

/// The method as a label: a client may invent methods, a label may not.
pub(crate) fn method_label(method: &Method) -> &'static str {
    METHODS[method_index(method)]
}

fn method_index(method: &Method) -> usize {
    METHODS[..7]
        .iter()
        .position(|m| *m == method.as_str())
        .unwrap_or(7)
}

/// How a sign-in ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SignIn {
    Success,
    Refused,
    Throttled,
    Failed,
}

/// How a request to open a credential ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Open {
    Success,
    Refused,
    Failed,
}

#[derive(Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    sum_micros: AtomicU64,
}

impl Histogram {
    fn record(&self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        if let Some(at) = BUCKETS.iter().position(|(bound, _)| micros <= *bound) {
            self.buckets[at].fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.sum_micros.fetch_add(micros, Relaxed);
    }
}

/// The series of one route; most combinations never happen and take no room.
type Series = [[OnceLock<Box<Histogram>>; CLASSES.len()]; METHODS.len()];

/// All that is counted.
pub(crate) struct Metrics {
    routes: HashMap<String, Series>,
    unmatched: Series,
    in_flight: AtomicU64,
    sign_ins: [AtomicU64; 4],
    opens: [AtomicU64; 3],
}

/// Counts a request as being served until it is dropped, as it also is when the
/// client hangs up.
pub(crate) struct InFlight<'a>(&'a AtomicU64);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    pub(crate) fn new<'a>(routes: impl Iterator<Item = &'a str>) -> Self {
        Self {
            routes: routes
                .map(|route| (route.to_owned(), Series::default()))
                .collect(),
            unmatched: Series::default(),
            in_flight: AtomicU64::new(0),
            sign_ins: Default::default(),
            opens: Default::default(),
        }
    }

    pub(crate) fn enter(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(&self.in_flight)
    }

    pub(crate) fn count(
        &self,
        route: &str,
        method: &Method,
        status: StatusCode,
        elapsed: Duration,
    ) {
        let series = self.routes.get(route).unwrap_or(&self.unmatched);
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        series[method_index(method)][class]
            .get_or_init(Box::default)
            .record(elapsed);
    }

    pub(crate) fn sign_in(&self, outcome: SignIn) {
        self.sign_ins[outcome as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn open(&self, outcome: Open) {
        self.opens[outcome as usize].fetch_add(1, Relaxed);
    }

    /// The whole exposition, version 0.0.4 of the text format.
    pub(crate) fn render(&self, version: &str) -> String {
        let mut out = String::with_capacity(8 << 10);
        describe(
            &mut out,
            "nodeloom_build_info",
            "gauge",
            "The running program.",
        );
        let _ = writeln!(out, "nodeloom_build_info{{version=\"{version}\"}} 1");
        describe(
            &mut out,
            "nodeloom_http_requests_in_flight",
            "gauge",
            "Requests being served.",
        );
        let in_flight = self.in_flight.load(Relaxed);
        let _ = writeln!(out, "nodeloom_http_requests_in_flight {in_flight}");

        let mut routes: Vec<_> = self.routes.iter().map(|(r, s)| (r.as_str(), s)).collect();
        routes.push(("unmatched", &self.unmatched));
        routes.sort_unstable_by_key(|(route, _)| *route);
        describe(
            &mut out,
            "nodeloom_http_requests_total",
            "counter",
            "Requests answered.",
        );
        for_each(&routes, |labels, histogram| {
            let count = histogram.count.load(Relaxed);
            let _ = writeln!(out, "nodeloom_http_requests_total{{{labels}}} {count}");
        });
        const DURATION: &str = "nodeloom_http_request_duration_seconds";
        describe(
            &mut out,
            DURATION,
            "histogram",
            "Time to answer, body of the request included.",
        );
        for_each(&routes, |labels, histogram| {
            let mut below = 0;
            for ((_, bound), bucket) in BUCKETS.iter().zip(&histogram.buckets) {
                below += bucket.load(Relaxed);
                let _ = writeln!(out, "{DURATION}_bucket{{{labels},le=\"{bound}\"}} {below}");
            }
            // Read after the buckets, so that the last one is never the smallest.
            let count = histogram.count.load(Relaxed).max(below);
            let sum = Duration::from_micros(histogram.sum_micros.load(Relaxed)).as_secs_f64();
            let _ = writeln!(out, "{DURATION}_bucket{{{labels},le=\"+Inf\"}} {count}");
            let _ = writeln!(out, "{DURATION}_sum{{{labels}}} {sum}");
            let _ = writeln!(out, "{DURATION}_count{{{labels}}} {count}");
        });

        describe(
            &mut out,
            "nodeloom_sign_ins_total",
            "counter",
            "Sign-ins by outcome.",
        );
        let names = ["success", "refused", "throttled", "failed"];
        outcomes(&mut out, "nodeloom_sign_ins_total", &names, &self.sign_ins);
        let what = "Credentials opened for a person, by outcome.";
        describe(&mut out, "nodeloom_credential_opens_total", "counter", what);
        let names = ["success", "refused", "failed"];
        outcomes(
            &mut out,
            "nodeloom_credential_opens_total",
            &names,
            &self.opens,
        );
        out
    }
}

/// Appends what is known of the second place that keeps the audit trail.
pub(crate) fn write_sink(out: &mut String, sink: &nodeloom_app::SinkState) {
    let up = u64::from(sink.reachable);
    for (name, kind, help, value) in [
        (
            "nodeloom_audit_sink_up",
            "gauge",
            "Whether the audit sink took the last events that it was given.",
            up,
        ),
        (
            "nodeloom_audit_sink_failures_total",
            "counter",
            "Failed attempts to give events to the audit sink.",
            sink.failures,
        ),
        (
            "nodeloom_audit_sink_delivered_total",
            "counter",
            "Events that this process has given to the audit sink.",
            sink.delivered,
        ),
        (
            "nodeloom_audit_sink_lag_events",
            "gauge",
            "Events that the audit sink has not been given yet.",
            sink.behind,
        ),
    ] {
        describe(out, name, kind, help);
        let _ = writeln!(out, "{name} {value}");
    }
}

fn describe(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn outcomes(out: &mut String, name: &str, labels: &[&str], counters: &[AtomicU64]) {
    for (label, counter) in labels.iter().zip(counters) {
        let _ = writeln!(
            out,
            "{name}{{outcome=\"{label}\"}} {}",
            counter.load(Relaxed)
        );
    }
}

/// Visits every series that has ever counted. Routes are our own texts, so their
/// labels need no escaping.
fn for_each(routes: &[(&str, &Series)], mut visit: impl FnMut(&str, &Histogram)) {
    for (route, series) in routes {
        for (method, classes) in METHODS.iter().zip(series.iter()) {
            for (class, cell) in CLASSES.iter().zip(classes) {
                if let Some(histogram) = cell.get() {
                    let labels =
                        format!("method=\"{method}\",route=\"{route}\",status=\"{class}\"");
                    visit(&labels, histogram);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_bounded_and_counts_add_up() {
        let metrics = Metrics::new(["/api/credentials/{id}"].into_iter());
        let brew = Method::from_bytes(b"BREW").unwrap();
        let ms = Duration::from_millis;
        metrics.count("/api/credentials/{id}", &Method::GET, StatusCode::OK, ms(3));
        metrics.count(
            "/api/credentials/{id}",
            &Method::GET,
            StatusCode::CREATED,
            ms(60_000),
        );
        metrics.count("/anything", &brew, StatusCode::NOT_FOUND, ms(1));
        metrics.sign_in(SignIn::Refused);
        let in_flight = metrics.enter();
        let text = metrics.render("1.2.3");
        let labels = "method=\"GET\",route=\"/api/credentials/{id}\",status=\"2xx\"";
        for line in [
            &format!("nodeloom_http_requests_total{{{labels}}} 2"),
            &format!("nodeloom_http_request_duration_seconds_bucket{{{labels},le=\"0.005\"}} 1"),
            &format!("nodeloom_http_request_duration_seconds_bucket{{{labels},le=\"30\"}} 1"),
            &format!("nodeloom_http_request_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 2"),
            &format!("nodeloom_http_request_duration_seconds_sum{{{labels}}} 60.003"),
            "nodeloom_http_requests_total{method=\"other\",route=\"unmatched\",status=\"4xx\"} 1",
            "nodeloom_sign_ins_total{outcome=\"refused\"} 1",
            "nodeloom_http_requests_in_flight 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("BREW") && !text.contains("/anything"));
        drop(in_flight);
        assert!(metrics.render("1").contains("in_flight 0"));
    }
}
