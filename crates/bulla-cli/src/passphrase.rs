//! Asking for a passphrase at the terminal, where nobody reads it over a shoulder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use bulla::{Passphrase, PassphraseError, PassphrasePrompt};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure, Result};
use crate::output::Output;

/// The terminal of this process, whatever its standard input is.
const TERMINAL: &str = "/dev/tty";

/// What Ctrl-C sends (ASCII, end of text).
const INTERRUPT: u8 = 0x03;

/// Longest line that a terminal hands over.
const MAX_LINE_LEN: usize = 4_096;

/// Returns what asks for the passphrase of an identity file.
pub(crate) fn prompt() -> PassphrasePrompt {
    PassphrasePrompt::new(|path: &Path| {
        let Ok(terminal) = open() else { return Ok(None) };
        ask(&terminal, &format!("Passphrase of {}: ", path.display())).map(Some)
    })
}

/// Asks twice for the passphrase that is to protect an identity file from now on.
pub(crate) fn ask_for_new(path: &Path) -> Result<Passphrase> {
    let terminal = open().map_err(|_| {
        Failure::new(Exit::Usage, "passphrase_needed", "there is no new passphrase, and no terminal to ask for it at")
            .with_hint("name a file of mode 0600 that holds it with `--new-passphrase-file`")
    })?;
    let asked = |question: &str| ask(&terminal, question).map_err(bulla::Error::from);
    let first = asked(&format!("New passphrase of {}: ", path.display()))?;
    if asked("The same again: ")? == first {
        Ok(first)
    } else {
        Err(Failure::new(Exit::Failed, "passphrase", "the two passphrases differ; nothing was done"))
    }
}

/// Asks for a passphrase of somebody else's; where the answer is to be JSON, nobody is there to be asked.
pub(crate) fn ask_for(output: &Output, what: &str) -> Result<Passphrase> {
    let Some(terminal) = open().ok().filter(|_| !output.json()) else {
        let message = format!("there is no {what}, and no terminal to ask for it at");
        return Err(Failure::new(Exit::Usage, "passphrase_needed", message));
    };
    Ok(ask(&terminal, &format!("The {what}: ")).map_err(bulla::Error::from)?)
}

fn open() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(TERMINAL)
}

/// Asks one question at a terminal that does not show the answer.
fn ask(mut terminal: &File, question: &str) -> std::result::Result<Passphrase, PassphraseError> {
    let silence = Silence::begin(terminal).map_err(PassphraseError::Read)?;
    let mut line = Zeroizing::new(vec![0; MAX_LINE_LEN]);
    // A terminal hands over one line at a time.
    let read = terminal.write_all(question.as_bytes()).and_then(|()| terminal.read(&mut line));
    drop(silence);
    // The line end was not shown either. That it cannot be is no reason to lose the answer.
    let _ = terminal.write_all(b"\n");
    match line.get(..read.map_err(PassphraseError::Read)?) {
        Some([.., INTERRUPT]) => Err(PassphraseError::Read(io::ErrorKind::Interrupted.into())),
        Some(answer) => Passphrase::read(answer),
        None => Err(PassphraseError::Length),
    }
}

/// A terminal that shows nothing of what is typed. It does again once this is dropped.
struct Silence<'a> {
    terminal: &'a File,
    before: Termios,
}

impl<'a> Silence<'a> {
    fn begin(terminal: &'a File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        // A signal would end this process with the terminal still silent; Ctrl-C ends the line instead.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ISIG);
        silent.local_modes.insert(LocalModes::ICANON);
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        tcsetattr(terminal, OptionalActions::Now, &silent)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        // The terminal may be gone; nobody would be left to tell.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

    use super::*;

    /// Answers the question at a terminal of its own; returns the outcome, and all that the terminal showed.
    fn answered(answer: &'static [u8]) -> (std::result::Result<Passphrase, PassphraseError>, String) {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap().into_string().unwrap();
        let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let typing = thread::spawn(move || {
            let mut person = File::from(person);
            let mut shown = String::new();
            let mut byte = [0; 1];
            // The question comes once nothing is shown any more; the line end, once all is done.
            while !shown.ends_with("Which? ") {
                person.read_exact(&mut byte).unwrap();
                shown.push(byte[0].into());
            }
            person.write_all(answer).unwrap();
            while !shown.ends_with('\n') {
                person.read_exact(&mut byte).unwrap();
                shown.push(byte[0].into());
            }
            // Kept open until all is looked at: a terminal that nobody watches any more has no modes.
            (shown, person)
        });
        let before = tcgetattr(&terminal).unwrap();
        assert!(before.local_modes.contains(LocalModes::ECHO));
        let outcome = ask(&terminal, "Which? ");
        let (shown, _person) = typing.join().unwrap();
        let after = tcgetattr(&terminal).unwrap();
        assert_eq!(after.local_modes, before.local_modes);
        assert_eq!(after.special_codes[SpecialCodeIndex::VEOL], before.special_codes[SpecialCodeIndex::VEOL]);
        (outcome, shown)
    }

    #[test]
    fn an_answer_is_read_and_not_shown() {
        let (passphrase, shown) = answered(b"correct horse\n");
        assert_eq!(passphrase.unwrap(), Passphrase::new(b"correct horse".to_vec()).unwrap());
        assert_eq!(shown, "Which? \r\n");
    }

    #[test]
    fn an_interruption_is_no_answer() {
        let (refused, shown) = answered(b"correct\x03");
        let Err(PassphraseError::Read(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        assert_eq!(shown, "Which? \r\n");
        // The end of the input, on an empty line.
        assert!(matches!(answered(b"\x04").0, Err(PassphraseError::Length)));
        assert!(matches!(answered(b"\n").0, Err(PassphraseError::Length)));
    }
}
