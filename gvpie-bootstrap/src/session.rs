//! A text, and how it is seen.

use crate::editor::{Editor, Key};
use crate::present::{Camera, View};
use glam::{UVec2, Vec2};

/// The text, and how it is seen: all there is to keep when a device is lost.
#[derive(Debug)]
pub struct Session {
    editor: Editor,
    camera: Camera,
    view: View,
}

impl Session {
    /// A text in a frame of so many pixels.
    pub fn new(text: &str, frame: UVec2, scale_factor: f64) -> Self {
        let camera = Camera::of_text(frame, scale_factor);
        let editor = Editor::new(text, camera.grid.x as usize, camera.grid.y as usize);
        Session { editor, camera, view: View::default() }
    }

    /// Another frame for the same text.
    pub fn resize(&mut self, frame: UVec2, scale_factor: f64) {
        self.camera = Camera::of_text(frame, scale_factor);
        self.editor.resize(self.camera.grid.x as usize, self.camera.grid.y as usize);
    }

    /// Does what a key does.
    pub fn press(&mut self, key: Key) {
        self.editor.press(key);
    }

    /// The other view.
    pub fn toggle_view(&mut self) {
        self.view = match self.view {
            View::Human => View::Machine,
            View::Machine => View::Human,
        }
    }

    /// Rows that a distance of so many frame pixels is.
    pub fn rows_in(&self, distance: Vec2) -> f32 {
        self.camera.rows_in(distance)
    }

    /// Scrolls by so many rows.
    pub fn scroll(&mut self, rows: isize) {
        self.editor.scroll(rows);
    }

    /// Where the text lies in the frame.
    pub fn camera(&self) -> &Camera {
        &self.camera
    }

    /// What of it is shown.
    pub fn view(&self) -> View {
        self.view
    }

    /// The texels that show it.
    pub fn screen(&self) -> Vec<u32> {
        self.editor.screen()
    }
}
