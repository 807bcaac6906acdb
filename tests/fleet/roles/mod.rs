//! A server that tells its users apart, as `deploy/nats` has it: the fleet works with a role for
//! each service, and none of them may do what is another's.

mod denied;
mod handlers;
mod journeys;
mod outsiders;
