//! The passes of a problem: how its axes are divided until each part fits a workgroup.

use super::radix::{self, Stages};
use super::recipe::{After, Before, Facts, Id, Lay, Load, Pairs, Pass, Place, Side, Store, View};
use super::twiddles::Run;
use super::{Fft, Kind};
use crate::error::{Error, Result};

/// Fewest neighbouring columns that are worth reading together: 32 bytes of memory are read at
/// once, whatever is asked.
const LEAST_COLUMNS: usize = 4;

/// Neighbouring columns that are read together where that leaves workgroups small.
const COLUMNS: usize = 16;

/// Threads that a workgroup has where nothing else decides.
const THREADS: usize = 256;

/// Gathers the passes of a problem.
pub(super) struct Builder<'a> {
    pub facts: &'a Facts,
    /// Bytes of a complex element.
    pub size: usize,
    pub next: Id,
    pub passes: Vec<Pass>,
    pub spaces: usize,
}

impl Builder<'_> {
    fn id(&mut self) -> Id {
        self.next += 1;
        self.next - 1
    }

    fn space(&mut self) -> Place {
        self.spaces += 1;
        Place::Space(self.spaces - 1)
    }

    pub fn problem(&mut self, problem: &Fft, x: &Side, y: &Side) -> Result<()> {
        let dims = problem.shape.dims();
        let view = |side: &Side, place| View {
            place,
            offset: side.offset,
            axes: Lay::Strided(side.strides.iter().copied().enumerate().collect()),
        };
        let (input, output) = (view(x, Place::Input), view(y, Place::Output));
        let Some((last, n)) = problem.last() else { return Ok(()) };
        let half = problem.half();
        // The extents that the axes have while they are lines.
        let lines = |axis: Id, halved: bool| -> Vec<(Id, usize)> {
            let extents = if halved { half.dims() } else { dims };
            let others = extents.iter().copied().enumerate();
            others.filter(|&(other, _)| other != axis).collect()
        };
        let before = Before {
            given: problem.given.filter(|&given| given < n),
            window: problem.window,
            turned: true,
            step: 1,
            ..Before::default()
        };
        let after = After { turned: true, step: 1, ..After::default() };
        let scale = Some(problem.factor()).filter(|&factor| factor != 1.0);
        let others: Vec<Id> =
            problem.axes.iter().rev().skip(1).copied().filter(|&a| dims[a] > 1).collect();
        let ends = |i: usize| if i + 1 == others.len() { scale } else { None };

        if problem.kind == Kind::Real && problem.inverse {
            let mut from = input;
            for &axis in &others {
                let to = if from.place == Place::Input {
                    let all = half.dims().iter().copied().enumerate().collect();
                    View { place: self.space(), offset: 0, axes: Lay::Dense(all) }
                } else {
                    from.clone()
                };
                // The window is along the last of the axes.
                let pass = (Before { window: false, ..before.clone() }, after.clone());
                self.axis(dims[axis], (from, axis), (to.clone(), axis), lines(axis, true), pass)?;
                from = to;
            }
            let after = After { scale, ..after };
            return self.back(n, (from, last), (output, last), lines(last, true), before, after);
        }
        let spectrum = problem.spectrum;
        let after_last = After {
            spectrum,
            scale: if others.is_empty() { scale } else { None },
            ..after.clone()
        };
        match problem.kind {
            Kind::Real => self.halve(
                n,
                (input, last),
                (output.clone(), last),
                lines(last, false),
                before.clone(),
                after_last,
            )?,
            Kind::Complex => self.axis(
                n,
                (input, last),
                (output.clone(), last),
                lines(last, false),
                (before.clone(), after_last),
            )?,
        }
        let before = Before { given: None, window: false, ..before };
        for (i, &axis) in others.iter().enumerate() {
            let pass = (before.clone(), After { scale: ends(i), ..after.clone() });
            let halved = problem.kind == Kind::Real;
            let both = (output.clone(), axis);
            self.axis(dims[axis], both.clone(), both, lines(axis, halved), pass)?;
        }
        Ok(())
    }

    /// The half spectrum of n real numbers.
    fn halve(
        &mut self,
        n: usize,
        from: (View, Id),
        to: (View, Id),
        lines: Vec<(Id, usize)>,
        before: Before,
        after: After,
    ) -> Result<()> {
        let plain = before.given.is_none() && !before.window;
        if let Some(pairs) = self.pairs(n, &from, &to, &lines).filter(|_| plain) {
            if self.geometry(n / 2, 1, false).is_some() {
                let after = After { store: Store::Packed, ..after };
                return self.axis(n / 2, (pairs, from.1), to, lines, (before, after));
            }
            let middle = self.middle(n / 2, &lines);
            let plain = After { step: 1, ..After::default() };
            self.axis(n / 2, (pairs, from.1), middle.clone(), lines.clone(), (before, plain))?;
            let around = (Before::default(), after);
            self.pair(n / 2, middle, to, lines, around, Pairs::Forward);
            return Ok(());
        }
        let before = Before { load: Load::Real, ..before };
        self.axis(n, from, to, lines, (before, After { kept: Some(n / 2 + 1), ..after }))
    }

    /// n real numbers of half their spectrum.
    fn back(
        &mut self,
        n: usize,
        from: (View, Id),
        to: (View, Id),
        lines: Vec<(Id, usize)>,
        before: Before,
        after: After,
    ) -> Result<()> {
        if let Some(pairs) = self.pairs(n, &to, &from, &lines) {
            if self.geometry(n / 2, 1, false).is_some() {
                let before = Before { load: Load::Packed, ..before };
                return self.axis(n / 2, from, (pairs, to.1), lines, (before, after));
            }
            let middle = self.middle(n / 2, &lines);
            let plain = After { step: 1, ..After::default() };
            let hooked = Before { window: before.window, ..Before::default() };
            let around = (hooked, plain);
            self.pair(n / 2, from, middle.clone(), lines.clone(), around, Pairs::Back);
            let before = Before { window: false, ..before };
            return self.axis(n / 2, middle, (pairs, to.1), lines, (before, after));
        }
        let before = Before { load: Load::Half, length: n, ..before };
        self.axis(n, from, to, lines, (before, After { store: Store::Real, ..after }))
    }

    /// Memory for n points of each line, along an axis of their own.
    fn middle(&mut self, n: usize, lines: &[(Id, usize)]) -> (View, Id) {
        let axis = self.id();
        let mut extents = lines.to_vec();
        extents.push((axis, n));
        (View { place: self.space(), offset: 0, axes: Lay::Dense(extents) }, axis)
    }

    /// The step between half a spectrum and that of pairs.
    fn pair(
        &mut self,
        n: usize,
        from: (View, Id),
        to: (View, Id),
        lines: Vec<(Id, usize)>,
        (before, after): (Before, After),
        pairs: Pairs,
    ) {
        self.passes.push(Pass {
            n,
            from: from.0,
            from_axis: from.1,
            to: to.0,
            to_axis: to.1,
            lines,
            before,
            after,
            twiddle: None,
            product: None,
            pairs: Some(pairs),
            stages: Stages { radices: Vec::new(), threads: THREADS },
            width: 1,
            columns: [false; 2],
        });
    }

    /// Real numbers as half as many complex ones, where neighbours lie side by side on both ends.
    fn pairs(
        &self,
        n: usize,
        (view, axis): &(View, Id),
        (other, other_axis): &(View, Id),
        lines: &[(Id, usize)],
    ) -> Option<View> {
        let Lay::Strided(strides) = &view.axes else { return None };
        let even = lines.iter().all(|&(id, count)| {
            count <= 1 || strides.iter().any(|&(other, s)| other == id && s.is_multiple_of(2))
        });
        let fits = n.is_multiple_of(2) && radix::smooth(n / 2);
        let lies = view.stride(*axis, None) == 1 && other.stride(*other_axis, None) == 1;
        if !fits || !lies || !even || !view.offset.is_multiple_of(2) {
            return None;
        }
        let halved = strides.iter().map(|&(id, s)| (id, if id == *axis { 1 } else { s / 2 }));
        let axes = Lay::Strided(halved.collect());
        Some(View { offset: view.offset / 2, axes, ..view.clone() })
    }

    /// How a line of n points is worked, with at least so many side by side; `None` where it does
    /// not fit a workgroup.
    fn geometry(&self, n: usize, least: usize, columns: bool) -> Option<(Stages, usize)> {
        let stages = radix::divide(n, self.facts.invocations.min(1024))?;
        // A thirty-second more, against conflicts of banks, and what rounding up takes.
        let words = self.facts.workgroup_storage / (self.size / 2);
        let needed = if stages.radices.len() > 1 { n + n / 16 + 33 } else { 0 };
        let fit = words.checked_div(needed).unwrap_or(usize::MAX);
        let most = fit.min(self.facts.invocations / stages.threads);
        // Lines of a length that is no power of two begin anywhere in the 32 bytes that memory is
        // read by, so more of them are read together.
        let (threads, fewest) = if n.is_power_of_two() { (THREADS, 4) } else { (2 * THREADS, 8) };
        let wanted = match columns {
            true => COLUMNS.max(THREADS / stages.threads).min(fewest.max(threads / stages.threads)),
            false => THREADS.div_ceil(stages.threads),
        };
        let width = wanted.min(most);
        let width = if columns && width > 0 { 1 << width.ilog2() } else { width };
        (width >= least).then_some((stages, width))
    }

    /// Transforms of n points along an axis.
    fn axis(
        &mut self,
        n: usize,
        from: (View, Id),
        to: (View, Id),
        lines: Vec<(Id, usize)>,
        around: (Before, After),
    ) -> Result<()> {
        if radix::smooth(n) {
            return self.smooth(n, from, to, lines, around, None);
        }
        if self.is_cyclic(n) {
            return self.smooth(n - 1, from, to, lines, around, Some(Run::PrimeSpectrum { n }));
        }
        // Bluestein: with w(j) = exp(-πi·j²/n), X(k) = w(k) Σ x(j) w(j) · conj w(k - j).
        let (before, after) = around;
        let m = smooth_above(2 * n - 1);
        let spectrum = Run::ChirpSpectrum { n, m };
        let first =
            Before { times: Some(Run::Chirp { n }), given: before.given.or(Some(n)), ..before };
        let last = After {
            swapped: true,
            times: Some(Run::Chirp { n }),
            kept: Some(after.kept.unwrap_or(n)),
            ..after
        };
        if self.geometry(m, 1, false).is_some() && self.fits_chain(m) {
            return self.smooth(m, from, to, lines, (first, last), Some(spectrum));
        }
        let product = After { times: Some(spectrum), step: 1, ..After::default() };
        let middle = self.middle(m, &lines);
        self.smooth(m, from, middle.clone(), lines.clone(), (first, product), None)?;
        let back = Before { swapped: true, step: 1, ..Before::default() };
        self.smooth(m, middle, to, lines, (back, last), None)
    }

    /// Whether a transform is best a cyclic convolution of n − 1 points (Rader), for n that are not
    /// smooth. That permutes the elements, so it is where all of them are in one workgroup.
    fn is_cyclic(&self, n: usize) -> bool {
        radix::prime(n)
            && radix::smooth(n - 1)
            && self.geometry(n - 1, 1, false).is_some()
            && self.fits_chain(n - 1)
            && radix::effort(n - 1) < radix::effort(smooth_above(2 * n - 1))
    }

    /// Whether a convolution of m points is one pass.
    fn fits_chain(&self, m: usize) -> bool {
        m * (self.size / 2) * 17 / 16 <= self.facts.workgroup_storage
    }

    fn smooth(
        &mut self,
        n: usize,
        from: (View, Id),
        to: (View, Id),
        lines: Vec<(Id, usize)>,
        (before, after): (Before, After),
        product: Option<Run>,
    ) -> Result<()> {
        let count =
            |lines: &[(Id, usize)]| lines.iter().map(|&(_, count)| count).product::<usize>();
        // Neighbours are lines where these lie closer than the elements of one.
        let columns = [&from, &to].map(|(view, axis)| {
            let own = view.stride(*axis, None);
            let closer = |&&(id, count): &&(Id, usize)| count > 1 && view.stride(id, None) < own;
            lines.iter().any(|line| closer(&line))
        });
        let any = columns.contains(&true);
        let least = if any && product.is_none() { LEAST_COLUMNS.min(count(&lines)) } else { 1 };
        if let Some((stages, width)) = self.geometry(n, least, any) {
            let width = width.min(count(&lines).next_power_of_two()).max(1);
            self.passes.push(Pass {
                n,
                from: from.0,
                from_axis: from.1,
                to: to.0,
                to_axis: to.1,
                lines,
                before,
                after,
                twiddle: None,
                product,
                pairs: None,
                stages,
                width,
                columns: if width == 1 { [false; 2] } else { columns },
            });
            return Ok(());
        }
        let Some(first) = self.split(n) else {
            return Err(Error::Limit {
                what: format!("an FFT of {n} points"),
                limit: "max_compute_workgroup_storage_size",
                asked: (LEAST_COLUMNS * 16 * self.size / 2) as u64,
                allowed: self.facts.workgroup_storage as u64,
            });
        };
        let rest = n / first;
        let [j1, j2, k1, k2] = [(); 4].map(|()| self.id());
        let input = from.0.split(from.1, j1, j2, rest);
        let output = to.0.split(to.1, k2, k1, first);
        // Lines that lie closer than the elements stay closest.
        let own = input.stride(j2, None);
        let mut ordered = lines.clone();
        ordered.sort_by_key(|&(id, _)| std::cmp::Reverse(input.stride(id, None)));
        let outside = ordered.iter().take_while(|&&(id, _)| input.stride(id, None) >= own).count();
        let mut extents = ordered;
        extents.splice(outside..outside, [(k1, first), (j2, rest)]);
        let space = View { place: self.space(), offset: 0, axes: Lay::Dense(extents) };

        let mut with_j2 = lines.clone();
        with_j2.push((j2, rest));
        let mut with_k1 = lines;
        with_k1.push((k1, first));
        let mut index = before.index.clone();
        index.push((j2, before.step));
        let reading = Before { index, step: before.step * rest, ..before };
        let at = self.passes.len();
        let ending = After { step: 1, ..After::default() };
        self.smooth(first, (input, j1), (space.clone(), k1), with_j2, (reading, ending), None)?;
        if let Some(pass) = self.passes.get_mut(at) {
            pass.twiddle = Some((j2, n));
        }
        let mut index = after.index.clone();
        index.push((k1, after.step));
        let writing = After { index, step: after.step * first, ..after };
        let beginning = Before { step: 1, ..Before::default() };
        self.smooth(rest, (space, j2), (output, k2), with_k1, (beginning, writing), None)
    }

    /// The first of two factors of n: both fit a workgroup beside others, or the first does and the
    /// second can be divided again.
    fn split(&self, n: usize) -> Option<usize> {
        let fits = |part: usize| self.geometry(part, LEAST_COLUMNS, true).is_some();
        let divisors = || (2..n).filter(|&d| d * d <= n && n.is_multiple_of(d));
        // The nearest to a square.
        if let Some(first) = divisors().filter(|&d| fits(d) && fits(n / d)).max() {
            return Some(first);
        }
        let third = (n as f64).cbrt();
        divisors().filter(|&d| fits(d) && self.split(n / d).is_some()).min_by(|a, b| {
            let far = |d: &usize| (*d as f64 / third).ln().abs();
            far(a).total_cmp(&far(b))
        })
    }
}

/// The 13-smooth length from n on that takes least work.
fn smooth_above(n: usize) -> usize {
    let lengths = (n..=n.next_power_of_two()).filter(|&m| radix::smooth(m));
    lengths
        .min_by(|&a, &b| radix::work(a).total_cmp(&radix::work(b)))
        .unwrap_or(n.next_power_of_two())
}
