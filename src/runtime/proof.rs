//! What a fuzzer tries: bytes as bodies of requests.

use super::body::parsed;
use super::execute::execute;
use super::problem::Problem;
use super::request::{
    BatchProgram, BatchRequest, CartridgeRun, ExecuteRequest, MOST_CYCLES, MOST_LANES, MOST_SIDE,
    RunRequest, Said, Settings,
};
use gvpie_core::{Backend, Context};
use std::sync::atomic::AtomicBool;

/// Cycles and pixels that a case is run for at most: it is about bodies.
const SMALL: (u32, usize) = (2000, 1 << 16);

/// Takes bytes for the body of each kind of request: what is understood keeps the limits, and is run if
/// it is small; what is refused says why, and where if it is no JSON of the kind.
///
/// # Errors
/// What should not be.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let mut failed = None;
    let mut told = |problem: Problem| {
        if problem.detail().is_empty() || !(400..500).contains(&problem.status()) {
            failed = Some(format!("{problem:?}"));
        }
    };
    let mut understood: Vec<(Settings, Vec<Said>)> = Vec::new();
    let mut one = |settings, said: Result<Said, Problem>| match said {
        Ok(said) => understood.push((settings, vec![said])),
        Err(problem) => told(problem),
    };
    if let Ok(request) = parsed::<RunRequest>(bytes) {
        let settings = request.settings();
        if let Some(text) = &request.source {
            one(settings.clone(), Said::source(text));
        }
        if let Some(code) = request.program {
            one(settings, Ok(Said::code(code, Vec::new())));
        }
    }
    if let Ok(ExecuteRequest { code: Some(text), .. }) = parsed::<ExecuteRequest>(bytes) {
        let settings = CartridgeRun::default().settings();
        one(settings, Said::source(&text));
    }
    match parsed::<BatchRequest>(bytes) {
        Ok(request) => {
            let settings = request.settings();
            let said = request.programs.into_iter().flatten().map(|program| match program {
                BatchProgram::Source(text) => Said::source(&text),
                BatchProgram::Code(code) => Ok(Said::code(code, Vec::new())),
            });
            match said.collect::<Result<Vec<Said>, Problem>>() {
                Ok(said) => understood.push((settings, said)),
                Err(problem) => told(problem),
            }
        }
        Err(problem) => told(problem),
    }
    for (settings, said) in understood {
        let count = said.len();
        match settings.work(said) {
            Err(problem) => told(problem),
            Ok(mut work) => {
                let size = work.programs.first().map_or([1, 1], |program| program.canvas);
                let kept = work.cycles <= MOST_CYCLES
                    && work.programs.len() * work.copies <= MOST_LANES
                    && size.iter().all(|side| (1..=MOST_SIDE).contains(side));
                if !kept {
                    return Err(format!("{count} programs on {size:?} for {} cycles", work.cycles));
                }
                let pixels = (size[0] * size[1]) as usize * work.programs.len() * work.copies;
                work.cycles = work.cycles.min(SMALL.0);
                work.frames = work.frames.min(3);
                if pixels <= SMALL.1 {
                    let ctx = Context::on(Backend::Cpu).map_err(|error| error.to_string())?;
                    // What the library refuses here is told the one who asks.
                    let _ = execute(&work, &ctx, &AtomicBool::new(false));
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}
