//! The steps of a contraction for operands that lie in one way: what is multiplied when, how, and
//! where it lies in between. Pure: nothing here touches a device.

use super::indices::{Indices, Set};
use super::layout::Layout;
use super::loops::{self, Loops, MOST_TERMS, Made, Target, Turn};
use super::path::{self, Path};
use super::product::{Product, fit};
use crate::element::DType;

/// Where an operand of a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Input(usize),
    /// Memory of the plan, by number.
    Space(usize),
    Output,
}

/// An operand or a result of a step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    pub place: Place,
    pub layout: Layout,
}

/// How a step is computed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Work {
    /// By loops, with the copy through squares that does the same on a GPU, if there is one.
    Loops(Loops, Option<Turn>),
    Product(Product),
}

/// How many times as many operations one contraction of all operands may take and pairs gain nothing.
const GAIN: f64 = 1.25;

/// Elements from which an operand that lies badly is turned first: fewer stay in caches.
const WORTH_A_TURN: f64 = 65_536.0;

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub terms: Vec<Term>,
    pub result: Term,
    pub work: Work,
    /// The contraction that it is, or is a part of, as an expression of its own.
    pub shown: String,
    pub operations: f64,
    /// The most additions in a row that a result goes through.
    pub depth: usize,
}

/// All steps, and the bytes of each space that they use.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recipe {
    pub steps: Vec<Step>,
    pub spaces: Vec<u64>,
    /// Predicted, for an H100.
    pub seconds: f64,
}

/// The steps for these operands along a path; where pairs gain nothing, one contraction of all operands
/// at once. Long sums are `divided` among workgroups in steps of their own.
pub(super) fn choose(
    indices: &Indices,
    inputs: &[Layout],
    output: &Layout,
    order: &[usize],
    path: &Path,
    divided: bool,
) -> Recipe {
    let new = || Kitchen {
        indices: indices.clone(),
        steps: Vec::new(),
        spaces: Vec::new(),
        seconds: 0.0,
        order: order.to_vec(),
        divided,
    };
    let terms: Vec<Term> = inputs
        .iter()
        .enumerate()
        .map(|(at, layout)| Term { place: Place::Input(at), layout: layout.clone() })
        .collect();
    let goal = Term { place: Place::Output, layout: output.clone() };
    let empty = |term: &Term| term.layout.set.iter().any(|index| indices.extents[index] == 0);
    if terms.iter().any(empty) {
        // Sums of nothing: zeros, if there is anything.
        let mut only = new();
        if indices.count(output.set.iter()) > 0 {
            only.loops(Vec::new(), output.set, Some(goal));
        }
        return only.finish();
    }
    let mut pairs = new();
    pairs.along(terms.clone(), goal.clone(), path);
    if terms.len() > 2 && terms.len() <= MOST_TERMS {
        let mut once = new();
        once.loops(terms, output.set, Some(goal));
        let operations =
            |kitchen: &Kitchen| -> f64 { kitchen.steps.iter().map(|step| step.operations).sum() };
        let gained = operations(&once) > GAIN * operations(&pairs);
        if !gained && once.seconds < pairs.seconds {
            return once.finish();
        }
    }
    pairs.finish()
}

/// Where a recipe is made.
struct Kitchen {
    indices: Indices,
    steps: Vec<Step>,
    /// Elements and their type.
    spaces: Vec<(usize, DType)>,
    seconds: f64,
    /// Of the result, as it was asked for.
    order: Vec<usize>,
    divided: bool,
}

impl Kitchen {
    fn space(&mut self, order: &[usize], dtype: DType) -> Term {
        let elements = self.indices.count(order.iter().copied());
        self.spaces.push((elements, dtype));
        let layout = Layout::dense(&self.indices, order, dtype);
        Term { place: Place::Space(self.spaces.len() - 1), layout }
    }

    /// The type that intermediate results have: f16 is worked in f32.
    fn between(terms: &[Term]) -> DType {
        match terms.first().map(|term| term.layout.dtype) {
            None | Some(DType::F16) => DType::F32,
            Some(dtype) => dtype,
        }
    }

    fn shown(&self, terms: &[Term], kept: Set, to: Option<&Term>) -> String {
        let letters = |term: &Term| self.indices.letters(term.layout.order(term.layout.set));
        let result = match to {
            Some(Term { place: Place::Output, .. }) => {
                self.indices.letters(self.order.iter().copied().filter(|&index| kept.has(index)))
            }
            Some(term) => letters(term),
            None => self.indices.letters(kept.iter()),
        };
        let terms: Vec<String> = terms.iter().map(letters).collect();
        format!("{}->{result}", terms.join(","))
    }

    /// Contracts pair by pair.
    fn along(&mut self, terms: Vec<Term>, goal: Term, path: &Path) {
        let output = goal.layout.set;
        if terms.len() == 1 {
            self.loops(terms, output, Some(goal));
            return;
        }
        // What only one operand has is summed first.
        let mut left: Vec<Option<Term>> = Vec::new();
        for (at, term) in terms.iter().enumerate() {
            let others = terms.iter().enumerate().filter(|&(other, _)| other != at);
            let wanted = others.fold(output, |all, (_, other)| all.or(other.layout.set));
            let kept = term.layout.set.and(wanted);
            left.push(Some(match kept == term.layout.set {
                true => term.clone(),
                false => self.loops(vec![term.clone()], kept, None),
            }));
        }
        for (at, &[a, b]) in path.iter().enumerate() {
            let (Some(a), Some(b)) = (left[a].take(), left[b].take()) else { return };
            let others = left.iter().flatten().map(|term| &term.layout.set);
            let kept = path::kept([a.layout.set, b.layout.set], others, output);
            let to = (at + 1 == path.len()).then(|| goal.clone());
            let result = self.pair(a, b, kept, to);
            left.push(Some(result));
        }
    }

    /// One pair, by whichever way is predicted to be the faster.
    fn pair(&mut self, a: Term, b: Term, kept: Set, to: Option<Term>) -> Term {
        let pair = [&a.layout, &b.layout];
        let dtype = Self::between(&[a.clone(), b.clone()]);
        let target = match &to {
            Some(term) => Target::Fixed(&term.layout),
            None => Target::Free(dtype),
        };
        let direct = loops::seconds(&self.indices, &pair, kept, target);
        match fit(&self.indices, pair, kept, target) {
            Some(fit) if fit.seconds < direct => {
                let shown = self.shown(&[a.clone(), b.clone()], kept, to.as_ref());
                let sets = [a.layout.set, b.layout.set];
                let operations = path::operations(&self.indices, &sets, kept);
                self.seconds += fit.seconds;
                let [into_a, into_b] = fit.copies;
                let mut copy = |term: Term, into: Option<Vec<usize>>| match into {
                    Some(order) => self.copy(term, &order, &shown),
                    None => term,
                };
                let terms = vec![copy(a, into_a), copy(b, into_b)];
                let direct = fit.result.is_none();
                let result = match (&to, fit.result) {
                    (Some(goal), None) => goal.clone(),
                    (_, order) => self.space(&order.unwrap_or_default(), dtype),
                };
                let work = Work::Product(fit.product);
                let (result_of, label) = (result.clone(), shown.clone());
                let depth = self.indices.count(sets[0].and(sets[1]).without(kept).iter());
                let step = Step { terms, result: result_of, work, shown, operations, depth };
                self.steps.push(step);
                match to {
                    Some(goal) if !direct => self.emit(vec![result], kept, Some(goal), &label, 0.0),
                    _ => result,
                }
            }
            _ => self.loops(vec![a, b], kept, to),
        }
    }

    /// A copy that belongs to a step.
    fn copy(&mut self, term: Term, order: &[usize], shown: &str) -> Term {
        let (kept, dtype) = (term.layout.set, term.layout.dtype);
        let to = self.space(order, dtype);
        self.emit(vec![term], kept, Some(to), shown, 0.0)
    }

    /// A contraction by loops.
    fn loops(&mut self, terms: Vec<Term>, kept: Set, to: Option<Term>) -> Term {
        let shown = self.shown(&terms, kept, to.as_ref());
        let sets: Vec<Set> = terms.iter().map(|term| term.layout.set).collect();
        let operations = path::operations(&self.indices, &sets, kept);
        let layouts: Vec<&Layout> = terms.iter().map(|term| &term.layout).collect();
        let target = match &to {
            Some(term) => Target::Fixed(&term.layout),
            None => Target::Free(Self::between(&terms)),
        };
        self.seconds += loops::seconds(&self.indices, &layouts, kept, target);
        self.emit(terms, kept, to, &shown, operations)
    }

    /// The steps of a contraction by loops: large operands that lie badly are turned before, sums in
    /// parts are added after.
    fn emit(
        &mut self,
        mut terms: Vec<Term>,
        kept: Set,
        to: Option<Term>,
        shown: &str,
        operations: f64,
    ) -> Term {
        let free = Target::Free(Self::between(&terms));
        let target = to.as_ref().map_or(free, |term| Target::Fixed(&term.layout));
        let mut made = self.make(&terms, kept, target);
        if let (Some(vector), true) = (made.vector, terms.len() > 1 || !made.loops.inner.is_empty())
        {
            let badly = |indices: &Indices, layout: &Layout| {
                layout.stride(vector) > 1 && indices.size(layout.set) >= WORTH_A_TURN
            };
            for term in &mut terms {
                if badly(&self.indices, &term.layout) {
                    let mut order = term.layout.order(term.layout.set);
                    order.retain(|&index| index != vector);
                    order.push(vector);
                    *term = self.copy(term.clone(), &order, shown);
                }
            }
            if let Some(goal) = &to
                && badly(&self.indices, &goal.layout)
            {
                let result = self.emit(terms, kept, None, shown, operations);
                return self.emit(vec![result], kept, to, shown, 0.0);
            }
            made = self.make(&terms, kept, target);
        }
        if self.divided && made.loops.parts > 1 {
            let parted = self.make(&terms, kept, free);
            let space = self.spaces.len();
            if parted.loops.parts > 1
                && let Ok(part) = self.indices.add('#', parted.loops.parts)
            {
                let mut order = vec![part];
                order.extend(parted.layout.order(parted.layout.set));
                let sums = self.space(&order, parted.layout.dtype);
                let result = Term { place: Place::Space(space), layout: parted.layout };
                let chain = parted.loops.chain();
                let (work, depth) = (Work::Loops(parted.loops, None), chain);
                self.steps.push(Step {
                    terms,
                    result,
                    work,
                    shown: shown.into(),
                    operations,
                    depth,
                });
                return self.emit(vec![sums], kept, to, shown, 0.0);
            }
        }
        let result = match to {
            Some(term) => term,
            None => self.space(&made.layout.order(made.layout.set), made.layout.dtype),
        };
        let loops = made.loops.whole();
        let turn = loops.turn();
        let depth = if self.divided { loops.chain() } else { loops::count(&loops.inner) };
        let (work, shown) = (Work::Loops(loops, turn), shown.into());
        self.steps.push(Step { terms, result: result.clone(), work, shown, operations, depth });
        result
    }

    fn make(&self, terms: &[Term], kept: Set, target: Target<'_>) -> Made {
        let layouts: Vec<&Layout> = terms.iter().map(|term| &term.layout).collect();
        Loops::of(&self.indices, &layouts, kept, target)
    }

    /// The steps, and which of them can have the same memory: a space is free again after the last
    /// step that reads it.
    fn finish(self) -> Recipe {
        let Kitchen { mut steps, spaces, seconds, .. } = self;
        let bytes = |(elements, dtype): (usize, DType)| {
            (elements as u64).saturating_mul(dtype.size() as u64)
        };
        let last = |space: usize| {
            let reads = |step: &Step| step.terms.iter().any(|t| t.place == Place::Space(space));
            steps.iter().rposition(reads).unwrap_or(0)
        };
        let until: Vec<usize> = (0..spaces.len()).map(last).collect();
        let mut held: Vec<(u64, usize)> = Vec::new(); // bytes, and the last step to read them
        let mut found: Vec<Option<usize>> = vec![None; spaces.len()];
        for (at, step) in steps.iter().enumerate() {
            let Place::Space(space) = step.result.place else { continue };
            let wanted = bytes(spaces[space]);
            // The free one that fits best: the least that is large enough, else the largest.
            let free = (0..held.len()).filter(|&i| held[i].1 < at);
            let best = free.min_by_key(|&i| match held[i].0 {
                enough if enough >= wanted => (false, enough),
                less => (true, u64::MAX - less),
            });
            let chosen = best.unwrap_or_else(|| {
                held.push((0, 0));
                held.len() - 1
            });
            held[chosen] = (held[chosen].0.max(wanted), until[space]);
            found[space] = Some(chosen);
        }
        for step in &mut steps {
            for term in step.terms.iter_mut().chain([&mut step.result]) {
                if let Place::Space(space) = term.place {
                    term.place = Place::Space(found[space].unwrap_or(space));
                }
            }
        }
        Recipe { steps, spaces: held.into_iter().map(|(bytes, _)| bytes).collect(), seconds }
    }
}
