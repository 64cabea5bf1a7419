//! Scripts: what the daemon runs.

use super::lists::{Part, id};
use super::{Refused, pixel, runs};
use crate::runtime::App;
use crate::runtime::answer::RunAnswer;
use crate::runtime::body::{Asked, Json, Name};
use crate::runtime::problem::Problem;
use crate::runtime::request::{ExecuteRequest, Lang, Said, assembled};
use crate::store::{
    Change, Due, Finished, Language, Outcome, Paged, Script, ScriptRow, StoreError,
};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use utoipa::ToSchema;

/// A script to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewScript {
    /// Its name, which no other has.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    /// What it is written in.
    lang: Language,
    /// Its text; of a cartridge, its path, slug or id.
    #[schema(min_length = 1, max_length = 262_144)]
    code: String,
    /// What it is for.
    purpose: Option<String>,
    /// Seconds from one run to the next; every cycle unless said.
    #[schema(exclusive_minimum = 0.0)]
    interval_s: Option<f64>,
    /// The goal that it serves.
    goal_id: Option<i64>,
}

/// A change of a script; what is not said stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScriptChange {
    /// Whether it is run.
    enabled: Option<bool>,
    /// What it is for; null for nothing.
    #[serde(deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    purpose: Option<Option<String>>,
    /// Seconds from one run to the next; null for every cycle.
    #[serde(deserialize_with = "said")]
    #[schema(value_type = Option<f64>, exclusive_minimum = 0.0)]
    interval_s: Option<Option<f64>>,
    /// Its text.
    #[schema(min_length = 1, max_length = 262_144)]
    code: Option<String>,
}

/// What is there, null or not, is said.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// List the scripts
///
/// The oldest first, each with what came of its last run.
#[utoipa::path(get, path = "/api/scripts", tag = "scripts", params(Part), operation_id = "list_scripts",
    responses((status = 200, description = "Scripts", body = Paged<ScriptRow>), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn list(
    State(app): State<App>,
    Asked(part): Asked<Part>,
) -> Result<axum::Json<Paged<ScriptRow>>, Problem> {
    let page = part.page()?;
    app.store(move |store| store.scripts(page)).await.map(axum::Json)
}

/// What no row can be: a text that does not assemble, a cartridge that is not there.
async fn check(app: &App, language: Language, code: &str) -> Result<(), Problem> {
    match language {
        Language::Pixel => assembled(code).map(drop),
        Language::Cartridge => pixel::named(app, "code", code.into()).await.map(drop),
        Language::Python => Ok(()),
    }
}

/// Add a script
#[utoipa::path(post, path = "/api/scripts", tag = "scripts", request_body = NewScript,
    operation_id = "add_script",
    responses((status = 201, description = "It is added", body = ScriptRow,
            headers(("location" = String, description = "Where it is"))),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn add(State(app): State<App>, Json(new): Json<NewScript>) -> Result<Response, Problem> {
    let mut script = Script::new(&new.name, new.lang, &new.code);
    script.purpose = new.purpose;
    script.interval = new.interval_s;
    script.goal = new.goal_id;
    check(&app, new.lang, &new.code).await?;
    let row = app
        .store(move |store| {
            let id = store.add_script(&script)?;
            store.script_row(id)?.ok_or(StoreError::Missing { what: "script", which: script.name })
        })
        .await?;
    app.events.tell("script", json!({ "id": row.id, "name": row.name, "change": "added" }));
    let place = [(header::LOCATION, format!("/api/scripts/{}", row.id))];
    Ok((StatusCode::CREATED, place, axum::Json(row)).into_response())
}

async fn found(app: &App, name: &str) -> Result<ScriptRow, Problem> {
    let number = id("script", name)?;
    let row = app.store(move |store| store.script_row(number)).await?;
    row.ok_or_else(|| Problem::not_found(format!("there is no script {number}")))
}

/// Tell of a script
#[utoipa::path(get, path = "/api/scripts/{id}", tag = "scripts", operation_id = "get_script",
    params(("id" = i64, Path, description = "The script")),
    responses((status = 200, description = "The script", body = ScriptRow), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn get(
    State(app): State<App>,
    Name(name): Name,
) -> Result<axum::Json<ScriptRow>, Problem> {
    found(&app, &name).await.map(axum::Json)
}

/// Change a script
#[utoipa::path(patch, path = "/api/scripts/{id}", tag = "scripts", request_body = ScriptChange,
    operation_id = "change_script", params(("id" = i64, Path, description = "The script")),
    responses((status = 200, description = "What it is now", body = ScriptRow), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn change(
    State(app): State<App>,
    Name(name): Name,
    Json(change): Json<ScriptChange>,
) -> Result<axum::Json<ScriptRow>, Problem> {
    let row = found(&app, &name).await?;
    if let Some(code) = &change.code {
        check(&app, row.lang, code).await?;
    }
    let ScriptChange { enabled, purpose, interval_s, code } = change;
    let change = Change { enabled, purpose, interval: interval_s, code };
    let row = app.store(move |store| store.change_script(row.id, &change)).await?;
    app.events.tell("script", json!({ "id": row.id, "name": row.name, "change": "changed" }));
    Ok(axum::Json(row))
}

/// Run a script now
///
/// It is recorded as a run of the script, and on the disk when this is answered.
#[utoipa::path(post, path = "/api/scripts/{id}/run", tag = "scripts", operation_id = "run_script",
    params(("id" = i64, Path, description = "The script")),
    responses((status = 200, description = "It was run", body = RunAnswer), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn run(
    State(app): State<App>,
    Name(name): Name,
) -> Result<axum::Json<RunAnswer>, Problem> {
    let row = found(&app, &name).await?;
    let due = Due::from(&row);
    let (said, lang) = match row.lang {
        Language::Pixel => (Said::source(&row.code)?, Lang::Pixel),
        Language::Cartridge => {
            (pixel::named(&app, "code", row.code.clone()).await?, Lang::Cartridge)
        }
        Language::Python => {
            return Err(Problem::refused(
                "python is run by a daemon that allows it, not from here",
            ));
        }
    };
    let request = ExecuteRequest { lang: Some(lang), ..ExecuteRequest::default() };
    let settings = request.settings().of_script();
    let work = settings.work(vec![said])?;
    let canvas = work.programs.first().map_or([0, 0], |program| program.canvas);
    let ran = app.queue.run(work, settings.backend.into()).await?;
    let outcome = Outcome { canvas: Some(canvas), ..ran.outcome() };
    let pixels = ran.machines.first().map_or(Vec::new(), |machine| machine.canvas.clone());
    let cycle = app.cycle();
    let uuid = app
        .store(move |store| {
            store.keep(bytemuck::cast_slice(&pixels))?;
            let finished = Finished::of(due, cycle, outcome);
            store.record_run(&finished)?;
            Ok(finished.uuid)
        })
        .await?;
    let answer = RunAnswer::new(ran, canvas, settings.canvas, uuid)?;
    app.events.tell(
        "run",
        json!({
            "run_uuid": answer.run_uuid,
            "script": row.name,
            "status": if answer.success { "ok" } else { "failed" },
            "backend": answer.backend_used,
            "duration_ms": answer.execution_time_ms as u64,
            "cycles": answer.cycles_executed,
        }),
    );
    Ok(axum::Json(answer))
}

/// Show a script's last canvas
#[utoipa::path(get, path = "/api/scripts/{id}/canvas.png", tag = "scripts", operation_id = "script_canvas",
    params(("id" = i64, Path, description = "The script")),
    responses((status = 200, description = "The picture", content_type = "image/png", body = Vec<u8>),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn canvas(State(app): State<App>, Name(name): Name) -> Result<Response, Problem> {
    let row = found(&app, &name).await?;
    let last = row.last.and_then(|last| Some((last.canvas?, last.canvas_sha256?)));
    runs::picture(&app, last).await
}
