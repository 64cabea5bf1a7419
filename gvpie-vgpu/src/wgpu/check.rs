//! Dispatches under the sanitizer.

use crate::sanitize::Report;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Dispatches with findings that are kept at most.
const MAX_KEPT: usize = 1000;

/// Takes what the sanitizer finds in the dispatches of an instance. A clone is the same collector.
///
/// ```
/// use gvpie_vgpu::wgpu::{Collector, Options, instance};
/// let collector = Collector::new();
/// let instance = instance(Options { check: Some(collector.clone()), ..Options::default() })?;
/// // … the program's work …
/// for checked in collector.take() {
///     println!("{checked}");
/// }
/// # Ok::<(), gvpie_vgpu::RunError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Collector(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    dispatches: u64,
    kernels: BTreeSet<Covered>,
    found: Vec<Checked>,
}

/// A kernel that ran under the sanitizer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Covered {
    /// The pipeline's label, empty if it has none.
    pub pipeline: String,
    /// The entry point.
    pub entry: String,
    /// The WGSL, as in [`Checked`].
    pub source: Option<Arc<str>>,
}

/// A dispatch in which the sanitizer found something.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The pipeline's label, empty if it has none.
    pub pipeline: String,
    /// The entry point.
    pub entry: String,
    /// Workgroups along x, y and z.
    pub workgroups: [u32; 3],
    /// The WGSL, where wgpu hands it on: with [`wgpu::InstanceFlags::DEBUG`](::wgpu::InstanceFlags), so in
    /// builds with debug assertions.
    pub source: Option<Arc<str>>,
    /// What was found.
    pub report: Report,
}

impl Collector {
    /// One that has nothing yet.
    pub fn new() -> Collector {
        Collector::default()
    }

    /// How many dispatches were checked.
    pub fn dispatches(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).dispatches
    }

    /// The kernels of which at least one workgroup was checked, each once: what a program's own kernels can
    /// be held against, so that none is forgotten.
    pub fn covered(&self) -> Vec<Covered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kernels.iter().cloned().collect()
    }

    /// The dispatches with findings since it was last called, in the order of the work; the first thousand.
    pub fn take(&self) -> Vec<Checked> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).found)
    }

    pub(super) fn add(&self, checked: Checked) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.dispatches += 1;
        if !checked.workgroups.contains(&0) {
            kept.kernels.insert(Covered {
                pipeline: checked.pipeline.clone(),
                entry: checked.entry.clone(),
                source: checked.source.clone(),
            });
        }
        if !checked.report.findings.is_empty() && kept.found.len() < MAX_KEPT {
            kept.found.push(checked);
        }
    }
}

impl std::fmt::Display for Checked {
    /// The dispatch, and a line for each finding.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Checked { pipeline, entry, workgroups: [x, y, z], source, report } = self;
        write!(f, "{entry} of '{pipeline}', {x} x {y} x {z} workgroups:")?;
        for finding in &report.findings {
            match source {
                Some(source) => write!(f, "\n  {}", finding.text(source))?,
                None => write!(f, "\n  byte {}: {finding}", finding.span.start)?,
            }
        }
        Ok(())
    }
}
