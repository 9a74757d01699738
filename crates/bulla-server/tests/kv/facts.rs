//! What OpenBao 2.7.2 answered to the same questions, in the same order.
//!
//! `facts.json` holds a question, the status, and the data of the answer, where moments are `TIME` and what is drawn at random is
//! left out. Where we mean to differ, `ours` is our status and `why` the reason.

use serde_json::{Map, Value, json};

use super::door::Door;
use super::ground::NOW;

#[test]
fn every_question_is_answered_as_openbao_answers_it() {
    let facts: Vec<Map<String, Value>> = serde_json::from_str(include_str!("facts.json")).unwrap();
    let door = Door::new();
    let mut now = NOW;
    let mut faults = Vec::new();
    for fact in &facts {
        now.0 += 1_001;
        door.now.set(now);
        let (method, target) = fact["ask"].as_str().unwrap().split_once(' ').unwrap();
        let (status, data) = door.ask(method, target, fact.get("body").unwrap_or(&Value::Null));
        let differs = fact.get("ours");
        let expected = differs.unwrap_or(&fact["status"]);
        let mut shown = data.unwrap_or(Value::Null);
        level(&mut shown);
        let is_same = differs.is_some() || &shown == fact.get("data").unwrap_or(&Value::Null);
        if expected != &json!(status) || !is_same {
            faults.push(format!("{} {:?}\n  ours {status} {shown}", fact["ask"], fact));
        }
    }
    assert!(faults.is_empty(), "{} of {} differ:\n{}", faults.len(), facts.len(), faults.join("\n"));
}

/// Takes moments for one another, and leaves out what is random or says nothing.
fn level(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| {
                !["running_plugin_version", "deprecation_status", "accessor", "uuid", "migration_id"]
                    .contains(&name.as_str())
            });
            members.values_mut().for_each(level);
        }
        Value::Array(list) => list.iter_mut().for_each(level),
        Value::String(text) if text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T' => {
            *text = "TIME".to_owned();
        }
        _ => {}
    }
}
