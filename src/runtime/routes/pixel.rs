//! Programs of PXL-1: assembled, taken apart, run.

use super::Refused;
use crate::runtime::App;
use crate::runtime::answer::{BatchAnswer, RunAnswer};
use crate::runtime::body::Json;
use crate::runtime::execute::Ran;
use crate::runtime::problem::Problem;
use crate::runtime::queue::Adapter;
use crate::runtime::recorder::{Claim, Entry};
use crate::runtime::request::{
    BatchProgram, BatchRequest, Code, ExecuteRequest, Instruction, Lang, RunRequest, Said,
    Settings, assembled, cartridge, decoded, is_whole,
};
use crate::store::Standing;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gvpie_core::pixel::{Cartridge, MAX_CODE, Program};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A text to assemble.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssembleRequest {
    /// A text of PXL-1.
    #[schema(max_length = 262_144)]
    source: String,
}

/// A program.
#[derive(Debug, Serialize, ToSchema)]
pub struct Assembled {
    /// Instructions of six bytes each.
    program: Code,
    /// What LDB, TXT and SPR read, in base64.
    data: String,
    /// How many instructions there are.
    instructions: usize,
    /// Width and height of its canvas.
    canvas: [u32; 2],
    /// Where its random numbers begin.
    seed: u32,
    /// `strict` or `total`.
    mode: String,
    /// The hash of program, data and what belongs to them, as a cartridge has it.
    sha256: String,
    /// What it says of itself.
    #[schema(value_type = Object)]
    meta: serde_json::Value,
}

/// Assemble a text
#[utoipa::path(post, path = "/api/pixel/assemble", tag = "pixel", request_body = AssembleRequest, responses(
    (status = 200, description = "The program", body = Assembled),
    (status = "4XX", response = Refused),
))]
pub async fn assemble(
    Json(request): Json<AssembleRequest>,
) -> Result<axum::Json<Assembled>, Problem> {
    let program = assembled(&request.source)?;
    let meta = program.meta.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    let cartridge = Cartridge::new(program.clone());
    Ok(axum::Json(Assembled {
        data: STANDARD.encode(&program.data),
        instructions: program.code.len(),
        canvas: program.canvas,
        seed: program.seed,
        mode: program.mode.to_string(),
        sha256: cartridge.hash(),
        meta: serde_json::Value::Object(meta.collect()),
        program: program.code.into_iter().map(Instruction).collect(),
    }))
}

/// A program to take apart: one of these.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DisassembleRequest {
    /// Instructions of six bytes each.
    program: Option<Code>,
    /// What the program reads, in base64.
    data: Option<String>,
    /// A cartridge, in base64.
    cartridge: Option<String>,
}

/// A text.
#[derive(Debug, Serialize, ToSchema)]
pub struct Disassembled {
    /// A text that assembles to the same program.
    source: String,
}

/// Write a program as a text
#[utoipa::path(post, path = "/api/pixel/disassemble", tag = "pixel", request_body = DisassembleRequest,
    responses(
        (status = 200, description = "The text", body = Disassembled),
        (status = "4XX", response = Refused),
    ))]
pub async fn disassemble(
    Json(request): Json<DisassembleRequest>,
) -> Result<axum::Json<Disassembled>, Problem> {
    let program = match (request.program, request.cartridge) {
        (Some(code), None) => Said::code(checked(code)?, data(request.data)?).program,
        (None, Some(text)) => cartridge("cartridge", &decoded("cartridge", &text)?)?.program,
        _ => return Err(Problem::refused("expected one of 'program' and 'cartridge'")),
    };
    program.check()?;
    Ok(axum::Json(Disassembled { source: gvpie_core::pixel::disassemble(&program) }))
}

fn data(text: Option<String>) -> Result<Vec<u8>, Problem> {
    text.map_or(Ok(Vec::new()), |text| decoded("data", &text))
}

/// Instructions, not more of them than a program may have.
fn checked(code: Code) -> Result<Code, Problem> {
    match code.len() > MAX_CODE {
        true => {
            Err(Problem::value("program", format!("{MAX_CODE} instructions at most"), code.len()))
        }
        false => Ok(code),
    }
}

/// The cartridge that a text names or is.
pub(super) async fn named(app: &App, field: &str, text: String) -> Result<Said, Problem> {
    if is_whole(&text) {
        let cartridge = cartridge(field, &decoded(field, &text)?)?;
        let code = format!("cartridge {}", cartridge.hash());
        return Ok(Said::cartridge(cartridge, code));
    }
    let (path, bytes) = super::cartridges::read(app, text).await?;
    Ok(Said { path: Some(path.clone()), ..Said::cartridge(cartridge(field, &bytes)?, path) })
}

/// Takes the run's name, unless it is taken.
async fn claim(app: &App, entry: Entry) -> Result<Claim, Problem> {
    let known = match entry.uuid().map(str::to_string) {
        Some(uuid) => app.store(move |store| store.standing(&uuid)).await?,
        None => Standing::Unknown,
    };
    app.recorder.claim(entry, known)
}

/// Runs and records: what came of it, on canvases of which size, and the run's name.
async fn recorded(
    app: &App,
    task: &'static str,
    code: String,
    cartridge: Option<String>,
    said: Vec<Said>,
    settings: &Settings,
) -> Result<(Ran, [u32; 2], String), Problem> {
    let work = settings.work(said)?;
    let canvas = work.programs.first().map_or([0, 0], |program: &Program| program.canvas);
    let claim = claim(app, Entry::new(task, code, settings, cartridge, canvas)?).await?;
    let mut ran = app.queue.run(work, settings.backend.into()).await?;
    let uuid = claim.uuid().to_string();
    let notice = app.recorder.record(claim, &ran, app.cycle(), settings.durable).await?;
    ran.notice = ran.notice.or(notice);
    Ok((ran, canvas, uuid))
}

/// Runs, records, and answers.
pub(super) async fn answer(
    app: &App,
    said: Said,
    settings: Settings,
) -> Result<axum::Json<RunAnswer>, Problem> {
    let (code, cartridge) = (said.code.clone(), said.path.clone());
    let (ran, canvas, uuid) = recorded(app, "run", code, cartridge, vec![said], &settings).await?;
    RunAnswer::new(ran, canvas, settings.canvas, uuid).map(axum::Json)
}

/// Run a program
///
/// One of `source`, `program` and `cartridge` says what to run. A fault is no error of the request: the
/// answer then has `success` false and says which.
#[utoipa::path(post, path = "/api/pixel/run", tag = "pixel", request_body = RunRequest, responses(
    (status = 200, description = "It was run", body = RunAnswer),
    (status = "4XX", response = Refused),
    (status = 503, response = Refused),
))]
pub async fn run(
    State(app): State<App>,
    Json(request): Json<RunRequest>,
) -> Result<axum::Json<RunAnswer>, Problem> {
    let settings = request.settings();
    let said = match (request.source, request.program, request.cartridge) {
        (Some(text), None, None) => Said::source(&text)?,
        (None, Some(code), None) => Said::code(checked(code)?, data(request.data)?),
        (None, None, Some(name)) => named(&app, "cartridge", name).await?,
        _ => return Err(Problem::refused("expected one of 'source', 'program' and 'cartridge'")),
    };
    answer(&app, said, settings).await
}

/// Run what a script is
#[utoipa::path(post, path = "/api/execute", tag = "pixel", request_body = ExecuteRequest, responses(
    (status = 200, description = "It was run", body = RunAnswer),
    (status = "4XX", response = Refused),
    (status = 503, response = Refused),
))]
pub async fn execute(
    State(app): State<App>,
    Json(request): Json<ExecuteRequest>,
) -> Result<axum::Json<RunAnswer>, Problem> {
    let settings = request.settings().of_script();
    let (Some(lang), Some(code)) = (request.lang, request.code) else {
        return Err(Problem::refused("expected 'lang' and 'code'"));
    };
    let said = match lang {
        Lang::Pixel => Said::source(&code)?,
        Lang::Cartridge => named(&app, "code", code).await?,
    };
    answer(&app, said, settings).await
}

/// Run many programs side by side
///
/// Up to 65,536 programs, or one of so many lanes. It is one run in the store.
#[utoipa::path(post, path = "/api/pixel/batch", tag = "pixel", request_body = BatchRequest, responses(
    (status = 200, description = "They were run", body = BatchAnswer),
    (status = "4XX", response = Refused),
    (status = 503, response = Refused),
))]
pub async fn batch(
    State(app): State<App>,
    Json(request): Json<BatchRequest, 64>,
) -> Result<axum::Json<BatchAnswer>, Problem> {
    let mut settings = request.settings();
    // Canvases of so many are sent only where they are asked for.
    settings.canvas = request.canvas.unwrap_or(crate::runtime::CanvasKind::None);
    let said = match (request.programs, request.source, request.program) {
        (Some(programs), None, None) if !programs.is_empty() => programs
            .into_iter()
            .enumerate()
            .map(|(at, program)| {
                match program {
                    BatchProgram::Source(text) => Said::source(&text),
                    BatchProgram::Code(code) => {
                        checked(code).map(|code| Said::code(code, Vec::new()))
                    }
                }
                .map_err(|problem| problem.of(&format!("programs[{at}]")))
            })
            .collect::<Result<Vec<Said>, Problem>>()?,
        (None, Some(text), None) => vec![Said::source(&text)?],
        (None, None, Some(code)) => vec![Said::code(checked(code)?, Vec::new())],
        _ => return Err(Problem::refused("expected one of 'programs', 'source' and 'program'")),
    };
    let code = match &said[..] {
        [one] => one.code.clone(),
        several => several.iter().map(|said| said.code.as_str()).collect::<Vec<_>>().join("\n\n"),
    };
    let (ran, canvas, uuid) = recorded(&app, "batch", code, None, said, &settings).await?;
    BatchAnswer::new(ran, canvas, settings.canvas, uuid).map(axum::Json)
}

/// A back end.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackendAnswer {
    /// `cpu` or `gpu`.
    name: String,
    /// Whether runs may take place there.
    available: bool,
    /// The adapter's name.
    adapter: Option<String>,
    /// Why it is not available.
    reason: Option<String>,
}

/// The back ends.
#[derive(Debug, Serialize, ToSchema)]
pub struct Backends {
    /// Each of them.
    backends: Vec<BackendAnswer>,
    /// Where runs take place that say nothing: `auto`, `gpu` or `cpu`.
    default: String,
}

/// List the back ends
#[utoipa::path(get, path = "/api/pixel/backends", tag = "pixel", responses(
    (status = 200, description = "The back ends", body = Backends),
    (status = "4XX", response = Refused),
))]
pub async fn backends(State(app): State<App>) -> axum::Json<Backends> {
    let (available, adapter, reason) = match app.queue.known().await {
        Adapter::Ready(name, _) => (true, Some(name), None),
        Adapter::None(reason) => (false, None, Some(reason)),
        Adapter::Opening => (false, None, Some("it is being opened".into())),
    };
    let cpu = BackendAnswer { name: "cpu".into(), available: true, adapter: None, reason: None };
    let gpu = BackendAnswer { name: "gpu".into(), available, adapter, reason };
    axum::Json(Backends { backends: vec![cpu, gpu], default: super::status::default(&app).into() })
}
