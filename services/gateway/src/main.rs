fn main() -> std::process::ExitCode {
    flotilla_common::service::main("gateway", flotilla_gateway::run)
}
