//! The audit log: what was done, by whom, and the proof that nobody changed it.
