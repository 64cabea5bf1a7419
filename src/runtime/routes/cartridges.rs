//! Cartridges: programs that are kept, as pictures.

use super::lists::Part;
use super::{Refused, pixel};
use crate::program;
use crate::runtime::App;
use crate::runtime::answer::RunAnswer;
use crate::runtime::body::{Asked, Json, Name};
use crate::runtime::problem::Problem;
use crate::runtime::request::{CartridgeRun, assembled, cartridge, decoded};
use crate::store::{CartridgeRow, Paged, StoreError};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use gvpie_core::pixel::Cartridge;
use gvpie_core::pixel::cartridge::{MAX_SOURCE, art};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

/// A cartridge to keep: a text or a whole one, and what to say of it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewCartridge {
    /// Its name in addresses, which no other has: a-z 0-9 -; made of its name unless said.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9][a-z0-9-]*$")]
    slug: Option<String>,
    /// Its name among people.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Who has made it.
    #[schema(max_length = 200)]
    author: Option<String>,
    /// What it is about.
    #[schema(max_items = 20)]
    tags: Option<Vec<String>>,
    /// A text of PXL-1.
    #[schema(max_length = 262_144)]
    source: Option<String>,
    /// A whole cartridge, in base64.
    image: Option<String>,
    /// The cartridge that it was made from.
    parent_id: Option<i64>,
}

/// A change of a cartridge; what is not said stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CartridgeChange {
    /// Its name among people.
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Who has made it.
    #[schema(max_length = 200)]
    author: Option<String>,
    /// What it is about.
    #[schema(max_items = 20)]
    tags: Option<Vec<String>>,
    /// A text of PXL-1.
    #[schema(max_length = 262_144)]
    source: Option<String>,
    /// A whole cartridge, in base64.
    image: Option<String>,
}

/// A cartridge, and what is on it.
#[derive(Debug, Serialize, ToSchema)]
pub struct CartridgeAnswer {
    #[serde(flatten)]
    row: CartridgeRow,
    /// The text that it was made from, or one that assembles to the same program.
    source: String,
    /// How many instructions there are.
    instructions: usize,
}

/// What a cartridge shall say of itself.
struct Words {
    name: Option<String>,
    author: Option<String>,
    tags: Option<Vec<String>>,
}

/// Characters of a name, and of a tag; tags at most.
const MOST_NAME: usize = 200;
const MOST_TAGS: usize = 20;

impl Words {
    fn check(&self) -> Result<(), Problem> {
        let tags = self.tags.as_deref().unwrap_or_default();
        if tags.len() > MOST_TAGS {
            return Err(Problem::value("tags", format!("{MOST_TAGS} at most"), tags.len()));
        }
        let named = [("name", &self.name), ("author", &self.author)].into_iter();
        let named = named.filter_map(|(field, text)| Some((field, text.as_ref()?)));
        for (field, text) in named.chain(tags.iter().map(|tag| ("tags", tag))) {
            let length = text.chars().count();
            if length > MOST_NAME {
                let expected = format!("{MOST_NAME} characters at most");
                return Err(Problem::value(field, expected, length));
            }
        }
        Ok(())
    }
}

/// The file of a cartridge with these words, made of a text, of a whole one, or of the one before.
async fn made(
    words: Words,
    source: Option<String>,
    image: Option<String>,
    before: Option<Cartridge>,
) -> Result<Vec<u8>, Problem> {
    words.check()?;
    let (mut kept, labelled) = match (source, image, before) {
        (Some(text), None, before) => {
            let program = assembled(&text)?;
            let mut kept = Cartridge::new(program);
            if let Some(before) = before {
                kept.meta = before.meta;
            }
            kept.source = (text.len() <= MAX_SOURCE).then_some(text);
            (kept, false)
        }
        (None, Some(text), _) => (cartridge("image", &decoded("image", &text)?)?, true),
        (None, None, Some(before)) => (before, true),
        _ => return Err(Problem::refused("expected one of 'source' and 'image'")),
    };
    let Words { name, author, tags } = words;
    kept.meta.name = name.unwrap_or(kept.meta.name);
    kept.meta.author = author.unwrap_or(kept.meta.author);
    kept.meta.tags = tags.unwrap_or(kept.meta.tags);
    let finished = tokio::task::spawn_blocking(move || -> Result<Vec<u8>, Problem> {
        if !labelled {
            // What it draws in two seconds; of one that draws nothing, its name.
            let size = kept.program.canvas.map(|extent| extent as usize);
            match program::picture(&kept.program)? {
                Some(canvas) => kept.label = art(size, &canvas),
                None => {
                    kept.label = gvpie_core::pixel::cartridge::title(&kept.meta.name, &kept.program)
                }
            }
        }
        kept.encode().map_err(|error| Problem::value("cartridge", "one that can be kept", error))
    });
    finished.await.map_err(|error| Problem::defect(format!("the label: {error}")))?
}

/// List the cartridges
///
/// The oldest first.
#[utoipa::path(get, path = "/api/cartridges", tag = "cartridges", params(Part), operation_id = "list_cartridges",
    responses((status = 200, description = "Cartridges", body = Paged<CartridgeRow>),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn list(
    State(app): State<App>,
    Asked(part): Asked<Part>,
) -> Result<axum::Json<Paged<CartridgeRow>>, Problem> {
    let page = part.page()?;
    app.store(move |store| store.cartridges(page)).await.map(axum::Json)
}

/// Keep a cartridge
#[utoipa::path(post, path = "/api/cartridges", tag = "cartridges", request_body = NewCartridge,
    operation_id = "add_cartridge",
    responses((status = 201, description = "It is kept", body = CartridgeRow,
            headers(("location" = String, description = "Where it is"))),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn add(
    State(app): State<App>,
    Json(new): Json<NewCartridge, 2>,
) -> Result<Response, Problem> {
    let NewCartridge { slug, name, author, tags, source, image, parent_id } = new;
    let file = made(Words { name, author, tags }, source, image, None).await?;
    let row =
        app.store(move |store| store.add_cartridge(&file, slug.as_deref(), parent_id)).await?;
    app.events.tell("cartridge", json!({ "id": row.id, "slug": row.slug, "change": "added" }));
    let place = [(header::LOCATION, format!("/api/cartridges/{}", row.id))];
    Ok((StatusCode::CREATED, place, axum::Json(row)).into_response())
}

/// A cartridge's row and file.
async fn found(app: &App, name: String) -> Result<(CartridgeRow, Vec<u8>), Problem> {
    app.store(move |store| {
        let missing = || StoreError::Missing { what: "cartridge", which: name.clone() };
        let row = store.cartridge(&name)?.ok_or_else(missing)?;
        let file = store.cartridge_file(&row)?;
        Ok((row, file))
    })
    .await
}

/// The path and the file of a cartridge that is named by its id, slug or path.
///
/// # Errors
/// [`Problem::not_found`]; [`Problem::refused`] where its file is not what was kept.
pub async fn read(app: &App, name: String) -> Result<(String, Vec<u8>), Problem> {
    found(app, name).await.map(|(row, file)| (row.path, file))
}

/// Tell of a cartridge
#[utoipa::path(get, path = "/api/cartridges/{id}", tag = "cartridges", operation_id = "get_cartridge",
    params(("id" = String, Path, description = "Its row or its slug")),
    responses((status = 200, description = "The cartridge", body = CartridgeAnswer),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn get(
    State(app): State<App>,
    Name(name): Name,
) -> Result<axum::Json<CartridgeAnswer>, Problem> {
    let (row, file) = found(&app, name).await?;
    let kept = cartridge("cartridge", &file)?;
    let instructions = kept.program.code.len();
    let source = kept.source.unwrap_or_else(|| gvpie_core::pixel::disassemble(&kept.program));
    Ok(axum::Json(CartridgeAnswer { row, source, instructions }))
}

/// Change a cartridge
///
/// Its slug stays, and scripts that run it run what it is then.
#[utoipa::path(put, path = "/api/cartridges/{id}", tag = "cartridges", request_body = CartridgeChange,
    operation_id = "change_cartridge", params(("id" = String, Path, description = "Its row or its slug")),
    responses((status = 200, description = "What it is now", body = CartridgeRow),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn change(
    State(app): State<App>,
    Name(name): Name,
    Json(change): Json<CartridgeChange, 2>,
) -> Result<axum::Json<CartridgeRow>, Problem> {
    let (row, file) = found(&app, name).await?;
    let CartridgeChange { name, author, tags, source, image } = change;
    let before = cartridge("cartridge", &file)?;
    let file = made(Words { name, author, tags }, source, image, Some(before)).await?;
    let row = app.store(move |store| store.change_cartridge(row.id, &file)).await?;
    app.events.tell("cartridge", json!({ "id": row.id, "slug": row.slug, "change": "changed" }));
    Ok(axum::Json(row))
}

/// Take a cartridge out of the list
///
/// Its file stays for runs and rows of the map that name it.
#[utoipa::path(delete, path = "/api/cartridges/{id}", tag = "cartridges", operation_id = "remove_cartridge",
    params(("id" = String, Path, description = "Its row or its slug")),
    responses((status = 204, description = "It is out"), (status = "4XX", response = Refused),
        (status = 503, response = Refused)))]
pub async fn remove(State(app): State<App>, Name(name): Name) -> Result<StatusCode, Problem> {
    let row = app
        .store(move |store| {
            let missing = || StoreError::Missing { what: "cartridge", which: name.clone() };
            let row = store.cartridge(&name)?.ok_or_else(missing)?;
            store.remove_cartridge(row.id)?;
            Ok(row)
        })
        .await?;
    app.events.tell("cartridge", json!({ "id": row.id, "slug": row.slug, "change": "removed" }));
    Ok(StatusCode::NO_CONTENT)
}

/// Show a cartridge: its own file, which is a picture
#[utoipa::path(get, path = "/api/cartridges/{id}/image.png", tag = "cartridges", operation_id = "cartridge_image",
    params(("id" = String, Path, description = "Its row or its slug")),
    responses((status = 200, description = "The file", content_type = "image/png", body = Vec<u8>),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn image(State(app): State<App>, Name(name): Name) -> Result<Response, Problem> {
    let (_, file) = found(&app, name).await?;
    Ok(([(header::CONTENT_TYPE, "image/png")], file).into_response())
}

/// Run a cartridge
#[utoipa::path(post, path = "/api/cartridges/{id}/run", tag = "cartridges", request_body = CartridgeRun,
    operation_id = "run_cartridge", params(("id" = String, Path, description = "Its row or its slug")),
    responses((status = 200, description = "It was run", body = RunAnswer),
        (status = "4XX", response = Refused), (status = 503, response = Refused)))]
pub async fn run(
    State(app): State<App>,
    Name(name): Name,
    Json(request): Json<CartridgeRun>,
) -> Result<axum::Json<RunAnswer>, Problem> {
    let said = pixel::named(&app, "cartridge", name).await?;
    pixel::answer(&app, said, request.settings()).await
}
