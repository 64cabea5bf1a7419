//! Running programs to their ends, within limits of time.

use crate::program::FRAME_MS;
use crate::store::{Outcome, RunStatus};
use gvpie_core::pixel::{Algorithm, Fault, Inputs, Program, State, Status};
use gvpie_core::{Context, Pixel};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a run may take.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Bytes of output that are kept at most.
const MOST_OUTPUT: usize = 1 << 20;

/// Programs to run, and what they are given.
#[derive(Debug, Clone)]
pub struct Work {
    /// One a machine, or one for all of them.
    pub programs: Vec<Program>,
    /// Machines of each.
    pub copies: usize,
    /// Cycles of each machine at most.
    pub cycles: u32,
    /// Frames that are shown at most.
    pub frames: u32,
    /// What they read.
    pub text: Vec<u8>,
    /// What the first frame begins with.
    pub inputs: Inputs,
    /// Whether the canvases are wanted, or their hashes alone.
    pub canvases: bool,
    /// Whether a kernel was asked for by name, however few machines there are.
    pub on_gpu: bool,
}

impl Work {
    /// As the library takes it.
    pub fn problem(&self) -> Pixel {
        let programs = self.programs.iter().cloned();
        let problem = Pixel::of(programs).copies(self.copies).limit(self.cycles);
        match self.on_gpu && problem.suits_host() {
            true => problem.algorithm(Algorithm::Group), // as asked
            false => problem,
        }
    }
}

/// A machine after a run.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Why it does not go on.
    pub status: Status,
    /// What stopped it, in words, if something did.
    pub fault: Option<String>,
    /// The next instruction.
    pub ip: u32,
    /// Instructions that were run.
    pub cycles: u32,
    /// Instructions and drawing that were paid for.
    pub fuel: u32,
    /// Its pixels, if they are wanted.
    pub canvas: Vec<u32>,
    /// SHA-256 of its pixels.
    pub canvas_sha256: String,
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Ran {
    /// One a machine.
    pub machines: Vec<Machine>,
    /// SHA-256 of all their pixels.
    pub canvas_sha256: String,
    /// What the first machine has written.
    pub stdout: Vec<u8>,
    /// How long it took.
    pub time: Duration,
    /// Where it ran.
    pub algorithm: Algorithm,
    /// What there is to say about where it ran.
    pub notice: Option<String>,
}

impl Ran {
    /// The first machine that was stopped by something, or the first of all.
    pub fn told(&self) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.fault.is_some()).or(self.machines.first())
    }

    /// As the store records it.
    pub fn outcome(&self) -> Outcome {
        let fault = self.told().and_then(|machine| machine.fault.clone());
        let all = |count: fn(&Machine) -> u32| {
            self.machines.iter().map(|machine| u64::from(count(machine))).sum()
        };
        Outcome {
            status: if fault.is_none() { RunStatus::Ok } else { RunStatus::Failed },
            stdout: String::from_utf8_lossy(&self.stdout).into_owned(),
            stderr: fault.unwrap_or_default(),
            duration: self.time.as_millis() as u64,
            backend: self.backend(),
            cycles: all(|machine| machine.cycles),
            fuel: all(|machine| machine.fuel),
            canvas_sha256: Some(self.canvas_sha256.clone()),
            canvas: None,
        }
    }

    /// `gpu` or `cpu`.
    pub fn backend(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Host => "cpu",
            _ => "gpu",
        }
    }
}

/// SHA-256 of pixels as bytes, in hexadecimal.
fn hashed<'a>(canvases: impl Iterator<Item = &'a [u32]>) -> String {
    let mut hash = Sha256::new();
    canvases.for_each(|canvas| hash.update(bytemuck::cast_slice::<u32, u8>(canvas)));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Runs until all have halted, been stopped, or shown their frames; those that still run after
/// [`LIMIT`], or when `cancelled` is set, are stopped.
///
/// # Errors
/// Those of [`Pixel::plan`] and of the device.
pub fn execute(work: &Work, ctx: &Context, cancelled: &AtomicBool) -> gvpie_core::Result<Ran> {
    let began = Instant::now();
    let plan = work.problem().plan(ctx)?;
    let mut machines = plan.start()?;
    let mut given = vec![0; machines.len()];
    let mut stdout = Vec::new();
    let mut frame = 1;
    machines.change(|lane, state| {
        state.frame(work.inputs);
        given[lane] = state.feed(&work.text, false);
    })?;
    let is_late = || began.elapsed() > LIMIT || cancelled.load(Ordering::Relaxed);
    loop {
        while machines.advance()? > 0 && !is_late() {}
        let late = is_late();
        let mut written = Vec::new();
        let mut on = false;
        let next = Inputs { time: work.inputs.time.wrapping_add(frame * FRAME_MS), ..work.inputs };
        let shown = frame >= work.frames;
        machines.change(|lane, state| {
            let said = state.drain();
            if lane == 0 {
                written = said;
            }
            if state.status() == Status::Starved {
                given[lane] += state.feed(&work.text[given[lane]..], false);
            }
            on |= state.status() == Status::Running;
        })?;
        let room = MOST_OUTPUT.saturating_sub(stdout.len());
        stdout.extend_from_slice(&written[..written.len().min(room)]);
        if late {
            break;
        }
        if on {
            continue; // Its output was full, or it was given more to read.
        }
        if shown {
            break;
        }
        frame += 1;
        machines.change(|_, state| {
            on |= state.status() == Status::Yielded;
            state.frame(next);
        })?;
        if !on {
            break;
        }
    }
    let states = machines.states()?;
    let machines: Vec<Machine> = states.iter().map(|state| machine(state, work)).collect();
    Ok(Ran {
        canvas_sha256: match &machines[..] {
            [one] => one.canvas_sha256.clone(),
            _ => hashed(states.iter().map(State::canvas)),
        },
        machines,
        stdout,
        time: began.elapsed(),
        algorithm: plan.algorithm(),
        notice: None,
    })
}

fn machine(state: &State, work: &Work) -> Machine {
    let fault = match (state.status(), state.fault()) {
        (Status::Running, _) => Some(format!("stopped after {} seconds", LIMIT.as_secs())),
        (Status::Faulted, Some(Fault::Timeout)) => {
            Some(format!("fault 6, {} (max_cycles {})", Fault::Timeout, work.cycles))
        }
        (Status::Faulted, Some(fault)) => Some(format!("fault {}, {fault}", fault as u32)),
        (Status::Faulted, None) => Some("a fault".into()),
        _ => None,
    };
    let (ip, cycles) = (state.ip(), state.cycles());
    Machine {
        status: state.status(),
        fault: fault.map(|fault| format!("{fault} at instruction {ip} after {cycles} cycles")),
        ip,
        cycles,
        fuel: state.fuel(),
        canvas: if work.canvases { state.canvas().to_vec() } else { Vec::new() },
        canvas_sha256: hashed([state.canvas()].into_iter()),
    }
}
