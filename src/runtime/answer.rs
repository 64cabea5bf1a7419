//! What came of a run, as it is answered.

use super::execute::Ran;
use super::problem::Problem;
use super::request::CanvasKind;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;

/// Pixels, in the way that was asked for.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CanvasData {
    /// A number a pixel, red lowest.
    Array(Vec<u32>),
    /// Bytes, in base64.
    Base64(String),
}

/// What came of a run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunAnswer {
    /// Whether nothing stopped it.
    pub success: bool,
    /// Instructions that were run, of all lanes.
    pub cycles_executed: u64,
    /// The next instruction of the first lane, or of the first that was stopped.
    pub instruction_pointer: u32,
    /// The canvas; with several lanes, one below the other. Null where none was asked for.
    pub canvas_data: Option<CanvasData>,
    /// Width and height of a lane's canvas in pixels.
    pub canvas: [u32; 2],
    /// Milliseconds that the run took, its wait in the queue left out.
    pub execution_time_ms: f64,
    /// Where it ran: `gpu` or `cpu`.
    pub backend_used: String,
    /// How it ran: `host`, `group` or `lane`.
    pub algorithm: String,
    /// What stopped it.
    pub error: Option<String>,
    /// Why it does not go on.
    pub status: String,
    /// Instructions and drawing that were paid for, of all lanes.
    pub fuel: u64,
    /// What the first lane has written.
    pub stdout: String,
    /// SHA-256 of all pixels, four bytes each, red first.
    pub canvas_sha256: String,
    /// The run's name in the store.
    pub run_uuid: String,
    /// What there is to say of where it ran, or of how it is recorded.
    pub notice: Option<String>,
}

/// What came of one of several programs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LaneAnswer {
    /// Whether nothing stopped it.
    success: bool,
    /// Instructions that were run.
    cycles_executed: u32,
    /// The next instruction.
    instruction_pointer: u32,
    /// Why it does not go on.
    status: String,
    /// What stopped it.
    error: Option<String>,
    /// Instructions and drawing that were paid for.
    fuel: u32,
    /// SHA-256 of its pixels.
    canvas_sha256: String,
    /// Its canvas, where one was asked for.
    canvas_data: Option<CanvasData>,
}

/// What came of several programs.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BatchAnswer {
    /// One a machine: each program's lanes, program by program.
    runs: Vec<LaneAnswer>,
    /// Milliseconds that all of them took.
    execution_time_ms: f64,
    /// Where they ran: `gpu` or `cpu`.
    backend_used: String,
    /// How they ran: `host`, `group` or `lane`.
    algorithm: String,
    /// The run's name in the store.
    run_uuid: String,
    /// What there is to say of where they ran, or of how it is recorded.
    notice: Option<String>,
}

/// Pixels of so many across in the way that was asked for.
fn data(kind: CanvasKind, width: u32, pixels: Vec<u32>) -> Result<Option<CanvasData>, Problem> {
    Ok(match kind {
        CanvasKind::None => None,
        CanvasKind::Array => Some(CanvasData::Array(pixels)),
        CanvasKind::Base64 => {
            Some(CanvasData::Base64(STANDARD.encode(bytemuck::cast_slice::<u32, u8>(&pixels))))
        }
        CanvasKind::Png => Some(CanvasData::Base64(STANDARD.encode(picture(width, &pixels)?))),
    })
}

/// Pixels of so many across as a PNG.
///
/// # Errors
/// [`Problem::defect`]; there is no reason for one.
pub fn picture(width: u32, pixels: &[u32]) -> Result<Vec<u8>, Problem> {
    let mut file = Vec::new();
    let height = (pixels.len() / width.max(1) as usize) as u32;
    let written = crate::png::write(&mut file, width, height, |draw| draw(pixels));
    written.map_err(|error: std::io::Error| Problem::defect(format!("the picture: {error}")))?;
    Ok(file)
}

impl RunAnswer {
    /// Of a run of this name, of canvases of this size.
    ///
    /// # Errors
    /// [`Problem::defect`]; there is no reason for one.
    pub fn new(
        ran: Ran,
        canvas: [u32; 2],
        kind: CanvasKind,
        uuid: String,
    ) -> Result<Self, Problem> {
        let told = ran.told();
        let (ip, status) = told.map_or((0, String::new()), |m| (m.ip, m.status.to_string()));
        let error = told.and_then(|machine| machine.fault.clone());
        let (backend, algorithm) = (ran.backend().to_string(), ran.algorithm.to_string());
        let all = |count: fn(&super::execute::Machine) -> u32| {
            ran.machines.iter().map(|machine| u64::from(count(machine))).sum()
        };
        let (cycles, fuel) = (all(|machine| machine.cycles), all(|machine| machine.fuel));
        let mut machines = ran.machines;
        let pixels = match &mut machines[..] {
            [one] => std::mem::take(&mut one.canvas),
            several => several.iter().flat_map(|machine| machine.canvas.iter().copied()).collect(),
        };
        Ok(RunAnswer {
            success: error.is_none(),
            cycles_executed: cycles,
            instruction_pointer: ip,
            canvas_data: data(kind, canvas[0], pixels)?,
            canvas,
            execution_time_ms: ran.time.as_secs_f64() * 1e3,
            backend_used: backend,
            algorithm,
            error,
            status,
            fuel,
            stdout: String::from_utf8_lossy(&ran.stdout).into_owned(),
            canvas_sha256: ran.canvas_sha256,
            run_uuid: uuid,
            notice: ran.notice,
        })
    }
}

impl BatchAnswer {
    /// Of a run of this name, of canvases of this size.
    ///
    /// # Errors
    /// [`Problem::defect`]; there is no reason for one.
    pub fn new(
        ran: Ran,
        canvas: [u32; 2],
        kind: CanvasKind,
        uuid: String,
    ) -> Result<Self, Problem> {
        let (backend, algorithm) = (ran.backend().to_string(), ran.algorithm.to_string());
        let lane = |machine: super::execute::Machine| {
            Ok(LaneAnswer {
                success: machine.fault.is_none(),
                cycles_executed: machine.cycles,
                instruction_pointer: machine.ip,
                status: machine.status.to_string(),
                error: machine.fault,
                fuel: machine.fuel,
                canvas_sha256: machine.canvas_sha256,
                canvas_data: data(kind, canvas[0], machine.canvas)?,
            })
        };
        Ok(BatchAnswer {
            runs: ran.machines.into_iter().map(lane).collect::<Result<_, Problem>>()?,
            execution_time_ms: ran.time.as_secs_f64() * 1e3,
            backend_used: backend,
            algorithm,
            run_uuid: uuid,
            notice: ran.notice,
        })
    }
}
