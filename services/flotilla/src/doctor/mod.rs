//! `flotilla doctor`: traps, found before they bite. It looks and tries, and changes nothing.

mod clocks;
mod durability;
mod finding;
mod gateway;
mod permissions;
mod plans;
mod server;
mod settings;
mod topology;
mod work;

use flotilla_common::broker::{self, Broker, Role, StreamLimits};
use flotilla_common::service::{Context, Settings};
use flotilla_common::worker;
use tokio_util::sync::CancellationToken;

use crate::client::{Api, Target};
use crate::exit::{Code, Done, Failed};
use crate::terminal::Screen;
use finding::{Finding, Severity};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The monitoring address of the nats-server, like http://127.0.0.1:8222; where none is given,
    /// port 8222 of its host is tried
    #[arg(long, value_name = "URL")]
    monitor: Option<String>,
    /// Tries nothing but the permissions of this role, as often as wanted, like worker.query; where
    /// none is given, those of nats.role, or of all roles that the fleet has, beside all else
    #[arg(long, value_name = "ROLE")]
    role: Vec<String>,
    /// Leaves out what is in order
    #[arg(long, short)]
    quiet: bool,
}

/// What the checks go by.
struct Patient {
    broker: Broker,
    connection: broker::Config,
    limits: StreamLimits,
    worker: worker::Config,
    /// What the server says of itself (`/varz`), where that can be read.
    about: Option<server::About>,
}

pub(crate) async fn run(args: Args, target: &Target, settings: &Settings, screen: Screen) -> Done {
    let mut settings = settings.clone();
    if let Some(nats) = &target.nats {
        settings.set("nats", "url", nats.as_str());
    }
    let over_http = Target {
        nats: None,
        ..target.clone()
    };
    let roles = args.role.iter().map(|role| role.parse::<Role>());
    let roles: Result<Vec<Role>, _> = roles.collect();
    let roles = roles.map_err(|error| Failed::usage(format!("--role: {error}")))?;
    if !roles.is_empty() {
        return tell(&examine(&args, &roles, settings).await?, args.quiet, screen);
    }
    let mut findings = settings::check(&settings);
    findings.extend(gateway::check(&Api::open(&over_http, &settings).await?, target).await);
    // By settings that nothing starts with, nothing else can be judged.
    if findings
        .iter()
        .all(|finding| finding.check != settings::CHECK || finding.severity == Severity::Ok)
    {
        findings.extend(examine(&args, &roles, settings).await?);
    }
    tell(&findings, args.quiet, screen)
}

async fn examine(args: &Args, roles: &[Role], settings: Settings) -> Result<Vec<Finding>, Failed> {
    let wrong = |error: &dyn std::fmt::Display| Failed::usage(error.to_string());
    let connection: broker::Config = settings.section("nats").map_err(|error| wrong(&error))?;
    let context = Context::new(settings, CancellationToken::new());
    let limits = context.streams().map_err(|error| wrong(&error))?;
    let worker = context.worker().map_err(|error| wrong(&error))?;
    let broker = match Broker::connect(&connection, "flotilla-doctor").await {
        Ok(broker) => broker,
        Err(error) => return Ok(vec![Finding::error("broker", error.to_string()).remedy(
            "without the broker nothing else of it can be examined; name it with --nats, NATS_URL or [nats] in --config",
        )]),
    };
    if !roles.is_empty() {
        broker.close().await;
        return Ok(permissions::check(&connection, roles).await);
    }
    let about = server::About::read(&broker, &connection, args.monitor.as_deref()).await;
    let patient = Patient {
        broker,
        connection,
        limits,
        worker,
        about,
    };
    let mut findings = server::check(&patient).await;
    findings.extend(durability::check(&patient));
    if patient.broker.server().has_jetstream {
        findings.extend(topology::check(&patient).await);
        findings.extend(permissions::check(&patient.connection, roles).await);
        findings.extend(clocks::check(&patient).await);
        findings.extend(plans::check(&patient).await);
    }
    findings.extend(work::check(&patient).await);
    patient.broker.close().await;
    Ok(findings)
}

fn tell(findings: &[Finding], is_quiet: bool, screen: Screen) -> Done {
    let of = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    if screen.is_json {
        let report = serde_json::json!({
            "findings": findings, "errors": errors, "warnings": warnings,
        });
        screen.line(report.to_string())?;
    } else {
        let shown = findings
            .iter()
            .filter(|f| !is_quiet || f.severity != Severity::Ok);
        for finding in shown {
            screen.write(&finding.show(screen))?;
        }
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        screen.line(format!(
            "\n{}, {}",
            count(errors, "error"),
            count(warnings, "warning")
        ))?;
    }
    match errors {
        0 => Ok(()),
        _ => Err(Failed::told(Code::Bad)),
    }
}

/// A look at the broker that came to nothing is a finding too.
fn unseen(check: &'static str, error: &dyn std::fmt::Display) -> Finding {
    Finding::warning(check, format!("could not be looked at: {error}"))
        .remedy("see the permissions below, and whether the server is up")
}
