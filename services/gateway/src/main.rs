//! The gateway service as a process of its own.

#[global_allocator]
static ALLOCATOR: flotilla_common::Allocator = flotilla_common::Allocator;

fn main() -> std::process::ExitCode {
    flotilla_gateway::main()
}
