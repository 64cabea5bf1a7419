//! Drawing in the words of the machine: what is drawn, and what it costs.
//!
//! Every figure has a closed form, so that a back end may draw its pixels in any order:
//!
//! * a line from (x₀, y₀) to (x₁, y₁) whose |Δx| ≥ |Δy| has at each x the y
//!   y₀ ± ⌊(2 |Δy| |x − x₀| + |Δx|) / 2 |Δx|⌋; steeper ones with x and y in each other's place;
//! * a disc of radius r has the pixels with d² ≤ r² + r, d being the distance to its centre; a circle
//!   those of them with d² > r² − r.
//!
//! Coordinates are held to ±4096 and lengths to 0..4095 before, as no canvas is larger.

/// A rectangle: left, top, and the first column and row outside.
pub(super) type Area = [i32; 4];

/// What is common to two rectangles.
pub(super) fn common(one: Area, two: Area) -> Area {
    [one[0].max(two[0]), one[1].max(two[1]), one[2].min(two[2]), one[3].min(two[3])]
}

/// Its pixels.
pub(super) fn pixels(area: Area) -> u32 {
    (area[2] - area[0]).max(0) as u32 * (area[3] - area[1]).max(0) as u32
}

/// A coordinate with its origin.
pub(super) fn held(coordinate: i32, origin: i32) -> i32 {
    coordinate.wrapping_add(origin).clamp(-4096, 4095)
}

/// A width, height or radius.
pub(super) fn length(length: i32) -> i32 {
    length.clamp(0, 4095)
}

/// A canvas, and where it may be drawn on.
pub(super) struct Canvas<'a> {
    pub pixels: &'a mut [u32],
    pub size: [i32; 2],
    pub clip: Area,
}

impl Canvas<'_> {
    pub fn whole(&self) -> Area {
        [0, 0, self.size[0], self.size[1]]
    }

    fn row(&mut self, y: i32, from: i32, to: i32) -> &mut [u32] {
        let start = (y * self.size[0]) as usize;
        &mut self.pixels[start + from as usize..start + to as usize]
    }

    /// The colour of a pixel; `None` outside.
    pub fn get(&self, x: i32, y: i32) -> Option<u32> {
        let inside = x >= 0 && y >= 0 && x < self.size[0] && y < self.size[1];
        inside.then(|| self.pixels[(y * self.size[0] + x) as usize] & 0xff_ffff)
    }

    /// A pixel, if it is within the clip.
    pub fn plot(&mut self, x: i32, y: i32, colour: u32) {
        let [left, top, right, bottom] = self.clip;
        if x >= left && y >= top && x < right && y < bottom {
            self.pixels[(y * self.size[0] + x) as usize] = colour;
        }
    }

    /// Fills what of an area is in the clip, and counts its pixels.
    pub fn fill(&mut self, area: Area, colour: u32) -> u32 {
        self.fill_whole(common(area, self.clip), colour)
    }

    /// Fills an area of the canvas.
    pub fn fill_whole(&mut self, area: Area, colour: u32) -> u32 {
        if pixels(area) > 0 {
            (area[1]..area[3]).for_each(|y| self.row(y, area[0], area[2]).fill(colour));
        }
        pixels(area)
    }

    /// The outermost pixels of a rectangle.
    pub fn frame(&mut self, [x, y]: [i32; 2], [w, h]: [i32; 2], colour: u32) -> u32 {
        sides([x, y], [w, h]).into_iter().map(|side| self.fill(side, colour)).sum()
    }

    /// A disc, or its rim alone.
    pub fn round(&mut self, [x, y]: [i32; 2], r: i32, rim: bool, colour: u32) -> u32 {
        let area = common([x - r, y - r, x + r + 1, y + r + 1], self.clip);
        let (least, most) = (if rim { r * r - r } else { -1 }, r * r + r);
        for row in area[1]..area[3] {
            for column in area[0]..area[2] {
                let far = (column - x).pow(2) + (row - y).pow(2);
                if far > least && far <= most {
                    self.pixels[(row * self.size[0] + column) as usize] = colour;
                }
            }
        }
        pixels(area)
    }

    /// A line with both its ends; the pixels of its longer side are counted.
    pub fn line(&mut self, one: [i32; 2], two: [i32; 2], colour: u32) -> u32 {
        let along = usize::from((two[1] - one[1]).abs() > (two[0] - one[0]).abs());
        let across = 1 - along;
        let (long, wide) = ((two[along] - one[along]).abs(), two[across] - one[across]);
        let from = one[along].min(two[along]).max(self.clip[along]);
        let to = (one[along].max(two[along]) + 1).min(self.clip[along + 2]);
        for at in from..to {
            let i = (at - one[along]).abs();
            let away = if long == 0 { 0 } else { (2 * wide.abs() * i + long) / (2 * long) };
            let mut place = [at; 2];
            place[across] = one[across] + wide.signum() * away;
            self.plot(place[0], place[1], colour);
        }
        (to - from).max(0) as u32
    }

    /// Moves pixels of an area of the canvas by (dx, dy) into `into`, a part of the canvas; their
    /// sources must be on it, too.
    pub fn copy(&mut self, into: Area, [dx, dy]: [i32; 2]) -> u32 {
        if pixels(into) > 0 {
            let width = self.size[0];
            let row = |y: i32| (y * width + into[0]) as usize;
            let many = (into[2] - into[0]) as usize;
            let mut copy = |y: i32| {
                let source = (row(y) as i32 - dy * width - dx) as usize;
                self.pixels.copy_within(source..source + many, row(y));
            };
            // Rows are read before they are written over.
            if dy > 0 {
                (into[1]..into[3]).rev().for_each(&mut copy);
            } else {
                (into[1]..into[3]).for_each(&mut copy);
            }
        }
        pixels(into)
    }
}

/// The sides of a rectangle, none of whose pixels is in two of them.
pub(super) fn sides([x, y]: [i32; 2], [w, h]: [i32; 2]) -> [Area; 4] {
    let (right, bottom) = (x + w, y + h);
    [
        [x, y, right, y + h.min(1)],
        [x, (bottom - 1).max(y + 1), right, bottom],
        [x, y + 1, x + w.min(1), bottom - 1],
        [(right - 1).max(x + 1), y + 1, right, bottom - 1],
    ]
}
