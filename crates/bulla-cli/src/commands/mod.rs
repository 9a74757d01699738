//! The commands, one a file.

mod accept_rollback;
mod acts;
mod api;
mod approve;
mod audit;
mod authorize;
mod backup;
mod check;
mod clear;
mod compact;
mod completions;
mod config;
mod content;
mod demo;
mod desk;
mod enroll;
mod evict;
mod expire;
mod export;
mod fleche;
mod gc;
mod get;
mod identity;
mod import;
mod in_process;
mod incr;
mod init;
mod key;
mod list;
mod ls;
mod man;
mod memo;
mod namespace;
mod open;
mod pair;
mod policy;
mod put;
mod quarantine;
mod random;
mod recover;
mod recovery;
mod render;
mod reseal;
mod restore;
mod revoke;
mod rewrap;
mod rm;
mod rotate;
mod run;
mod seal;
mod secrets;
mod serve;
mod stats;
mod status;
mod tags;
mod tally;
mod tree;
mod verify;

use clap::Subcommand;

use self::acts::Act;
pub(crate) use self::desk::Desk;
use self::desk::NamespaceArg;
use crate::arguments::Arguments;
use crate::failure::Result;
use crate::output::Output;

/// What can be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(init::Args),
    Enroll(enroll::Args),
    #[command(alias = "authorise")]
    Authorize(authorize::Args),
    Approve(approve::Args),
    List(list::Args),
    Verify(verify::Args),
    Revoke(revoke::Args),
    Rotate(rotate::Args),
    #[command(subcommand)]
    Audit(audit::Command),
    #[command(subcommand)]
    Policy(policy::Command),
    #[command(subcommand)]
    Recovery(recovery::Command),
    Recover(recover::Args),
    AcceptRollback(accept_rollback::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Export(export::Args),
    #[command(subcommand)]
    Key(key::Command),
    Serve(serve::Args),
    Api(api::Args),
    Run(run::Args),
    Render(render::Args),
    Seal(seal::Args),
    Open(open::Args),
    Rewrap(rewrap::Args),
    Put(put::Args),
    Get(get::Args),
    Ls(ls::Args),
    Rm(rm::Args),
    Incr(incr::Args),
    Expire(expire::Args),
    Clear(clear::Args),
    Tags(tags::Args),
    Memo(memo::Args),
    #[command(subcommand)]
    Content(content::Command),
    #[command(subcommand)]
    Namespace(namespace::Command),
    Check(check::Args),
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    Reseal(reseal::Args),
    Gc(gc::Args),
    Compact(compact::Args),
    Stats(stats::Args),
    Evict(evict::Args),
    #[command(subcommand)]
    Import(import::Command),
    #[command(subcommand)]
    Fleche(fleche::Command),
    Random(random::Args),
    Status(status::Args),
    #[command(subcommand)]
    Identity(identity::Command),
    #[command(subcommand)]
    Config(config::Command),
    Completions(completions::Args),
    Man(man::Args),
    Demo(demo::Args),
}

/// Does what the arguments ask for.
pub(crate) async fn run(arguments: Arguments, output: &Output) -> Result<()> {
    let desk = Desk::new(arguments.global, *output, Act::of(&arguments.command));
    let result = match arguments.command {
        Command::Init(args) => init::run(&args, &desk).await,
        Command::Enroll(args) => enroll::run(&args, &desk),
        Command::Authorize(args) => authorize::run(&args, &desk).await,
        Command::Approve(args) => approve::run(&args, &desk).await,
        Command::List(args) => list::run(&args, &desk).await,
        Command::Verify(args) => verify::run(&args, &desk).await,
        Command::Revoke(args) => revoke::run(&args, &desk).await,
        Command::Rotate(args) => rotate::run(&args, &desk).await,
        Command::Audit(command) => audit::run(&command, &desk).await,
        Command::Policy(command) => policy::run(&command, &desk).await,
        Command::Recovery(command) => recovery::run(&command, &desk).await,
        Command::Recover(args) => recover::run(&args, &desk).await,
        Command::AcceptRollback(args) => accept_rollback::run(&args, &desk).await,
        Command::Backup(args) => backup::run(&args, &desk).await,
        Command::Restore(args) => restore::run(&args, &desk).await,
        Command::Export(args) => export::run(&args, &desk).await,
        Command::Key(command) => key::run(command, &desk).await,
        Command::Run(args) => run::run(&args, &desk).await,
        Command::Render(args) => render::run(&args, &desk).await,
        Command::Api(args) => api::run(&args, &desk).await,
        Command::Serve(args) => serve::run(&args, &desk).await,
        Command::Seal(args) => seal::run(&args, &desk).await,
        Command::Open(args) => open::run(&args, &desk).await,
        Command::Rewrap(args) => rewrap::run(&args, &desk).await,
        Command::Put(args) => put::run(&args, &desk).await,
        Command::Get(args) => get::run(&args, &desk).await,
        Command::Ls(args) => ls::run(&args, &desk).await,
        Command::Rm(args) => rm::run(&args, &desk).await,
        Command::Incr(args) => incr::run(&args, &desk).await,
        Command::Expire(args) => expire::run(&args, &desk).await,
        Command::Clear(args) => clear::run(&args, &desk).await,
        Command::Tags(args) => tags::run(&args, &desk).await,
        Command::Memo(args) => memo::run(&args, &desk).await,
        Command::Content(command) => content::run(&command, &desk).await,
        Command::Namespace(command) => namespace::run(&command, &desk).await,
        Command::Quarantine(command) => quarantine::run(&command, &desk).await,
        Command::Check(args) => check::run(&args, &desk).await,
        Command::Reseal(args) => reseal::run(&args, &desk).await,
        Command::Gc(args) => gc::run(&args, &desk).await,
        Command::Compact(args) => compact::run(&args, &desk).await,
        Command::Stats(args) => stats::run(&args, &desk).await,
        Command::Evict(args) => evict::run(&args, &desk).await,
        Command::Import(command) => import::run(&command, &desk).await,
        Command::Fleche(command) => fleche::run(&command, &desk).await,
        Command::Random(args) => random::run(&args, &desk),
        Command::Status(args) => status::run(&args, &desk).await,
        Command::Identity(command) => identity::run(&command, &desk),
        Command::Config(command) => config::run(&command, &desk),
        Command::Completions(args) => completions::run(&args, &desk),
        Command::Man(args) => man::run(&args, &desk),
        Command::Demo(args) => demo::run(&args, &desk).await,
    };
    desk.close(result).await
}
