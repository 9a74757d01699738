//! OpenAPI 3.1, from the table.

use http::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::table::{Endpoint, Input, Requires, Table, Verb};
use crate::{ApiError, Call};

pub(super) async fn describe(call: Call) -> Result<Answer, ApiError> {
    let app = call.app();
    let bytes = app.description().get_or_init(|| description(app.table()).to_string().into());
    Ok(Answer::bytes(StatusCode::OK, "application/json", bytes.clone()))
}

fn description(table: &Table) -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    for endpoint in table.endpoints() {
        for (number, path) in endpoint.paths().iter().enumerate() {
            for verb in endpoint.verbs() {
                let (template, parameters) = template(endpoint, path, *verb);
                let item = paths.entry(template).or_insert_with(|| json!({}));
                item[method(*verb)] = operation(endpoint, *verb, number, parameters, &mut generator);
            }
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert(
        "Errors".to_owned(),
        json!({
            "type": "object",
            "required": ["errors", "code"],
            "properties": {
                "errors": {"type": "array", "items": {"type": "string"}},
                "code": {"type": "string", "description": "Stable, for programs."},
                "hint": {"type": "string", "description": "What to do about it."},
            },
        }),
    );
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Bulla", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "X-Vault-Token"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    })
}

/// The method that OpenAPI knows for it. A list is a GET of the path with a slash at its end.
fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Get | Verb::List => "get",
        Verb::Post => "post",
        Verb::Put => "put",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
    }
}

fn template(endpoint: &Endpoint, path: &str, verb: Verb) -> (String, Vec<Value>) {
    let mut template = match endpoint.kind() {
        None => path.to_owned(),
        Some(kind) => format!("/v1/{{{}_mount}}/{path}", kind.0),
    };
    template = template.replace("..}", "}");
    if verb == Verb::List {
        template.push('/');
    }
    let names = template.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let parameter = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
    let mut parameters: Vec<Value> = names.map(parameter).collect();
    if verb == Verb::List {
        parameters.push(json!({"name": "list", "in": "query", "required": true, "schema": {"const": "true"}}));
    }
    (template, parameters)
}

fn operation(
    endpoint: &Endpoint,
    verb: Verb,
    number: usize,
    mut parameters: Vec<Value>,
    generator: &mut SchemaGenerator,
) -> Value {
    let first = endpoint.verbs().first() == Some(&verb);
    let id = match (first, number) {
        (true, 0) => endpoint.id().to_owned(),
        _ => format!("{}_{}_{}", endpoint.id(), verb.name().to_ascii_lowercase(), number + 1),
    };
    let query = endpoint.query().iter();
    parameters.extend(query.map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}})));
    let mut responses = Map::new();
    for status in endpoint.statuses().chain(usual(endpoint)) {
        let is_own = endpoint.statuses().next() == Some(status) || (status < 400);
        let text = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
        let mut response = json!({"description": text});
        match (is_own, endpoint.output()) {
            (true, Some(schema)) => response["content"] = content(schema(generator).to_value()),
            (true, None) => {}
            // Of a batch, and of what was deleted, there may be something to tell all the same.
            (false, Some(schema)) if matches!(status, 400 | 404) => {
                let own = schema(generator).to_value();
                response["content"] = content(json!({"anyOf": [{"$ref": "#/components/schemas/Errors"}, own]}));
            }
            (false, _) => response["content"] = content(json!({"$ref": "#/components/schemas/Errors"})),
        }
        responses.entry(status.to_string()).or_insert(response);
    }
    let mut operation = json!({
        "operationId": id,
        "summary": endpoint.summary(),
        "tags": [endpoint.id().split('.').next().unwrap_or_default()],
        "parameters": parameters,
        "responses": responses,
    });
    operation["security"] = match endpoint.requires() {
        Requires::Nothing => json!([]),
        Requires::Credential | Requires::Permission(..) => json!([{"token": []}, {"bearer": []}]),
    };
    if let Requires::Permission(permission, _) = endpoint.requires() {
        operation["x-bulla-permission"] = json!(permission);
    }
    match endpoint.input() {
        Input::Nothing => {}
        Input::Json(schema) => operation["requestBody"] = json!({"content": content(schema(generator).to_value())}),
        Input::Stream => operation["requestBody"] = json!({"content": {"application/octet-stream": {}}}),
    }
    operation
}

fn content(schema: Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

/// What any request to an endpoint can be answered.
fn usual(endpoint: &Endpoint) -> impl Iterator<Item = u16> {
    let signed = (endpoint.requires() != Requires::Nothing).then_some(403);
    // A path that says what it is about may lead nowhere: to a mount that is not there, say.
    let named = (endpoint.kind().is_some() || endpoint.paths().iter().any(|path| path.contains('{'))).then_some(404);
    // What is listed has to be asked for as a list.
    let listed = endpoint.verbs().contains(&Verb::List).then_some(405);
    let brings = !matches!(endpoint.input(), Input::Nothing);
    let body = [408, 413, 415].into_iter().filter(move |_| brings);
    [400, 429, 503].into_iter().chain(signed).chain(named).chain(listed).chain(body)
}
