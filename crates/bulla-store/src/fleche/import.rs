use super::{DigestOf, FlecheDirectory, FlecheError, FlecheFile, FlecheName};
use crate::{ExpectedVersion, Finding, GetOptions, Namespace, Observer, PutOptions, StoreError, WalkEvent};

/// The media type of imported payloads.
pub const FLECHE_MEDIA_TYPE: &str = "application/x-python-pickle";

/// How to import a fleche directory. By default, entries bear the names of their files, and none is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlecheImport {
    /// What the names of entries begin with, before those of the files.
    pub prefix: Vec<u8>,
    /// Tags beside `fleche` and the kind, `fleche:value` or `fleche:call`.
    pub tags: Vec<String>,
    /// Whether an entry with another value is replaced. It then has a new version, which a reader who expects the old one notices.
    pub replace: bool,
}

/// What an import has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FlecheImportCounts {
    /// Files that were put into the namespace.
    pub imported: u64,
    /// Of those, files whose payload belongs under their name.
    pub names: u64,
    /// Files whose entry was there already, with this very payload.
    pub present: u64,
    /// Bytes of payloads that were put.
    pub bytes: u64,
    /// Files that are refused, names that are no digests, and entries that stay since they have another value.
    pub refused: u64,
}

impl FlecheDirectory {
    /// Puts every payload that verifies into a namespace, under the name of its file: from then on it is bound to that name.
    ///
    /// Can be stopped and begun again at any moment: what is there already is compared, and left alone if it is the same. The
    /// directory is not changed.
    ///
    /// # Errors
    /// Fails if the folder cannot be listed, or the storage of the namespace fails; what else goes wrong is a finding.
    ///
    /// # Security
    /// What was moved or replayed in the directory before the import is not seen by its signature; a move, by `digest` where it can
    /// tell. A directory without keys is imported as it is: whoever could write to it chose what the entries hold.
    pub async fn import(
        &self,
        namespace: &Namespace,
        options: &FlecheImport,
        digest: &mut DigestOf<'_>,
        observer: &mut Observer<'_, FlecheImportCounts>,
    ) -> Result<FlecheImportCounts, FlecheError> {
        let listing = self.list()?;
        let mut counts = FlecheImportCounts::default();
        for other in &listing.others {
            counts.refused += 1;
            observer(WalkEvent::Found(Finding::Fleche(FlecheError::NotADigest(self.root().join(other)))));
        }
        for name in &listing.names {
            match self.import_one(namespace, options, name, digest, &mut counts).await {
                // It was taken away meanwhile.
                Ok(()) | Err(FlecheError::NotFound(_)) => {}
                Err(error) if error.is_of_one() => {
                    counts.refused += 1;
                    observer(WalkEvent::Found(Finding::Fleche(error)));
                }
                Err(error) => return Err(error),
            }
            observer(WalkEvent::Progress(&counts));
        }
        Ok(counts)
    }

    async fn import_one(
        &self,
        namespace: &Namespace,
        options: &FlecheImport,
        name: &FlecheName,
        digest: &mut DigestOf<'_>,
        counts: &mut FlecheImportCounts,
    ) -> Result<(), FlecheError> {
        let (file, is_named) = self.load_named(name, digest)?;
        let entry = [&options.prefix[..], name.to_string().as_bytes()].concat();
        let expected = match compare(namespace, &entry, &file.payload).await.map_err(Box::new)? {
            Present::Same => {
                counts.present += 1;
                return Ok(());
            }
            Present::Other(_) if !options.replace => {
                return Err(FlecheError::Differs { place: namespace.place(&entry), path: self.path(name) });
            }
            Present::Other(version) => ExpectedVersion::Version(version),
            Present::Absent => ExpectedVersion::Absent,
        };
        let put = PutOptions {
            media_type: Some(FLECHE_MEDIA_TYPE.to_owned()),
            tags: tags(&file, &options.tags),
            expected,
            ..PutOptions::default()
        };
        match namespace.put(&entry, &file.payload, &put).await {
            Ok(_) => {
                counts.imported += 1;
                counts.names += u64::from(is_named);
                counts.bytes += file.payload.len() as u64;
                Ok(())
            }
            // Somebody else was faster; what they put is for the next import to look at.
            Err(StoreError::VersionMismatch { place, .. }) => {
                Err(FlecheError::Differs { place, path: self.path(name) })
            }
            Err(error) => Err(Box::new(error).into()),
        }
    }
}

/// What there is already under the name of an entry.
enum Present {
    Absent,
    Same,
    /// Another value, at this version.
    Other(u64),
}

async fn compare(namespace: &Namespace, name: &[u8], payload: &[u8]) -> Result<Present, StoreError> {
    let mut reader = match namespace.reader(name, &GetOptions::default()).await {
        Ok(reader) => reader,
        Err(StoreError::NotFound(_)) => return Ok(Present::Absent),
        Err(error) => return Err(error),
    };
    let version = reader.stat().version;
    if reader.stat().len != payload.len() as u64 {
        return Ok(Present::Other(version));
    }
    let mut rest = payload;
    while let Some(piece) = reader.read_chunk().await? {
        match rest.strip_prefix(piece) {
            Some(behind) => rest = behind,
            None => return Ok(Present::Other(version)),
        }
    }
    Ok(if rest.is_empty() { Present::Same } else { Present::Other(version) })
}

fn tags(file: &FlecheFile, more: &[String]) -> Vec<String> {
    let mut tags = vec!["fleche".to_owned(), format!("fleche:{}", file.kind().name())];
    tags.extend_from_slice(more);
    tags
}
