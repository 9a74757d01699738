//! A project, and the way from a request as a client sends it to the answer as it gets it.

use bulla::Project;
use bulla_server::ApiError;
use bulla_server::transit::{self, Answer};
use data_encoding::BASE64;
use pollster::block_on as block;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A project with the transit API at `transit`.
pub(super) struct World {
    pub(super) project: Project,
    /// Whether encryption may make keys.
    pub(super) may_create: bool,
}

/// An answer as a client gets it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// What stands under `data`, or null.
    pub(super) data: Value,
    /// The message of the error, or nothing.
    pub(super) error: String,
    pub(super) warnings: usize,
}

pub(super) fn base64(text: impl AsRef<[u8]>) -> String {
    BASE64.encode(text.as_ref())
}

impl World {
    pub(super) fn new() -> Self {
        Self { project: block(Project::in_memory()).unwrap(), may_create: true }
    }

    pub(super) fn post(&self, path: &str, body: Value) -> Reply {
        self.ask("POST", path, &body.to_string())
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, "")
    }

    /// Makes a key of a type.
    pub(super) fn key(&self, name: &str, r#type: &str) {
        let reply = self.post(&format!("keys/{name}"), json!({ "type": r#type }));
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// Encrypts, and returns the ciphertext.
    pub(super) fn encrypt(&self, name: &str, plaintext: &str) -> String {
        let reply = self.post(&format!("encrypt/{name}"), json!({ "plaintext": base64(plaintext) }));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.text("ciphertext")
    }

    pub(super) fn decrypt(&self, name: &str, ciphertext: &str) -> Reply {
        self.post(&format!("decrypt/{name}"), json!({ "ciphertext": ciphertext }))
    }

    pub(super) fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        self.ask_in("transit", method, path, body)
    }

    /// Does what routing does: it finds the operation, reads the body, and writes the answer.
    pub(super) fn ask_in(&self, mount: &str, method: &str, path: &str, body: &str) -> Reply {
        let project = &self.project;
        let segments: Vec<&str> = path.split('/').collect();
        let sends = |future: &(dyn Future<Output = Result<Reply, ApiError>> + Send)| _ = future;
        macro_rules! answer {
            ($future:expr) => {{
                let future = async { Ok::<_, ApiError>(reply($future.await?)) };
                sends(&future);
                block(future)
            }};
        }
        let result =
            match (method, &segments[..]) {
                ("LIST", ["keys"]) => read(body).and_then(|body| answer!(transit::list_keys(project, mount, body))),
                ("GET", ["keys", name]) => answer!(transit::read_key(project, mount, name)),
                ("POST", ["keys", name]) => {
                    read(body).and_then(|body| answer!(transit::create_key(project, mount, name, body)))
                }
                ("DELETE", ["keys", name]) => answer!(transit::delete_key(project, mount, name)),
                ("DELETE", ["keys", name, "soft-delete"]) => answer!(transit::soft_delete_key(project, mount, name)),
                ("POST", ["keys", name, "soft-delete-restore"]) => {
                    answer!(transit::restore_deleted_key(project, mount, name))
                }
                ("POST", ["keys", name, "config"]) => {
                    read(body).and_then(|body| answer!(transit::configure_key(project, mount, name, body)))
                }
                ("POST", ["keys", name, "rotate"]) => answer!(transit::rotate_key(project, mount, name)),
                ("POST", ["keys", name, "trim"]) => {
                    read(body).and_then(|body| answer!(transit::trim_key(project, mount, name, body)))
                }
                ("POST", ["keys", name, "import"]) => {
                    read(body).and_then(|body| answer!(transit::import_key(project, mount, name, body)))
                }
                ("POST", ["keys", name, "import_version"]) => {
                    read(body).and_then(|body| answer!(transit::import_key_version(project, mount, name, body)))
                }
                ("GET", ["wrapping_key"]) => answer!(transit::wrapping_key(project)),
                ("GET", ["export", part, name, rest @ ..]) => read(body).and_then(|body| {
                    answer!(transit::export_key(project, mount, part, name, rest.first().copied(), body))
                }),
                ("GET", ["backup", name]) => answer!(transit::back_up_key(project, mount, name)),
                ("POST", ["restore", rest @ ..]) => read(body)
                    .and_then(|body| answer!(transit::restore_key(project, mount, rest.first().copied(), body))),
                ("POST", ["encrypt", name]) => {
                    read(body).and_then(|body| answer!(transit::encrypt(project, mount, name, self.may_create, body)))
                }
                ("POST", ["decrypt", name]) => {
                    read(body).and_then(|body| answer!(transit::decrypt(project, mount, name, body)))
                }
                ("POST", ["rewrap", name]) => {
                    read(body).and_then(|body| answer!(transit::rewrap(project, mount, name, body)))
                }
                ("POST", ["datakey", form, name]) => {
                    read(body).and_then(|body| answer!(transit::data_key(project, mount, form, name, body)))
                }
                ("POST", ["sign", name, rest @ ..]) => read(body)
                    .and_then(|body| answer!(transit::sign(project, mount, name, rest.first().copied(), body))),
                ("POST", ["verify", name, rest @ ..]) => read(body)
                    .and_then(|body| answer!(transit::verify(project, mount, name, rest.first().copied(), body))),
                ("POST", ["hmac", name, rest @ ..]) => read(body)
                    .and_then(|body| answer!(transit::hmac(project, mount, name, rest.first().copied(), body))),
                ("POST", ["hash", rest @ ..]) => {
                    read(body).and_then(|body| transit::hash(rest.first().copied(), &body).map(reply))
                }
                ("POST", ["random", rest @ ..]) => read(body).and_then(|body| {
                    transit::random(project, rest.first().copied(), rest.get(1).copied(), &body).map(reply)
                }),
                _ => panic!("no endpoint: {method} {path}"),
            };
        result.unwrap_or_else(|error| Reply {
            status: error.status().as_u16(),
            data: Value::Null,
            error: error.message().to_owned(),
            warnings: 0,
        })
    }
}

impl Reply {
    /// Returns a field of the data that is text.
    pub(super) fn text(&self, field: &str) -> String {
        self.data[field].as_str().unwrap_or_else(|| panic!("{field}: {self:?}")).to_owned()
    }

    /// Returns the field of an item of a batch.
    pub(super) fn item(&self, index: usize, field: &str) -> &Value {
        &self.data["batch_results"][index][field]
    }

    /// Expects a refusal of the request whose message has these words.
    #[track_caller]
    pub(super) fn refused(&self, words: &str) {
        assert!(self.status == 400 && self.error.contains(words), "{words}: {self:?}");
    }
}

fn read<T: DeserializeOwned + Default>(body: &str) -> Result<T, ApiError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    // serde would take an array for an object.
    if !body.trim_start().starts_with('{') {
        return Err(ApiError::field("body", "expected an object"));
    }
    serde_json::from_str(body).map_err(|error| ApiError::field("body", error))
}

fn reply<T: Serialize>(answer: Answer<T>) -> Reply {
    let data = answer.data.map_or(Value::Null, |data| serde_json::to_value(data).unwrap());
    Reply { status: answer.status.as_u16(), data, error: String::new(), warnings: answer.warnings.len() }
}
