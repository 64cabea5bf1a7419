//! `gvpie script`: what the daemon runs.

use super::data::{self, Folder};
use super::table::{cell, table};
use super::{Arguments, Choice, Failure};
use crate::output::print;
use crate::program;
use crate::runtime::execute::{Ran, Work, execute};
use crate::store::{
    Due, Finished, Language, Outcome, RunStatus, Script, ScriptRow, Store, StoreError,
};
use clap::{Args, Subcommand, ValueEnum};
use gvpie_core::pixel::{Cartridge, Inputs, disassemble};
use gvpie_core::{Backend, Context};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Cycles of a run, unless the cartridge has a limit of its own.
const CYCLES: u32 = 10_000_000;

/// Cycles of a run at most, whatever the cartridge says.
const MOST_CYCLES: u64 = 100_000_000;

/// Add, list, switch and run what the daemon runs.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub data: Folder,
    /// What to do
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with scripts.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Add a script; the daemon runs it in its next cycle
    Add(Add),
    /// List scripts, with their last runs
    List,
    /// Switch a script on, whatever switched it off
    Enable {
        /// The script
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Switch a script off
    Disable {
        /// The script
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Run a script here and now, and record it
    Run {
        /// The script
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Add scripts and goals from files of INSERT statements
    ///
    /// The statements are read as data: they may insert into improvement_scripts and
    /// development_goals, and nothing else is done. What is there already stays as it is.
    Import {
        /// Files, or folders of files NAME.sql
        #[arg(value_name = "FILE.sql|DIR", required = true)]
        files: Vec<PathBuf>,
    },
}

/// Options of `gvpie script add`.
#[derive(Debug, Args)]
pub struct Add {
    /// Its name, which no other script has
    #[arg(long)]
    pub name: String,
    /// What it is written in
    #[arg(long, value_enum, hide_possible_values = true, value_name = "pixel|cartridge|python")]
    pub lang: Lang,
    /// Its text; of a cartridge its id, slug or path
    #[arg(long, value_name = "TEXT", required_unless_present = "file", conflicts_with = "file")]
    pub code: Option<String>,
    /// The file of its text, or the cartridge, which is copied to the data folder
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub purpose: Option<String>,
    /// Seconds from one run to the next; every cycle unless said
    #[arg(long, value_name = "S", value_parser = super::above_zero)]
    pub interval: Option<f64>,
    /// The goal that it serves
    #[arg(long, value_name = "ID")]
    pub goal: Option<i64>,
}

/// [`Language`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum Lang {
    Pixel,
    Cartridge,
    Python,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Pixel => Language::Pixel,
            Lang::Cartridge => Language::Cartridge,
            Lang::Python => Language::Python,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// [`Failure`]; that of the script, if it is run.
pub fn run(arguments: &Arguments, options: &Options) -> Result<(), Failure> {
    let mut store = options.data.store()?;
    match &options.action {
        Action::Add(add) => {
            let id = added(&mut store, add)?;
            tell(arguments, &store, id, "added")
        }
        Action::List => list(arguments, &store),
        Action::Enable { name } => switch(arguments, &mut store, name, true),
        Action::Disable { name } => switch(arguments, &mut store, name, false),
        Action::Run { name } => execute_one(arguments, &mut store, name),
        Action::Import { files } => import(arguments, &mut store, files),
    }
}

fn missing(name: &str) -> Failure {
    StoreError::Missing { what: "script", which: name.into() }.into()
}

fn tell(arguments: &Arguments, store: &Store, id: i64, said: &str) -> Result<(), Failure> {
    let row = store.script_row(id)?.ok_or_else(|| missing(&id.to_string()))?;
    Ok(print(&if arguments.json {
        format!("{}\n", json!(row))
    } else {
        format!("script {id}, '{}', is {said}\n", cell(&row.name))
    })?)
}

fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| Failure::Input { path: path.into(), source })
}

fn text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| Failure::Input { path: path.into(), source })
}

fn added(store: &mut Store, add: &Add) -> Result<i64, Failure> {
    if store.script(&add.name)?.is_some() {
        // Before a cartridge is registered for nothing.
        return Err(StoreError::Taken { what: "script", name: add.name.clone() }.into());
    }
    let said = add.code.clone().unwrap_or_default();
    let code = match (add.lang, &add.file) {
        (Lang::Pixel, Some(path)) => {
            let Cartridge { program, source, .. } = program::read(path)?;
            source.unwrap_or_else(|| disassemble(&program))
        }
        (Lang::Pixel, None) => {
            program::of_text(said.clone(), Path::new("--code"))?;
            said
        }
        (Lang::Cartridge, Some(path)) => {
            program::read(path)?; // whose message names the file
            store.add_cartridge(&bytes(path)?, None, None)?.path
        }
        (Lang::Cartridge, None) => {
            let none = || StoreError::Missing { what: "cartridge", which: said.clone() };
            store.cartridge(&said)?.ok_or_else(none)?.path
        }
        (Lang::Python, Some(path)) => text(path)?,
        (Lang::Python, None) => said,
    };
    let script = Script {
        purpose: add.purpose.clone(),
        interval: add.interval,
        goal: add.goal,
        ..Script::new(&add.name, add.lang.into(), &code)
    };
    Ok(store.add_script(&script)?)
}

fn list(arguments: &Arguments, store: &Store) -> Result<(), Failure> {
    let rows = data::first(usize::MAX, |page| store.scripts(page))?;
    if arguments.json {
        return Ok(print(&format!("{}\n", json!(rows)))?);
    }
    let rate = |row: &ScriptRow| match row.run_count {
        0 => "-".into(),
        runs => format!("{:.1} %", row.success_count as f64 / runs as f64 * 100.0),
    };
    let rows: Vec<[String; 8]> = rows
        .iter()
        .map(|row| {
            let state = match (row.enabled, &row.disabled_reason) {
                (true, _) => "on".into(),
                (false, None) => "off".into(),
                (false, Some(reason)) => format!("off: {}", cell(reason)),
            };
            let last = row.last.as_ref();
            [
                row.id.to_string(),
                cell(&row.name),
                row.lang.name().into(),
                row.run_count.to_string(),
                rate(row),
                last.map_or("-".into(), |last| last.status.clone()),
                last.and_then(|last| last.duration_ms).map_or("-".into(), |ms| ms.to_string()),
                state,
            ]
        })
        .collect();
    Ok(print(&table(["id", "name", "lang", "runs", "success", "last", "ms", "state"], &rows))?)
}

fn switch(
    arguments: &Arguments,
    store: &mut Store,
    name: &str,
    enabled: bool,
) -> Result<(), Failure> {
    let script = store.script(name)?.ok_or_else(|| missing(name))?;
    store.enable_script(name, enabled)?;
    tell(arguments, store, script.id, if enabled { "on" } else { "off" })
}

fn import(arguments: &Arguments, store: &mut Store, paths: &[PathBuf]) -> Result<(), Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let input = |source| Failure::Input { path: path.clone(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(input)? {
            found.push(entry.map_err(input)?.path());
        }
        found.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
        found.sort_unstable();
        files.extend(found);
    }
    for path in files {
        let file = path.display().to_string();
        let done = store.import(&file, &text(&path)?)?;
        print(&if arguments.json {
            let report = json!({
                "file": file, "scripts": done.scripts, "goals": done.goals, "taken": done.taken,
            });
            format!("{report}\n")
        } else {
            let (scripts, goals) = (done.scripts.len(), done.goals.len());
            let mut said = format!("{file}: {scripts} scripts, {goals} goals\n");
            for name in &done.taken {
                said += &format!("{file}: '{}' is there already\n", cell(name));
            }
            said
        })?;
    }
    Ok(())
}

/// What is run, and cycles of it at most; or why nothing can be.
fn program_of(store: &Store, script: &Due) -> Result<(Cartridge, u32), Failure> {
    let name = PathBuf::from(&script.name);
    let cartridge = match script.language {
        Language::Cartridge => {
            let which = script.code.trim();
            let none = || StoreError::Missing { what: "cartridge", which: which.into() };
            let row = store.cartridge(which)?.ok_or_else(none)?;
            let refused = |source| program::Error::Cartridge { path: name, source };
            Cartridge::decode(&store.cartridge_file(&row)?).map_err(refused)?
        }
        Language::Pixel | Language::Python => program::of_text(script.code.clone(), &name)?,
    };
    let cycles = match cartridge.max_cycles {
        0 => CYCLES,
        own => own.min(MOST_CYCLES) as u32,
    };
    Ok((cartridge, cycles))
}

fn execute_one(arguments: &Arguments, store: &mut Store, name: &str) -> Result<(), Failure> {
    let due = store.script(name)?.ok_or_else(|| missing(name))?;
    let iteration = store.last_iteration()?;
    let unrun = |store: &mut Store, status, failure: Failure| {
        let outcome = Outcome::unrun(status, failure.to_string());
        store.record_run(&Finished::of(due.clone(), iteration, outcome))?;
        Err(failure)
    };
    if due.language == Language::Python {
        let message = "python is switched off; this is recorded as skipped".into();
        let failure = Failure::Stopped { path: name.into(), message };
        return unrun(store, RunStatus::Skipped, failure);
    }
    let (cartridge, cycles) = match program_of(store, &due) {
        Ok(found) => found,
        Err(failure) => {
            let broken = matches!(failure, Failure::Program(_));
            let status = if broken { RunStatus::Broken } else { RunStatus::Failed };
            return unrun(store, status, failure);
        }
    };
    let canvas = cartridge.program.canvas;
    let work = Work {
        programs: vec![cartridge.program],
        copies: 1,
        cycles,
        frames: 1,
        text: Vec::new(),
        inputs: Inputs::default(),
        canvases: true,
        on_gpu: arguments.backend == Choice::Gpu,
    };
    let ctx = match arguments.backend {
        Choice::Auto if work.problem().suits_host() => Context::on(Backend::Cpu)?,
        _ => arguments.context()?,
    };
    let ran = match execute(&work, &ctx, &AtomicBool::new(false)) {
        Ok(ran) => ran,
        Err(error) => return unrun(store, RunStatus::Failed, error.into()),
    };
    let pixels = ran.told().map_or(&[][..], |machine| &machine.canvas);
    store.keep(bytemuck::cast_slice(pixels))?;
    let outcome = Outcome { canvas: Some(canvas), ..ran.outcome() };
    let finished = Finished::of(due.clone(), iteration, outcome);
    let map_id = store.record_run(&finished)?.map_id;
    let fault = ran.told().and_then(|machine| machine.fault.clone());
    if arguments.json {
        print(&format!("{}\n", report(&ran, &finished, canvas, map_id)))?;
    } else {
        print(&String::from_utf8_lossy(&ran.stdout))?;
        super::run::show(canvas[0] as usize, pixels)?;
    }
    match fault {
        None => Ok(()),
        Some(message) => Err(Failure::Stopped { path: name.into(), message }),
    }
}

fn report(ran: &Ran, finished: &Finished, canvas: [u32; 2], map_id: i64) -> serde_json::Value {
    let machine = ran.told();
    json!({
        "script": finished.task,
        "success": finished.outcome.status == RunStatus::Ok,
        "cycles_executed": finished.outcome.cycles,
        "instruction_pointer": machine.map(|machine| machine.ip),
        "backend_used": ran.backend(),
        "algorithm": ran.algorithm.to_string(),
        "execution_time_ms": ran.time.as_secs_f64() * 1e3,
        "status": machine.map(|machine| machine.status.to_string()),
        "fuel": finished.outcome.fuel,
        "stdout": finished.outcome.stdout,
        "canvas": canvas,
        "canvas_sha256": ran.canvas_sha256,
        "error": machine.and_then(|machine| machine.fault.clone()),
        "run_uuid": finished.uuid,
        "map_id": map_id,
    })
}
