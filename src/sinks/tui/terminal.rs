//! The terminal while the dashboard is open: taken over completely, and restored.
//!
//! The render thread draws through it; every way of ending or stopping the program restores it.
//! Invariant: nothing is written to the terminal while the dashboard does not own it, nor ever
//! after a panic.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::{Hide, MoveTo, Show};
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::queue;
use ratatui::crossterm::style::ResetColor;
use ratatui::crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use rustix::io::ioctl_fionread;
use rustix::process::getpgrp;
use rustix::stdio::{stderr, stdin};
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

/// The owner of the terminal.
struct TerminalOwner {
    /// The settings before the dashboard; `None` while it is not open.
    before: Option<Termios>,
    /// Whether a panic has printed a message that must stay readable.
    closed: bool,
}

static GATE: Mutex<TerminalOwner> = Mutex::new(TerminalOwner { before: None, closed: false });

fn gate() -> MutexGuard<'static, TerminalOwner> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether standard output and input are a terminal.
pub fn there_is() -> bool {
    isatty(stderr()) && isatty(stdin()) && in_foreground()
}

/// Whether the program is in the foreground of its terminal.
pub(super) fn in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}

/// Returns columns and rows; 80 × 24 if the size is not known.
pub(super) fn size() -> (u16, u16) {
    let found = tcgetwinsize(stderr()).ok().map(|size| (size.ws_col, size.ws_row));
    found.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or((80, 24))
}

/// Takes over the terminal: raw mode and the alternate screen.
///
/// # Errors
/// If it cannot be set up or written to.
pub(super) fn enter() -> io::Result<()> {
    give_back_on_panic();
    let mut gate = gate();
    if gate.closed || gate.before.is_some() {
        return Ok(());
    }
    let before = tcgetattr(stdin())?;
    let mut ours = before.clone();
    ours.make_raw();
    tcsetattr(stdin(), OptionalActions::Now, &ours)?;
    gate.before = Some(before);
    let mut bytes = Vec::new();
    // Pasted text must not be taken for keys.
    queue!(bytes, EnterAlternateScreen, Hide, EnableBracketedPaste, Clear(ClearType::All))?;
    io::stderr().write_all(&bytes)
}

/// Restores the terminal.
pub(super) fn leave() {
    let mut gate = gate();
    let Some(before) = gate.before.take() else { return };
    // In the background the shell has restored it already, and would stop us.
    if !in_foreground() {
        return;
    }
    let mut bytes = Vec::new();
    let end = queue!(
        bytes,
        EndSynchronizedUpdate,
        DisableBracketedPaste,
        ResetColor,
        LeaveAlternateScreen,
        Show
    );
    if end.is_ok() {
        let _ = io::stderr().write_all(&bytes);
    }
    let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
}

/// Has input that crossterm left unread reported to it again.
///
/// crossterm 0.29 waits for edges: it is told of input once, when it arrives. If a change of the
/// size is reported together with a key, it returns the size and forgets the key; of more than
/// 1 KiB, it leaves the rest. Both would wait for the next key. Linux reports input that is there
/// again when settings are set, the same ones too.
pub(super) fn report_unread() {
    let is_unread = ioctl_fionread(stdin()).is_ok_and(|bytes| bytes > 0);
    let gate = gate();
    if is_unread
        && gate.before.is_some()
        && in_foreground()
        && let Ok(ours) = tcgetattr(stdin())
    {
        // An error is one of the terminal, and shows where it is drawn.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &ours);
    }
}

/// Restores the terminal during a draw, because the process ends. If a thread hangs in drawing, the
/// terminal is left alone.
pub fn give_back_now() {
    let is_free = || GATE.try_lock().is_ok();
    // A frame is drawn within milliseconds, unless the terminal accepts no output any more.
    for _ in 0..20 {
        if is_free() {
            return leave();
        }
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    }
}

/// Draws a frame: the differences to the previous one, or everything without one.
///
/// # Errors
/// If the terminal cannot be written to.
pub(super) fn show(before: Option<&Buffer>, screen: &Buffer) -> io::Result<()> {
    let bytes = bytes(before, screen)?;
    // Restoring waits until a frame is complete.
    let gate = gate();
    if gate.before.is_some() && in_foreground() {
        io::stderr().write_all(&bytes)?;
    }
    Ok(())
}

/// Returns the bytes that draw a frame.
fn bytes(before: Option<&Buffer>, screen: &Buffer) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    queue!(bytes, BeginSynchronizedUpdate)?;
    let empty = Buffer::empty(screen.area);
    let before = before.filter(|before| before.area == screen.area);
    if before.is_none() {
        queue!(bytes, ResetColor, Clear(ClearType::All))?;
    }
    let changes = before.unwrap_or(&empty).diff(screen);
    CrosstermBackend::new(&mut bytes).draw(changes.into_iter())?;
    // The cursor is hidden and parked where it does not disturb screen readers or slow terminals.
    queue!(bytes, MoveTo(0, 0), Hide, EndSynchronizedUpdate)?;
    Ok(bytes)
}

/// Restores the screen before a panic prints its message.
fn give_back_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            leave();
            gate().closed = true;
            told(panic);
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::{Color, Style};
    use std::process::Command;

    /// Returns what a terminal of that size shows of some bytes.
    fn shown(terminal: &mut vt100::Parser, bytes: &[u8]) -> String {
        terminal.process(bytes);
        terminal.screen().contents()
    }

    #[test]
    fn a_terminal_shows_what_was_drawn_and_only_changes_are_sent() {
        let (rows, columns) = (3.try_into().unwrap(), 20.try_into().unwrap());
        let mut terminal = vt100::Parser::new(rows, columns, 0);
        let mut first = Buffer::empty(Rect::new(0, 0, 20, 3));
        first.set_string(0, 0, "a line 世界", Style::new().fg(Color::Red));
        first.set_string(5, 2, "the end", Style::new());
        let all = bytes(None, &first).unwrap();
        assert_eq!(shown(&mut terminal, &all), "a line 世界\n\n     the end");
        let mut second = first.clone();
        second.set_string(9, 2, "END", Style::new());
        let some = bytes(Some(&first), &second).unwrap();
        assert!(some.len() < all.len());
        assert_eq!(shown(&mut terminal, &some), "a line 世界\n\n     the END");
        let none = bytes(Some(&second), &second).unwrap();
        assert!(!String::from_utf8_lossy(&none).contains("END"));
    }

    /// Not a test by itself: the test below runs it in a terminal.
    #[test]
    fn panics_in_a_terminal() {
        if std::env::var_os("MANADA_TUI_PANICS").is_some() {
            enter().unwrap();
            let raw = tcgetattr(stdin()).unwrap();
            let canonical = rustix::termios::LocalModes::ICANON;
            assert!(!raw.local_modes.contains(canonical), "it is ours");
            panic!("as told");
        }
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let name = "sinks::tui::terminal::tests::panics_in_a_terminal";
        let line = format!(
            "stty -g > before; {} --exact {name} --nocapture; stty -g > after",
            own.display()
        );
        let run = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .current_dir(folder.path())
            .env("TERM", "xterm")
            .env("MANADA_TUI_PANICS", "1")
            .output()
            .unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("before"), read("after"));
        let said = String::from_utf8_lossy(&run.stdout);
        let (left, told) = (said.rfind("\u{1b}[?1049l").unwrap(), said.find("as told").unwrap());
        assert!(said.contains("\u{1b}[?1049h") && left < told, "{said}");
        assert!(said[left..].contains("\u{1b}[?25h"), "the cursor is seen again: {said}");
    }
}
