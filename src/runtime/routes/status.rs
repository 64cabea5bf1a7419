//! How the server is: for people, for load balancers, for Prometheus.

use super::Refused;
use crate::runtime::problem::Problem;
use crate::runtime::queue::{Adapter, Place, WAITING};
use crate::runtime::{App, Shared};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::fmt::Write;
use std::sync::PoisonError;
use std::time::SystemTime;
use utoipa::ToSchema;

/// Whether the server serves.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `stopping`.
    status: &'static str,
}

/// Tell whether the server serves
#[utoipa::path(get, path = "/health", tag = "status", responses(
    (status = 200, description = "It does", body = Health),
    (status = 503, description = "It is stopping", body = Health),
    (status = "4XX", response = Refused),
))]
pub async fn health(State(app): State<App>) -> (StatusCode, axum::Json<Health>) {
    match app.is_stopping() {
        false => (StatusCode::OK, axum::Json(Health { status: "ok" })),
        true => (StatusCode::SERVICE_UNAVAILABLE, axum::Json(Health { status: "stopping" })),
    }
}

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub struct Status {
    /// `gvpie`.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// Seconds since it has started.
    uptime_s: f64,
    /// Whether runs may take place on a GPU.
    gpu_available: bool,
    /// The adapter's name.
    adapter: Option<String>,
    /// Where runs take place that say nothing: `auto`, `gpu` or `cpu`.
    backend: &'static str,
    /// The folder of the store.
    data: String,
    /// Runs that wait.
    queue: QueueStatus,
    /// Runs that have begun.
    runs_total: u64,
    /// Those that were stopped or lost.
    runs_failed: u64,
    /// Devices that were lost.
    devices_lost: u64,
    /// Whether the store cannot be written.
    disk_full: bool,
    /// Runs that are not on the disk yet.
    unrecorded: usize,
    /// What a daemon has told, if one has.
    daemon: Option<DaemonStatus>,
    /// Scripts.
    scripts: u64,
    /// Rows of the map.
    map_rows: u64,
}

/// The queue.
#[derive(Debug, Serialize, ToSchema)]
pub struct QueueStatus {
    /// Runs that wait.
    waiting: usize,
    /// Those that may.
    limit: usize,
}

/// A daemon.
#[derive(Debug, Serialize, ToSchema)]
pub struct DaemonStatus {
    /// Its last cycle.
    cycle: i64,
    /// Seconds since that ended.
    idle_s: f64,
}

/// Where runs take place that say nothing.
pub(super) fn default(app: &Shared) -> &'static str {
    match app.options.place {
        Place::Any => "auto",
        Place::Device => "gpu",
        Place::Host => "cpu",
    }
}

/// Tell how the server is
#[utoipa::path(get, path = "/status", tag = "status", responses(
    (status = 200, description = "How it is", body = Status),
    (status = "4XX", response = Refused),
    (status = 503, response = Refused),
))]
pub async fn status(State(app): State<App>) -> Result<axum::Json<Status>, Problem> {
    let counts = app.store(|store| store.counts()).await?;
    let adapter = match app.queue.adapter() {
        Adapter::Ready(name, _) => Some(name),
        Adapter::Opening | Adapter::None(_) => None,
    };
    let cycled = *app.cycled.lock().unwrap_or_else(PoisonError::into_inner);
    let idle = |at: SystemTime| at.elapsed().unwrap_or_default().as_secs_f64();
    let cycle = app.cycle();
    Ok(axum::Json(Status {
        name: "gvpie",
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: app.began.elapsed().as_secs_f64(),
        gpu_available: adapter.is_some(),
        adapter,
        backend: default(&app),
        data: app.options.data.display().to_string(),
        queue: QueueStatus { waiting: app.queue.waiting(), limit: WAITING },
        runs_total: counts.runs,
        runs_failed: counts.runs_failed + counts.runs_abandoned,
        devices_lost: app.queue.lost(),
        disk_full: app.recorder.is_stuck(),
        unrecorded: app.recorder.waiting(),
        daemon: cycled.map(|at| DaemonStatus { cycle, idle_s: idle(at) }),
        scripts: counts.scripts,
        map_rows: counts.map_rows,
    }))
}

/// Measure the server, for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "status", responses(
    (status = 200, description = "Measures, a line each", content_type = "text/plain", body = String),
    (status = "4XX", response = Refused),
    (status = 503, response = Refused),
))]
pub async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let counts = app.store(|store| store.counts()).await?;
    let gpu = matches!(app.queue.adapter(), Adapter::Ready(..));
    let measures = [
        ("runs_total", "counter", "Runs that have begun", counts.runs as f64),
        ("runs_ok_total", "counter", "Runs that came to their ends", counts.runs_ok as f64),
        ("runs_failed_total", "counter", "Runs that were stopped", counts.runs_failed as f64),
        (
            "runs_abandoned_total",
            "counter",
            "Runs lost with their process",
            counts.runs_abandoned as f64,
        ),
        (
            "runs_skipped_total",
            "counter",
            "Runs of a language that is off",
            counts.runs_skipped as f64,
        ),
        ("scripts_enabled", "gauge", "Scripts that are on", counts.scripts_enabled as f64),
        ("goals_open", "gauge", "Goals that are not reached", counts.goals_open as f64),
        ("cartridges", "gauge", "Cartridges", counts.cartridges as f64),
        ("scripts", "gauge", "Scripts", counts.scripts as f64),
        ("map_rows", "gauge", "Rows of the map", counts.map_rows as f64),
        ("queue_waiting", "gauge", "Runs that wait", app.queue.waiting() as f64),
        ("queue_limit", "gauge", "Runs that may wait", WAITING as f64),
        ("runs_unrecorded", "gauge", "Runs not on the disk yet", app.recorder.waiting() as f64),
        (
            "store_stuck",
            "gauge",
            "1 if the store cannot be written",
            f64::from(app.recorder.is_stuck()),
        ),
        ("devices_lost_total", "counter", "Devices that were lost", app.queue.lost() as f64),
        ("gpu_available", "gauge", "1 if runs may take place on a GPU", f64::from(gpu)),
        ("uptime_seconds", "gauge", "Since the start", app.began.elapsed().as_secs_f64()),
        ("daemon_cycle", "gauge", "The daemon's last cycle", app.cycle() as f64),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in measures {
        let _ = write!(
            text,
            "# HELP gvpie_{name} {help}.\n# TYPE gvpie_{name} {kind}\ngvpie_{name} {value}\n"
        );
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
