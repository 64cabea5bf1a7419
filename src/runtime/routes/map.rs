//! The map: what was done, for ever.

use super::Refused;
use super::lists::{id, page};
use crate::runtime::App;
use crate::runtime::body::{Asked, Name};
use crate::runtime::problem::Problem;
use crate::store::{Lineage, MapRow, Paged, Place, Region, Verdict};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Ancestors and children that are told at most.
const RELATIVES: u32 = 500;

/// Rows of a region at most.
const PLACES: u32 = 5000;

/// What a row tells of.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum KindName {
    Genesis,
    Run,
    Abandoned,
    Script,
    Elite,
    Migrate,
    Llm,
    Edit,
    Goal,
    System,
}

/// Which rows.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Rows at most; 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the part before.
    cursor: Option<i64>,
    /// Those of this kind.
    #[param(inline)]
    kind: Option<KindName>,
}

/// A part of the plane: cycles across, scripts down, edges included.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Part {
    /// From this cycle.
    x0: i64,
    /// From this script; 0 is what no script has done.
    y0: i64,
    /// To this cycle.
    x1: i64,
    /// To this script.
    y1: i64,
    /// Rows at most, the newest; 1000 unless said.
    #[param(minimum = 1, maximum = 5000)]
    limit: Option<u32>,
}

/// Rows as places.
#[derive(Debug, Serialize, ToSchema)]
pub struct Places {
    /// The newest first.
    items: Vec<Place>,
}

/// Whether the chain is whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct Verified {
    /// Whether each row is as it was written and where it was.
    whole: bool,
    /// So many rows there are, if it is whole.
    rows: Option<u64>,
    /// The last one's hash, if it is whole.
    head: Option<String>,
    /// The first row that is not as it was, if it is not whole.
    id: Option<i64>,
    /// What is wrong with that.
    why: Option<String>,
}

/// List the map
///
/// The newest row first.
#[utoipa::path(get, path = "/api/map", tag = "map", params(Which), operation_id = "list_map",
    responses((status = 200, description = "Rows", body = Paged<MapRow>), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn list(
    State(app): State<App>,
    Asked(which): Asked<Which>,
) -> Result<axum::Json<Paged<MapRow>>, Problem> {
    let page = page(which.limit, which.cursor)?;
    let kind = which.kind.map(|kind| format!("{kind:?}").to_lowercase());
    app.store(move |store| store.map(kind.as_deref(), page)).await.map(axum::Json)
}

/// Tell of a row
#[utoipa::path(get, path = "/api/map/{id}", tag = "map", operation_id = "get_map",
    params(("id" = i64, Path, description = "The row")),
    responses((status = 200, description = "The row", body = MapRow), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn get(State(app): State<App>, Name(name): Name) -> Result<axum::Json<MapRow>, Problem> {
    let number = id("row of the map", &name)?;
    let row = app.store(move |store| store.map_row(number)).await?;
    row.map(axum::Json)
        .ok_or_else(|| Problem::not_found(format!("there is no row {number} of the map")))
}

/// Tell where a row came from, and what came of it
#[utoipa::path(get, path = "/api/map/{id}/lineage", tag = "map", operation_id = "map_lineage",
    params(("id" = i64, Path, description = "The row")),
    responses((status = 200, description = "Its ancestors and its children", body = Lineage),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn lineage(
    State(app): State<App>,
    Name(name): Name,
) -> Result<axum::Json<Lineage>, Problem> {
    let number = id("row of the map", &name)?;
    app.store(move |store| store.lineage(number, RELATIVES)).await.map(axum::Json)
}

/// Show a part of the plane
#[utoipa::path(get, path = "/api/map/region", tag = "map", params(Part), operation_id = "map_region",
    responses((status = 200, description = "What is there", body = Places), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn region(
    State(app): State<App>,
    Asked(part): Asked<Part>,
) -> Result<axum::Json<Places>, Problem> {
    let limit = part.limit.unwrap_or(1000);
    if !(1..=PLACES).contains(&limit) {
        return Err(Problem::value("limit", format!("1 to {PLACES}"), limit));
    }
    let Part { x0, y0, x1, y1, .. } = part;
    let items = app.store(move |store| store.region(Region { x0, y0, x1, y1 }, limit)).await?;
    Ok(axum::Json(Places { items }))
}

/// Follow the chain from its first row
#[utoipa::path(get, path = "/api/map/verify", tag = "map", operation_id = "map_verify",
    responses((status = 200, description = "Whether it is whole", body = Verified),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn verify(State(app): State<App>) -> Result<axum::Json<Verified>, Problem> {
    let verdict = app.store(|store| store.verify()).await?;
    let none = Verified { whole: false, rows: None, head: None, id: None, why: None };
    Ok(axum::Json(match verdict {
        Verdict::Whole { rows, head } => {
            Verified { whole: true, rows: Some(rows), head: Some(head), ..none }
        }
        Verdict::Broken { id, why } => Verified { id: Some(id), why: Some(why), ..none },
    }))
}
