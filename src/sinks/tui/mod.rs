//! The dashboard in the terminal: the whole run on one screen, with keys that control it.
//!
//! `cli` adds it to the sinks and opens it once signals are handled; the run sends it events.
//! Invariant: the run never waits for it; however the run or the program ends, the terminal is
//! restored.

mod chart;
mod draw;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod fixture_events;
#[cfg(test)]
mod fixture_streams;
#[cfg(test)]
mod goldens;
mod head;
mod keys;
mod model;
mod prompt;
mod ranking;
mod scale;
mod screen;
mod series;
mod table;
pub mod terminal;
mod text;
mod theme;
mod ui_state;
mod view;
mod views;

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event};
use rustix::process::{Signal, getpid, kill_current_process_group, kill_process};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::Sink;
use crate::event::control_request::ControlClient;
use crate::event::{ControlCommand, ControlReply, RunEvent};
use crate::stats::ControlOrigin;
use model::Model;
use theme::Theme;
use ui_state::{UiEffect, UiState};

/// How long the render thread waits for keys between two frames: at most 20 frames a second.
const FRAME: Duration = Duration::from_millis(50);

/// How long `suspend` waits for the render thread to become idle.
const STILL: Duration = Duration::from_millis(500);

/// The sink of the dashboard.
pub struct Tui(Arc<TuiShared>);

/// The handle with which `cli` opens and closes the dashboard.
#[derive(Clone)]
pub struct TuiHandle(Arc<TuiShared>);

/// State shared by the sink, the render thread and `cli`.
struct TuiShared {
    state: Mutex<Model>,
    stage: Mutex<TerminalState>,
    /// Notified when the terminal state changes.
    bell: Condvar,
    /// The control client; `None` if live control is disabled.
    remote: Option<ControlClient>,
    /// Whether the dashboard of a run that is over stays until a key closes it.
    stays: bool,
    thread: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

/// Which part of the program has the terminal.
#[derive(Clone, Copy, Debug, Default)]
struct TerminalState {
    /// The render thread may draw.
    open: bool,
    /// The dashboard is closed for good.
    over: bool,
    /// The render thread is idle.
    still: bool,
    /// Counts events after which the whole screen has to be redrawn.
    redraws: u64,
}

/// Locks, ignoring poison: no invariant spans the critical section.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tui {
    /// Creates a dashboard that is not open yet; without a `remote` it cannot control the run. With
    /// `stays` it is shown after the run until a key closes it ([`TuiHandle::wait_until_left`]).
    pub fn new(remote: Option<ControlClient>, stays: bool) -> Self {
        Self(Arc::new(TuiShared {
            state: Mutex::default(),
            stage: Mutex::new(TerminalState { still: true, ..TerminalState::default() }),
            bell: Condvar::new(),
            remote,
            stays,
            thread: Mutex::default(),
        }))
    }

    /// Returns the handle that opens and closes it.
    pub fn curtain(&self) -> TuiHandle {
        TuiHandle(Arc::clone(&self.0))
    }
}

impl TuiHandle {
    /// Takes over the terminal, on a thread of its own. Signals have to be handled by then: a
    /// signal that ended the program at once would leave the terminal in raw mode.
    ///
    /// # Errors
    /// If the system provides no thread.
    pub fn open(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        let named = std::thread::Builder::new().name("tui".to_owned());
        let thread = named.spawn(move || {
            let ended = shared.run();
            terminal::leave();
            let mut stage = lock(&shared.stage);
            (stage.still, stage.over) = (true, true);
            shared.bell.notify_all();
            ended
        })?;
        *lock(&self.0.thread) = Some(thread);
        lock(&self.0.stage).open = true;
        self.0.bell.notify_all();
        Ok(())
    }

    /// Gives the terminal back to the shell until [`Self::resume`].
    pub fn suspend(&self) {
        let mut stage = lock(&self.0.stage);
        stage.open = false;
        self.0.bell.notify_all();
        let waited = self.0.bell.wait_timeout_while(stage, STILL, |stage| !stage.still);
        drop(waited);
        terminal::leave();
    }

    /// Takes the terminal again and redraws the whole screen.
    pub fn resume(&self) {
        if terminal::in_foreground() {
            let mut stage = lock(&self.0.stage);
            stage.open = true;
            stage.redraws += 1;
            self.0.bell.notify_all();
        }
    }

    /// Waits until a key closes the dashboard of a run that is over, or `hurry` is set, and gives
    /// the terminal back. Returns at once if the dashboard does not stay.
    pub fn wait_until_left(&self, hurry: &AtomicBool) {
        let mut stage = lock(&self.0.stage);
        while self.0.stays && stage.open && !stage.over && !hurry.load(Relaxed) {
            let waited = self.0.bell.wait_timeout(stage, FRAME);
            stage = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(stage);
        let _ = self.0.close();
    }

    /// Shows a note that would otherwise be written to standard error.
    pub fn tell(&self, text: &str) {
        let mut state = lock(&self.0.state);
        state.tell(text, false);
        state.version += 1;
    }
}

impl Sink for Tui {
    fn wants(event: &RunEvent) -> bool {
        use RunEvent::{Ended, EventLogged, LogLines, Note, Started, Stopped, Tick};
        matches!(
            event,
            Started(_) | Tick(_) | Note(_) | EventLogged(_) | Stopped(..) | LogLines(..) | Ended(_)
        )
    }

    fn take(&mut self, event: &RunEvent) -> io::Result<()> {
        lock(&self.0.state).fold(event);
        match event {
            RunEvent::Ended(_) if !self.0.stays => self.0.close(),
            _ => Ok(()),
        }
    }
}

impl Drop for Tui {
    fn drop(&mut self) {
        if !self.0.stays || !lock(&self.0.state).is_over {
            let _ = self.0.close();
        }
    }
}

impl TuiShared {
    /// Restores the terminal for good and returns how the render thread ended.
    fn close(&self) -> io::Result<()> {
        lock(&self.stage).over = true;
        self.bell.notify_all();
        let thread = lock(&self.thread).take();
        let ended = thread.map_or(Ok(Ok(())), JoinHandle::join);
        terminal::leave();
        ended.unwrap_or_else(|_| Err(io::Error::other("the screen panicked")))
    }

    /// Waits until the dashboard may draw; `None` if it was closed.
    fn stage(&self) -> Option<TerminalState> {
        let mut stage = lock(&self.stage);
        while !stage.open && !stage.over {
            stage.still = true;
            self.bell.notify_all();
            stage = self.bell.wait(stage).unwrap_or_else(PoisonError::into_inner);
        }
        stage.still = false;
        (!stage.over).then_some(*stage)
    }

    /// Draws and reads keys until the dashboard is closed.
    fn run(&self) -> io::Result<()> {
        let theme = Theme::of(|name| std::env::var(name).ok());
        let mut show = ScreenThread::default();
        while let Some(stage) = self.stage() {
            terminal::enter()?;
            self.draw(&mut show, theme, stage.redraws)?;
            show.hear();
            // All waiting input is read at once, so that a pasted line is one change of the screen.
            let mut patience = FRAME;
            while event::poll(patience)? {
                patience = Duration::ZERO;
                if !self.react(&mut show, &event::read()?) {
                    break;
                }
            }
            terminal::report_unread();
        }
        Ok(())
    }

    /// Draws if something has changed.
    fn draw(&self, show: &mut ScreenThread, theme: Theme, redraws: u64) -> io::Result<()> {
        let size = terminal::size();
        let state = lock(&self.state);
        let known = (state.version, redraws, show.touched, size);
        if show.drawn == Some(known) {
            return Ok(());
        }
        let drawn = screen::draw(&state, &show.ui, theme, size);
        drop(state);
        show.ui.extent = drawn.extent;
        let anew = show.drawn.is_none_or(|before| before.1 != redraws);
        terminal::show(show.before.as_ref().filter(|_| !anew), &drawn.screen)?;
        (show.before, show.drawn) = (Some(drawn.screen), Some(known));
        Ok(())
    }

    /// Handles a key or a paste; `false` if the state of the terminal has to be checked first.
    fn react(&self, show: &mut ScreenThread, event: &Event) -> bool {
        show.touched += 1;
        let effect = match event {
            Event::Key(key) => show.ui.press(key, &lock(&self.state)),
            Event::Paste(text) => {
                show.ui.paste(text);
                UiEffect::None
            }
            _ => UiEffect::None,
        };
        match effect {
            UiEffect::None => return true,
            UiEffect::Ask(command) => self.ask(show, command),
            UiEffect::Redraw => {
                show.before = None;
                return true;
            }
            UiEffect::Leave => {
                lock(&self.stage).over = true;
                self.bell.notify_all();
            }
            // As the terminal would do itself if it were not in raw mode.
            UiEffect::Interrupt => {
                let _ = kill_process(getpid(), Signal::INT);
            }
            UiEffect::Suspend => {
                let _ = kill_current_process_group(Signal::TSTP);
            }
        }
        false
    }

    fn ask(&self, show: &mut ScreenThread, command: ControlCommand) {
        let said = match &self.remote {
            None => "live control is disabled (--no-control); q ends the run",
            Some(remote) => match remote.send(command, ControlOrigin::Key) {
                Some(answer) => return show.answers.push(answer),
                None => "live control is not available: the run has not started, or is over",
            },
        };
        show.ui.said = Some((false, said.to_owned()));
    }
}

/// The state of the render thread.
#[derive(Default)]
struct ScreenThread {
    ui: UiState,
    /// Replies that have not arrived yet.
    answers: Vec<oneshot::Receiver<ControlReply>>,
    /// Incremented by each key and each reply.
    touched: u64,
    /// What the terminal shows.
    before: Option<Buffer>,
    /// The versions and the size that it was drawn for.
    drawn: Option<(u64, u64, u64, (u16, u16))>,
}

impl ScreenThread {
    /// Applies the replies that have arrived.
    fn hear(&mut self) {
        let (mut waiting, mut heard) = (Vec::new(), Vec::new());
        for mut answer in self.answers.drain(..) {
            match answer.try_recv() {
                Ok(found) => heard.push(found),
                Err(TryRecvError::Empty) => waiting.push(answer),
                Err(TryRecvError::Closed) => {}
            }
        }
        self.answers = waiting;
        for answer in heard {
            self.touched += 1;
            self.ui.answer(answer);
        }
    }
}
