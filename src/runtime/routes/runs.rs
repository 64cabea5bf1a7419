//! What was run.

use super::Refused;
use super::lists::page;
use crate::runtime::App;
use crate::runtime::body::{Asked, Name};
use crate::runtime::problem::Problem;
use crate::store::{Paged, RunFilter, RunRow};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How a run has ended, or that it has not.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum StatusName {
    Running,
    Ok,
    Failed,
    Abandoned,
    Skipped,
}

/// Which runs.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Rows at most; 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the part before.
    cursor: Option<i64>,
    /// Those of this script.
    script: Option<i64>,
    /// Those that ended so.
    #[param(inline)]
    status: Option<StatusName>,
}

/// List the runs
///
/// The newest first.
#[utoipa::path(get, path = "/api/runs", tag = "runs", params(Which), operation_id = "list_runs",
    responses((status = 200, description = "Runs", body = Paged<RunRow>), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn list(
    State(app): State<App>,
    Asked(which): Asked<Which>,
) -> Result<axum::Json<Paged<RunRow>>, Problem> {
    let page = page(which.limit, which.cursor)?;
    let status = which.status.map(|status| format!("{status:?}").to_lowercase());
    let filter = RunFilter { script: which.script, status };
    app.store(move |store| store.runs(&filter, page)).await.map(axum::Json)
}

async fn found(app: &App, name: String) -> Result<RunRow, Problem> {
    let missing = Problem::not_found(format!("there is no run {name:?}"));
    app.store(move |store| store.run(&name)).await?.ok_or(missing)
}

/// Tell of a run
#[utoipa::path(get, path = "/api/runs/{id}", tag = "runs", operation_id = "get_run",
    params(("id" = String, Path, description = "Its row or its UUID")),
    responses((status = 200, description = "The run, with all that it wrote", body = RunRow),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn get(State(app): State<App>, Name(name): Name) -> Result<axum::Json<RunRow>, Problem> {
    found(&app, name).await.map(axum::Json)
}

/// Show a run's canvas
///
/// Canvases of scripts are kept; of what was asked for here, their hashes alone.
#[utoipa::path(get, path = "/api/runs/{id}/canvas.png", tag = "runs", operation_id = "run_canvas",
    params(("id" = String, Path, description = "Its row or its UUID")),
    responses((status = 200, description = "The picture", content_type = "image/png", body = Vec<u8>),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn canvas(State(app): State<App>, Name(name): Name) -> Result<Response, Problem> {
    let row = found(&app, name).await?;
    picture(&app, row.canvas.zip(row.canvas_sha256)).await
}

/// A canvas of this size that is an object of this name, as a picture.
pub(super) async fn picture(
    app: &App,
    canvas: Option<([u32; 2], String)>,
) -> Result<Response, Problem> {
    let Some((size, hash)) = canvas else {
        return Err(Problem::not_found("there is no canvas"));
    };
    let bytes = app.store(move |store| store.object(&hash)).await?;
    let pixels: Vec<u32> =
        bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let file = crate::runtime::answer::picture(size[0], &pixels)?;
    Ok(([(header::CONTENT_TYPE, "image/png")], file).into_response())
}
