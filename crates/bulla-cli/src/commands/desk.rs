//! What a command works with, and the guard that it passes on its way to the project.

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bulla::guard::access::{Credential, PeerInfo, Resource};
use bulla::guard::admission::{Admitted, Ask, Denied, Need, Presented, Record};
use bulla::guard::audit::{Code, Outcome, Reprove};
use bulla::{Namespace, Origin, Project, Session, SessionOptions, Setting, Settings};

use super::acts::Act;
use crate::arguments::Global;
use crate::failure::{Exit, Failure, Result};
use crate::output::Output;

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) global: Global,
    pub(crate) output: Output,
    act: Option<Act>,
    /// What was let in, to be recorded when the command has ended.
    let_in: Mutex<Vec<LetIn>>,
}

#[derive(Debug)]
struct LetIn {
    admitted: Admitted,
    // Its log is closed, and signed, when it is dropped.
    _session: Session,
    began: Instant,
}

/// Which namespace of entries is meant.
#[derive(Debug, clap::Args)]
pub(super) struct NamespaceArg {
    /// The namespace of entries
    #[arg(short, long)]
    pub(super) namespace: Option<OsString>,
}

impl Desk {
    pub(super) fn new(global: Global, output: Output, act: Option<Act>) -> Self {
        Self { global, output, act, let_in: Mutex::default() }
    }

    /// Opens the project that the settings name.
    pub(crate) async fn project(&self) -> Result<Arc<Project>> {
        self.open(self.global.settings().load()?).await
    }

    /// Opens the project, with the named key that `--key` names.
    pub(super) async fn project_with_key(&self, key: Option<&OsStr>) -> Result<Arc<Project>> {
        let mut settings = self.global.settings();
        if let Some(key) = key {
            settings = settings.give(Setting::Key, key, Origin::Flag("--key"));
        }
        self.open(settings.load()?).await
    }

    /// Opens the project, and returns the namespace that is meant.
    pub(super) async fn namespace(&self, argument: &NamespaceArg) -> Result<Namespace> {
        let mut settings = self.global.settings();
        if let Some(name) = &argument.namespace {
            settings = settings.give(Setting::Namespace, name, Origin::Flag("--namespace"));
        }
        let project = self.open(settings.load()?).await?;
        Ok(project.store(project.settings().namespace().get())?)
    }

    /// Opens the project, if whoever runs this may do with it what the command does.
    pub(super) async fn open(&self, settings: Settings) -> Result<Arc<Project>> {
        let project = Arc::new(Project::open(settings).await?);
        if let Some(act) = &self.act {
            self.pass(act, &project).await?;
        }
        Ok(project)
    }

    async fn pass(&self, act: &Act, project: &Arc<Project>) -> Result<()> {
        let options = SessionOptions::default().reprove(Reprove::LastSegment);
        let session = match Session::open(project.clone(), options).await {
            Ok(session) => session,
            Err(error) if act.may_go_unrecorded() && error.is_unwritable() => {
                return self.go_on_unrecorded(act, project).await;
            }
            Err(error) => return Err(error.into()),
        };
        match let_in(act, &session).await {
            Err(Denied::Unrecorded(error)) if act.may_go_unrecorded() && error.is_unwritable() => {
                self.output.note(|| UNRECORDED.to_owned());
            }
            admitted => {
                let admitted = admitted.map_err(denied)?;
                let let_in = LetIn { admitted, _session: session, began: Instant::now() };
                self.let_in.lock().unwrap_or_else(PoisonError::into_inner).push(let_in);
            }
        }
        Ok(())
    }

    /// Where nothing can be written, what is there is still read by those who may: they hold the identity, and could read it without asking anybody.
    async fn go_on_unrecorded(&self, act: &Act, project: &Project) -> Result<()> {
        let me = Credential::Peer { uid: bulla::this_user(), gid: bulla::this_group() };
        let access = project.access().await?;
        let principal =
            access.authenticate(&me, &PeerInfo::default()).await.map_err(|_| denied(Denied::BadCredential))?;
        let may = match act.object(project).parse::<Resource>() {
            Ok(resource) => principal.allows(act.permission, &resource),
            Err(_) => principal.rules().everywhere().contains(act.permission),
        };
        if !may {
            return Err(denied(Denied::Forbidden));
        }
        self.output.note(|| UNRECORDED.to_owned());
        Ok(())
    }

    /// Records how the command went.
    pub(super) async fn close(self, result: Result<()>) -> Result<()> {
        let (outcome, code) = match &result {
            Ok(()) => (Outcome::Success, None),
            Err(failure) => (Outcome::Failure, Some(failure.code())),
        };
        let may_go = self.act.as_ref().is_some_and(Act::may_go_unrecorded);
        for LetIn { admitted, began, .. } in self.let_in.into_inner().unwrap_or_else(PoisonError::into_inner) {
            match admitted.finish(outcome, code, began.elapsed()).await {
                Err(Denied::Unrecorded(error) | Denied::OutcomeUnrecorded(error))
                    if may_go && error.is_unwritable() => {}
                recorded if result.is_ok() => recorded.map_err(denied)?,
                // Why it failed is what people want to know.
                _ => {}
            }
        }
        result
    }
}

const UNRECORDED: &str = "this is not in the audit log, which cannot be written";

/// Lets this user in to do something with a project, and says that it is about to be done.
pub(super) async fn let_in(act: &Act, session: &Session) -> std::result::Result<Admitted, Denied> {
    let object = act.object(session.project());
    let resource = object.parse::<Resource>().ok();
    let ask = Ask {
        presented: Some(Presented::Peer { uid: bulla::this_user(), gid: bulla::this_group() }),
        source: None,
        action: act.action.clone(),
        class: act.class,
        subject: &object,
        need: Need::Permission {
            permission: act.permission,
            resource: resource.as_ref(),
            path: None,
            capabilities: &[],
        },
        record: match act.record {
            // What is revealed goes out piece by piece, so that it is on record before the first.
            Record::Reveal => Record::Change,
            record => record,
        },
        route: "",
        request: "",
    };
    let admitted = session.guard().admit(&ask).await?;
    if let Some(entry) = &act.entry {
        admitted.add_identifier(Code::new("entry"), entry);
    }
    admitted.begin(&[]).await?;
    Ok(admitted)
}

pub(super) fn denied(denied: Denied) -> Failure {
    let (code, message) = (denied.code(), denied.to_string());
    match denied {
        Denied::Unrecorded(error) => bulla::Error::from(error).into(),
        Denied::OutcomeUnrecorded(error) => {
            Failure::new(Exit::Unavailable, code, format!("it was done, and that is not on record: {error}"))
                .with_hint("look what is there before it is done again")
        }
        Denied::Unavailable(_) | Denied::TooMany(_) | Denied::TooSoon(_) => {
            Failure::new(Exit::Unavailable, code, message)
        }
        Denied::BadCredential => Failure::new(Exit::Refused, code, "this user may not do anything with the project")
            .with_hint("an administrator binds users of this machine to roles: `bulla api put /v1/bindings/NAME`"),
        _ => Failure::new(Exit::Refused, code, message),
    }
}
