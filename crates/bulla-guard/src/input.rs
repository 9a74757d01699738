//! What is let in of what strangers send: names, JSON, query texts.
