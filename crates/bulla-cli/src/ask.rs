//! What only a person can decide: asked at the terminal, or said with a flag.

use std::io::{self, IsTerminal, Write};

use crate::failure::{Exit, Failure, Result};
use crate::output::Output;

/// Says whether there is a person to ask.
pub(crate) fn somebody(output: &Output) -> bool {
    !output.json() && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Goes on if a flag has said yes, or the person at the terminal does.
pub(crate) fn confirm(output: &Output, said: bool, flag: &str, question: impl FnOnce() -> String) -> Result<()> {
    if said {
        return Ok(());
    }
    if !somebody(output) {
        let message = "this has to be confirmed, and there is nobody to ask: standard input is no terminal";
        return Err(Failure::new(Exit::Usage, "not_confirmed", message).with_hint(format!("confirm it with `{flag}`")));
    }
    let mut stderr = io::stderr().lock();
    let asked = write!(stderr, "{}\nType `yes` to go on: ", question()).and_then(|()| stderr.flush());
    drop(stderr);
    let mut answer = String::new();
    asked
        .and_then(|()| io::stdin().read_line(&mut answer))
        .map_err(|error| Failure::file("ask at", "the terminal".as_ref(), &error))?;
    if answer.trim() == "yes" {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "not_confirmed", "it was not confirmed; nothing was done"))
    }
}
