//! The Open Cybersecurity Schema Framework, 1.6.0: the few classes that our events are.

use data_encoding::HEXLOWER;

use super::{fields, value};
use crate::audit::event::{Class, Level, Outcome};
use crate::audit::json::{Object, shown};
use crate::audit::logged::LoggedEvent;
use crate::audit::reader::Stored;
use crate::audit::value::Value;

const VERSION: &str = "1.6.0";

const AUTHENTICATION: u64 = 3002;
const ENTITY_MANAGEMENT: u64 = 3004;
const API_ACTIVITY: u64 = 6003;
const DATASTORE_ACTIVITY: u64 = 6005;
const DETECTION_FINDING: u64 = 2004;

pub(super) fn write(line: &mut Object, stored: &Stored, event: &LoggedEvent) {
    let class = class_of(event.class);
    let activity = activity_of(class, event.action.as_str());
    line.number("class_uid", class).number("category_uid", class / 1_000);
    line.number("activity_id", activity).number("type_uid", class * 100 + activity);
    if activity == 99 {
        line.text("activity_name", event.action.as_str());
    }
    line.number("time", event.time.0).number("severity_id", severity(event));
    let (status, code) = match event.outcome {
        Some(Outcome::Success) => (1, "success"),
        Some(Outcome::Failure) => (2, "failure"),
        Some(Outcome::Unknown) | None => (0, "unknown"),
    };
    if class != DETECTION_FINDING {
        line.number("status_id", status).text("status_code", code);
    }
    line.object("metadata", |line| {
        line.text("version", VERSION).number("sequence", stored.index).text("event_code", event.action.as_str());
        line.object("product", |line| {
            line.text("name", "Bulla").text("vendor_name", "Bulla");
        });
    });
    what(line, class, stored, event);
    who(line, class, event);
    line.object("unmapped", |line| {
        line.text("class", event.class.name()).text("phase", event.phase.name());
        line.text("process", &HEXLOWER.encode(&event.process));
        if let Some(intent) = event.intent {
            line.number("intent", intent);
        }
        if let Some(batch) = event.batch {
            line.number("batch_count", batch.count).text("batch_root", &HEXLOWER.encode(&batch.root));
        }
        line.object("fields", |line| fields(line, event));
    });
}

/// What the class of OCSF asks for besides.
fn what(line: &mut Object, class: u64, stored: &Stored, event: &LoggedEvent) {
    let resource = event.resource.as_ref().map(|resource| match resource {
        Value::Text(text) => shown(text),
        other => other.to_string(),
    });
    let name = resource.as_deref().unwrap_or("bulla");
    match class {
        AUTHENTICATION => {
            line.object("service", |line| {
                line.text("name", name);
            });
            if let Some(method) = event.field("method") {
                value(line, "auth_protocol", method);
            }
        }
        ENTITY_MANAGEMENT => {
            line.object("entity", |line| {
                line.text("name", name).text("type", event.class.name());
            });
        }
        API_ACTIVITY => {
            line.object("api", |line| {
                line.text("operation", event.action.as_str());
            });
            if let Some(resource) = &resource {
                line.list("resources", |line| {
                    line.text("name", resource);
                });
            }
        }
        DATASTORE_ACTIVITY => {
            line.number("type_id", 2).object("databucket", |line| {
                line.text("name", name).number("type_id", 99);
            });
        }
        _ => {
            line.object("finding_info", |line| {
                line.text("uid", &stored.index.to_string()).text("title", event.action.as_str());
            });
        }
    }
}

fn who(line: &mut Object, class: u64, event: &LoggedEvent) {
    let uid = event.principal.map_or_else(|| "unknown".to_owned(), |principal| principal.to_string());
    let user = |line: &mut Object| {
        line.text("uid", &uid);
    };
    match class {
        AUTHENTICATION => line.object("user", user),
        DETECTION_FINDING if event.principal.is_none() => line,
        DETECTION_FINDING => line.list("evidences", |line| {
            line.object("actor", |line| {
                line.object("user", user);
            });
        }),
        _ => line.object("actor", |line| {
            line.object("user", user);
        }),
    };
    let address = event.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    if class != DETECTION_FINDING {
        line.object("src_endpoint", |line| {
            line.text("uid", &address);
        });
    }
}

const fn class_of(class: Class) -> u64 {
    match class {
        Class::Authentication => AUTHENTICATION,
        Class::Machine | Class::Grant | Class::Configuration | Class::Key | Class::Log => ENTITY_MANAGEMENT,
        Class::Authorization | Class::QueryProcessing | Class::Object => API_ACTIVITY,
        Class::Store => DATASTORE_ACTIVITY,
        Class::SecurityViolation => DETECTION_FINDING,
    }
}

/// What an action is in a class of OCSF, by how its name begins or ends; 99 is another.
fn activity_of(class: u64, action: &str) -> u64 {
    let word = action.rsplit(['.', '_']).next().unwrap_or(action);
    let words: &[(&str, u64)] = match class {
        AUTHENTICATION => &[("authenticate", 1), ("login", 1), ("logout", 2)],
        ENTITY_MANAGEMENT => &[
            ("create", 1),
            ("new", 1),
            ("read", 2),
            ("show", 2),
            ("update", 3),
            ("set", 3),
            ("change", 3),
            ("rotate", 3),
            ("delete", 4),
            ("destroy", 4),
            ("remove", 4),
            ("enroll", 6),
            ("authorize", 6),
            ("revoke", 7),
            ("enable", 8),
            ("disable", 9),
        ],
        API_ACTIVITY => {
            &[("create", 1), ("read", 2), ("query", 2), ("get", 2), ("update", 3), ("call", 99), ("delete", 4)]
        }
        DATASTORE_ACTIVITY => &[
            ("read", 1),
            ("get", 1),
            ("update", 2),
            ("query", 4),
            ("put", 5),
            ("add", 5),
            ("write", 5),
            ("create", 6),
            ("delete", 7),
            ("remove", 7),
            ("list", 8),
        ],
        _ => return 1,
    };
    words.iter().find(|(name, _)| *name == word).map_or(99, |(_, activity)| *activity)
}

const fn severity(event: &LoggedEvent) -> u64 {
    match (event.class, event.level) {
        (Class::SecurityViolation, Level::Info) => 2,
        (_, Level::Info) => 1,
        (Class::SecurityViolation, Level::Warning) => 3,
        (_, Level::Warning) => 2,
        (_, Level::Error) => 4,
        (_, Level::Critical) => 5,
    }
}
