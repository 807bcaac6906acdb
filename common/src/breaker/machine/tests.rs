//! Several processes and what they share, through arbitrary histories.

use proptest::prelude::*;

use super::*;

const RULES: Rules = Rules {
    failures: 2,
    open_for: Duration::from_secs(10),
    probe_timeout: Duration::from_secs(4),
};
const PROCESSES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Fail(usize),
    Succeed(usize),
    /// Asks for leave, and writes the probe at once, as the shell does.
    Ask(usize),
    EndProbe(usize, Probed),
    Write(usize),
    /// Hears what the fleet shares now.
    Hear(usize),
    /// Dies, and starts anew.
    Die(usize),
    /// An operator closes it, or holds it open.
    Order(CircuitStage),
    Wait(u64),
}

struct Model {
    machines: Vec<Machine>,
    probes: Vec<Option<Circuit>>,
    shared: Option<Shared<Circuit>>,
    now: Timestamp,
}

impl Model {
    fn new() -> Self {
        Self {
            machines: (0..PROCESSES).map(machine).collect(),
            probes: vec![None; PROCESSES],
            shared: None,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Fail(i) => {
                self.machines[i].failed(self.now, "it failed");
            }
            Step::Succeed(i) => self.machines[i].succeeded(),
            Step::Ask(i) => self.ask(i),
            Step::EndProbe(i, how) => {
                if let Some(probe) = self.probes[i].take() {
                    self.machines[i].probe_ended(self.now, &probe, how);
                }
            }
            Step::Write(i) => self.write(i),
            Step::Hear(i) => self.hear(i),
            Step::Die(i) => {
                self.machines[i] = machine(i);
                self.probes[i] = None;
                self.machines[i].read(self.shared.as_ref());
            }
            Step::Order(stage) => self.order(stage),
            Step::Wait(seconds) => self.now += Duration::from_secs(seconds),
        }
    }

    fn order(&mut self, stage: CircuitStage) {
        let revision = self.shared.as_ref().map_or(0, |shared| shared.revision);
        let ordered = Circuit {
            stage,
            by: "operator".to_owned(),
            ..Circuit::untouched(Dependency::OpenAi)
        };
        self.shared = Some(Shared {
            value: ordered,
            revision: revision + 1,
        });
    }

    fn ask(&mut self, i: usize) {
        // The shell goes by its own judgement while the fleet has something to hear from it.
        // Here it always gets to write first.
        self.write(i);
        let Verdict::Probe(probe) = self.machines[i].admit(self.now) else {
            return;
        };
        let expected = self.machines[i].revision();
        match self.share(&probe, expected) {
            Some(revision) => {
                let others = self.probes.iter().flatten();
                let live = others
                    .filter(|probe| self.lease_of(probe) > self.now)
                    .count();
                assert_eq!(live, 0, "two probes at once");
                self.machines[i].probes(probe.clone(), revision);
                self.probes[i] = Some(probe);
            }
            None => self.machines[i].read(self.shared.as_ref()),
        }
    }

    fn lease_of(&self, probe: &Circuit) -> Timestamp {
        match probe.stage {
            CircuitStage::HalfOpen { until } => until,
            _ => unreachable!("a probe is half open"),
        }
    }

    fn write(&mut self, i: usize) {
        while let Some((circuit, expected)) = self.machines[i].unwritten() {
            match self.share(&circuit, expected) {
                Some(revision) => self.machines[i].written(&circuit, revision),
                None => self.machines[i].read(self.shared.as_ref()),
            }
        }
    }

    /// The broker's compare-and-set; what it takes is a step that a breaker may make.
    fn share(&mut self, circuit: &Circuit, expected: u64) -> Option<u64> {
        let current = self.shared.as_ref().map_or(0, |shared| shared.revision);
        if current != expected {
            return None;
        }
        let before = self.shared.as_ref().map(|shared| &shared.value.stage);
        let is_legal = match (before.unwrap_or(&CircuitStage::Closed), &circuit.stage) {
            (CircuitStage::Closed, CircuitStage::Open { .. }) => true,
            (CircuitStage::Open { until }, CircuitStage::HalfOpen { .. })
            | (CircuitStage::HalfOpen { until }, CircuitStage::HalfOpen { .. }) => {
                *until <= self.now
            }
            (CircuitStage::HalfOpen { .. }, CircuitStage::Closed | CircuitStage::Open { .. }) => {
                true
            }
            _ => false,
        };
        assert!(is_legal, "{before:?} to {:?}", circuit.stage);
        self.shared = Some(Shared {
            value: circuit.clone(),
            revision: current + 1,
        });
        Some(current + 1)
    }

    fn hear(&mut self, i: usize) {
        if let Some(shared) = &self.shared {
            self.machines[i].adopt(shared);
        }
    }
}

fn machine(i: usize) -> Machine {
    Machine::new(Dependency::OpenAi, RULES, &format!("process {i}"))
}

fn waits(machine: &Machine, now: Timestamp) -> bool {
    matches!(machine.admit(now), Verdict::Wait { .. })
}

fn step() -> impl Strategy<Value = Step> {
    let process = || 0..PROCESSES;
    let how = prop_oneof![
        Just(Probed::Succeeded),
        Just(Probed::Failed("again".to_owned())),
        Just(Probed::Unused),
    ];
    prop_oneof![
        4 => process().prop_map(Step::Fail),
        1 => process().prop_map(Step::Succeed),
        4 => process().prop_map(Step::Ask),
        3 => (process(), how).prop_map(|(i, how)| Step::EndProbe(i, how)),
        3 => process().prop_map(Step::Write),
        3 => process().prop_map(Step::Hear),
        1 => process().prop_map(Step::Die),
        1 => prop_oneof![Just(CircuitStage::Closed), Just(CircuitStage::Held)].prop_map(Step::Order),
        3 => (1..8_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// The fleet's history is legal and has one probe at a time (asserted where it is written),
    /// what one knows to be open is not called, and none is stuck for ever.
    #[test]
    fn one_mind(steps in prop::collection::vec(step(), 0..200)) {
        let mut model = Model::new();
        for step in steps {
            model.step(step);
            for machine in &model.machines {
                let is_open = match machine.circuit.stage {
                    CircuitStage::Open { until } => model.now < until,
                    CircuitStage::Held => true,
                    CircuitStage::Closed | CircuitStage::HalfOpen { .. } => false,
                };
                prop_assert!(!is_open || waits(machine, model.now));
            }
        }
        // Everybody who probed is gone; sooner or later somebody gets through.
        model.now += Duration::from_secs(60);
        (0..PROCESSES).for_each(|i| model.write(i));
        if let Some(Shared { value: Circuit { stage: CircuitStage::Held, .. }, .. }) = model.shared {
            (0..PROCESSES).for_each(|i| model.hear(i));
            prop_assert!(model.machines.iter().all(|machine| waits(machine, model.now)));
            model.order(CircuitStage::Closed);
        }
        (0..PROCESSES).for_each(|i| model.hear(i));
        prop_assert!(!waits(&model.machines[0], model.now));
        model.step(Step::Ask(0));
        model.step(Step::EndProbe(0, Probed::Succeeded));
        prop_assert_eq!(model.machines[0].admit(model.now), Verdict::Go);
    }
}

#[test]
fn failures_count_in_a_row() {
    let mut machine = machine(0);
    let now = Timestamp::UNIX_EPOCH;
    assert!(!machine.failed(now, "a"));
    machine.succeeded();
    assert!(!machine.failed(now, "b"));
    assert!(machine.failed(now, "c"));
    let until = now + RULES.open_for;
    let cause = "2 failures in a row, the last: c".to_owned();
    assert_eq!(machine.admit(now), Verdict::Wait { until, cause });
    assert!(matches!(machine.admit(until), Verdict::Probe(_)));
}

/// What was decided while the broker was away is void, where the fleet has moved on meanwhile.
#[test]
fn the_fleet_knows_better() {
    let mut machine = machine(0);
    let now = Timestamp::UNIX_EPOCH;
    machine.failed(now, "a");
    machine.failed(now, "b");
    assert!(machine.has_unwritten());
    let closed = Circuit {
        by: "another".to_owned(),
        ..machine.transition(CircuitStage::Closed, 0, now, "it works".to_owned())
    };
    machine.adopt(&Shared {
        value: closed,
        revision: 3,
    });
    assert!(!machine.has_unwritten());
    assert_eq!(machine.admit(now), Verdict::Go);
}

/// A stream that was made anew knows nothing; what is open stays so, and is told again.
#[test]
fn a_lost_register_is_written_anew() {
    let mut machine = machine(0);
    machine.failed(Timestamp::UNIX_EPOCH, "a");
    machine.failed(Timestamp::UNIX_EPOCH, "b");
    let (open, _) = machine.unwritten().unwrap();
    machine.written(&open, 9);
    machine.read(None);
    assert_eq!(machine.revision(), 0);
}
