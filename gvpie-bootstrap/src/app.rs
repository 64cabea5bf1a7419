//! The session, which is the same with and without a window; and the window.

use crate::Failure;
use crate::editor::{Editor, Key};
use crate::present::{self, Camera, Stage, View};
use crate::surface::{Presented, Screen};
use glam::{UVec2, Vec2};
use gvpie_core::{Context, Error, Result};
use std::path::PathBuf;
use std::sync::Arc;
use winit::application::ApplicationHandler;
use winit::dpi::{LogicalSize, PhysicalSize};
use winit::event::{ElementState, MouseScrollDelta, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, OwnedDisplayHandle};
use winit::keyboard::{Key as Pressed, ModifiersState, NamedKey};
use winit::window::{Window, WindowId};

/// Rows that one notch of the wheel scrolls.
const NOTCH: f32 = 3.0;

/// So often may a device or a surface be lost without a frame in between.
const PATIENCE: u32 = 30;

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Press {
    /// Something for the editor.
    Edit(Key),
    /// The other view.
    ToggleView,
    /// A picture of the frame.
    Snapshot,
}

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
        let camera = Camera::new(frame, scale_factor);
        let editor = Editor::new(text, camera.grid.x as usize, camera.grid.y as usize);
        Session { editor, camera, view: View::default() }
    }

    /// Another frame for the same text.
    pub fn resize(&mut self, frame: UVec2, scale_factor: f64) {
        self.camera = Camera::new(frame, scale_factor);
        self.editor.resize(self.camera.grid.x as usize, self.camera.grid.y as usize);
    }

    /// Does what the session can do by itself; gives back what is left to do.
    pub fn press(&mut self, press: Press) -> Option<Press> {
        match press {
            Press::Edit(key) => self.editor.press(key),
            Press::ToggleView => {
                self.view = match self.view {
                    View::Human => View::Machine,
                    View::Machine => View::Human,
                }
            }
            Press::Snapshot => return Some(press),
        }
        None
    }

    /// Draws the screen on the stage, which is set anew where it does not fit.
    fn draw<'s>(&self, ctx: &Context, stage: &'s mut Option<Stage>) -> Result<&'s mut Stage> {
        let fits = stage.take().filter(|stage| stage.grid() == self.camera.grid);
        let ready = match fits {
            Some(ready) => ready,
            None => Stage::new(ctx, self.camera.grid)?,
        };
        let stage = stage.insert(ready);
        stage.draw(&self.editor.screen())?;
        Ok(stage)
    }

    /// Draws, and returns the frame's pixels if they are `wanted`, which waits for the device.
    pub fn frame(
        &self,
        ctx: &Context,
        stage: &mut Option<Stage>,
        wanted: bool,
    ) -> Result<Vec<u32>> {
        let stage = self.draw(ctx, stage)?;
        if wanted { stage.snapshot(&self.camera, self.view) } else { Ok(Vec::new()) }
    }

    /// Saves a frame under the first free name, and says which.
    pub fn save(&self, pixels: &[u32]) -> std::result::Result<(), Failure> {
        let names = (1_u32..).map(|n| PathBuf::from(format!("gvpie-{n}.png")));
        let Some(path) = names.into_iter().find(|path| !path.exists()) else {
            return Err(Failure::new("no name is free for a picture", "tidy the folder"));
        };
        present::save(&path, self.camera.frame, pixels)?;
        println!("saved {}", path.display());
        Ok(())
    }
}

/// Opens the window, and returns when it is closed.
pub fn run(text: &str, size: UVec2) -> std::result::Result<(), Failure> {
    let headless = "--headless --out shot.png draws the same into a file";
    let failed = |error: &dyn std::fmt::Display| {
        // Winit names the place in its own source first; what is wrong comes last.
        let words = error.to_string();
        let cause = words.rsplit(": ").next().unwrap_or(&words).trim_end_matches('.');
        Failure::new(format!("no display to open a window on: {cause}"), headless)
    };
    let events = EventLoop::new().map_err(|error| failed(&error))?;
    events.set_control_flow(ControlFlow::Wait);
    let mut app = App {
        session: Session::new(text, size, 1.0),
        size,
        display: events.owned_display_handle(),
        window: None,
        screen: None,
        stage: None,
        modifiers: ModifiersState::empty(),
        wheel: 0.0,
        lost: 0,
        failure: None,
    };
    events.run_app(&mut app).map_err(|error| failed(&error))?;
    app.failure.map_or(Ok(()), Err)
}

struct App {
    session: Session,
    /// The window's first size.
    size: UVec2,
    display: OwnedDisplayHandle,
    // Dropped in this order: tensors before their device, a surface before its window.
    stage: Option<Stage>,
    screen: Option<Screen>,
    window: Option<Arc<Window>>,
    modifiers: ModifiersState,
    /// Rows that the wheel has turned and that were not whole yet.
    wheel: f32,
    /// Losses since the last frame that was shown.
    lost: u32,
    failure: Option<Failure>,
}

impl App {
    /// One frame. What was lost is made anew; the session has all that it shows.
    fn redraw(&mut self) -> std::result::Result<(), Failure> {
        let Some(window) = self.window.clone() else { return Ok(()) };
        match self.show(&window) {
            Ok(Presented::Shown | Presented::Hidden) => self.lost = 0,
            Ok(Presented::Later) => window.request_redraw(),
            Ok(Presented::Again) => self.again(None)?,
            Err(error @ Error::DeviceLost { .. }) => {
                (self.stage, self.screen) = (None, None);
                self.again(Some(error))?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn again(&mut self, error: Option<Error>) -> std::result::Result<(), Failure> {
        self.lost += 1;
        if self.lost > PATIENCE {
            let surface = || {
                Failure::new(
                    "the window's surface is lost again and again",
                    "--headless --out shot.png draws the same into a file",
                )
            };
            return Err(error.map_or_else(surface, Failure::from));
        }
        self.resized(); // the usual reason is a size that was not heard of yet
        Ok(())
    }

    fn show(&mut self, window: &Arc<Window>) -> Result<Presented> {
        let screen = match &mut self.screen {
            Some(screen) => screen,
            none => none.insert(Screen::open(Arc::clone(window), self.display.clone())?),
        };
        let session = &self.session;
        let stage = session.draw(&screen.context().clone(), &mut self.stage)?;
        screen.present(stage, &session.camera, session.view)
    }

    fn press(&mut self, press: Press) -> std::result::Result<(), Failure> {
        if self.session.press(press) == Some(Press::Snapshot) {
            self.snapshot()?;
        }
        if let Some(window) = &self.window {
            window.request_redraw();
        }
        Ok(())
    }

    /// A picture that cannot be saved is no reason to close the window.
    fn snapshot(&mut self) -> std::result::Result<(), Failure> {
        let Some(screen) = &self.screen else { return Ok(()) };
        let taken = self.session.frame(&screen.context().clone(), &mut self.stage, true);
        let saved = taken.map_err(Failure::from).and_then(|pixels| self.session.save(&pixels));
        if let Err(failure) = saved {
            eprintln!("gvpie-bootstrap: {failure}");
        }
        Ok(())
    }

    fn scroll(&mut self, delta: MouseScrollDelta) {
        self.wheel += match delta {
            MouseScrollDelta::LineDelta(_, notches) => -notches * NOTCH,
            MouseScrollDelta::PixelDelta(moved) => {
                -self.session.camera.rows_in(Vec2::new(moved.x as f32, moved.y as f32))
            }
        };
        let rows = self.wheel.trunc();
        self.wheel -= rows;
        self.session.editor.scroll(rows as isize);
    }

    fn resized(&mut self) {
        if let Some(window) = &self.window {
            let PhysicalSize { width, height } = window.inner_size();
            self.session.resize(UVec2::new(width, height), window.scale_factor());
            window.request_redraw();
        }
    }

    fn handle(
        &mut self,
        events: &ActiveEventLoop,
        event: WindowEvent,
    ) -> std::result::Result<(), Failure> {
        match event {
            WindowEvent::CloseRequested | WindowEvent::Destroyed => events.exit(),
            WindowEvent::Resized(_) | WindowEvent::ScaleFactorChanged { .. } => self.resized(),
            WindowEvent::RedrawRequested => self.redraw()?,
            WindowEvent::Occluded(false) => self.resized(),
            WindowEvent::ModifiersChanged(modifiers) => self.modifiers = modifiers.state(),
            WindowEvent::MouseWheel { delta, .. } => {
                self.scroll(delta);
                if let Some(window) = &self.window {
                    window.request_redraw();
                }
            }
            WindowEvent::KeyboardInput { event, is_synthetic: false, .. }
                if event.state == ElementState::Pressed =>
            {
                let shortcut = self.modifiers.control_key() || self.modifiers.super_key();
                if let Some(key) = named(&event.logical_key) {
                    self.press(key)?;
                } else if !shortcut {
                    for character in event.text.iter().flat_map(|text| text.chars()) {
                        self.press(Press::Edit(Key::Char(character)))?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Keys that are not text.
fn named(key: &Pressed) -> Option<Press> {
    let Pressed::Named(named) = key else { return None };
    Some(Press::Edit(match named {
        NamedKey::Enter => Key::Enter,
        NamedKey::Tab => Key::Tab,
        NamedKey::Backspace => Key::Backspace,
        NamedKey::Delete => Key::Delete,
        NamedKey::ArrowLeft => Key::Left,
        NamedKey::ArrowRight => Key::Right,
        NamedKey::ArrowUp => Key::Up,
        NamedKey::ArrowDown => Key::Down,
        NamedKey::Home => Key::Home,
        NamedKey::End => Key::End,
        NamedKey::PageUp => Key::PageUp,
        NamedKey::PageDown => Key::PageDown,
        NamedKey::F2 => return Some(Press::ToggleView),
        NamedKey::F12 => return Some(Press::Snapshot),
        _ => return None,
    }))
}

impl ApplicationHandler for App {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        if self.window.is_some() {
            return;
        }
        let attributes = Window::default_attributes()
            .with_title("gvpie")
            .with_inner_size(LogicalSize::new(self.size.x, self.size.y));
        match events.create_window(attributes) {
            Ok(window) => {
                self.window = Some(Arc::new(window));
                self.resized();
            }
            Err(error) => {
                let hint = "--headless --out shot.png draws the same into a file";
                self.failure =
                    Some(Failure::new(format!("no window could be opened: {error}"), hint));
                events.exit();
            }
        }
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        if let Err(failure) = self.handle(events, event) {
            self.failure = Some(failure);
            events.exit();
        }
    }
}
