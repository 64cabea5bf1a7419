//! Lines of operands walked together, element by element: the index arithmetic of passes that move
//! and multiply elements without a transform of their own.

use crate::shape::Shape;
use crate::tensor::Operand;
use rayon::prelude::*;

/// Fewer elements than this are not worth more than one thread.
const SMALL: usize = 1 << 13;

/// Where an operand's elements lie. Distances are in elements and signed, because some operands are
/// read backwards.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub offset: usize,
    pub strides: Vec<isize>,
}

impl Place {
    /// Axes of one element are never stepped along, and those of an operand with several lie within
    /// its buffer, so that every stride fits.
    fn new(offset: usize, dims: &[usize], strides: &[usize]) -> Self {
        let stride = |(&stride, &extent): (&usize, &usize)| match extent {
            0 | 1 => 0,
            _ => stride as isize,
        };
        Place { offset, strides: strides.iter().zip(dims).map(stride).collect() }
    }

    pub fn of(operand: &Operand) -> Self {
        Place::new(operand.offset, operand.shape.dims(), &operand.strides)
    }

    /// Row-major, without gaps.
    pub fn dense(dims: &[usize]) -> Self {
        Place::new(0, dims, &Shape::from(dims).strides())
    }

    /// The same elements, the last first along this axis of this extent.
    pub fn backwards(mut self, axis: usize, extent: usize) -> Self {
        let stride = &mut self.strides[axis];
        self.offset = self.offset.wrapping_add_signed(*stride * (extent.max(1) - 1) as isize);
        *stride = -*stride;
        self
    }
}

/// An operand of [`Lines`]: where its first line begins, the distance between elements of a line,
/// and the distances between lines.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub offset: usize,
    pub axis: isize,
    pub others: Vec<isize>,
}

/// All lines along one axis, of N inputs and an output.
#[derive(Debug, Clone)]
pub(super) struct Lines<const N: usize> {
    /// Of the output along the axis.
    pub extent: usize,
    /// Extents of the other axes, outermost first. Those of one element are left out, and two
    /// neighbours that lie as one in all operands are one.
    pub others: Vec<usize>,
    /// How many of `others` lie inside the axis.
    pub inside: usize,
    pub inputs: [Side; N],
    pub output: Side,
}

impl<const N: usize> Lines<N> {
    /// The lines along `axis` of an output of these extents. Inputs have the same extents along all
    /// other axes.
    pub fn new(dims: &[usize], axis: usize, inputs: [Place; N], output: Place) -> Self {
        let mut others: Vec<usize> = Vec::new();
        let mut kept: Vec<usize> = Vec::new(); // the innermost axis of each of `others`
        let mut inside = 0;
        for (at, &extent) in dims.iter().enumerate().filter(|&(at, _)| at != axis) {
            if extent == 1 {
                continue;
            }
            let follows = |place: &Place, outer: usize| {
                place.strides[outer] == place.strides[at].wrapping_mul(extent as isize)
            };
            match (others.last_mut(), kept.last_mut()) {
                (Some(merged), Some(outer))
                    if (*outer < axis) == (at < axis)
                        && inputs.iter().chain([&output]).all(|place| follows(place, *outer)) =>
                {
                    *merged *= extent;
                    *outer = at;
                }
                _ => {
                    others.push(extent);
                    kept.push(at);
                    inside += usize::from(at > axis);
                }
            }
        }
        let side = |place: Place| Side {
            offset: place.offset,
            axis: place.strides[axis],
            others: kept.iter().map(|&at| place.strides[at]).collect(),
        };
        let (inputs, output) = (inputs.map(side), side(output));
        Lines { extent: dims[axis], others, inside, inputs, output }
    }

    /// Elements of the output; `None` where they cannot be counted.
    pub fn count(&self) -> Option<usize> {
        self.others.iter().try_fold(self.extent, |count, &extent| count.checked_mul(extent))
    }

    /// Writes every element of the output, whose elements do not overlap: `f` is given its index
    /// along the axis and where its line begins in each input.
    pub fn each<Y: Send>(&self, y: &mut [Y], f: impl Fn(usize, [usize; N]) -> Y + Sync) {
        let axes = self.axes();
        let count = self.count().unwrap_or(usize::MAX);
        if count == 0 {
            return;
        }
        // Along the longest stride the output falls into parts that lie one after the other.
        let reach = |axis: &Axis<N>| if axis.extent > 1 { axis.y } else { 0 };
        let longest = (0..axes.len()).max_by_key(|&at| reach(&axes[at])).unwrap_or(0);
        let Axis { extent, y: stride, .. } = axes[longest];
        let parts = if count < SMALL { 1 } else { 4 * rayon::current_num_threads() };
        let step = extent.div_ceil(parts);
        y[self.output.offset..]
            .par_chunks_mut(step.saturating_mul(stride.max(1)))
            .take(extent.div_ceil(step))
            .enumerate()
            .for_each(|(part, y)| {
                let mut axes = axes.clone();
                axes[longest].first = part * step;
                axes[longest].extent = step.min(extent - part * step);
                self.fill(&axes, y, &f);
            });
    }

    /// Axes from the outermost in.
    fn axes(&self) -> Vec<Axis<N>> {
        let other = |at: usize| Axis {
            first: 0,
            extent: self.others[at],
            y: self.output.others[at].unsigned_abs(),
            inputs: self.inputs.each_ref().map(|side| side.others[at]),
            index: 0,
        };
        let mut axes: Vec<_> = (0..self.others.len()).map(other).collect();
        let line = Axis {
            first: 0,
            extent: self.extent,
            y: self.output.axis.unsigned_abs(),
            inputs: [0; N], // `f` is told where lines begin
            index: 1,
        };
        axes.insert(axes.len() - self.inside, line);
        axes
    }

    fn fill<Y>(&self, axes: &[Axis<N>], y: &mut [Y], f: &impl Fn(usize, [usize; N]) -> Y) {
        let Some((last, outer)) = axes.split_last() else { return };
        let mut counters = vec![0; outer.len()];
        loop {
            let mut at = 0;
            let mut index = last.index * last.first;
            let mut begins = self.inputs.each_ref().map(|side| side.offset);
            for (begin, stride) in begins.iter_mut().zip(last.inputs) {
                *begin = begin.wrapping_add_signed(stride * last.first as isize);
            }
            for (axis, &counter) in outer.iter().zip(&counters) {
                at += counter * axis.y;
                index += (axis.first + counter) * axis.index;
                for (begin, stride) in begins.iter_mut().zip(axis.inputs) {
                    *begin = begin.wrapping_add_signed(stride * (axis.first + counter) as isize);
                }
            }
            for _ in 0..last.extent {
                y[at] = f(index, begins);
                at += last.y;
                index += last.index;
                for (begin, stride) in begins.iter_mut().zip(last.inputs) {
                    *begin = begin.wrapping_add_signed(stride);
                }
            }
            let Some(turning) = (0..outer.len()).rfind(|&a| counters[a] + 1 < outer[a].extent)
            else {
                return;
            };
            counters[turning] += 1;
            counters[turning + 1..].fill(0);
        }
    }
}

/// An axis as one thread walks it.
#[derive(Debug, Clone)]
struct Axis<const N: usize> {
    first: usize,
    extent: usize,
    y: usize,
    inputs: [isize; N],
    /// What a step adds to the index along the line: 1 or 0.
    index: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<const R: usize>(offset: usize, strides: [isize; R]) -> Place {
        Place { offset, strides: strides.to_vec() }
    }

    #[test]
    fn neighbours_that_lie_as_one_are_one() {
        let dense = || place(0, [120, 60, 15, 3, 1]);
        let lines = Lines::new(&[2, 2, 4, 5, 3], 2, [dense()], dense());
        assert_eq!((lines.others.as_slice(), lines.inside), (&[4, 15][..], 1));
        let lines = Lines::new(&[2, 2, 4, 5, 3], 4, [dense()], dense());
        assert_eq!((lines.others.as_slice(), lines.inside), (&[80][..], 0));
        let broadcast = place(0, [0, 60, 15, 3, 1]);
        let lines = Lines::new(&[2, 2, 4, 5, 3], 4, [dense(), broadcast], dense());
        assert_eq!(lines.others, [2, 40]);
        assert_eq!(lines.inputs[1].others, [0, 3]);
    }

    #[test]
    fn every_element_is_written_once_from_its_own_line() {
        // Small and large enough for several threads; each axis longest in the output once.
        for dims in [[2, 3, 4], [24, 30, 20]] {
            let [i, j, k] = dims.map(|extent| extent as isize);
            let count = dims.iter().product::<usize>();
            let x: Vec<usize> = (0..count).collect();
            for strides in [[j * k, k, 1], [1, i, i * j], [k, i * k, 1]] {
                for axis in 0..3 {
                    let input = place(0, [j * k, k, 1]);
                    let lines = Lines::new(&dims, axis, [input], place(5, strides));
                    let mut y = vec![usize::MAX; count + 5];
                    let step = lines.inputs[0].axis as usize;
                    lines.each(&mut y, |index, [begin]| x[begin + index * step]);
                    assert!(y[..5].iter().all(|&v| v == usize::MAX));
                    for (e, _) in x.iter().enumerate() {
                        let (jk, k1) = ((j * k) as usize, k as usize);
                        let at = [e / jk, e / k1 % dims[1], e % k1];
                        let at: usize = at.iter().zip(strides).map(|(c, s)| c * s as usize).sum();
                        assert_eq!(y[5 + at], e, "{dims:?} {strides:?} {axis}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_axis_is_read_backwards() {
        let x = [1, 2, 3, 4, 5, 6];
        let input = place(0, [3, 1]).backwards(0, 2).backwards(1, 3);
        let lines = Lines::new(&[2, 3], 1, [input], place(0, [3, 1]));
        let mut y = [0; 6];
        lines.each(&mut y, |index, [begin]| {
            x[begin.wrapping_add_signed(lines.inputs[0].axis * index as isize)]
        });
        assert_eq!(y, [6, 5, 4, 3, 2, 1]);
    }
}
