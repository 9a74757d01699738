//! The vectors of `spec/vectors/seal`, which an independent implementation wrote, through every opener.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::Path;

use bulla_seal::{
    Context, KeyVersionId, OpenError, Params, ProjectId, RangeReader, SealKey, SealedStream, Suite, danger, text,
};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::Value;

#[test]
fn both_implementations_agree_on_every_vector() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/seal");
    let mut outcomes = BTreeMap::<String, usize>::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let vector = Vector::read(&path);
        vector.check(&path.file_name().unwrap().to_string_lossy());
        *outcomes.entry(vector.expect).or_default() += 1;
    }
    let ok = outcomes["ok"];
    let hostile: usize = outcomes.values().sum::<usize>() - ok;
    println!("{} vectors, {hostile} of them hostile: {outcomes:?}", ok + hostile);
    assert!(ok >= 90 && hostile > 6 * ok, "the vectors are all there");
}

struct Vector {
    key: SealKey,
    context: Context,
    message: Option<Vec<u8>>,
    form: Form,
    expect: String,
}

enum Form {
    Bytes(Vec<u8>),
    Text(String),
}

impl Vector {
    fn read(path: &Path) -> Self {
        let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let id = HEXLOWER.decode(json["key_version"].as_str().unwrap().as_bytes()).unwrap();
        let key = SealKey::new(KeyVersionId(id.try_into().unwrap()), &bytes(&json["material"])).unwrap();
        let form = match json.get("text") {
            Some(text) => Form::Text(text.as_str().unwrap().to_owned()),
            None => Form::Bytes(bytes(&json["sealed"])),
        };
        Self {
            key,
            context: context(&json["context"], &bytes(&json["context_cbor"])),
            message: json.get("message").map(bytes),
            form,
            expect: json["expect"].as_str().unwrap().to_owned(),
        }
    }

    fn check(&self, name: &str) {
        let sealed = match &self.form {
            Form::Bytes(sealed) => sealed.clone(),
            Form::Text(form) => match text::decode(form) {
                Ok(sealed) => {
                    assert_eq!(text::encode(&sealed), *form, "{name}: one value has one text");
                    sealed
                }
                Err(error) => return assert_eq!(error.code(), self.expect, "{name}: text"),
            },
        };
        for (door, opened) in self.open_everywhere(&sealed) {
            match opened {
                Ok(opened) => assert!(self.message.as_ref() == Some(&opened), "{name}: opened by {door}"),
                // A stream cannot open what has to be checked as a whole; the other doors still tell the code.
                Err(OpenError::OneShotOnly) => {
                    assert!(door == "stream" || door == "range", "{name}: {door}");
                    assert_eq!(sealed[4], Suite::Aes256Deterministic as u8, "{name}: {door}");
                }
                Err(error) => assert_eq!(error.code(), self.expect, "{name}: refused by {door}"),
            }
        }
        if let Some(message) = &self.message {
            let salt = sealed[16..40].try_into().unwrap();
            let params = bulla_seal::Header::parse(&sealed).unwrap().params();
            let again = danger::seal_with_salt(&self.key, params, &self.context, &salt, message).unwrap();
            assert!(again == sealed, "{name}: sealed again");
            if params.suite == Suite::Aes256Deterministic {
                assert!(self.key.seal(params, &self.context, message).unwrap() == sealed, "{name}: the derived salt");
            }
        }
    }

    fn open_everywhere(&self, sealed: &[u8]) -> [(&'static str, Result<Vec<u8>, OpenError>); 4] {
        let mut in_place = sealed.to_vec();
        let in_place = self.key.open_in_place(&self.context, &mut in_place).map(|()| in_place);
        [
            ("open", self.key.open(&self.context, sealed)),
            ("open_in_place", in_place),
            ("stream", self.stream(sealed)),
            ("range", self.range(sealed)),
        ]
    }

    fn stream(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut message = Vec::new();
        let mut reader = SealedStream::new(Dribble(sealed)).map_err(open_error)?.open(&self.key, &self.context)?;
        reader.read_to_end(&mut message).map_err(open_error)?;
        Ok(message)
    }

    fn range(&self, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let mut message = Vec::new();
        let mut reader = RangeReader::open(Cursor::new(sealed), &self.key, &self.context).map_err(open_error)?;
        reader.read_to_end(&mut message).map_err(open_error)?;
        Ok(message)
    }
}

/// Hands out a few bytes at a time, as a pipe may.
struct Dribble<'a>(&'a [u8]);

impl Read for Dribble<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let taken = out.len().min(self.0.len()).min(1_000);
        out[..taken].copy_from_slice(&self.0[..taken]);
        self.0 = &self.0[taken..];
        Ok(taken)
    }
}

fn open_error(error: io::Error) -> OpenError {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    *error.into_inner().unwrap().downcast().unwrap()
}

fn bytes(json: &Value) -> Vec<u8> {
    if let Some(hex) = json.as_str() {
        return HEXLOWER.decode(hex.as_bytes()).unwrap();
    }
    if let Some(base64) = json.get("base64") {
        return BASE64.decode(base64.as_str().unwrap().as_bytes()).unwrap();
    }
    let repeated = bytes(&json["repeat"]);
    let len = usize::try_from(json["length"].as_u64().unwrap()).unwrap();
    repeated.iter().copied().cycle().take(len).collect()
}

fn context(json: &Value, encoded: &[u8]) -> Context {
    let project = ProjectId(bytes(&json["project"]).try_into().unwrap());
    let mut builder = Context::in_domain(json["domain"].as_str().unwrap(), &project);
    for (name, value) in json["map"].as_object().unwrap() {
        builder = match value {
            Value::String(text) => builder.text(name, text),
            Value::Bool(flag) => builder.flag(name, *flag),
            Value::Number(number) => match number.as_u64() {
                Some(number) => builder.uint(name, number),
                None => builder.int(name, number.as_i64().unwrap()),
            },
            object => builder.bytes(name, &bytes(&object["bytes"])),
        };
    }
    assert_eq!(builder.clone().encode().unwrap(), encoded, "context encoding");
    builder.build().unwrap()
}

/// Known answers for messages of so many chunks that the counter carries; the independent implementation computed them.
#[test]
fn the_chunk_counter_carries() {
    let key = super::key();
    let message = super::message(1_052_677);
    let expected = [
        "d2d33a08bb4fe1ffb5229e37a60b7230ac6fa88d59de282aff81b7069f8b4577",
        "c2bd37bee942a7ca528818da267ed9232c21b688f5685d0d666ffd9092e36572",
        "b75234809af3ff692744c20b9b5ee6fd54076fd2bb96b49b289a9c8c79458920",
        "1ab292f6b93e990afa6cd7884a4e08fdf38517e17bf8ef186db6fe94504cb5b0",
    ];
    for (suite, expected) in super::SUITES.into_iter().zip(expected) {
        let params = super::small_chunks(suite);
        let sealed = if suite == Suite::Aes256Deterministic {
            key.seal(params, &super::context(), &message).unwrap()
        } else {
            danger::seal_with_salt(&key, params, &super::context(), &[3; 24], &message).unwrap()
        };
        assert_eq!(HEXLOWER.encode(&bulla_seal::sha256(&sealed)), expected, "{suite:?}");
    }
}

#[test]
fn defaults_are_as_documented() {
    assert_eq!(Params::default(), Params::new(Suite::Aes256Gcm));
    assert_eq!(Params::default().chunk_size.bytes(), 64 * 1_024);
    assert_eq!(Params::default().sealed_len(64).unwrap(), 64 + 88);
}
