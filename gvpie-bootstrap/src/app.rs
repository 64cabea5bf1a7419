//! The window.

use crate::Failure;
use crate::content::Content;
use crate::editor::Key;
use crate::pace::Pace;
use crate::player::Bound;
use crate::present::Stage;
use crate::scene::{Press, Scene};
use crate::surface::{Presented, Screen};
use glam::{UVec2, Vec2};
use gvpie_core::{Error, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use winit::application::ApplicationHandler;
use winit::dpi::{LogicalSize, PhysicalSize};
use winit::event::{ElementState, KeyEvent, MouseButton, MouseScrollDelta, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, OwnedDisplayHandle};
use winit::keyboard::{Key as Pressed, ModifiersState, NamedKey};
use winit::window::{Window, WindowId};

/// Rows that one notch of the wheel scrolls.
const NOTCH: f32 = 3.0;

/// So often may a device or a surface be lost without a frame in between.
const PATIENCE: u32 = 30;

/// How long a program computes between looks at what the user does; a frame is 16.7 ms.
const WORK: Duration = Duration::from_millis(12);

/// Opens the window, and returns when it is closed.
pub fn run(content: Content, size: UVec2) -> std::result::Result<(), Failure> {
    let headless = "--headless --out shot.png draws the same into a file";
    let failed = |error: &dyn std::fmt::Display| {
        // Winit names the place in its own source first; what is wrong comes last.
        let words = error.to_string();
        let cause = words.rsplit(": ").next().unwrap_or(&words).trim_end_matches('.');
        Failure::new(format!("no display to open a window on: {cause}"), headless)
    };
    let events = EventLoop::new().map_err(|error| failed(&error))?;
    events.set_control_flow(ControlFlow::Wait);
    let scene = Scene::new(content, size, 1.0)?;
    let mut app = App {
        title: scene.title(),
        scene,
        pace: Pace::default(),
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
    scene: Scene,
    /// What the window is called.
    title: String,
    /// When a program's frames are due.
    pace: Pace,
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
    /// One frame. What was lost is made anew; the scene has all that it shows.
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
        let scene = &self.scene;
        let stage = scene.draw(&screen.context().clone(), &mut self.stage)?;
        screen.present(stage, scene.camera(), scene.view())
    }

    fn press(&mut self, press: Press) -> std::result::Result<(), Failure> {
        if press == Press::Restart {
            self.pace = Pace::default();
        }
        if self.scene.press(press)? == Some(Press::Snapshot) {
            self.snapshot()?;
        }
        self.again_soon();
        Ok(())
    }

    fn again_soon(&self) {
        if let Some(window) = &self.window {
            window.request_redraw();
        }
    }

    /// The frames of a program that are due, and when the next will be.
    fn play(&mut self) -> std::result::Result<ControlFlow, Failure> {
        // Not before there is something to see them on: opening a device may take a second.
        let (Scene::Program(player), Some(window), Some(_)) =
            (&mut self.scene, &self.window, &self.screen)
        else {
            return Ok(ControlFlow::Wait);
        };
        let now = Instant::now();
        let until = now + WORK;
        let mut time = 0;
        while player.lives() && Instant::now() < until {
            if !player.is_amid() {
                let Some(due) = self.pace.due(now) else { break };
                time = due;
            }
            player.tick(time, Bound::Until(until), &mut std::io::stdout().lock())?;
            if let Some(words) = player.obituary() {
                eprintln!("gvpie-bootstrap: {words}; F5 begins anew");
            }
        }
        if player.take_changed() {
            window.request_redraw();
        }
        let title = player.title();
        if self.title != title {
            window.set_title(&title);
            self.title = title;
        }
        Ok(match (player.lives(), player.is_amid()) {
            (true, true) => ControlFlow::Poll,
            (true, false) => self.pace.next().map_or(ControlFlow::Poll, ControlFlow::WaitUntil),
            (false, _) => {
                self.pace.hold(now);
                ControlFlow::Wait
            }
        })
    }

    /// Shows another file. One that cannot be opened is no reason to close this.
    fn open(&mut self, file: &Path) {
        let frame = self.scene.camera().frame;
        let opened = Content::read(Some(file)).and_then(|content| Scene::new(content, frame, 1.0));
        match opened {
            Ok(scene) => {
                (self.scene, self.pace, self.wheel) = (scene, Pace::default(), 0.0);
                self.title = self.scene.title();
                if let Some(window) = &self.window {
                    window.set_title(&self.title);
                }
                self.resized();
            }
            Err(failure) => eprintln!("gvpie-bootstrap: {failure}"),
        }
    }

    /// A picture that cannot be saved is no reason to close the window.
    fn snapshot(&mut self) -> std::result::Result<(), Failure> {
        let Some(screen) = &self.screen else { return Ok(()) };
        let taken = self.scene.frame(&screen.context().clone(), &mut self.stage, true);
        let saved = taken.map_err(Failure::from).and_then(|pixels| self.scene.save(&pixels));
        if let Err(failure) = saved {
            eprintln!("gvpie-bootstrap: {failure}");
        }
        Ok(())
    }

    fn scroll(&mut self, delta: MouseScrollDelta) {
        let Scene::Text(session) = &mut self.scene else { return };
        self.wheel += match delta {
            MouseScrollDelta::LineDelta(_, notches) => -notches * NOTCH,
            MouseScrollDelta::PixelDelta(moved) => {
                -session.rows_in(Vec2::new(moved.x as f32, moved.y as f32))
            }
        };
        let rows = self.wheel.trunc();
        self.wheel -= rows;
        session.scroll(rows as isize);
        self.again_soon();
    }

    fn resized(&mut self) {
        if let Some(window) = &self.window {
            let PhysicalSize { width, height } = window.inner_size();
            self.scene.resize(UVec2::new(width, height), window.scale_factor());
            window.request_redraw();
        }
    }

    fn key(
        &mut self,
        events: &ActiveEventLoop,
        event: &KeyEvent,
    ) -> std::result::Result<(), Failure> {
        let (key, down) = (&event.logical_key, event.state == ElementState::Pressed);
        let shortcut = self.modifiers.control_key() || self.modifiers.super_key();
        let typed = event.text.iter().flat_map(|text| text.chars()).map(Key::Char);
        let Scene::Program(player) = &mut self.scene else {
            return match named(key) {
                _ if !down => Ok(()),
                Some(press) => self.press(press),
                None if shortcut => Ok(()),
                None => typed.map(Press::Edit).try_for_each(|press| self.press(press)),
            };
        };
        let controls = &mut player.controls;
        if let Some(key) = key_of(key) {
            controls.key(key, down);
        }
        match (named(key), key) {
            _ if !down => {}
            (Some(Press::Edit(key)), _) => controls.type_key(key),
            // Held down, a key begins anew once.
            (Some(press), _) if !event.repeat => self.press(press)?,
            (Some(_), _) => {}
            (None, Pressed::Named(NamedKey::Escape)) => events.exit(),
            (None, Pressed::Character(letter)) if shortcut => {
                if letter.eq_ignore_ascii_case("d") {
                    controls.end();
                }
            }
            (None, _) if shortcut => {}
            (None, _) => typed.for_each(|key| controls.type_key(key)),
        }
        Ok(())
    }

    /// What the mouse does, and a focus that goes, for a program.
    fn point(&mut self, event: &WindowEvent) {
        let Scene::Program(player) = &mut self.scene else { return };
        match event {
            WindowEvent::CursorMoved { position, .. } => {
                let place = Vec2::new(position.x as f32, position.y as f32);
                player.controls.mouse = player.camera().pixel_at(place);
            }
            WindowEvent::MouseInput { state, button, .. } => {
                let bit = match button {
                    MouseButton::Left => 1,
                    MouseButton::Right => 2,
                    MouseButton::Middle => 4,
                    _ => 0,
                };
                player.controls.button(bit, *state == ElementState::Pressed);
            }
            WindowEvent::Focused(false) => player.controls.let_go(),
            _ => {}
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
            WindowEvent::MouseWheel { delta, .. } => self.scroll(delta),
            WindowEvent::DroppedFile(path) => self.open(&path),
            WindowEvent::KeyboardInput { event, is_synthetic: false, .. } => {
                self.key(events, &event)?;
            }
            other => self.point(&other),
        }
        Ok(())
    }
}

/// Keys that a program can see to be down.
fn key_of(key: &Pressed) -> Option<Key> {
    match (key, named(key)) {
        (_, Some(Press::Edit(key))) => Some(key),
        (Pressed::Named(NamedKey::Space), _) => Some(Key::Char(' ')),
        _ => None,
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
        NamedKey::F5 => return Some(Press::Restart),
        NamedKey::F6 | NamedKey::Pause => return Some(Press::Pause),
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
            .with_title(&self.title)
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

    fn about_to_wait(&mut self, events: &ActiveEventLoop) {
        match self.play() {
            Ok(flow) => events.set_control_flow(flow),
            Err(failure) => {
                self.failure = Some(failure);
                events.exit();
            }
        }
    }
}
