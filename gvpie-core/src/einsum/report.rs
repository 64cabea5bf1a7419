//! What a plan tells of itself.

use super::Einsum;
use super::expression::Bound;
use super::indices::Set;
use super::path::{self, Path};
use super::plan::{reduced, working};
use super::recipe::{Place, Recipe, Term, Work};

/// An order of contractions, with what it costs; prints as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct EinsumPath {
    expression: String,
    naive: f64,
    largest: u64,
    workspace: u64,
    depth: usize,
    steps: Vec<EinsumStep>,
}

/// One pass over operands.
#[derive(Debug, Clone, PartialEq)]
pub struct EinsumStep {
    /// The contraction that it is, or is a part of, with the indices of its operands as they lie.
    pub expression: String,
    /// Operations, as [`EinsumPath::operations`] counts them; 0 for a pass that only moves elements or
    /// adds parts of sums.
    pub operations: f64,
    /// Bytes that it writes.
    pub bytes: u64,
    /// How it is computed: `gemm` with its extents, `loops`, `copy`, or `turn`, a copy that changes
    /// which elements are neighbours.
    pub work: String,
}

impl EinsumPath {
    /// The expression.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// Operations if all operands were multiplied at once, element by element.
    pub fn naive_operations(&self) -> f64 {
        self.naive
    }

    /// Operations of all steps: of each, one for each element of all its indices and operand but the
    /// first, and one more where it sums.
    pub fn operations(&self) -> f64 {
        self.steps.iter().map(|step| step.operations).sum()
    }

    /// Bytes of the largest result of a contraction that is not the last one.
    pub fn largest_intermediate(&self) -> u64 {
        self.largest
    }

    /// Bytes that a plan holds for its steps.
    pub fn workspace(&self) -> u64 {
        self.workspace
    }

    /// Additions that an element of the result goes through, one after another, at most: the K of the
    /// [error bound](crate::einsum).
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// The steps.
    pub fn steps(&self) -> &[EinsumStep] {
        &self.steps
    }

    pub(super) fn new(problem: &Einsum, bound: &Bound, path: &Path, recipe: &Recipe) -> Self {
        let sets: Vec<Set> = (0..bound.inputs.len()).map(|at| bound.set(at)).collect();
        let size = working(problem.element).size() as f64;
        let bytes = |term: &Term| (bound.indices.size(term.layout.set) * size) as u64;
        // Once all operands are contracted at a time there is no intermediate.
        let between = recipe.steps.iter().any(|step| matches!(step.result.place, Place::Space(_)));
        let largest = if between { largest(bound, path) * size } else { 0.0 };
        let steps = recipe.steps.iter().map(|step| EinsumStep {
            expression: step.shown.clone(),
            operations: step.operations,
            bytes: bytes(&step.result),
            work: step.work.to_string(),
        });
        EinsumPath {
            expression: problem.expression.clone(),
            naive: path::operations(&bound.indices, &sets, bound.result()),
            largest: largest as u64,
            workspace: recipe.spaces.iter().sum(),
            depth: recipe.steps.iter().map(|step| step.depth).fold(0, usize::saturating_add),
            steps: steps.collect(),
        }
    }
}

impl std::fmt::Display for EinsumPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "expression            {}", self.expression)?;
        writeln!(f, "operations            {:.3e}", self.operations())?;
        writeln!(f, "  all at once         {:.3e}", self.naive)?;
        writeln!(f, "largest intermediate  {} bytes", self.largest)?;
        writeln!(f, "workspace             {} bytes", self.workspace)?;
        let wide = self.steps.iter().map(|step| step.expression.chars().count()).max();
        let wide = wide.unwrap_or(0).max(11);
        writeln!(
            f,
            "{:>4}  {:wide$}  {:>10}  {:>12}  by",
            "step", "contraction", "operations", "bytes"
        )?;
        for (at, step) in self.steps.iter().enumerate() {
            let EinsumStep { expression, operations, bytes, work } = step;
            writeln!(
                f,
                "{:>4}  {expression:wide$}  {operations:>10.3e}  {bytes:>12}  {work}",
                at + 1
            )?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Work::Product(product) => write!(f, "gemm {product}"),
            Work::Loops(_, Some(_)) => f.write_str("turn"),
            Work::Loops(loops, None) if loops.terms.len() == 1 && loops.inner.is_empty() => {
                f.write_str("copy")
            }
            Work::Loops(..) => f.write_str("loops"),
        }
    }
}

/// Elements of the largest intermediate of a path.
fn largest(bound: &Bound, path: &Path) -> f64 {
    let output = bound.result();
    let mut sets: Vec<Option<Set>> = reduced(bound).into_iter().map(Some).collect();
    let mut largest = 0.0_f64;
    for (at, &[a, b]) in path.iter().enumerate() {
        let (Some(a), Some(b)) = (sets[a].take(), sets[b].take()) else { return largest };
        let kept = path::kept([a, b], sets.iter().flatten(), output);
        if at + 1 < path.len() {
            largest = largest.max(bound.indices.size(kept));
        }
        sets.push(Some(kept));
    }
    largest
}
