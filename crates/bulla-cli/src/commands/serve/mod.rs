mod dev;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulla::guard::audit::Outcome;
use bulla::{Session, SessionOptions};
use bulla_server::{
    App, ClientCertificates, Config, Keeper, Listen, LogFormat, Network, Server, ServerError, Stopped, TimeOuts,
    TlsFiles, asked_to_stop, log_to_stderr,
};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tracing::Level;

use self::dev::Dev;
use super::Desk;
use super::acts::Act;
use super::desk::{denied, let_in};
use crate::duration;
use crate::failure::{Exit, Failure, Result};

/// Serve the project over HTTP, as Vault's clients speak it
///
/// Whoever is let in needs a token, an API key, a client certificate that a rule knows, or, over a Unix socket, to be a user that a rule knows;
/// the user it runs as is an administrator. All that is done is in the audit log. SIGTERM lets requests end; SIGHUP, and any change of
/// the files, reads certificates anew.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Listen there [default: 127.0.0.1:8200]. May be given several times
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Listen on a Unix socket too
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// The server's certificate and those between it and the root, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The file that holds the passphrase of the key
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_passphrase: Option<PathBuf>,
    /// Ask clients for certificates of these roots, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    client_ca: Option<PathBuf>,
    /// Refuse client certificates that these lists name, in PEM
    #[arg(long, value_name = "FILE", requires = "client_ca")]
    client_crl: Option<PathBuf>,
    /// Let nobody connect without a client certificate
    #[arg(long, requires = "client_ca")]
    require_client_certificate: bool,
    /// Answer probes, and nothing else, there and without TLS
    #[arg(long, value_name = "ADDRESS")]
    probes: Option<SocketAddr>,
    /// Believe X-Forwarded-For of these proxies: a network, as 10.0.0.0/8. May be given several times
    #[arg(long, value_name = "NETWORK")]
    trusted_proxy: Vec<Network>,
    /// How to write the log to standard error
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    log: Format,
    /// Write each request to the log too, without its path
    #[arg(long)]
    log_requests: bool,
    /// How long to say that the server is not ready before nobody is let in any more
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_or_seconds, default_value = "3s")]
    drain_delay: Duration,
    /// How long to let requests end
    #[arg(long, value_name = "DURATION", value_parser = duration::parse_or_seconds, default_value = "25s")]
    drain: Duration,
    /// Serve a project of no worth, which is made now and gone at the end, and print a token that may do everything
    #[arg(long, conflicts_with_all = ["tls_cert", "client_ca"])]
    dev: bool,
    /// With --dev: speak TLS, with a certificate that is made now
    #[arg(long, requires = "dev")]
    dev_tls: bool,
    /// Keep the audit log in this folder, instead of the one beside the identity
    #[arg(long, value_name = "FOLDER")]
    audit_folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) async fn run(args: &Args, desk: &Desk) -> Result<()> {
    let level = if args.log_requests { Level::DEBUG } else { Level::INFO };
    let format = match args.log {
        Format::Text => LogFormat::Text,
        Format::Json => LogFormat::Json,
    };
    if !desk.global.quiet {
        log_to_stderr(format, level).map_err(|error| Failure::new(Exit::Failed, "log", error.to_string()))?;
    }
    let dev = if args.dev { Some(Dev::new(args.dev_tls).await?) } else { None };
    let project = match &dev {
        Some(dev) => Arc::new(dev.project().await?),
        None => desk.project().await?,
    };
    let mut options = SessionOptions::default();
    if let Some(folder) = &args.audit_folder {
        options = options.audit_folder(folder);
    }
    let session = Arc::new(Session::open(project, options).await?);
    let began = Instant::now();
    let admitted = let_in(&Act::SERVE, &session).await.map_err(denied)?;
    let runtime = runtime()?;
    let served = runtime.block_on(serve(args, desk, session.clone(), dev.as_ref()));
    // Nothing of the server is left that holds the session, unless requests were given up.
    runtime.shutdown_timeout(Duration::from_secs(1));
    let outcome = if served.is_ok() { Outcome::Success } else { Outcome::Failure };
    let recorded = admitted.finish(outcome, None, began.elapsed()).await.map_err(denied);
    drop(admitted);
    if let Some(session) = Arc::into_inner(session) {
        session.close().await?;
    }
    served.and(recorded)
}

async fn serve(args: &Args, desk: &Desk, session: Arc<Session>, dev: Option<&Dev>) -> Result<()> {
    let keeper = Keeper::new(session.clone());
    let times = TimeOuts { drain_delay: args.drain_delay, drain: args.drain, ..TimeOuts::default() };
    let app = App::guarded(&keeper).times(times).build();
    let app = app.map_err(|error| Failure::new(Exit::Failed, "api", error.to_string()))?;
    let server = Server::bind(config(args, dev), app).await.map_err(failure)?;
    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    announce(&addresses, desk, &session, dev).await?;
    let keeping = tokio::spawn(async move { keeper.keep().await });
    let stop = async {
        if let Err(error) = asked_to_stop().await {
            tracing::error!("signals cannot be heard: {error}");
        }
    };
    let stopped = server.run(stop).await;
    keeping.abort();
    match stopped {
        Stopped::Whole => Ok(()),
        Stopped::CutShort => {
            Err(Failure::new(Exit::Failed, "cut_short", "requests were given up when the time was over")
                .with_hint("give them more with `--drain`"))
        }
    }
}

/// Says where the server is; of a project of no worth, how to get in.
async fn announce(addresses: &[String], desk: &Desk, session: &Session, dev: Option<&Dev>) -> Result<()> {
    let project = session.project().id().to_string();
    let Some(dev) = dev else {
        return desk.output.result(&json!({ "addresses": addresses, "project": project }), || {
            addresses.iter().map(|address| format!("listening on {address}")).collect::<Vec<_>>().join("\n")
        });
    };
    let token = session.guard().access().create_root_token().await.map_err(bulla::Error::from)?;
    let address = addresses.first().map(|address| format!("{}://{address}", dev.scheme())).unwrap_or_default();
    let record = json!({
        "address": address,
        "addresses": addresses,
        "project": project,
        "token": token.secret.expose(),
        "ca": dev.certificate().map(|path| path.to_string_lossy()),
    });
    desk.output.result(&record, || {
        let mut lines = vec![
            "This project is of no worth: it is gone when the server stops, and whoever has the token may do everything.".to_owned(),
            String::new(),
            format!("export VAULT_ADDR={address}"),
            format!("export VAULT_TOKEN={}", token.secret.expose()),
        ];
        lines.extend(dev.certificate().map(|path| format!("export VAULT_CACERT={}", path.display())));
        lines.join("\n")
    })
}

fn config(args: &Args, dev: Option<&Dev>) -> Config {
    let mut config = Config::default();
    if !args.listen.is_empty() {
        config.listen = args.listen.iter().copied().map(Listen::Network).collect();
    }
    if let Some(path) = &args.unix {
        if args.listen.is_empty() {
            config.listen.clear();
        }
        config = config.also_listen(Listen::Local(path.clone()));
    }
    if let (Some(certificate), Some(key)) = (&args.tls_cert, &args.tls_key) {
        let mut files = TlsFiles::new(certificate, key);
        if let Some(passphrase) = &args.tls_passphrase {
            files = files.passphrase(passphrase);
        }
        if let Some(roots) = &args.client_ca {
            let clients = match args.require_client_certificate {
                true => ClientCertificates::Required,
                false => ClientCertificates::Optional,
            };
            files = files.client_certificates(roots, clients);
        }
        if let Some(revoked) = &args.client_crl {
            files = files.revoked(revoked);
        }
        config = config.tls(files);
    }
    if let Some(files) = dev.and_then(Dev::tls) {
        config = config.tls(files);
    }
    config.probes = args.probes;
    config.proxies.clone_from(&args.trusted_proxy);
    config
}

pub(super) fn runtime() -> Result<Runtime> {
    let runtime = Builder::new_multi_thread().enable_all().thread_name("bulla-serve").build();
    runtime.map_err(|error| Failure::new(Exit::Failed, "threads", format!("no threads can be started: {error}")))
}

fn failure(error: ServerError) -> Failure {
    let exit = match &error {
        ServerError::PlainBeyondLoopback(_) | ServerError::Nowhere => Exit::Usage,
        ServerError::Tls(_) => Exit::Refused,
        _ => Exit::Unavailable,
    };
    Failure::new(exit, "cannot_serve", error.to_string())
}
