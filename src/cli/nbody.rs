//! `gvpie nbody`: the motion of many bodies under their own gravity.

use super::fmm::MethodName;
use super::{Arguments, Choice, Failure};
use crate::bodies::{Bodies, Loaded, Source};
use crate::checkpoint::{Exact, Opened, Run};
use crate::movie::Movie;
use crate::npy::Float;
use crate::output::{PendingFile, print};
use clap::{Args, ValueEnum};
use gvpie_core::nbody::{Checkpoint, Integrals, NBodyPlan, State};
use gvpie_core::{Backend, Context, DType, Error, NBody};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Move many bodies under their own gravity, G = 1, by the leapfrog.
///
/// The bodies are a .npy of N rows x, y, z, vx, vy, vz, mass, or a model: plummer:N is a star
/// cluster in equilibrium, in standard units (mass 1, energy -1/4); galaxy:N is two disc galaxies
/// about to meet. Their last positions and velocities are written as N such rows. f64 is computed
/// in f64, which a GPU does not do; all else in f32.
///
/// What is written is written whole or not at all.
#[derive(Debug, Args)]
pub struct Options {
    /// The bodies
    #[arg(value_name = "IN.npy|plummer:N|galaxy:N", required_unless_present = "resume")]
    pub input: Option<Source>,
    /// How many steps, those before a checkpoint included
    #[arg(long, value_name = "K")]
    pub steps: u64,
    /// The time that a step takes
    #[arg(
        long,
        value_name = "T",
        value_parser = super::above_zero,
        required_unless_present = "resume"
    )]
    pub dt: Option<f64>,
    /// Where to write the bodies after the last step
    #[arg(short, long, value_name = "OUT.npy")]
    pub output: PathBuf,
    /// Which of all models of that kind
    #[arg(long, value_name = "SEED", default_value = "0")]
    pub seed: u64,
    /// Soften: forces are those at the root of the distance's square and this one's
    #[arg(long, value_name = "LENGTH", default_value = "0", value_parser = super::from_zero)]
    pub softening: f64,
    /// The most that forces may err, relative to them all (in L2)
    #[arg(long, value_name = "ERROR", default_value = "1e-5", value_parser = super::above_zero)]
    pub tolerance: f64,
    /// How forces are computed, as in `gvpie fmm`
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        default_value = "auto",
        value_name = "auto|fmm|direct"
    )]
    pub method: MethodName,
    /// Divide each step, for all bodies, in 2^k parts of at most the root of 2·ETA·softening over
    /// the largest acceleration; 0.025 is usual
    #[arg(long, value_name = "ETA", value_parser = super::above_zero)]
    pub adaptive: Option<f64>,
    /// Draw the bodies' mass along z: an animation, or a folder for a picture of each frame
    #[arg(long, value_name = "out.gif|frames/")]
    pub movie: Option<PathBuf>,
    /// Steps from a frame, and a row of --energy, to the next; a hundredth of --steps unless said
    #[arg(long, value_name = "K", value_parser = super::at_least_one)]
    pub every: Option<usize>,
    /// Write energies and momenta over time, as comma-separated values
    #[arg(long, value_name = "e.csv")]
    pub energy: Option<PathBuf>,
    /// Write the state after the last step, and about once a minute before, so that --resume can
    /// go on from it
    #[arg(long, value_name = "F.npz")]
    pub checkpoint: Option<PathBuf>,
    /// Go on from a checkpoint, to the bit as if it had never been taken; bodies, time of a step and
    /// all that forces depend on are its own
    #[arg(
        long,
        value_name = "F.npz",
        conflicts_with_all = ["input", "dt", "seed", "softening", "tolerance", "method", "adaptive"]
    )]
    pub resume: Option<PathBuf>,
}

/// A row of `--energy`.
#[derive(Debug, serde::Serialize)]
struct Row {
    step: u64,
    time: f64,
    kinetic: f64,
    potential: f64,
    total: f64,
    relative_drift: f64,
    momentum_x: f64,
    momentum_y: f64,
    momentum_z: f64,
    angular_momentum_x: f64,
    angular_momentum_y: f64,
    angular_momentum_z: f64,
}

/// How often a checkpoint is written meanwhile.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(60);

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`], naming the file and its row.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    if let Some(path) = &options.resume {
        let mut opened = Opened::open(path, options.steps)?;
        let method =
            <MethodName as ValueEnum>::from_str(&opened.run.method, false).map_err(|_| {
                crate::checkpoint::Error::Format {
                    path: path.clone(),
                    reason: format!("run.json: no method is named '{}'", opened.run.method),
                }
            })?;
        let job = Job { options, arguments, method, run: opened.run.clone() };
        return match opened.precision() {
            DType::F64 => job.go(Start::Again(opened.state::<f64>()?)),
            _ => job.go(Start::Again(opened.state::<f32>()?)),
        };
    }
    // Without a checkpoint, the parser asks for both of these.
    let (Some(source), Some(dt)) = (&options.input, options.dt) else {
        return Err(Failure::Wrong("neither bodies nor a checkpoint".into()));
    };
    let loaded = source.load(options.seed)?;
    let (bodies, double) = match &loaded {
        Loaded::Single(bodies) => (bodies.positions.len() / 4, false),
        Loaded::Double(bodies) => (bodies.positions.len() / 4, true),
    };
    let run = Run {
        version: 1,
        source: source.to_string(),
        bodies,
        double,
        step: Exact(dt),
        adaptive: options.adaptive.map(Exact),
        softening: Exact(options.softening),
        tolerance: Exact(options.tolerance),
        method: options.method.name().into(),
        energy: Exact(0.0),
        steps: 0,
    };
    let job = Job { options, arguments, method: options.method, run };
    match loaded {
        Loaded::Single(bodies) => job.go(Start::New(bodies)),
        Loaded::Double(bodies) => job.go(Start::New(bodies)),
    }
}

enum Start<T> {
    New(Bodies<T>),
    Again(Checkpoint<T>),
}

struct Job<'a> {
    options: &'a Options,
    arguments: &'a Arguments,
    method: MethodName,
    run: Run,
}

impl Job<'_> {
    fn problem(&self) -> NBody {
        let precision = if self.run.double { DType::F64 } else { DType::F32 };
        let problem = NBody::new(self.run.bodies)
            .step(self.run.step.0)
            .softening(self.run.softening.0)
            .tolerance(self.run.tolerance.0)
            .method(self.method.into())
            .precision(precision);
        match self.run.adaptive {
            Some(Exact(eta)) => problem.adaptive(eta),
            None => problem,
        }
    }

    /// A plan, on the CPU where the GPU cannot and need not.
    fn plan(&self) -> Result<(Context, NBodyPlan), Failure> {
        let ctx = self.arguments.context()?;
        match self.problem().plan(&ctx) {
            Ok(plan) => Ok((ctx, plan)),
            Err(reason @ (Error::Unsupported { .. } | Error::Limit { .. }))
                if self.arguments.backend == Choice::Auto && ctx.backend() == Backend::Gpu =>
            {
                let ctx = self.arguments.on_the_host(self.arguments.context_options()?, &reason)?;
                let plan = self.problem().plan(&ctx)?;
                Ok((ctx, plan))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn go<T: Float>(mut self, from: Start<T>) -> Result<(), Failure> {
        let options = self.options;
        // Places that cannot be written are known before any work is done.
        let mut output = begin(&options.output)?;
        let mut energy = match &options.energy {
            Some(path) => Some((path, csv::Writer::from_writer(begin(path)?))),
            None => None,
        };
        let mut movie = match &options.movie {
            Some(path) => {
                let named = path.extension().is_some() && !path.is_dir();
                if named && !crate::movie::is_gif(path) {
                    return Err(Error::Setting {
                        name: "--movie".into(),
                        value: path.display().to_string(),
                        expected: "a name that ends in .gif, or a folder's".into(),
                    }
                    .into());
                }
                Some((path, Movie::create(path).map_err(|source| failed(path, source))?))
            }
            None => None,
        };
        if let Some(path) = &options.checkpoint {
            drop(begin(path)?);
        }

        let (ctx, plan) = self.plan()?;
        let start = Instant::now();
        let count = self.run.bodies;
        let mut state = match from {
            Start::New(bodies) => {
                let positions = ctx.upload([count, 4], &bodies.positions)?;
                let velocities = ctx.upload([count, 4], &bodies.velocities)?;
                drop(bodies);
                let state = plan.begin(positions, velocities)?;
                self.run.energy = Exact(state.integrals()?.energy());
                state
            }
            Start::Again(checkpoint) => plan.resume(&checkpoint)?,
        };
        let first = state.steps();
        let bar = super::progress(options.steps);
        bar.set_position(first);
        bar.set_message(format!("steps on {}", ctx.adapter()));
        bar.enable_steady_tick(Duration::from_secs(1));
        let every = options.every.map_or((options.steps / 100).max(1), |every| every as u64);
        let mut saved = Instant::now();
        loop {
            if let Some((path, writer)) = &mut energy {
                let row = self.row(&state, &state.integrals()?);
                writer.serialize(row).map_err(|error| failed(path, error.into()))?;
            }
            if let Some((path, movie)) = &mut movie {
                let seen = seen(&state.positions().download()?);
                movie.add(&seen, state.steps()).map_err(|source| failed(path, source))?;
            }
            if state.steps() >= options.steps {
                break;
            }
            if saved.elapsed() > BETWEEN_CHECKPOINTS {
                self.save(&state)?;
                saved = Instant::now();
            }
            // Frames are at multiples of `every`, also after a checkpoint that is not.
            let next = (state.steps() / every + 1).saturating_mul(every).min(options.steps);
            state.advance(next - state.steps())?;
            bar.set_position(state.steps());
        }
        let last = state.integrals()?;
        if !last.energy().is_finite() {
            return Err(Error::Value {
                operand: format!("the bodies after {} steps", state.steps()),
                expected: "a finite energy; a shorter --dt or a larger --softening may do".into(),
                found: last.energy().to_string(),
            }
            .into());
        }
        self.save(&state)?;
        let seconds = start.elapsed().as_secs_f64();
        let bodies = Bodies {
            positions: state.positions().download()?,
            velocities: state.velocities().download()?,
        };
        let written = |source| failed(&options.output, source);
        bodies.write(&mut output).map_err(written)?;
        if let Some((path, writer)) = energy {
            let file = writer.into_inner().map_err(|error| failed(path, error.into_error()))?;
            file.finish().map_err(|source| failed(path, source))?;
        }
        let frames = match movie {
            Some((path, movie)) => Some(movie.finish().map_err(|source| failed(path, source))?),
            None => None,
        };
        output.finish().map_err(written)?;
        bar.finish_and_clear();
        self.report(&ctx, &state, &last, first, frames, seconds)
    }

    /// Writes the checkpoint, if one is asked for.
    fn save<T: Float>(&self, state: &State<T>) -> Result<(), Failure> {
        let Some(path) = &self.options.checkpoint else { return Ok(()) };
        let taken = state.checkpoint()?;
        let mut file = begin(path)?;
        self.run.write(&mut file, &taken).map_err(|source| failed(path, source))?;
        file.finish().map_err(|source| failed(path, source))
    }

    /// The energy's change since time 0, over it.
    fn drift(&self, now: &Integrals) -> f64 {
        let Exact(start) = self.run.energy;
        let change = now.energy() - start;
        if change == 0.0 { 0.0 } else { change / start.abs() }
    }

    fn row<T: Float>(&self, state: &State<T>, now: &Integrals) -> Row {
        let [momentum_x, momentum_y, momentum_z] = now.momentum;
        let [angular_momentum_x, angular_momentum_y, angular_momentum_z] = now.angular_momentum;
        Row {
            step: state.steps(),
            time: state.time(),
            kinetic: now.kinetic,
            potential: now.potential,
            total: now.energy(),
            relative_drift: self.drift(now),
            momentum_x,
            momentum_y,
            momentum_z,
            angular_momentum_x,
            angular_momentum_y,
            angular_momentum_z,
        }
    }

    fn report<T: Float>(
        &self,
        ctx: &Context,
        state: &State<T>,
        last: &Integrals,
        first: u64,
        frames: Option<usize>,
        seconds: f64,
    ) -> Result<(), Failure> {
        let (bodies, drift) = (self.run.bodies, self.drift(last));
        let method = state.plan().field().algorithm().to_string();
        let text = if self.arguments.json {
            let report = serde_json::json!({
                "op": "nbody",
                "source": self.run.source,
                "bodies": bodies,
                "dtype": T::DTYPE.name(),
                "method": method,
                "bound": state.plan().field().bound(),
                "first_step": first,
                "steps": state.steps(),
                "time": state.time(),
                "evaluations": state.evaluations(),
                "kinetic": last.kinetic,
                "potential": last.potential,
                "energy": last.energy(),
                "energy_at_start": self.run.energy.0,
                "relative_drift": drift,
                "momentum": last.momentum,
                "angular_momentum": last.angular_momentum,
                "centre": last.centre,
                "frames": frames,
                "adapter": ctx.adapter(),
                "seconds": seconds,
                "output": self.options.output,
            });
            format!("{report}\n")
        } else {
            let (name, adapter) = (self.options.output.display(), ctx.adapter());
            let (steps, time) = (state.steps(), state.time());
            format!(
                "{name}: {bodies} bodies after {steps} steps, time {time}; energy {:.6}, drift \
                 {drift:.1e}; {method} on {adapter}, {seconds:.3} s\n",
                last.energy()
            )
        };
        Ok(print(&text)?)
    }
}

fn failed(path: &Path, source: std::io::Error) -> Failure {
    Failure::Output { path: path.into(), source }
}

fn begin(path: &Path) -> Result<PendingFile, Failure> {
    PendingFile::create(path).map_err(|source| failed(path, source))
}

/// Rows x, y, z, m as the movie takes them.
fn seen<T: Float>(positions: &[T]) -> Vec<[f32; 4]> {
    let narrow = |&x: &T| {
        let wide: f64 = x.into();
        wide as f32
    };
    positions.chunks_exact(4).map(|row| std::array::from_fn(|i| narrow(&row[i]))).collect()
}
