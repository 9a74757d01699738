//! What each command does in the eyes of the guard: which permission it takes, on what, and how it is recorded.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use bulla::Project;
use bulla::guard::access::Permission;
use bulla::guard::admission::Record;
use bulla::guard::audit::{Class, Code};

use super::{Command, audit, content, fleche, import, key, namespace, policy, quarantine, recovery};

/// What a command does.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) action: Code,
    pub(super) class: Class,
    pub(super) permission: Permission,
    pub(super) on: On,
    pub(super) record: Record,
    /// The entry that it is about, if it is about one.
    pub(super) entry: Option<Vec<u8>>,
}

/// What a command acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum On {
    /// All of the project, or what its arguments name: only who may do it everywhere may do it.
    Everything,
    /// The named key of the settings.
    Key,
    /// The namespace of the settings.
    Namespace,
}

impl Act {
    const fn new(action: &'static str, class: Class, permission: Permission, record: Record) -> Self {
        Self { action: Code::new(action), class, permission, on: On::Everything, record, entry: None }
    }

    const fn on(mut self, on: On) -> Self {
        self.on = on;
        self
    }

    fn about(mut self, entry: &OsStr) -> Self {
        self.entry = Some(entry.as_bytes().to_vec());
        self
    }

    /// Serves the project.
    pub(super) const SERVE: Self =
        Self::new("cli.serve", Class::Configuration, Permission::AdminSystem, Record::Administer);

    /// Says whether it is done where nothing can be written, and so not recorded either: it reads, and takes no key out.
    pub(super) fn may_go_unrecorded(&self) -> bool {
        matches!(self.record, Record::Look | Record::Reveal) && self.permission != Permission::ExportKeys
    }

    /// Names what it acts on, as roles are granted for it; empty for everything.
    pub(super) fn object(&self, project: &Project) -> String {
        let settings = project.settings();
        match self.on {
            On::Everything => String::new(),
            On::Key => format!("keys/{}", settings.key().get()),
            On::Namespace => format!("store/{}", settings.namespace().get()),
        }
    }

    /// Returns what a command does to the project; `None` of one that opens none.
    pub(super) fn of(command: &Command) -> Option<Self> {
        use Permission::{
            AdminSystem, AuthorizeMachines, ManageStore, ReadAudit, ReadMachines, ReadStore, UseKeys, WriteStore,
        };
        use Record::{Administer, Change, Look, Reveal};
        let machine = |action, permission, record| Self::new(action, Class::Machine, permission, record);
        let system = |action, record| Self::new(action, Class::Configuration, AdminSystem, record);
        let store = |action, permission, record| Self::new(action, Class::Store, permission, record);
        let entries = |action, permission, record| store(action, permission, record).on(On::Namespace);
        let using = |action| Self::new(action, Class::Key, UseKeys, Reveal).on(On::Key);
        Some(match command {
            Command::Authorize(_) => machine("cli.authorize", AuthorizeMachines, Administer),
            Command::Approve(_) => machine("cli.approve", AuthorizeMachines, Administer),
            Command::Revoke(_) => machine("cli.revoke", AuthorizeMachines, Administer),
            Command::Rotate(_) => machine("cli.rotate", AuthorizeMachines, Administer),
            Command::List(_) => machine("cli.list", ReadMachines, Look),
            Command::Verify(_) => machine("cli.verify", ReadMachines, Look),
            Command::Audit(audit::Command::Machines(_)) => machine("cli.audit.machines", ReadMachines, Look),
            Command::Audit(_) => Self::new("cli.audit.read", Class::Log, ReadAudit, Look),
            Command::Policy(policy::Command::Show(_)) => system("cli.policy.show", Look),
            Command::Policy(policy::Command::Set(_)) => system("cli.policy.set", Administer),
            Command::Recovery(recovery::Command::New(_)) => system("cli.recovery.new", Administer),
            Command::Backup(_) => system("cli.backup", Reveal),
            Command::Status(_) => system("cli.status", Look),
            Command::Key(command) => return Some(Self::of_key(command)),
            Command::Seal(_) => using("cli.seal"),
            Command::Open(_) => using("cli.open"),
            Command::Rewrap(_) => using("cli.rewrap"),
            Command::Export(_) => entries("cli.export", ReadStore, Reveal),
            Command::Put(args) => entries("cli.put", WriteStore, Change).about(&args.name),
            Command::Get(args) => entries("cli.get", ReadStore, Reveal).about(&args.name),
            Command::Ls(_) => entries("cli.ls", ReadStore, Look),
            Command::Tags(_) => entries("cli.tags", ReadStore, Look),
            Command::Rm(args) => entries("cli.rm", WriteStore, Change).about(&args.name),
            Command::Incr(args) => entries("cli.incr", WriteStore, Change).about(&args.name),
            Command::Expire(args) => entries("cli.expire", WriteStore, Change).about(&args.name),
            Command::Clear(_) => entries("cli.clear", WriteStore, Change),
            Command::Memo(_) => entries("cli.memo", WriteStore, Reveal),
            Command::Content(content::Command::Put(_)) => entries("cli.content.put", WriteStore, Change),
            Command::Content(content::Command::Get(_)) => entries("cli.content.get", ReadStore, Reveal),
            Command::Namespace(namespace::Command::Ls(_)) => store("cli.namespace.ls", ReadStore, Look),
            Command::Namespace(namespace::Command::Show(_)) => entries("cli.namespace.show", ReadStore, Look),
            Command::Namespace(namespace::Command::Set(_)) => entries("cli.namespace.set", ManageStore, Administer),
            Command::Quarantine(quarantine::Command::Ls(_)) => entries("cli.quarantine.ls", ReadStore, Look),
            Command::Quarantine(quarantine::Command::Add(_)) => entries("cli.quarantine.add", ManageStore, Change),
            Command::Quarantine(quarantine::Command::Restore(_)) => {
                entries("cli.quarantine.restore", ManageStore, Change)
            }
            Command::Quarantine(quarantine::Command::Rm(_)) => entries("cli.quarantine.rm", ManageStore, Change),
            Command::Check(_) => store("cli.check", ReadStore, Look),
            Command::Stats(_) => store("cli.stats", ReadStore, Look),
            Command::Reseal(_) => store("cli.reseal", ManageStore, Change),
            Command::Gc(_) => store("cli.gc", ManageStore, Change),
            Command::Compact(_) => store("cli.compact", ManageStore, Change),
            Command::Evict(_) => entries("cli.evict", ManageStore, Change),
            Command::Import(import::Command::Entries(_)) => entries("cli.import.entries", WriteStore, Change),
            Command::Import(import::Command::Fact(_)) => store("cli.import.fact", WriteStore, Change),
            Command::Fleche(fleche::Command::Import(_)) => entries("cli.fleche.import", WriteStore, Change),
            Command::Init(_)
            | Command::Enroll(_)
            | Command::Recover(_)
            | Command::AcceptRollback(_)
            | Command::Restore(_)
            | Command::Fleche(_)
            // Each request is let in for itself; and who serves passes on the way to the log that the server keeps.
            | Command::Serve(_)
            | Command::Api(_)
            | Command::Run(_)
            | Command::Render(_)
            | Command::Random(_)
            | Command::Identity(_)
            | Command::Config(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Demo(_) => return None,
        })
    }

    fn of_key(command: &key::Command) -> Self {
        use Permission::{ExportKeys, ManageKeys, UseKeys};
        use Record::{Change, Look, Reveal};
        let (action, permission, record) = match command {
            key::Command::New(_) => ("cli.key.new", ManageKeys, Change),
            key::Command::Ls(_) => ("cli.key.ls", UseKeys, Look),
            key::Command::Show(_) => ("cli.key.show", UseKeys, Look),
            key::Command::Rotate(_) => ("cli.key.rotate", ManageKeys, Change),
            key::Command::Set(_) => ("cli.key.set", ManageKeys, Change),
            key::Command::Disable(_) => ("cli.key.disable", ManageKeys, Change),
            key::Command::Enable(_) => ("cli.key.enable", ManageKeys, Change),
            key::Command::Where(_) => ("cli.key.where", UseKeys, Look),
            key::Command::Trim(_) => ("cli.key.trim", ManageKeys, Change),
            key::Command::Destroy(_) => ("cli.key.destroy", ManageKeys, Change),
            key::Command::Rm(_) => ("cli.key.rm", ManageKeys, Change),
            key::Command::Undelete(_) => ("cli.key.undelete", ManageKeys, Change),
            key::Command::Purge(_) => ("cli.key.purge", ManageKeys, Change),
            key::Command::Sign(_) => ("cli.key.sign", UseKeys, Reveal),
            key::Command::Verify(_) => ("cli.key.verify", UseKeys, Look),
            key::Command::Hmac(_) => ("cli.key.hmac", UseKeys, Reveal),
            key::Command::DataKey(_) => ("cli.key.data-key", UseKeys, Reveal),
            key::Command::Import(_) => ("cli.key.import", ManageKeys, Change),
            key::Command::Export(_) => ("cli.key.export", ExportKeys, Reveal),
            key::Command::Backup(_) => ("cli.key.backup", ManageKeys, Reveal),
            key::Command::Restore(_) => ("cli.key.restore", ManageKeys, Change),
        };
        Self::new(action, Class::Key, permission, record)
    }
}
