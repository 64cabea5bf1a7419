//! Goals: what is to be reached.

use super::Refused;
use super::lists::{id, page};
use crate::runtime::App;
use crate::runtime::body::{Asked, Json, Name};
use crate::runtime::problem::Problem;
use crate::store::{Goal, GoalRow, Paged, StoreError};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// Which goals.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Rows at most; 50 unless said.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the part before.
    cursor: Option<i64>,
    /// Whether those that are reached are listed, too.
    all: bool,
}

/// A goal to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGoal {
    /// What is to be reached.
    #[schema(min_length = 1, max_length = 4096)]
    goal: String,
    /// How much it matters, 10 most; 5 unless said.
    #[schema(minimum = 1, maximum = 10)]
    priority: Option<i64>,
    /// What a machine has to know of it.
    #[schema(value_type = Option<Object>)]
    spec: Option<serde_json::Map<String, serde_json::Value>>,
}

/// A change of a goal; what is not said stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GoalChange {
    /// Whether it is reached.
    completed: Option<bool>,
    /// How much it matters, 10 most.
    #[schema(minimum = 1, maximum = 10)]
    priority: Option<i64>,
}

/// List the goals
///
/// The oldest first; those that are not reached, unless all are asked for.
#[utoipa::path(get, path = "/api/goals", tag = "goals", params(Which), operation_id = "list_goals",
    responses((status = 200, description = "Goals", body = Paged<GoalRow>), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn list(
    State(app): State<App>,
    Asked(which): Asked<Which>,
) -> Result<axum::Json<Paged<GoalRow>>, Problem> {
    let page = page(which.limit, which.cursor)?;
    app.store(move |store| store.goals(which.all, page)).await.map(axum::Json)
}

/// Set a goal
#[utoipa::path(post, path = "/api/goals", tag = "goals", request_body = NewGoal, operation_id = "add_goal",
    responses((status = 201, description = "It is set", body = GoalRow,
            headers(("location" = String, description = "Where it is"))),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn add(State(app): State<App>, Json(new): Json<NewGoal>) -> Result<Response, Problem> {
    let NewGoal { goal, priority, spec } = new;
    let goal = Goal { goal, priority: priority.unwrap_or(5), spec: spec.map(Into::into) };
    let row = app
        .store(move |store| {
            let id = store.add_goal(&goal)?;
            store.goal(id)?.ok_or(StoreError::Missing { what: "goal", which: id.to_string() })
        })
        .await?;
    let place = [(header::LOCATION, format!("/api/goals/{}", row.id))];
    Ok((StatusCode::CREATED, place, axum::Json(row)).into_response())
}

/// Tell of a goal
#[utoipa::path(get, path = "/api/goals/{id}", tag = "goals", operation_id = "get_goal",
    params(("id" = i64, Path, description = "The goal")),
    responses((status = 200, description = "The goal", body = GoalRow), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn get(State(app): State<App>, Name(name): Name) -> Result<axum::Json<GoalRow>, Problem> {
    let number = id("goal", &name)?;
    let row = app.store(move |store| store.goal(number)).await?;
    row.map(axum::Json).ok_or_else(|| Problem::not_found(format!("there is no goal {number}")))
}

/// Change a goal
#[utoipa::path(patch, path = "/api/goals/{id}", tag = "goals", request_body = GoalChange,
    operation_id = "change_goal", params(("id" = i64, Path, description = "The goal")),
    responses((status = 200, description = "What it is now", body = GoalRow), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn change(
    State(app): State<App>,
    Name(name): Name,
    Json(change): Json<GoalChange>,
) -> Result<axum::Json<GoalRow>, Problem> {
    let number = id("goal", &name)?;
    let GoalChange { completed, priority } = change;
    app.store(move |store| store.change_goal(number, completed, priority)).await.map(axum::Json)
}
