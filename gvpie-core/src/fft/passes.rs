//! The passes of a problem: how its axes are divided until each part fits a workgroup.

use super::radix::{self, Stages};
use super::recipe::{After, Before, Facts, Id, Lay, Load, Pairs, Pass, Place, Side, Store, View};
use super::twiddles::Run;
use super::{Fft, Kind};
use crate::error::{Error, Result};

/// Fewest neighbouring columns that are worth reading together: 32 bytes of memory are read at
/// once, whatever is asked.
const LEAST_COLUMNS: usize = 4;

/// Fewest lines in a workgroup where half of them are the mirrors of the others.
const LEAST_MIRRORED: usize = 2 * LEAST_COLUMNS;

/// Neighbouring columns that are read together where that leaves workgroups small.
const COLUMNS: usize = 16;

/// Points of the longest columns that fit a workgroup beside others; registers hold no other workgroup
/// of them.
const LONG: usize = 4096;

/// Threads that a workgroup has where nothing else decides.
const THREADS: usize = 256;

/// Bytes of a line at most that a workgroup's registers hold: half of the 256 KB that a processor
/// has on GPUs of NVIDIA and AMD; addresses and factors take of the other half.
const REGISTERS: usize = 128 << 10;

/// The same for software drivers: kernels of longer lines take them minutes to compile.
const SOFTWARE: usize = 32 << 10;

/// Bytes of its memory that a workgroup can take without others of its size finding no place: a
/// processor of an H100 has 228 KB for workgroups, and registers for 2048 threads of them.
const SHARE: usize = 20 << 10;

/// How lines lie, and what becomes of them in a workgroup's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Their elements are neighbours.
    Rows,
    /// Elements of different lines are.
    Columns,
    /// Rows that become the half spectrum of real numbers there.
    Packed,
    /// Columns beside their mirrors, which become it there, or of which they are made.
    Mirrored,
}

/// How a line is worked by a workgroup.
pub(super) struct Geometry {
    pub stages: Stages,
    /// Lines side by side in a workgroup.
    pub width: usize,
    /// Parts in which lines go through workgroup memory one after another.
    pub rounds: usize,
}

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
                    let room = |(id, extent)| {
                        (id, if id == last { self.room_for_half(n, extent) } else { extent })
                    };
                    let all = half.dims().iter().copied().enumerate().map(room).collect();
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
            if self.geometry(n / 2, 1, Layout::Packed).is_some() {
                let after = After { store: Store::Packed, ..after };
                return self.axis(n / 2, (pairs, from.1), to, lines, (before, after));
            }
            if let Some(line) = self.mirrored(n / 2) {
                let after = After { store: Store::Packed, ..after };
                let parts = [n / 2 / line, line];
                let from = (pairs, from.1);
                return self.two(parts, from, to, lines, (before, after), Some(Pairs::Forward));
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

    /// Elements that a dense line of half a spectrum of n real numbers takes: where the line is to be
    /// divided, a multiple of its second part, so that parts count all that lies inside other axes.
    fn room_for_half(&self, n: usize, held: usize) -> usize {
        let points = if radix::smooth(n) { n } else { smooth_above(2 * n - 1) };
        if self.geometry(points, 1, Layout::Rows).is_some() {
            return held;
        }
        self.split(points).map_or(held, |first| held.next_multiple_of(points / first))
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
            if self.geometry(n / 2, 1, Layout::Rows).is_some() {
                let before = Before { load: Load::Packed, ..before };
                return self.axis(n / 2, from, (pairs, to.1), lines, (before, after));
            }
            // The half spectrum has an element more than two parts of an axis can count.
            let strided = matches!(from.0.axes, Lay::Strided(_));
            if let Some(line) = self.mirrored(n / 2).filter(|_| strided) {
                let before = Before { load: Load::Packed, ..before };
                let parts = [line, n / 2 / line];
                let to = (pairs, to.1);
                return self.two(parts, from, to, lines, (before, after), Some(Pairs::Back));
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
            mirror: None,
            pairs: Some(pairs),
            stages: Stages { radices: Vec::new(), threads: THREADS },
            width: 1,
            rounds: 1,
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
    ///
    /// Lines that are long go through the workgroup's memory in parts, where the radices allow that
    /// and neither is the spectrum of real numbers made from that of half as many complex ones there:
    /// in halves so that more workgroups share a processor, in more parts where they would not fit.
    fn geometry(&self, n: usize, least: usize, lay: Layout) -> Option<Geometry> {
        self.geometry_of(n, least, lay, false)
    }

    /// The same; `twice` for the two transforms of a convolution, of which the second reads at its first
    /// stage what the first has left.
    fn geometry_of(&self, n: usize, least: usize, lay: Layout, twice: bool) -> Option<Geometry> {
        if n * self.size > if self.facts.software { SOFTWARE } else { REGISTERS } {
            return None;
        }
        let stages = radix::divide(n, self.facts.invocations.min(1024))?;
        let columns = matches!(lay, Layout::Columns | Layout::Mirrored);
        let whole = self.width(n, &stages, columns, 1, 1) * n * (self.size / 2);
        let rounds: &[usize] = match lay {
            Layout::Packed | Layout::Mirrored => &[1],
            Layout::Columns if (1..=SHARE).contains(&whole) => &[1, 2],
            Layout::Columns => &[2, 1],
            Layout::Rows if (1..=SHARE).contains(&whole) => &[1, 2, 4],
            Layout::Rows => &[2, 1, 4],
        };
        let mut rounds = rounds.iter().filter(|&&rounds| stages.parts(rounds, twice));
        let (rounds, width) = rounds.find_map(|&rounds| {
            let width = self.width(n, &stages, columns, rounds, least);
            (width >= least).then_some((rounds, width))
        })?;
        Some(Geometry { stages, width, rounds })
    }

    /// Lines of n points that a workgroup works side by side.
    fn width(
        &self,
        n: usize,
        stages: &Stages,
        columns: bool,
        rounds: usize,
        least: usize,
    ) -> usize {
        // A thirty-second more, against conflicts of banks, and what rounding up takes.
        let words = self.facts.workgroup_storage / (self.size / 2);
        let part = n / rounds;
        let needed = if stages.radices.len() > 1 { part + part / 16 + 33 } else { 0 };
        let fit = words.checked_div(needed).unwrap_or(usize::MAX);
        let most = fit.min(self.facts.invocations / stages.threads);
        // Lines of a length that is no power of two begin anywhere in the 32 bytes that memory is
        // read by, so more of them are read together.
        let (threads, fewest) = if n.is_power_of_two() {
            (THREADS, 8.min(2 * THREADS / stages.threads))
        } else {
            (2 * THREADS, 8)
        };
        let wanted = match columns {
            true => COLUMNS
                .max(THREADS / stages.threads)
                .min(fewest.max(LEAST_COLUMNS).max(threads / stages.threads)),
            false => THREADS.div_ceil(stages.threads),
        };
        let width = wanted.max(least).min(most);
        if columns && width > 0 { 1 << width.ilog2() } else { width }
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
        if self.geometry_of(m, 1, Layout::Rows, true).is_some() && self.fits_chain(m) {
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
            && self.geometry_of(n - 1, 1, Layout::Rows, true).is_some()
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
        let lay = match (any, after.store) {
            (true, _) => Layout::Columns,
            (false, Store::Packed) => Layout::Packed,
            (false, Store::Complex | Store::Real) => Layout::Rows,
        };
        if let Some(Geometry { stages, width, rounds }) =
            self.geometry_of(n, least, lay, product.is_some())
        {
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
                mirror: None,
                pairs: None,
                stages,
                width,
                rounds,
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
        self.two([first, n / first], from, to, lines, (before, after), None)
    }

    /// An axis of n₁·n₂ points: transforms of n₁ at distance n₂, then of n₂ (which are divided again
    /// where they are too long). Where these are pairs of real numbers, the last pass makes their half
    /// spectrum of it, or the first reads it.
    fn two(
        &mut self,
        [first, rest]: [usize; 2],
        from: (View, Id),
        to: (View, Id),
        lines: Vec<(Id, usize)>,
        (before, after): (Before, After),
        pairs: Option<Pairs>,
    ) -> Result<()> {
        let n = first * rest;
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
        if pairs == Some(Pairs::Back) {
            self.mirror(at, (j2, rest));
        }
        let mut index = after.index.clone();
        index.push((k1, after.step));
        let writing = After { index, step: after.step * first, ..after };
        let beginning = Before { step: 1, ..Before::default() };
        let at = self.passes.len();
        self.smooth(rest, (space, j2), (output, k2), with_k1, (beginning, writing), None)?;
        if pairs == Some(Pairs::Forward) {
            self.mirror(at, (k1, first));
        }
        Ok(())
    }

    /// Has a pass work the lines along an axis beside their mirrors.
    fn mirror(&mut self, at: usize, axis: (Id, usize)) {
        let n = self.passes.get(at).map_or(1, |pass| pass.n);
        let wide = self.geometry(n, LEAST_MIRRORED, Layout::Mirrored);
        if let (Some(pass), Some(Geometry { stages, width, rounds })) =
            (self.passes.get_mut(at), wide)
        {
            pass.mirror = Some(axis);
            (pass.stages, pass.width, pass.rounds) = (stages, width, rounds);
        }
    }

    /// How n points are divided in two where lines of one pass are worked beside their mirrors: the
    /// length of these lines, the shorter ones, since they take most room.
    fn mirrored(&self, n: usize) -> Option<usize> {
        let fits = |part, least, lay| self.geometry(part, least, lay).is_some();
        let divisors = (2..).take_while(|&d| d * d <= n).filter(|&d| n.is_multiple_of(d));
        divisors
            .filter(|&d| {
                fits(d, LEAST_MIRRORED, Layout::Mirrored)
                    && fits(n / d, LEAST_COLUMNS, Layout::Columns)
            })
            .max()
    }

    /// The first of two factors of n: both fit a workgroup beside others, or the first does and the
    /// second can be divided again.
    fn split(&self, n: usize) -> Option<usize> {
        let fits = |part: usize| self.geometry(part, LEAST_COLUMNS, Layout::Columns).is_some();
        let divisors = || (2..n).filter(|&d| d * d <= n && n.is_multiple_of(d));
        // The nearest to a square, where that is not of the longest lines: three passes of shorter ones
        // are quicker (2^24 points on an H100: 918 against 871 GB/s).
        let shorter = |&d: &usize| d <= LONG / 2;
        if let Some(first) = divisors().filter(shorter).filter(|&d| fits(d) && fits(n / d)).max() {
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
