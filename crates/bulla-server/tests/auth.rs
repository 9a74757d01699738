//! Who may do what, over HTTP, at the door of a real project.

mod approles;
mod escalation;
mod guessing;
mod hostile;
mod keys;
mod matrix;
mod names;
mod policies;
mod setting;
mod system;
mod tokens;
mod users;
