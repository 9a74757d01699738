//! What is in the log, and what is not.

use std::io;
use std::sync::{Arc, Mutex};

use bulla_server::{LogFormat, logger};
use serde_json::Value;
use tracing::Level;

use super::setting::{ROOT, app, ask, request, send};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

async fn logged(format: LogFormat) -> String {
    let kept = Kept::default();
    let writer = kept.clone();
    let log = logger(format, Level::DEBUG, move || writer.clone());
    let _guard = tracing::dispatcher::set_default(&log);
    let (app, _) = app().await;
    ask(&app, "POST", "/v1/box/echo/name-of-a-secret", r#"{"text": "value-of-a-secret"}"#).await;
    ask(&app, "GET", "/v1/box/panic?", "").await;
    ask(&app, "GET", "/v1/box/data/a%0A%1B[31mforged", "").await;
    ask(&app, "GET", "/v1/box/data/forged?x%0Aforged=1", "").await;
    let mut hostile = request("GET", "/v1/box/data/a", Some("token-of-a-stranger"), "");
    hostile.headers_mut().insert("user-agent", "forged \t agent".parse().unwrap());
    send(&app, hostile).await;
    kept.text()
}

#[tokio::test]
async fn a_log_has_no_secrets_no_paths_and_no_lines_of_strangers() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let text = logged(format).await;
        for absent in
            [ROOT, "token-of-a-stranger", "name-of-a-secret", "value-of-a-secret", "forged", "secret-in-a-panic"]
        {
            assert!(!text.contains(absent), "{absent}: {text}");
        }
        let ours: Vec<&str> = text.lines().filter(|line| line.contains("a request ")).collect();
        assert_eq!(ours.len(), 5, "{text}");
        assert!(ours[0].contains("box.echo") && ours[0].contains("root") && ours[1].contains("WARN"), "{text}");
        if format == LogFormat::Json {
            for line in text.lines() {
                let line: Value = serde_json::from_str(line).unwrap();
                assert!(line["timestamp"].is_string() && line["level"].is_string());
            }
        }
    }
}
