//! What programs are asked to run, and with what: the bodies of requests, checked.

use super::execute::Work;
use super::problem::Problem;
use super::queue::Place;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gvpie_core::pixel::cartridge::MAX_FILE;
use gvpie_core::pixel::{Cartridge, Inputs, Mode, Program, assemble};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Type};

/// Pixels of a canvas at most, each way.
pub const MOST_SIDE: u32 = 512;
/// Cycles of a run at most.
pub const MOST_CYCLES: u32 = 100_000_000;
/// Cycles of a run that says nothing of them.
pub const CYCLES: u32 = 1024;
/// The same of a script.
pub const SCRIPT_CYCLES: u32 = 1_000_000;
/// Machines of a run at most.
pub const MOST_LANES: usize = 65_536;
/// Characters that a program is given to read at most.
const MOST_TEXT: usize = 65_536;
/// Frames of a run at most.
const MOST_FRAMES: u32 = 1000;
/// Pixels of all canvases together at most: 1 GiB.
const MOST_PIXELS: usize = 1 << 28;
/// The same where the canvases are part of the answer: 64 MiB.
const MOST_ANSWERED: usize = 1 << 24;
/// Width and height of a canvas of which nobody says anything.
const SIDE: u32 = 64;

/// Where to run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendName {
    /// Where it suits.
    #[default]
    Auto,
    /// On the GPU.
    Gpu,
    /// On the host.
    Cpu,
}

impl<'de> Deserialize<'de> for BackendName {
    /// In any case of letters.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        match name.to_ascii_lowercase().as_str() {
            "auto" => Ok(BackendName::Auto),
            "gpu" => Ok(BackendName::Gpu),
            "cpu" => Ok(BackendName::Cpu),
            _ => Err(serde::de::Error::custom(format!(
                "backend: expected auto, gpu or cpu; found {name:?}"
            ))),
        }
    }
}

impl From<BackendName> for Place {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Auto => Place::Any,
            BackendName::Gpu => Place::Device,
            BackendName::Cpu => Place::Host,
        }
    }
}

/// What happens where an operation makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ModeName {
    /// A fault stops the program.
    Strict,
    /// Any bytes run.
    Total,
}

/// How canvases are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum CanvasKind {
    /// A number a pixel, red lowest.
    #[default]
    Array,
    /// Base64 of four bytes a pixel: red, green, blue, alpha.
    Base64,
    /// Base64 of a PNG.
    Png,
    /// Not at all.
    None,
}

/// What a program is told and given to read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Given {
    /// What it reads.
    #[schema(max_length = 65536)]
    text: String,
    /// Frames that it may show before it is stopped.
    #[schema(minimum = 1, maximum = 1000)]
    frames: u32,
    /// Milliseconds at its first frame; each frame after it is 20 later.
    #[schema(value_type = u64, maximum = 4_294_967_295_u64)]
    time: u32,
    /// The mouse, in pixels from the left and from the top.
    #[schema(schema_with = pair)]
    mouse: [i32; 2],
    /// Buttons of the mouse: 1 left, 2 right, 4 middle.
    #[schema(value_type = u64, maximum = 4_294_967_295_u64)]
    buttons: u32,
    /// Keys: 1 left, 2 right, 4 up, 8 down, 16 space, 32 enter.
    #[schema(value_type = u64, maximum = 4_294_967_295_u64)]
    keys: u32,
}

/// An object, where a list would be taken for one whose fields have no names.
fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Given, D::Error> {
    let fields = serde_json::Map::deserialize(deserializer)?;
    Given::deserialize(serde_json::Value::Object(fields)).map_err(serde::de::Error::custom)
}

impl Default for Given {
    fn default() -> Self {
        Given { text: String::new(), frames: 1, time: 0, mouse: [0, 0], buttons: 0, keys: 0 }
    }
}

/// An instruction: operation, a, b, c, d, e.
#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema)]
#[schema(value_type = Vec<Byte>, min_items = 6, max_items = 6)]
pub struct Instruction(pub [u8; 6]);

/// A byte, as the description has it: of `u8` that says no largest value.
#[derive(ToSchema)]
#[schema(value_type = u32, minimum = 0, maximum = 255)]
#[expect(dead_code)] // it describes, and is never made
struct Byte(u8);

/// A place on a canvas, or beside it.
fn pair() -> Array {
    let coordinate = ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(i32::MIN))
        .maximum(Some(i32::MAX));
    ArrayBuilder::new().items(coordinate).min_items(Some(2)).max_items(Some(2)).build()
}

/// Instructions, one behind the other.
pub type Code = Vec<Instruction>;

/// Declares bodies that share what is said about how to run.
macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
            /// Where to run: auto, gpu or cpu, in any case.
            pub backend: BackendName,
            /// Cycles after which it is stopped; unless said, the cartridge's own, or 1024, or a million of
            /// a script.
            #[schema(minimum = 1, maximum = 100_000_000)]
            pub max_cycles: Option<u32>,
            /// Pixels across; the program's own, if it says so, or 64.
            #[schema(minimum = 1, maximum = 512)]
            pub canvas_width: Option<u32>,
            /// Pixels down; the program's own, if it says so, or 64.
            #[schema(minimum = 1, maximum = 512)]
            pub canvas_height: Option<u32>,
            /// Where random numbers begin; the program's own unless said.
            #[schema(value_type = Option<u64>, maximum = 4_294_967_295_u64)]
            pub seed: Option<u32>,
            /// What happens where an operation makes no sense; the program's own unless said.
            pub mode: Option<ModeName>,
            /// What it is told and given to read.
            #[serde(deserialize_with = "object")]
            pub inputs: Given,
            /// So many machines, which differ in their number and their random numbers; 1 unless said.
            #[schema(minimum = 1, maximum = 65_536)]
            pub lanes: Option<usize>,
            /// How canvases are answered.
            pub canvas: Option<CanvasKind>,
            /// Names the run in the store; a name of its own unless said. A run that the store has as
            /// running is recorded by whoever began it.
            pub run_uuid: Option<String>,
            /// Whether the answer waits until the run is on the disk.
            pub durable: bool,
        }

        impl $name {
            /// What it says about how to run.
            pub fn settings(&self) -> Settings {
                Settings {
                    backend: self.backend,
                    max_cycles: self.max_cycles,
                    size: [self.canvas_width, self.canvas_height],
                    seed: self.seed,
                    mode: self.mode,
                    inputs: self.inputs.clone(),
                    lanes: self.lanes.unwrap_or(1),
                    canvas: self.canvas.unwrap_or_default(),
                    run_uuid: self.run_uuid.clone(),
                    durable: self.durable,
                    usual_cycles: CYCLES,
                }
            }
        }
    )*};
}

bodies! {
    /// A program to run: one of `source`, `program` and `cartridge`, and how.
    RunRequest {
        /// A text of PXL-1.
        #[schema(max_length = 262_144)]
        source: Option<String>,
        /// Instructions of six bytes each.
        program: Option<Code>,
        /// What a `program` reads with LDB, TXT and SPR, in base64.
        data: Option<String>,
        /// A registered cartridge (its id, slug or path), or a whole one in base64.
        cartridge: Option<String>,
    }
    /// How to run a cartridge.
    CartridgeRun {}
    /// What a script is, to run it, and how.
    ExecuteRequest {
        /// What the code is: `pixel`, a text; `cartridge`, a registered cartridge's path, slug or id.
        lang: Option<Lang>,
        /// The text or the cartridge.
        #[schema(max_length = 262_144)]
        code: Option<String>,
    }
    /// Programs to run side by side: one of `programs`, `source` and `program`, and how.
    BatchRequest {
        /// A machine each, on canvases of one size.
        programs: Option<Vec<BatchProgram>>,
        /// A text of PXL-1, for all lanes.
        #[schema(max_length = 262_144)]
        source: Option<String>,
        /// Instructions of six bytes each, for all lanes.
        program: Option<Code>,
    }
}

/// What a script is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    /// A text of PXL-1.
    Pixel,
    /// A registered cartridge.
    Cartridge,
}

/// One program of a batch.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(untagged)]
pub enum BatchProgram {
    /// A text.
    Source(String),
    /// Instructions.
    Code(Code),
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where.
    pub backend: BackendName,
    max_cycles: Option<u32>,
    size: [Option<u32>; 2],
    seed: Option<u32>,
    mode: Option<ModeName>,
    inputs: Given,
    /// Machines.
    pub lanes: usize,
    /// How canvases are answered.
    pub canvas: CanvasKind,
    /// The run's name.
    pub run_uuid: Option<String>,
    /// Whether the answer waits for the disk.
    pub durable: bool,
    usual_cycles: u32,
}

/// A program, and what it says of itself.
#[derive(Debug, Clone)]
pub struct Said {
    /// The program.
    pub program: Program,
    /// What stands for it in the map.
    pub code: String,
    /// The path of the registered cartridge that it is.
    pub path: Option<String>,
    /// Cycles after which it should be stopped.
    pub max_cycles: Option<u32>,
    /// Whether its canvas's size is its own.
    pub sized: bool,
}

impl Said {
    /// A text.
    ///
    /// # Errors
    /// [`Problem::assembly`].
    pub fn source(text: &str) -> Result<Self, Problem> {
        let program = assembled(text)?;
        Ok(Said {
            program,
            code: text.into(),
            path: None,
            max_cycles: None,
            sized: says_canvas(text),
        })
    }

    /// Instructions.
    pub fn code(code: Code, data: Vec<u8>) -> Self {
        let code = code.into_iter().map(|Instruction(bytes)| bytes).collect();
        let program = Program { code, data, ..Program::default() };
        let text = gvpie_core::pixel::disassemble(&program);
        Said { program, code: text, path: None, max_cycles: None, sized: false }
    }

    /// A cartridge; `code` stands for it in the map.
    pub fn cartridge(cartridge: Cartridge, code: String) -> Self {
        let most = u32::try_from(cartridge.max_cycles).unwrap_or(u32::MAX).min(MOST_CYCLES);
        let max_cycles = (most > 0).then_some(most);
        Said { program: cartridge.program, code, path: None, max_cycles, sized: true }
    }
}

/// A text's program.
///
/// # Errors
/// [`Problem::assembly`]; [`Problem::value`] for one that is too long.
pub fn assembled(text: &str) -> Result<Program, Problem> {
    if text.len() > 256 << 10 {
        return Err(Problem::value("source", "262144 bytes at most", text.len()));
    }
    assemble(text).map_err(|faults| Problem::assembly(&faults))
}

/// Whether a text says how large its canvas is.
fn says_canvas(text: &str) -> bool {
    let directive = |line: &str| line.split_whitespace().next().map(str::to_ascii_lowercase);
    text.lines().any(|line| directive(line).as_deref() == Some(".canvas"))
}

/// Bytes in base64.
///
/// # Errors
/// [`Problem::value`], naming the field.
pub fn decoded(field: &str, text: &str) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(text).map_err(|error| Problem::value(field, "base64", error))
}

/// The cartridge in a file's bytes.
///
/// # Errors
/// [`Problem::value`], naming the field.
pub fn cartridge(field: &str, bytes: &[u8]) -> Result<Cartridge, Problem> {
    if bytes.len() > MAX_FILE {
        return Err(Problem::value(field, format!("{MAX_FILE} bytes at most"), bytes.len()));
    }
    Cartridge::decode(bytes).map_err(|error| Problem::value(field, "a cartridge", error))
}

/// Whether a text is a whole cartridge in base64 rather than the name of one: what every PNG begins with.
pub fn is_whole(text: &str) -> bool {
    text.starts_with("iVBORw0KGgo")
}

impl Settings {
    /// Those of a script, which has more cycles unless it was said how many.
    pub fn of_script(self) -> Self {
        Settings { usual_cycles: SCRIPT_CYCLES, ..self }
    }

    /// Where random numbers begin, if that was asked for.
    pub fn seed(&self) -> Option<u32> {
        self.seed
    }

    /// What these programs come to, run so: work within the limits.
    ///
    /// # Errors
    /// [`Problem::value`], naming the field.
    pub fn work(&self, said: Vec<Said>) -> Result<Work, Problem> {
        let in_range = |field: &str, value: u64, most: u64| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(Problem::value(field, format!("1 to {most}"), value)),
        };
        let own = said.iter().find_map(|said| said.max_cycles);
        let cycles = self.max_cycles.or(own).unwrap_or(self.usual_cycles);
        in_range("max_cycles", cycles.into(), MOST_CYCLES.into())?;
        in_range("lanes", self.lanes as u64, MOST_LANES as u64)?;
        in_range("inputs.frames", self.inputs.frames.into(), MOST_FRAMES.into())?;
        let machines = said.len() * self.lanes;
        in_range("programs times lanes", machines as u64, MOST_LANES as u64)?;
        let mut programs = Vec::with_capacity(said.len());
        for Said { mut program, sized, .. } in said {
            let sides = [(self.size[0], "canvas_width"), (self.size[1], "canvas_height")];
            for (side, (asked, field)) in program.canvas.iter_mut().zip(sides) {
                *side = asked.unwrap_or(if sized { *side } else { SIDE });
                in_range(field, (*side).into(), MOST_SIDE.into())?;
            }
            program.seed = self.seed.unwrap_or(program.seed);
            program.mode = match self.mode {
                Some(ModeName::Strict) => Mode::Strict,
                Some(ModeName::Total) => Mode::Total,
                None => program.mode,
            };
            program.check()?;
            programs.push(program);
        }
        let pixels = |program: &Program| (program.canvas[0] * program.canvas[1]) as usize;
        let all = programs.first().map_or(0, pixels) * machines;
        let answered = self.canvas != CanvasKind::None;
        let most = if answered { MOST_ANSWERED } else { MOST_PIXELS };
        if all > most {
            let expected =
                format!("{most} pixels of all canvases at most with 'canvas': {:?}", self.canvas);
            return Err(Problem::value("lanes", expected.to_lowercase(), all));
        }
        let Given { text, frames, time, mouse, buttons, keys } = self.inputs.clone();
        let length = text.chars().count();
        if length > MOST_TEXT {
            let expected = format!("{MOST_TEXT} characters at most");
            return Err(Problem::value("inputs.text", expected, length));
        }
        Ok(Work {
            programs,
            copies: self.lanes,
            cycles,
            frames,
            text: text.into_bytes(),
            inputs: Inputs { time, mouse, buttons, keys },
            canvases: answered,
            on_gpu: self.backend == BackendName::Gpu,
        })
    }
}
