//! The subcommands, one a file, and what they share: arguments, the context, failures.

pub mod asm;
pub mod bandwidth;
pub mod bench;
pub mod bench_einsum;
pub mod bench_fft;
pub mod bench_fmm;
pub mod bench_glyph;
mod bench_pixel;
#[cfg(feature = "vgpu")]
mod bench_vgpu;
pub mod budgets;
pub mod cart;
#[cfg(feature = "vgpu")]
pub mod check;
pub mod daemon;
pub mod data;
pub mod doctor;
pub mod einsum;
pub mod fft;
pub mod fmm;
pub mod gemm;
pub mod goal;
pub mod map;
pub mod memory;
pub mod metrics;
pub mod nbody;
mod paged;
pub mod pxl;
pub mod render;
mod rows;
pub mod run;
pub mod script;
pub mod serve;
mod signals;
pub mod spectrogram;
mod table;
pub mod tour;
pub mod trial;
pub mod tune;
pub mod up;

use crate::output::PendingFile;
use clap::{Parser, Subcommand, ValueEnum};
use gvpie_core::{Backend, Context, ContextOptions};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Compute on any GPU, or on none: matrix products, Fourier transforms, tensor contractions, sums over
/// many bodies and their motion, text as pictures, programs that are pictures, from the command line,
/// and a server and a daemon for the latter.
///
/// Without a subcommand, gvpie gives a tour: it finds the adapter, tests the driver, and runs one
/// verified example of each operation.
///
/// A real GPU is used where there is one, else the CPU, and gvpie says so. `--backend gpu` never
/// falls back; it also accepts a software driver.
#[derive(Debug, Parser)]
#[command(name = "gvpie", version, max_term_width = 100, after_long_help = MANUAL)]
pub struct Arguments {
    /// Where to compute
    #[arg(
        long,
        global = true,
        value_enum,
        ignore_case = true,
        env = "GVPIE_BACKEND",
        default_value = "auto",
        hide_possible_values = true,
        value_name = "auto|gpu|cpu"
    )]
    pub backend: Choice,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do; nothing gives a tour
    #[command(subcommand)]
    pub command: Option<Command>,
}

const MANUAL: &str = "\
Examples:
  gvpie                                    a tour of this machine, in seconds
  gvpie doctor                             adapters, limits, self-test, chosen paths
  gvpie gemm A.npy B.npy -o C.npy          C = A B
  gvpie gemm A.npy B.npy -o C.npy --transpose-b --alpha 2 --beta 1 --c C0.npy
  gvpie fft X.npy -o Y.npy --axes 0,1      as numpy.fft.fftn; --inverse, --real, --norm, --n
  gvpie einsum 'bij,bjk->bik' A.npy B.npy -o C.npy    as numpy.einsum; --path, --memory-limit
  gvpie spectrogram IN.wav -o OUT.png      a sound as a picture
  gvpie fmm POINTS.npy -o FIELD.npy        potentials and gradients of many charges
  gvpie nbody plummer:10000 --steps 1000 --dt 0.01 --softening 0.01 -o OUT.npy --movie out.gif
  gvpie render README.md -o readme.png     text as a picture
  gvpie memory                             budgets of device, host and disk, and their bandwidths
  gvpie run plasma.pxl -o plasma.gif       a program that draws; gvpie help pxl tells how
  gvpie asm rain.pxl -o rain.pxl.png       the same as a picture that runs
  gvpie up                                 a server with a page, and a daemon that runs scripts
  gvpie script add --name hi --lang pixel --code 'TXT 9 9 Hi'
  gvpie map verify                         whether all that was done is as it was recorded
  gvpie check kernel.wgsl --dispatch 16 --bind 0=x.npy    races and other faults of a WGSL kernel
  gvpie bench gemm --shape 4096x4096x4096 --csv
  gvpie bench fft --length 1024x1024       also N and NxNxN
  gvpie bench fmm --points 100000          also plummer:N and direct:N
  gvpie tune --shape 4096x4096x64          find and remember the fastest algorithm

Environment:
  GVPIE_BACKEND         auto, gpu or cpu; --backend overrides it
  GVPIE_DEVICE_BUDGET   the most bytes to hold on the device; GVPIE_HOST_BUDGET and
                        GVPIE_DISK_BUDGET for pages in host memory and in files
  GVPIE_SPILL_DIR       where these files are
  GVPIE_TIMEOUT         seconds to wait for the device (60)
  GVPIE_CACHE_DIR       where compiled pipelines and tune.json are kept; empty keeps none
  GVPIE_DATA            the folder of serve, daemon, up, script, goal, map and metrics
  GVPIE_TOKEN           a secret that a server asks for, and that a daemon bears
  GVPIE_ALLOW_DRIVER=1  use a driver that fails the self-test
  GVPIE_CHECK=1         with WGPU_ADAPTER_NAME=vgpu, the device in software: look at every kernel
                        for races, indices past the end and the like; a finding is an error
  WGPU_BACKEND          vulkan, metal, dx12 or gl
  WGPU_ADAPTER_NAME     part of the adapter's name
  WGPU_POWER_PREF       low or high
  RUST_LOG              what to log to stderr, as in gvpie_core=debug
  NO_COLOR              no colours

Exit status: 0 success, 1 failure, 2 a command line that cannot be understood.
gvpie check has its own: gvpie help check.";

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// A real GPU if there is one, else the CPU.
    Auto,
    /// A GPU, software drivers included, or failure.
    Gpu,
    /// The host's processor.
    Cpu,
}

/// The subcommands; the help of each is that of its options.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum Command {
    /// Show adapters, limits, features, the driver's self-test and the path of each operation
    Doctor,
    Gemm(gemm::Options),
    Fft(fft::Options),
    Einsum(einsum::Options),
    Spectrogram(spectrogram::Options),
    Fmm(fmm::Options),
    Nbody(nbody::Options),
    Render(render::Options),
    Memory(memory::Options),
    Run(run::Options),
    Up(up::Options),
    Serve(serve::Options),
    Script(script::Options),
    Goal(goal::Options),
    Map(map::Options),
    Metrics(metrics::Options),
    Daemon(daemon::Options),
    Asm(asm::Options),
    Disasm(asm::DisasmOptions),
    Cart(cart::Options),
    #[cfg(feature = "vgpu")]
    Check(check::Options),
    /// Tell how programs are written: the reference of PXL-1
    #[command(long_about = pxl::reference())]
    Pxl,
    Bench(bench::Options),
    Tune(tune::Options),
}

/// Why a subcommand failed; one line, with a hint where there is one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The library refused or failed.
    #[error("{}{}", .0, hint(.0))]
    Core(#[from] gvpie_core::Error),
    /// An array file is of no use.
    #[error(transparent)]
    Npy(#[from] crate::npy::Error),
    /// A sound file is of no use.
    #[error(transparent)]
    Wav(#[from] crate::wav::Error),
    /// A spectrogram would be larger than a picture may be.
    #[error(
        "{}: {width}x{height} pixels are more than a picture may have; a --size of at most \
         {most_size} and a --hop of at least {least_hop} would do", path.display()
    )]
    Picture {
        /// The sound.
        path: PathBuf,
        /// Pixels across: frames.
        width: usize,
        /// Pixels up: frequencies.
        height: usize,
        /// The longest frames that may be.
        most_size: usize,
        /// With frames as they are, or of the most that they may be: so far apart at least.
        least_hop: usize,
    },
    /// A text file cannot be opened.
    #[error("{}: {source}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program or cartridge is of no use.
    #[error(transparent)]
    Program(#[from] crate::program::Error),
    /// A program was stopped by a fault, or asks for more than can be run.
    #[error("{}: {message}", path.display())]
    Stopped {
        /// The program.
        path: PathBuf,
        /// What happened, and where in it.
        message: String,
    },
    /// The store cannot be opened, read or written, or refuses what it was given.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// A row of the map is not what was written, or not where it was.
    #[error("the map is broken at row {id}: {why}")]
    Broken {
        /// The first such row.
        id: i64,
        /// What is wrong with it.
        why: String,
    },
    /// There is no daemon.
    #[error(transparent)]
    Daemon(#[from] crate::daemon::Error),
    /// Nothing can be served.
    #[error(transparent)]
    Serve(#[from] crate::runtime::ServeError),
    /// A checkpoint is of no use.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::Error),
    /// A text cannot be laid out.
    #[error("{}: {source}", path.display())]
    Text {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and at which byte.
        source: gvpie_core::glyph::text::TextError,
    },
    /// A text was another one when it was read again.
    #[error("{}: the file changed while it was read", .0.display())]
    Changed(PathBuf),
    /// A picture would be wider than a texture may be.
    #[error(
        "{columns} columns of {cell} are wider than a texture; --columns may be at most {most}"
    )]
    Columns {
        /// The columns asked for.
        columns: usize,
        /// The cell.
        cell: gvpie_core::glyph::Cell,
        /// The most columns of this cell.
        most: usize,
    },
    /// A file cannot be written.
    #[error("{}: cannot write: {source}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Standard output cannot be written.
    #[error("standard output: {0}")]
    Stdout(#[from] std::io::Error),
    /// Tuning cannot go on.
    #[error("tune: {0}")]
    Tune(String),
    /// A kernel cannot be checked, or something is wrong with it.
    #[cfg(feature = "vgpu")]
    #[error(transparent)]
    Check(#[from] check::Error),
    /// A result was outside its error bound.
    #[error("wrong result: {0}")]
    Wrong(String),
}

impl Failure {
    /// The exit status it ends the process with.
    pub fn status(&self) -> u8 {
        match self {
            #[cfg(feature = "vgpu")]
            Failure::Check(error) => error.status(),
            _ => 1,
        }
    }
}

fn hint(error: &gvpie_core::Error) -> &'static str {
    use gvpie_core::Error;
    match error {
        Error::NoAdapter { .. } => "; --backend cpu needs no adapter",
        Error::Limit { .. } | Error::Unsupported { .. } => "; --backend cpu may do it",
        Error::DeviceLost { .. } | Error::Timeout { .. } => {
            "; try again, or raise GVPIE_TIMEOUT, or use --backend cpu"
        }
        _ => "",
    }
}

/// Sends the library's words to stderr: errors, and warnings about measured choices, unless
/// `RUST_LOG` says otherwise. What a fallback to the CPU means is said by [`Arguments::context`], once.
///
/// Servers and daemons also tell when they start and stop and what goes wrong meanwhile, and with `--json`
/// each line is an object; a daemon's cycles are told if `RUST_LOG` asks, as in `gvpie::daemon=info`.
pub fn log(arguments: &Arguments) {
    let serves =
        matches!(arguments.command, Some(Command::Up(_) | Command::Serve(_) | Command::Daemon(_)));
    let usual = match serves {
        true => "warn,gvpie=info,gvpie::daemon=warn",
        false => "error,gvpie_core::tune=warn",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    let colours = std::env::var_os("NO_COLOR").is_none() && std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    if serves && arguments.json { lines.json().init() } else { lines.init() }
}

/// Runs what the arguments ask for.
///
/// # Errors
/// [`Failure`]; the process should then exit with its [status](Failure::status).
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        None => tour::run(arguments),
        Some(Command::Doctor) => doctor::run(arguments),
        Some(Command::Gemm(options)) => gemm::run(arguments, options),
        Some(Command::Fft(options)) => fft::run(arguments, options),
        Some(Command::Einsum(options)) => einsum::run(arguments, options),
        Some(Command::Spectrogram(options)) => spectrogram::run(arguments, options),
        Some(Command::Fmm(options)) => fmm::run(arguments, options),
        Some(Command::Nbody(options)) => nbody::run(arguments, options),
        Some(Command::Render(options)) => render::run(arguments, options),
        Some(Command::Memory(options)) => memory::run(arguments, options),
        Some(Command::Run(options)) => run::run(arguments, options),
        Some(Command::Up(options)) => up::run(arguments, options),
        Some(Command::Serve(options)) => serve::run(arguments, options),
        Some(Command::Script(options)) => script::run(arguments, options),
        Some(Command::Goal(options)) => goal::run(arguments, options),
        Some(Command::Map(options)) => map::run(arguments, options),
        Some(Command::Metrics(options)) => metrics::run(arguments, options),
        Some(Command::Daemon(options)) => daemon::run(arguments, options),
        Some(Command::Asm(options)) => asm::run(arguments, options),
        Some(Command::Disasm(options)) => asm::disasm(options),
        Some(Command::Cart(options)) => cart::run(arguments, options),
        #[cfg(feature = "vgpu")]
        Some(Command::Check(options)) => check::run(arguments, options),
        Some(Command::Pxl) => pxl::run(),
        Some(Command::Bench(options)) => bench::run(arguments, options),
        Some(Command::Tune(options)) => tune::run(arguments, options),
    }
}

impl Arguments {
    /// The options of the environment and of `--backend`.
    ///
    /// # Errors
    /// [`gvpie_core::Error::Setting`].
    pub fn context_options(&self) -> gvpie_core::Result<ContextOptions> {
        let backend = match self.backend {
            Choice::Auto => None,
            Choice::Gpu => Some(Backend::Gpu),
            Choice::Cpu => Some(Backend::Cpu),
        };
        Ok(ContextOptions { backend, ..ContextOptions::from_env()? })
    }

    /// The context to compute in; a fallback to the CPU is said on stderr.
    ///
    /// # Errors
    /// As [`Context::request`].
    pub fn context(&self) -> gvpie_core::Result<Context> {
        self.context_with(self.context_options()?)
    }

    /// The same with options of a subcommand's own.
    ///
    /// # Errors
    /// As [`Context::request`].
    pub fn context_with(&self, options: ContextOptions) -> gvpie_core::Result<Context> {
        let context = pollster::block_on(Context::request(options))?;
        if let Some(notice) = context.notice() {
            eprintln!("gvpie: {notice}");
        }
        Ok(context)
    }

    /// Says why `auto` computes on the CPU after all, and opens it with the same options.
    ///
    /// # Errors
    /// As [`Context::request`].
    pub(crate) fn on_the_host(
        &self,
        options: ContextOptions,
        reason: &gvpie_core::Error,
    ) -> gvpie_core::Result<Context> {
        eprintln!("gvpie: computing on the CPU: {reason}");
        self.context_with(ContextOptions { backend: Some(Backend::Cpu), ..options })
    }
}

/// A whole number from 1 on the command line.
pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("expected at least 1".into()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("expected a whole number: {error}")),
    }
}

/// A number above 0 on the command line.
pub(crate) fn above_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number above 0".into()),
    }
}

/// A number from 0 on the command line.
pub(crate) fn from_zero(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number from 0".into()),
    }
}

/// Does the work that fills a file which has been begun, under a bar that says where, and finishes the
/// file; what came of the work, and the seconds it took.
pub(crate) fn fill<R>(
    path: &Path,
    mut file: PendingFile,
    doing: String,
    work: impl FnOnce(&mut PendingFile) -> Result<R, Failure>,
) -> Result<(R, f64), Failure> {
    let output = |source| Failure::Output { path: path.into(), source };
    let bar = progress(1).with_message(doing);
    bar.enable_steady_tick(Duration::from_secs(1));
    let start = Instant::now();
    let done = work(&mut file).map_err(|failure| match failure {
        Failure::Stdout(source) => output(source),
        other => other,
    })?;
    let seconds = start.elapsed().as_secs_f64();
    file.finish().map_err(output)?;
    bar.finish_and_clear();
    Ok((done, seconds))
}

/// A progress bar on stderr, drawn only where stderr is a terminal.
pub(crate) fn progress(steps: u64) -> indicatif::ProgressBar {
    let style = indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} {wide_msg}");
    let bar = indicatif::ProgressBar::new(steps);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
