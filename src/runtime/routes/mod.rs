//! The routes, and their description.

mod cartridges;
mod goals;
mod lists;
mod map;
mod pixel;
mod runs;
mod scripts;
mod status;

use super::App;
use super::problem::Problem;
use axum::Router;
use axum::http::header;
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa::{OpenApi as _, ToResponse};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The request is refused.
#[derive(ToResponse)]
#[response(
    description = "The request is refused, and why",
    content_type = "application/problem+json"
)]
#[allow(dead_code)] // it describes, and is never made
pub struct Refused(#[allow(dead_code)] Problem);

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "gvpie",
        description = "Runs programs of PXL-1 on any GPU or on the CPU, and remembers what came of it."
    ),
    components(responses(Refused), schemas(Problem)),
    tags(
        (name = "status", description = "How the server is"),
        (name = "pixel", description = "Programs of PXL-1: assembled, run, many at once"),
        (name = "cartridges", description = "Programs that are kept"),
        (name = "scripts", description = "What the daemon runs, again and again"),
        (name = "goals", description = "What is to be reached"),
        (name = "runs", description = "What was run"),
        (name = "map", description = "What was done, for ever"),
        (name = "events", description = "What happens"),
    )
)]
struct Described;

/// All routes that are described, and their description.
pub fn all() -> (Router<App>, OpenApi) {
    OpenApiRouter::with_openapi(Described::openapi())
        .routes(routes!(status::health))
        .routes(routes!(status::status))
        .routes(routes!(status::metrics))
        .routes(routes!(pixel::assemble))
        .routes(routes!(pixel::disassemble))
        .routes(routes!(pixel::run))
        .routes(routes!(pixel::batch))
        .routes(routes!(pixel::backends))
        .routes(routes!(pixel::execute))
        .routes(routes!(super::events::listen, super::events::tell))
        .routes(routes!(cartridges::list, cartridges::add))
        .routes(routes!(cartridges::get, cartridges::change, cartridges::remove))
        .routes(routes!(cartridges::image))
        .routes(routes!(cartridges::run))
        .routes(routes!(scripts::list, scripts::add))
        .routes(routes!(scripts::get, scripts::change))
        .routes(routes!(scripts::run))
        .routes(routes!(scripts::canvas))
        .routes(routes!(goals::list, goals::add))
        .routes(routes!(goals::get, goals::change))
        .routes(routes!(runs::list))
        .routes(routes!(runs::get))
        .routes(routes!(runs::canvas))
        .routes(routes!(map::list))
        .routes(routes!(map::verify))
        .routes(routes!(map::region))
        .routes(routes!(map::get))
        .routes(routes!(map::lineage))
        .split_for_parts()
}

/// Where the description is.
pub fn served(description: &OpenApi) -> Router<App> {
    let text = description.to_json().unwrap_or_default();
    let json = [(header::CONTENT_TYPE, "application/json")];
    Router::new().route("/api/openapi.json", get(move || async move { (json, text.clone()) }))
}
